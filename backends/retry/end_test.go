package retry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vaultik/backends"
	"vaultik/backends/faulty"
)

// A call ends at once with its context, wherever it is: waiting to be made again,
// for a connection, or for a store that says nothing.
func TestCancel(t *testing.T) {
	for _, c := range []struct {
		name string
		do   faulty.Action
	}{{"again", faulty.Fail(refused())}, {"silent", faulty.Wait(nil)}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newStore(t, Options{Connections: 2})
				s.faulty.Add(faulty.Rule{Do: c.do})
				ctx, cancel := context.WithCancel(t.Context())
				results := make(chan error)
				calls := 0
				for range 3 { // more than there are connections
					for _, call := range everyCall(ctx, s) {
						calls++
						go func() { results <- call() }()
					}
				}
				time.Sleep(4*time.Minute + 59*time.Second)
				cancel()
				began := time.Now()
				for range calls {
					if err := <-results; !errors.Is(err, context.Canceled) {
						t.Errorf("%v", err)
					}
				}
				wantTook(t, began, 0, 0)
				if len(s.data)+len(s.asks) > 0 || s.troubled != 0 {
					t.Errorf("%d and %d connections are held, %d in trouble", len(s.data), len(s.asks), s.troubled)
				}
			})
		})
	}
}

// When the program is to stop, what waits ends with what it has met; what moves goes
// on, what stands still ends soon, what has stood still for long at once.
func TestPatience(t *testing.T) {
	bubble(t, func(t *testing.T) {
		patience, stop := context.WithCancel(t.Context())
		s := newStore(t, Options{Patience: patience})
		s.faulty.Add(faulty.Rule{Op: faulty.Put, Key: "down", Do: faulty.Fail(refused())}, faulty.Rule{Op: faulty.Put, Key: "silent", Do: faulty.Wait(nil)})
		waiting, silent, fresh, slow := make(chan error, 1), make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { waiting <- s.put(t.Context(), "down", nil) }()
		go func() { silent <- s.put(t.Context(), "silent", nil) }()
		go func() {
			_, err := s.Put(t.Context(), "slow", crawl(100, 5*time.Second), backends.PutOptions{})
			slow <- err
		}()
		time.Sleep(time.Minute)
		go func() { fresh <- s.put(t.Context(), "silent", nil) }()
		time.Sleep(3 * time.Second)
		stop()
		began := time.Now()
		if err := <-waiting; !errors.Is(err, errDown) || errors.Is(err, backends.ErrUnreachable) {
			t.Errorf("waiting: %v", err)
		}
		wantTook(t, began, 0, 0)
		if err := <-silent; err == nil || !strings.Contains(err.Error(), "no progress for 8s") {
			t.Errorf("silent: %v", err)
		}
		wantTook(t, began, 0, 0)
		if err := <-fresh; err == nil {
			t.Error("a silent store has stored something")
		}
		wantTook(t, began, 5*time.Second, 5*time.Second)
		if err := <-slow; err != nil {
			t.Errorf("slow: %v", err)
		}
		// From now on there is one attempt, which may take less time.
		n := len(s.retries)
		if err := s.put(t.Context(), "down", nil); !errors.Is(err, errDown) {
			t.Error(err)
		}
		began = time.Now()
		if err := s.put(t.Context(), "silent", nil); err == nil {
			t.Error("a silent store has stored something")
		}
		wantTook(t, began, 8*time.Second, 8*time.Second)
		if len(s.retries) != n {
			t.Errorf("%d more retries", len(s.retries)-n)
		}
	})
}

// crawl is a source that takes its time for each of so many bytes.
func crawl(n int, each time.Duration) backends.Source {
	return &crawling{Source: backends.Bytes(make([]byte, n), nil), each: each}
}

type crawling struct {
	backends.Source
	each time.Duration
}

func (c *crawling) Open() (io.ReadSeekCloser, error) {
	r, err := c.Source.Open()
	return &crawler{r, c.each}, err
}

type crawler struct {
	io.ReadSeekCloser
	each time.Duration
}

func (c *crawler) Read(p []byte) (int, error) {
	time.Sleep(c.each)
	return c.ReadSeekCloser.Read(p[:min(1, len(p))])
}

// A store that falls silent is asked again.
func TestStall(t *testing.T) {
	for name := range everyCall(t.Context(), nil) {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newStore(t, Options{})
				s.has(t, "a/x", random(1, 100))
				s.faulty.Add(faulty.Rule{Times: 1, Do: faulty.Wait(nil)})
				began := time.Now()
				if err := everyCall(t.Context(), s)[name](); err != nil {
					t.Fatal(err)
				}
				wantTook(t, began, DefaultStall+time.Second, DefaultStall+time.Second)
				if len(s.retries) != 1 || !strings.Contains(s.retries[0].Err.Error(), "no progress for 5m0s") {
					t.Errorf("%v", s.retries)
				}
			})
		})
	}
}

