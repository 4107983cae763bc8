// Package pace ends transfers that hardly move, so that a store which gives a byte now and
// then cannot hold a job for ever: for one that gives nothing at all, package retry has a
// limit. It stands below the limit of bandwidth, whose waiting is not the store's.
package pace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"vaultik/backends"
)

const (
	// Floor is how many bytes a second a transfer must bring on the average of a Window.
	// The slowest lines in use, shared by four transfers, have more.
	Floor = 1 << 10
	// SlowFloor is the one for stores that are known to be slow.
	SlowFloor = 16

	// Window is how long a transfer is watched at a time; only that counts in which it
	// waits for the store.
	Window = time.Minute
)

// Options say what is too slow. The zero value ends nothing.
type Options struct {
	Floor  int64         // bytes a second
	Window time.Duration // 0: Window
	// Up says that uploads are watched too, which a limit of bandwidth would make slow.
	Up bool
}

// Backend passes calls to another backend.
type Backend struct {
	backends.Backend
	o Options
}

// Wrap has the transfers of b ended that are too slow.
func Wrap(b backends.Backend, o Options) *Backend {
	if o.Window == 0 {
		o.Window = Window
	}
	return &Backend{b, o}
}

// Unwrap returns the backend inside.
func (b *Backend) Unwrap() backends.Backend { return b.Backend }

// meter watches one transfer.
type meter struct {
	o     Options
	key   string
	op    string
	busy  time.Duration // of this window
	bytes int64
}

// moved notes what came in some time, and returns an error once that is too little.
func (m *meter) moved(n int64, took time.Duration) error {
	m.busy += took
	m.bytes += n
	if m.busy < m.o.Window {
		return nil
	}
	least := int64(m.busy.Seconds() * float64(m.o.Floor))
	bytes, busy := m.bytes, m.busy
	m.bytes, m.busy = 0, 0
	if bytes >= least {
		return nil
	}
	return &backends.OpError{Op: m.op, Key: m.key, Retryable: true, Err: backends.WithKind(
		backends.ErrSlow, fmt.Errorf("the store is too slow: %d bytes in %v", bytes,
			busy.Round(time.Second)))}
}

// Get implements backends.Backend.
func (b *Backend) Get(ctx context.Context, key string, off, length int64) (io.ReadCloser,
	backends.ObjectInfo, error) {
	r, info, err := b.Backend.Get(ctx, key, off, length)
	if err != nil || b.o.Floor == 0 {
		return r, info, err
	}
	return &reader{r, meter{o: b.o, key: key, op: "get"}}, info, nil
}

// ReadRange implements backends.RangeReader: of ranges so small that they come in one piece
// package retry bounds the time.
func (b *Backend) ReadRange(ctx context.Context, key string, p []byte, off int64) (int, error) {
	if in, ok := b.Backend.(backends.RangeReader); ok {
		return in.ReadRange(ctx, key, p, off)
	}
	r, _, err := b.Get(ctx, key, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	n, err := io.ReadFull(r, p)
	if op := (*backends.OpError)(nil); err != nil && !errors.As(err, &op) {
		err = &backends.OpError{Op: "get", Key: key, Retryable: true, Err: err}
	}
	return n, err
}

type reader struct {
	io.ReadCloser
	meter
}

func (r *reader) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := r.ReadCloser.Read(p)
	if slow := r.moved(int64(n), time.Since(began)); slow != nil && err == nil {
		err = slow
	}
	return n, err
}

// Put implements backends.Backend.
func (b *Backend) Put(ctx context.Context, key string, src backends.Source,
	o backends.PutOptions) (backends.ObjectInfo, error) {
	if b.o.Floor == 0 || !b.o.Up {
		return b.Backend.Put(ctx, key, src, o)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m, told := meter{o: b.o, key: key, op: "put"}, o.Progress
	last, sent := time.Now(), int64(0)
	o.Progress = func(done, total int64) {
		now := time.Now()
		if err := m.moved(max(0, done-sent), now.Sub(last)); err != nil {
			cancel(err)
		}
		last, sent = now, done
		if told != nil {
			told(done, total)
		}
	}
	info, err := b.Backend.Put(ctx, key, src, o)
	if slow := context.Cause(ctx); err != nil && errors.Is(slow, backends.ErrSlow) {
		err = slow
	}
	return info, err
}
