package faulty

import (
	"context"
	"errors"
	"io"
	"sync"

	"vaultik/backends"
)

// Backend passes calls to another backend, as its rules let it.
type Backend struct {
	inner backends.Backend

	mu    sync.Mutex
	rules []*counted
	calls map[Op]int
}

type counted struct {
	Rule
	seen int // matching calls so far
}

// New returns b with rules. More can be added at any time.
func New(b backends.Backend, rules ...Rule) *Backend {
	f := &Backend{inner: b, calls: map[Op]int{}}
	f.Add(rules...)
	return f
}

// Add adds rules; their counting starts now.
func (b *Backend) Add(rules ...Rule) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range rules {
		b.rules = append(b.rules, &counted{Rule: r})
	}
}

// Heal removes all rules.
func (b *Backend) Heal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = nil
}

// Calls returns how many calls of op there were, failed ones included.
func (b *Backend) Calls(op Op) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[op]
}

// Unwrap returns the backend inside.
func (b *Backend) Unwrap() backends.Backend { return b.inner }

// call is what the rules make of one call.
type call struct {
	op    Op
	key   string
	after []func(op Op, key string) error
	short int64
	flips []int64
}

// begin counts the call and does what comes before it.
func (b *Backend) begin(ctx context.Context, op Op, key string) (*call, error) {
	c := &call{op: op, key: key, short: -1}
	for _, a := range b.actions(op, key) {
		if a.before != nil {
			if err := a.before(ctx, op, key); err != nil {
				return nil, err
			}
		}
		if a.after != nil {
			c.after = append(c.after, a.after)
		}
		if a.short >= 0 && (c.short < 0 || a.short < c.short) {
			c.short = a.short
		}
		if a.flip >= 0 {
			c.flips = append(c.flips, a.flip)
		}
	}
	return c, nil
}

func (b *Backend) actions(op Op, key string) []Action {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls[op]++
	var list []Action
	for _, r := range b.rules {
		if !r.matches(op, key) {
			continue
		}
		r.seen++
		if r.covers(r.seen) {
			list = append(list, r.Do)
		}
	}
	return list
}

// end turns success into the error of a rule.
func (c *call) end(err error) error {
	for _, f := range c.after {
		if err == nil {
			err = f(c.op, c.key)
		}
	}
	return err
}

// Put implements backends.Backend.
func (b *Backend) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	c, err := b.begin(ctx, Put, key)
	if err != nil {
		return backends.ObjectInfo{}, err
	}
	if c.short >= 0 || len(c.flips) > 0 {
		src = &source{src, c}
	}
	info, err := b.inner.Put(ctx, key, src, o)
	if err = c.end(err); err != nil {
		return backends.ObjectInfo{}, err
	}
	return info, nil
}

// Get implements backends.Backend.
func (b *Backend) Get(ctx context.Context, key string, off, length int64) (io.ReadCloser, backends.ObjectInfo, error) {
	c, err := b.begin(ctx, Get, key)
	if err != nil {
		return nil, backends.ObjectInfo{}, err
	}
	r, info, err := b.inner.Get(ctx, key, off, length)
	if err == nil && len(c.after) > 0 {
		err = c.end(r.Close())
	}
	if err != nil {
		return nil, backends.ObjectInfo{}, err
	}
	return &reader{r, filter{c: c, off: off}}, info, nil
}

// ReadRange implements backends.RangeReader, through Get if the backend inside has
// no such method.
func (b *Backend) ReadRange(ctx context.Context, key string, p []byte, off int64) (int, error) {
	c, err := b.begin(ctx, Get, key)
	if err != nil {
		return 0, err
	}
	got, err := backends.ReadRange(ctx, b.inner, key, off, int64(len(p)), p)
	if err = c.end(err); err != nil {
		return 0, err
	}
	f := filter{c: c, off: off}
	n, err := f.pass(got)
	if err != nil {
		err = opError(Get, key, err)
	}
	return n, err
}

