package rclone

import (
	"context"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/accounting"
)

const (
	// grace is how long a cancelled call is given to end in order.
	grace = 100 * time.Millisecond
	// closeGrace is how long Close waits for those that did not: somebody waits for
	// the end of the program.
	closeGrace = 2 * time.Second
	// discardTime is how long what a failed upload has left may take to be removed.
	discardTime = 5 * time.Second
)

// await calls fn and returns its error, or soon after ctx is done the context's:
// several providers ignore it. Then fn keeps running by itself, until Close. A panic of
// fn passes through.
func (b *Backend) await(ctx context.Context, fn func(ctx context.Context) error) error {
	type end struct {
		err      error
		panicked any
	}
	ended := make(chan end, 1)
	b.running.Add(1)
	go func() {
		var e end
		defer func() {
			e.panicked = recover()
			ended <- e
			b.running.Done()
		}()
		e.err = fn(b.settings(ctx))
	}()
	var e end
	select {
	case e = <-ended:
	case <-ctx.Done():
		select {
		case e = <-ended:
		case <-time.After(grace):
			return ctx.Err()
		}
	}
	if e.panicked != nil {
		panic(e.panicked)
	}
	if e.err != nil && ctx.Err() != nil {
		return ctx.Err() // whatever it made of it
	}
	return e.err
}

// settings gives a caller's context the settings of the store.
func (b *Backend) settings(ctx context.Context) context.Context {
	return accounting.WithStatsGroup(fs.CopyConfig(ctx, b.base), "vaultik")
}
