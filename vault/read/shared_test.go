package read

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// In these tests nothing sleeps: synctest.Wait returns when every goroutine waits, and a test
// in which all wait for ever fails.

func every(request) bool { return true }

// TestReader_OneRequestForAll: many want the same, or what lies beside it.
func TestReader_OneRequestForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		small, large := w.small(), w.large()
		r := w.reader()
		open := w.hold(every)
		var wait sync.WaitGroup
		for i := range 20 {
			wait.Go(func() { w.check(t.Context(), r, small[i%2]) })
			wait.Go(func() { w.check(t.Context(), r, large[i%2]) })
		}
		synctest.Wait()
		if asked := w.store.requests(); len(asked) != 2 {
			t.Errorf("%d requests for two blobs: %v", len(asked), asked)
		}
		next := w.hold(every)
		close(open)
		synctest.Wait()
		// Of the large one still to come: two frames, and the end of the blob once for both.
		if asked := w.store.requests(); len(asked) != 3 {
			t.Errorf("%d requests for two frames: %v", len(asked), asked)
		}
		close(next)
		wait.Wait()
		if asked := w.store.requests(); len(asked) != 0 {
			t.Errorf("%d requests more than that: %v", len(asked), asked)
		}
	})
}

// TestReader_SlowObject: while a blob or a frame does not come, everything else does.
func TestReader_SlowObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow, other, half, bad := w.small(), w.large(), w.large(), w.large()
		w.damage(bad[0], true)
		r := w.reader()
		w.check(t.Context(), r, half[0])
		w.check(t.Context(), r, half[3])
		w.store.requests()
		open := w.hold(func(q request) bool {
			// All of one blob, the rest of one that is open, and what is left of a damaged one.
			return q.key == w.key(slow[0]) || q.key == w.key(half[0]) || q.whole
		})
		var wait sync.WaitGroup
		for _, c := range []stored{slow[0], half[1], half[2], bad[0]} {
			wait.Go(func() { w.check(t.Context(), r, c) })
		}
		synctest.Wait()
		held := 0
		for _, q := range w.store.requests() {
			if q.key == w.key(slow[0]) || q.key == w.key(half[0]) || q.whole {
				held++
			}
		}
		if held != 4 {
			t.Fatalf("%d requests are held up, not 4", held)
		}
		w.check(t.Context(), r, half[0]) // at hand
		w.check(t.Context(), r, half[3])
		for _, c := range other {
			w.check(t.Context(), r, c)
		}
		close(open)
		wait.Wait()
	})
}

// TestReader_WaiterLeaves: its end concerns nobody else.
func TestReader_WaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		small := w.small()
		r := w.reader()
		open := w.hold(every)
		var wait sync.WaitGroup
		wait.Go(func() { w.check(t.Context(), r, small[0]) })
		synctest.Wait()
		wait.Go(func() { w.check(t.Context(), r, small[1]) })
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := r.Chunk(ctx, small[0].ref)
			left <- err
		}()
		synctest.Wait()
		cancel()
		isErr(t, "the one that left", <-left, context.Canceled)
		close(open)
		wait.Wait()
		if asked := w.store.requests(); len(asked) != 1 {
			t.Errorf("%d requests", len(asked))
		}
	})
}

// TestReader_LeaderLeaves: another of those who wait goes on.
func TestReader_LeaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		small := w.small()
		r := w.reader()
		open := w.hold(every)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := r.Chunk(ctx, small[0].ref)
			left <- err
		}()
		synctest.Wait()
		var wait sync.WaitGroup
		for i := range 10 {
			wait.Go(func() { w.check(t.Context(), r, small[i%2]) })
		}
		synctest.Wait()
		if asked := w.store.requests(); len(asked) != 1 {
			t.Fatalf("%d requests", len(asked))
		}
		cancel()
		isErr(t, "the one that left", <-left, context.Canceled)
		synctest.Wait()
		if asked := w.store.requests(); len(asked) != 1 {
			t.Errorf("%d requests of those who stayed", len(asked))
		}
		close(open)
		wait.Wait()
	})
}