// Stat implements backends.Backend.
func (b *Backend) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	c, err := b.begin(ctx, Stat, key)
	if err != nil {
		return backends.ObjectInfo{}, err
	}
	info, err := b.inner.Stat(ctx, key)
	if err = c.end(err); err != nil {
		return backends.ObjectInfo{}, err
	}
	return info, nil
}

// Delete implements backends.Backend.
func (b *Backend) Delete(ctx context.Context, key string) error {
	c, err := b.begin(ctx, Delete, key)
	if err != nil {
		return err
	}
	return c.end(b.inner.Delete(ctx, key))
}

// Batch implements backends.BatchDeleter, as far as the backend inside does.
func (b *Backend) Batch() int {
	if d := backends.Batches(b.inner); d != nil {
		return d.Batch()
	}
	return 0
}

// DeleteBatch implements backends.BatchDeleter. The rules are those of Delete, for each key;
// what one of them lets through is deleted, be it that the whole call fails.
func (b *Backend) DeleteBatch(ctx context.Context, keys []string) error {
	var failed []*backends.OpError
	for _, key := range keys {
		err := b.Delete(ctx, key)
		op := (*backends.OpError)(nil)
		switch {
		case err == nil:
		case ctx.Err() != nil || !errors.As(err, &op):
			return err
		default:
			failed = append(failed, op)
		}
	}
	if len(failed) > 0 {
		return &backends.BatchError{Failed: failed}
	}
	return nil
}

var errStop = errors.New("list cut")

// ListStream implements backends.Backend.
func (b *Backend) ListStream(ctx context.Context, prefix string, fn func(backends.ObjectInfo) error) error {
	c, err := b.begin(ctx, List, prefix)
	if err != nil {
		return err
	}
	left := c.short
	err = b.inner.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		if left == 0 {
			return errStop
		}
		left--
		return fn(o)
	})
	if errors.Is(err, errStop) {
		err = opError(List, prefix, &backends.OpError{Retryable: true, Err: io.ErrUnexpectedEOF})
	}
	return c.end(err)
}

// Info implements backends.Backend.
func (b *Backend) Info(ctx context.Context) (backends.Info, error) {
	c, err := b.begin(ctx, Info, "")
	if err != nil {
		return backends.Info{}, err
	}
	info, err := b.inner.Info(ctx)
	return info, c.end(err)
}

// Close closes the backend inside.
func (b *Backend) Close() error { return b.inner.Close() }

// filter applies Short and Flip to bytes that start at offset off of the object.
type filter struct {
	c    *call
	off  int64 // of the next byte
	done int64
}

// pass changes p in place and returns how much of it remains.
func (f *filter) pass(p []byte) (int, error) {
	n, err := len(p), error(nil)
	if s := f.c.short; s >= 0 && f.done+int64(n) > s {
		n, err = int(s-f.done), io.ErrUnexpectedEOF
	}
	for _, at := range f.c.flips {
		if i := at - f.off; i >= 0 && i < int64(n) {
			p[i] ^= 1
		}
	}
	f.off += int64(n)
	f.done += int64(n)
	return n, err
}

type reader struct {
	io.ReadCloser
	filter
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	m, cut := r.pass(p[:n])
	if cut != nil {
		return m, cut
	}
	return m, err
}

// source is a Source whose bytes go through a filter.
type source struct {
	backends.Source
	c *call
}

func (s *source) Open() (io.ReadSeekCloser, error) {
	r, err := s.Source.Open()
	if err != nil {
		return nil, err
	}
	return &seeker{r, filter{c: s.c}}, nil
}

type seeker struct {
	io.ReadSeekCloser
	filter
}

func (s *seeker) Read(p []byte) (int, error) {
	n, err := s.ReadSeekCloser.Read(p)
	m, cut := s.pass(p[:n])
	if cut != nil {
		return m, cut
	}
	return m, err
}

func (s *seeker) Seek(off int64, whence int) (int64, error) {
	at, err := s.ReadSeekCloser.Seek(off, whence)
	if err == nil {
		s.off, s.done = at, at
	}
	return at, err
}
