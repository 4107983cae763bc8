package actors

import (
	"context"

	"vaultik/internal/arena"
	"vaultik/messages"
)

// budget is a fixed free list of buffers. It is the memory bound of what chunkers
// have in flight, and its blocking acquire is their back-pressure. It belongs to
// one job: buffers in messages that a stop has dropped vanish with it.
type budget struct {
	free chan *messages.Buf
	size int
	mem  *arena.Arena
}

// newBudget bounds a job to n buffers of size bytes, each made when first needed.
func newBudget(mem *arena.Arena, n, size int) *budget {
	b := &budget{free: make(chan *messages.Buf, n), size: size, mem: mem}
	for range n {
		b.free <- &messages.Buf{}
	}
	return b
}

// acquire waits for an empty buffer with room for the budget's size.
func (b *budget) acquire(ctx context.Context) (*messages.Buf, error) {
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

func (b *budget) release(x *messages.Buf) { b.free <- x }

// credit is a counting semaphore for an edge between actors.
type credit struct{ ch chan struct{} }

func newCredit(n int) *credit { return &credit{ch: make(chan struct{}, n)} }

func (k *credit) acquire(ctx context.Context) error {
	select {
	case k.ch <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release never blocks; a release too many is ignored.
func (k *credit) release() {
	select {
	case <-k.ch:
	default:
	}
}