// TestReader_OpensOnce: two frames of a blob that is not open yet, and the one whose caller
// opens it leaves.
func TestReader_OpensOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		large := w.large()
		r := w.reader()
		open := w.hold(every)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := r.Chunk(ctx, large[0].ref)
			left <- err
		}()
		synctest.Wait()
		var wait sync.WaitGroup
		wait.Go(func() { w.check(t.Context(), r, large[1]) })
		wait.Go(func() { w.check(t.Context(), r, large[2]) })
		synctest.Wait()
		cancel()
		isErr(t, "the one that left", <-left, context.Canceled)
		synctest.Wait()
		// The head twice, as the first who asked for it has left.
		if asked := w.store.requests(); len(asked) != 2 || asked[0] != asked[1] {
			t.Errorf("%d requests of a head: %v", len(asked), asked)
		}
		close(open)
		wait.Wait()
	})
}

// TestReader_SalvageWaits: who waits for a damaged blob while another is read may leave.
func TestReader_SalvageWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.large(), w.large()
		w.damage(a[0], true)
		w.damage(b[0], true)
		r := w.reader()
		open := w.hold(func(q request) bool { return q.whole })
		var wait sync.WaitGroup
		wait.Go(func() { w.check(t.Context(), r, a[0]) })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := r.Chunk(ctx, b[0].ref)
			left <- err
		}()
		synctest.Wait()
		cancel()
		isErr(t, "the one that left", <-left, context.Canceled)
		close(open)
		wait.Wait()
		w.check(t.Context(), r, b[0])
	})
}

// TestReader_SharedError: those who wait get the error, those who come later ask anew.
func TestReader_SharedError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		small := w.small()
		r := w.reader()
		open := make(chan struct{})
		w.store.setBefore(func(context.Context, request) error {
			<-open
			return errStore
		})
		var wait sync.WaitGroup
		for range 5 {
			wait.Go(func() {
				_, err := r.Chunk(t.Context(), small[0].ref)
				isErr(t, "of a store that fails", err, errStore)
			})
		}
		synctest.Wait()
		close(open)
		wait.Wait()
		if asked := w.store.requests(); len(asked) != 1 {
			t.Errorf("%d requests", len(asked))
		}
		w.store.setBefore(nil)
		w.check(t.Context(), r, small[0])
	})
}

// TestReader_LeaderPanics: it is nobody else's end.
func TestReader_LeaderPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		small := w.small()
		r := w.reader()
		open, once := make(chan struct{}), atomic.Bool{}
		w.store.setBefore(func(context.Context, request) error {
			if once.CompareAndSwap(false, true) {
				<-open
				panic("a bug")
			}
			return nil
		})
		panicked := make(chan any, 1)
		go func() {
			defer func() { panicked <- recover() }()
			_, _ = r.Chunk(t.Context(), small[0].ref)
		}()
		synctest.Wait()
		var wait sync.WaitGroup
		for range 5 {
			wait.Go(func() { w.check(t.Context(), r, small[0]) })
		}
		synctest.Wait()
		close(open)
		wait.Wait()
		if p := <-panicked; p == nil {
			t.Error("the panic is lost")
		}
	})
}

// TestShared_EndedLeaderWithResult: what a leader got in spite of its end is everybody's.
func TestShared_EndedLeaderWithResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared[int](10, func(int) int { return 1 })
		ctx, cancel := context.WithCancel(t.Context())
		open := make(chan struct{})
		go func() {
			_, _ = s.get(ctx, 1, func() (int, error) {
				<-open
				cancel()
				return 7, nil
			})
		}()
		synctest.Wait()
		got := make(chan int)
		go func() {
			v, err := s.get(t.Context(), 1, func() (int, error) { return 0, errors.New("asked again") })
			isErr(t, "the other", err, nil)
			got <- v
		}()
		synctest.Wait()
		close(open)
		if v := <-got; v != 7 {
			t.Errorf("got %d", v)
		}
	})
}

func TestLRU(t *testing.T) {
	l := newLRU[int, string](10)
	l.put(1, "one", 4)
	l.put(2, "two", 4)
	if v, ok := l.get(1); !ok || v != "one" {
		t.Error(v, ok)
	}
	l.put(3, "three", 4) // in place of 2, which was used longest ago
	if _, ok := l.get(2); ok {
		t.Error("2 is still there")
	}
	if _, ok := l.get(1); !ok {
		t.Error("1 is gone")
	}
	l.put(4, "large", 50)
	if _, ok := l.get(4); !ok || len(l.items) != 1 {
		t.Error("the newest is not kept alone", len(l.items))
	}
}