// What moves, however slowly, does not stand still, and a user may take its time.
func TestStall_Slow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{Stall: time.Minute})
		if _, err := s.Put(t.Context(), "x", crawl(60, 59*time.Second), backends.PutOptions{}); err != nil {
			t.Error(err)
		}
		r, _, err := s.Get(t.Context(), "x", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for range 60 {
			time.Sleep(time.Hour)
			if n, err := r.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		for i := range 3 {
			s.has(t, fmt.Sprint("list/", i), nil)
		}
		err = s.ListStream(t.Context(), "", func(backends.ObjectInfo) error {
			time.Sleep(time.Hour)
			return nil
		})
		if err != nil || len(s.retries) != 0 {
			t.Errorf("%v, %v", err, s.retries)
		}
		never := newStore(t, Options{Stall: -1})
		release := make(chan struct{})
		never.faulty.Add(faulty.Rule{Op: faulty.Put, Do: faulty.Wait(release)})
		time.AfterFunc(1000*time.Hour, func() { close(release) })
		if err := never.put(t.Context(), "x", nil); err != nil || len(never.retries) != 0 {
			t.Errorf("without a watchdog: %v, %v", err, never.retries)
		}
	})
}

// Never more transfers than connections; a call that waits to be made again holds
// none, and questions have their own.
func TestConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const limit = 3
		s := newStore(t, Options{Connections: limit})
		var running, most atomic.Int64
		enter := func(faulty.Op, string) {
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			running.Add(-1)
		}
		s.has(t, "x", random(1, 10))
		s.faulty.Add(faulty.Rule{Op: faulty.Put, Do: faulty.Tell(enter)}, faulty.Rule{Op: faulty.Get, Do: faulty.Tell(enter)})
		began := time.Now()
		var all sync.WaitGroup
		for i := range 15 {
			all.Go(func() {
				if err := s.put(t.Context(), fmt.Sprint(i), nil); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() {
				if _, err := backends.ReadRange(t.Context(), s, "x", 0, 5, nil); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		wantTook(t, began, 10*time.Second, 10*time.Second)
		if most.Load() != limit {
			t.Errorf("%d at once, want %d", most.Load(), limit)
		}
		s.faulty.Heal()

		// Open readers hold them.
		var readers []io.ReadCloser
		for range limit {
			r, _, err := s.Get(t.Context(), "x", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			readers = append(readers, r)
		}
		put := make(chan error, 1)
		go func() { put <- s.put(t.Context(), "y", nil) }()
		synctest.Wait()
		for name, call := range everyCall(t.Context(), s) {
			if name == "put" || name == "get" || name == "range" {
				continue
			}
			if err := call(); err != nil && !errors.Is(err, backends.ErrNotFound) {
				t.Errorf("%s while all connections are taken: %v", name, err)
			}
		}
		select {
		case err := <-put:
			t.Errorf("a Put beyond the limit: %v", err)
		default:
		}
		if err := readers[0].Close(); err != nil {
			t.Error(err)
		}
		if err := <-put; err != nil {
			t.Error(err)
		}
		for _, r := range readers {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}

		// Those that wait hold none.
		s.faulty.Add(faulty.Rule{Op: faulty.Put, Key: "bad", Do: faulty.Fail(refused())})
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 * limit {
			all.Go(func() { _ = s.put(ctx, "bad", nil) })
		}
		time.Sleep(5 * time.Minute)
		began = time.Now()
		if err := s.put(t.Context(), "good", nil); err != nil {
			t.Error(err)
		}
		wantTook(t, began, 0, 0)
		cancel()
		all.Wait()
	})
}

// A panic of the source passes through and leaves nothing behind.
func TestPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{Connections: 1})
		s.faulty.Add(faulty.Rule{Times: 7, Do: faulty.Panic("boom")})
		for name, call := range everyCall(t.Context(), s) {
			func() {
				defer func() {
					if v := recover(); v != "boom" {
						t.Errorf("%s: recovered %v", name, v)
					}
				}()
				_ = call()
			}()
		}
		if len(s.data)+len(s.asks) > 0 {
			t.Errorf("%d and %d connections are held", len(s.data), len(s.asks))
		}
	})
}

// Close ends those who wait.
func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{Elapsed: -1})
		s.faulty.Add(faulty.Rule{Do: faulty.Fail(refused())})
		results := make(chan error)
		calls := everyCall(t.Context(), s)
		for _, call := range calls {
			go func() { results <- call() }()
		}
		time.Sleep(time.Hour)
		began := time.Now()
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		for range calls {
			if err := <-results; !errors.Is(err, backends.ErrClosed) {
				t.Errorf("%v", err)
			}
		}
		wantTook(t, began, 0, 0)
	})
}
