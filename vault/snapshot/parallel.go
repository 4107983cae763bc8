package snapshot

import (
	"context"
	"sync"
)

// defaultParallel is how many objects are read at once unless Store.Parallel says otherwise.
const defaultParallel = 4

// atOnce is how many bytes of objects, as the listing has them, are read at once. An object
// may decode to some 20 times as much, so a larger one is read alone.
const atOnce = 4 << 20

// turns bounds the bytes of objects that are read at once. The zero value is ready.
type turns struct {
	mu   sync.Mutex
	over *sync.Cond // a turn is over
	used int64
}

// take waits until an object of so many bytes may be read, and returns what ends its turn.
func (t *turns) take(size int64) (end func()) {
	size = min(size, atOnce)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over == nil {
		t.over = sync.NewCond(&t.mu)
	}
	for t.used+size > atOnce {
		t.over.Wait()
	}
	t.used += size
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.used -= size
		t.over.Broadcast()
	}
}

// inOrder does n things, Store.Parallel at a time, and hands on the results in their order.
// An error of use, or the end of ctx, ends it.
func inOrder[T any](ctx context.Context, s *Store, n int, do func(i int) T,
	use func(i int, v T) error) error {
	parallel := s.Parallel
	if parallel < 1 {
		parallel = defaultParallel
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	results := make([]chan T, min(n, 2*parallel)) // the slots are used in turn
	for i := range results {
		results[i] = make(chan T, 1)
	}
	working := make(chan struct{}, parallel)
	begin := func(i int) {
		wg.Go(func() {
			working <- struct{}{}
			defer func() { <-working }()
			var v T
			if ctx.Err() == nil {
				v = do(i)
			}
			results[i%len(results)] <- v
		})
	}
	for i := range results {
		begin(i)
	}
	for i := range n {
		v := <-results[i%len(results)]
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := use(i, v); err != nil {
			return err
		}
		if next := i + len(results); next < n {
			begin(next)
		}
	}
	return ctx.Err()
}

// progress says how many objects are read.
func (s *Store) progress(done, total int) {
	if s.OnRead != nil {
		s.OnRead(done, total)
	}
}
