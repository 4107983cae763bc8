package actors

import (
	"context"

	"vaultik/internal/arena"
	"vaultik/messages"
)

// Budget is a fixed free list of buffers. It is the memory bound of what chunkers
// have in flight, and its blocking acquire is their back-pressure. It belongs to
// one job: buffers in messages that a stop has dropped vanish with it.
type Budget struct {
	free chan *messages.Buf
	n    int // buffers; used only by the goroutine that calls Shrink
	size int
	mem  *arena.Arena
}

// NewBudget bounds a job to n buffers of size bytes, each made when first needed.
func NewBudget(mem *arena.Arena, n, size int) *Budget {
	b := &Budget{free: make(chan *messages.Buf, n), n: n, size: size, mem: mem}
	for range n {
		b.free <- &messages.Buf{}
	}
	return b
}

// Acquire waits for an empty buffer with room for the budget's size.
func (b *Budget) Acquire(ctx context.Context) (*messages.Buf, error) {
	select {
	case x := <-b.free:
		if x.B == nil {
			x.B = b.mem.Make(b.size)
		}
		x.B = x.B[:0]
		return x, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Release gives a buffer back.
func (b *Budget) Release(x *messages.Buf) { b.free <- x }

// Shrink takes a buffer out for good and gives its memory back. It reports false if
// all are in use, or if only one is left. Only one goroutine may call it.
func (b *Budget) Shrink() bool {
	if b.n == 1 {
		return false
	}
	select {
	case x := <-b.free:
		b.n--
		b.mem.Free(x.B)
		return true
	default:
		return false
	}
}

// Credit is a counting semaphore for an edge between actors.
type Credit struct{ ch chan struct{} }

// NewCredit gives out n tokens.
func NewCredit(n int) *Credit { return &Credit{ch: make(chan struct{}, n)} }

// Acquire waits for a token.
func (k *Credit) Acquire(ctx context.Context) error {
	select {
	case k.ch <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Release never blocks; a release too many is ignored.
func (k *Credit) Release() {
	select {
	case <-k.ch:
	default:
	}
}

// Drain waits until all tokens are free.
func (k *Credit) Drain(ctx context.Context) error {
	for range cap(k.ch) {
		if err := k.Acquire(ctx); err != nil {
			return err
		}
	}
	for range cap(k.ch) {
		k.Release()
	}
	return nil
}

// TryAcquire takes a token if one is free.
func (k *Credit) TryAcquire() bool {
	select {
	case k.ch <- struct{}{}:
		return true
	default:
		return false
	}
}

// Defaults of jobs, and bounds of what they report.
const (
	DefaultParallel = 4
	DefaultMemory   = 150 << 20
	MaxResultList   = 1000    // problems in a result
	MaxResultBytes  = 8 << 20 // of their text
)
