package aside

import (
	"context"
	"io"
	"sync"

	"vaultik/backends"
)

// opened is what Get returns.
type opened struct {
	r    io.ReadCloser
	info backends.ObjectInfo
}

// Get implements backends.Backend.
func (b *Backend) Get(ctx context.Context, key string, off, length int64) (io.ReadCloser,
	backends.ObjectInfo, error) {
	o, _, err := do(ctx, b.calls, func(ctx context.Context) (opened, error) {
		r, info, err := b.inner.Get(ctx, key, off, length)
		return opened{r, info}, err
	}, func(o opened, err error) {
		if err == nil {
			_ = o.r.Close()
		}
	})
	if err != nil {
		return nil, backends.ObjectInfo{}, err
	}
	return &reader{ctx: ctx, b: b, in: o.r}, o.info, nil
}

var blocks = sync.Pool{New: func() any { return new([block]byte) }}

// reader reads into memory of its own: a read that was left behind may still write there.
type reader struct {
	ctx  context.Context
	b    *Backend
	in   io.ReadCloser
	left bool // a read was left behind, which closes in when it has ended
}

func (r *reader) Read(p []byte) (n int, err error) {
	if r.left {
		return 0, r.ctx.Err()
	}
	buf := blocks.Get().(*[block]byte)
	part := buf[:min(len(p), block)]
	n, r.left, err = do(r.ctx, r.b.calls, func(context.Context) (int, error) {
		return r.in.Read(part)
	}, func(int, error) { _ = r.in.Close() })
	if !r.left {
		copy(p, part[:n])
		blocks.Put(buf)
	}
	return n, err
}

func (r *reader) Close() error {
	if r.left {
		return nil
	}
	return r.in.Close()
}

// ReadRange implements backends.RangeReader.
func (b *Backend) ReadRange(ctx context.Context, key string, p []byte, off int64) (int, error) {
	in, ok := b.inner.(backends.RangeReader)
	if !ok || len(p) > block {
		return b.readRange(ctx, key, p, off)
	}
	buf := blocks.Get().(*[block]byte)
	n, left, err := do(ctx, b.calls, func(ctx context.Context) (int, error) {
		return in.ReadRange(ctx, key, buf[:len(p)], off)
	}, nil)
	if !left {
		copy(p, buf[:n])
		blocks.Put(buf)
	}
	return n, err
}

func (b *Backend) readRange(ctx context.Context, key string, p []byte, off int64) (int, error) {
	r, _, err := b.Get(ctx, key, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadFull(r, p)
}

// Put implements backends.Backend. The source is read aside too: where the call is left
// behind, no more than what it has in hand is read of it, and nothing gets the key's name.
func (b *Backend) Put(ctx context.Context, key string, src backends.Source,
	o backends.PutOptions) (backends.ObjectInfo, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // also when Progress panics
	type step struct{ done, total int64 }
	told, steps := o.Progress, make(chan step)
	if told != nil {
		o.Progress = func(done, total int64) {
			select {
			case steps <- step{done, total}:
			case <-ctx.Done():
			}
		}
	}
	type result struct {
		info backends.ObjectInfo
		err  error
	}
	ended := make(chan outcome[result], 1)
	go func() {
		var out outcome[result]
		defer func() {
			out.panicked = recover()
			ended <- out
		}()
		out.v.info, _, out.v.err = do(ctx, b.calls,
			func(ctx context.Context) (backends.ObjectInfo, error) {
				return b.inner.Put(ctx, key, src, o)
			}, nil)
	}()
	for {
		select {
		case s := <-steps:
			told(s.done, s.total)
		case out := <-ended:
			r, err := out.result()
			if err != nil {
				return backends.ObjectInfo{}, err
			}
			return r.info, r.err
		}
	}
}
