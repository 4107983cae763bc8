package aside

import (
	"context"
	"fmt"
	"sync"
	"time"

	"vaultik/backends"
)

const (
	// grace is how long a call may take to notice that its context has ended: what waits for
	// a disk that is alive ends in this time, in order.
	grace = 200 * time.Millisecond
	// closeGrace is how long Close waits for calls that were left behind.
	closeGrace = time.Second
	// maxLeft is how many calls may be left behind; each holds a thread of the system.
	maxLeft = 16
	// ahead is how many objects of a list are read before the caller has taken them: one at
	// a time, passing them on takes longer than reading them.
	ahead = 64
	// block is how many bytes are read at once.
	block = 256 << 10
)

// Backend makes the calls of another backend aside.
type Backend struct {
	inner backends.Backend
	calls *calls
}

// calls are those of one store.
type calls struct {
	mu   sync.Mutex
	left int
	back chan struct{} // closed when one of those left behind has ended; nil: nobody waits
}

// Open makes a backend with open, and wraps it. One that is made too late is closed.
func Open(ctx context.Context, open func(context.Context) (backends.Backend, error)) (
	*Backend, error) {
	c := &calls{}
	b, _, err := do(ctx, c, open, func(late backends.Backend, err error) {
		if err == nil {
			_ = late.Close()
		}
	})
	if err != nil {
		return nil, err
	}
	return &Backend{b, c}, nil
}

// Do calls fn, and returns when it has ended, or soon after ctx is done with its error.
func Do(ctx context.Context, fn func(context.Context) error) error {
	return (&calls{}).just(ctx, fn)
}

// outcome is how a call has ended.
type outcome[T any] struct {
	v        T
	err      error
	panicked any
}

// do makes one call. left says that it was left behind; then late, if it is not nil, gets
// the result whenever there is one.
func do[T any](ctx context.Context, c *calls, fn func(context.Context) (T, error),
	late func(T, error)) (v T, left bool, err error) {
	if err := c.room(ctx); err != nil {
		return v, false, err
	}
	ended := begin(ctx, fn)
	select {
	case o := <-ended:
		v, err = o.result()
		return v, false, err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case o := <-ended:
		v, err = o.result()
		return v, false, err
	case <-timer.C:
	}
	c.leave(func() {
		if o := <-ended; late != nil {
			late(o.v, o.err)
		}
	})
	return v, true, ctx.Err()
}

// just is do for calls that have no result.
func (c *calls) just(ctx context.Context, fn func(context.Context) error) error {
	_, _, err := do(ctx, c, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, fn(ctx)
	}, nil)
	return err
}

func begin[T any](ctx context.Context, fn func(context.Context) (T, error)) <-chan outcome[T] {
	ended := make(chan outcome[T], 1)
	go func() {
		var o outcome[T]
		defer func() {
			o.panicked = recover()
			ended <- o
		}()
		o.v, o.err = fn(ctx)
	}()
	return ended
}

func (o outcome[T]) result() (T, error) {
	if o.panicked != nil {
		panic(o.panicked)
	}
	return o.v, o.err
}

// room waits while too many calls are left behind.
func (c *calls) room(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.mu.Lock()
		if c.left < maxLeft {
			c.mu.Unlock()
			return nil
		}
		if c.back == nil {
			c.back = make(chan struct{})
		}
		back := c.back
		c.mu.Unlock()
		select {
		case <-back:
		case <-ctx.Done():
			return fmt.Errorf("%d calls to the store hang: %w", maxLeft, ctx.Err())
		}
	}
}

// leave leaves a call behind; wait returns when it has ended.
func (c *calls) leave(wait func()) {
	c.mu.Lock()
	c.left++
	c.mu.Unlock()
	go func() {
		wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.left--
		if c.back != nil {
			close(c.back)
			c.back = nil
		}
	}()
}

// Unwrap returns the backend inside.
func (b *Backend) Unwrap() backends.Backend { return b.inner }

// Stat implements backends.Backend.
func (b *Backend) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	info, _, err := do(ctx, b.calls, func(ctx context.Context) (backends.ObjectInfo, error) {
		return b.inner.Stat(ctx, key)
	}, nil)
	return info, err
}

// Delete implements backends.Backend.
func (b *Backend) Delete(ctx context.Context, key string) error {
	return b.calls.just(ctx, func(ctx context.Context) error { return b.inner.Delete(ctx, key) })
}

// Info implements backends.Backend.
func (b *Backend) Info(ctx context.Context) (backends.Info, error) {
	info, _, err := do(ctx, b.calls, b.inner.Info, nil)
	return info, err
}

// Close implements backends.Backend. It does not wait long for calls that were left behind.
func (b *Backend) Close() error {
	ended := begin(context.Background(), func(context.Context) (struct{}, error) {
		return struct{}{}, b.inner.Close()
	})
	b.calls.mu.Lock()
	left := b.calls.left
	b.calls.mu.Unlock()
	if left == 0 {
		_, err := (<-ended).result()
		return err
	}
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case o := <-ended:
		_, err := o.result()
		return err
	case <-timer.C:
		return nil // the end of the process closes what they hold
	}
}

// ListStream implements backends.Backend. fn is called in the goroutine of the caller.
func (b *Backend) ListStream(ctx context.Context, prefix string,
	fn func(backends.ObjectInfo) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	items := make(chan backends.ObjectInfo, ahead)
	done := make(chan error, 1)
	go func() {
		done <- b.calls.just(ctx, func(ctx context.Context) error {
			return b.inner.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
				select {
				case items <- o:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		})
	}()
	pass := func(o backends.ObjectInfo) error {
		err := ctx.Err()
		if err == nil {
			err = fn(o)
		}
		return err
	}
	for {
		select {
		case o := <-items:
			if err := pass(o); err != nil {
				cancel()
				<-done
				return err
			}
		case err := <-done:
			for len(items) > 0 {
				if err := pass(<-items); err != nil {
					return err
				}
			}
			return err
		}
	}
}
