package retry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vaultik/backends"
	"vaultik/backends/backendtest"
	"vaultik/backends/faulty"
	"vaultik/backends/mem"
	"vaultik/internal/testsize"
)

// Where nothing fails nothing is different.
func TestBackend(t *testing.T) {
	testsize.Long(t)
	backendtest.Run(t, backendtest.Harness{New: func(t *backendtest.T) backendtest.Opener {
		t.Cleanup(func() { mem.Drop("retry") })
		return func(ctx context.Context, o backends.Options) (backends.Backend, error) {
			return Open(ctx, func(ctx context.Context) (backends.Backend, error) {
				return backends.Open(ctx, "mem://retry", o)
			}, Options{Connections: 32, Elapsed: time.Nanosecond})
		}
	}})
}

// Each kind of call survives an outage of two minutes, and is told of.
func TestBackend_Outage(t *testing.T) {
	for name := range everyCall(t.Context(), nil) {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newStore(t, Options{})
				s.has(t, "a/x", random(1, 100))
				s.has(t, "a/y", nil)
				s.faulty.Add(down("", 2*time.Minute))
				began := time.Now()
				if err := everyCall(t.Context(), s)[name](); err != nil {
					t.Fatal(err)
				}
				wantTook(t, began, 2*time.Minute, 3*time.Minute)
				s.want(t, "a/x", random(1, 100))
				want := time.Second
				for i, r := range s.retries {
					if r.Attempt != i+1 || r.Wait != want || !errors.Is(r.Err, errDown) {
						t.Errorf("retry %d: %+v, want a wait of %v", i, r, want)
					}
					want = min(2*want, time.Minute)
				}
				if len(s.retries) != 7 || len(s.backs) != 1 || s.backs[0] != time.Since(began) {
					t.Errorf("%d retries, back %v after %v", len(s.retries), s.backs, time.Since(began))
				}
			})
		})
	}
}

// What is said to be permanent is not tried again, nor are errors of another kind.
func TestBackend_Permanent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, err := range []error{backends.ErrNotFound, backends.ErrPermission, backends.ErrNoSpace, errors.New("odd")} {
			s := newStore(t, Options{})
			s.faulty.Add(faulty.Rule{Do: faulty.Fail(err)})
			for name, call := range everyCall(t.Context(), s) {
				if got := call(); !errors.Is(got, err) {
					t.Errorf("%s: %v, want %v", name, got, err)
				}
			}
			if len(s.retries) != 0 {
				t.Errorf("%v: retried %v", err, s.retries)
			}
		}
	})
}

// A store that stays away ends the call after the limit, and says so.
func TestBackend_GivesUp(t *testing.T) {
	for _, c := range []struct {
		limit time.Duration
		want  time.Duration
	}{{0, 15 * time.Minute}, {time.Minute, time.Minute}, {time.Nanosecond, time.Second}, {24 * time.Hour, 24 * time.Hour}} {
		bubble(t, func(t *testing.T) {
			for name := range everyCall(t.Context(), nil) {
				s := newStore(t, Options{Elapsed: c.limit})
				s.faulty.Add(faulty.Rule{Do: faulty.Fail(refused())})
				began := time.Now()
				err := everyCall(t.Context(), s)[name]()
				wantTook(t, began, c.want, c.want)
				if !errors.Is(err, errDown) || !errors.Is(err, backends.ErrUnreachable) || len(s.retries) == 0 {
					t.Errorf("%s: %v, after %d retries", name, err, len(s.retries))
				}
				if text := fmt.Sprintf("gave up after %d attempts in %v", len(s.retries)+1, c.want.Round(time.Second)); !strings.Contains(err.Error(), text) {
					t.Errorf("%s: %q, want %q", name, err, text)
				}
				if len(s.backs) != 0 || s.ends != 1 {
					t.Errorf("back %v, %d ends", s.backs, s.ends)
				}
			}
		})
	}
}

// A store that was given up makes nobody else wait, until it answers.
func TestBackend_GivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{})
		s.has(t, "a/x", random(1, 100))
		s.faulty.Add(faulty.Rule{Do: faulty.Fail(refused())})
		var all sync.WaitGroup
		began := time.Now()
		for range 4 {
			for _, call := range everyCall(t.Context(), s) {
				all.Go(func() {
					if err := call(); !errors.Is(err, backends.ErrUnreachable) {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		wantTook(t, began, 15*time.Minute, 16*time.Minute)
		began = time.Now()
		for name, call := range everyCall(t.Context(), s) {
			if err := call(); !errors.Is(err, backends.ErrUnreachable) || !errors.Is(err, errDown) {
				t.Errorf("%s: %v", name, err)
			}
		}
		wantTook(t, began, 0, 0)
		s.faulty.Heal()
		s.faulty.Add(faulty.Rule{Do: faulty.Wait(nil)})
		if _, err := s.Stat(t.Context(), "x"); !errors.Is(err, backends.ErrUnreachable) {
			t.Error(err)
		}
		wantTook(t, began, hurriedStall, hurriedStall)
		s.faulty.Heal()
		if _, err := s.Stat(t.Context(), "a/x"); err != nil {
			t.Error(err)
		}
		s.faulty.Add(down("", 2*time.Minute))
		for name, call := range everyCall(t.Context(), s) {
			if err := call(); err != nil {
				t.Errorf("%s in another outage: %v", name, err)
			}
		}
	})
}

// Without a limit it goes on for days.
func TestBackend_Unlimited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{Elapsed: -1})
		s.has(t, "a/x", random(1, 100))
		s.faulty.Add(down("", 72*time.Hour))
		for name, call := range everyCall(t.Context(), s) {
			if err := call(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(s.retries); n < 72*60 || s.retries[0].Left >= 0 {
			t.Errorf("%d retries, first %+v", n, s.retries[0])
		}
	})
}

// A store that has never answered is given up sooner, unless there is no limit.
func TestBackend_NeverAnswered(t *testing.T) {
	for _, c := range []struct{ limit, down, want time.Duration }{
		{0, time.Hour, time.Minute}, {time.Second, time.Hour, time.Second}, {-1, 24 * time.Hour, 24 * time.Hour},
	} {
		bubble(t, func(t *testing.T) {
			f := faulty.New(mem.New(), down("", c.down))
			b := Wrap(f, Options{Elapsed: c.limit})
			b.rand = func() float64 { return 1 }
			began := time.Now()
			_, err := b.Info(t.Context())
			wantTook(t, began, c.want, c.want+time.Minute)
			if c.down == c.want && err != nil || c.down != c.want && !errors.Is(err, backends.ErrUnreachable) {
				t.Errorf("limit %v: %v", c.limit, err)
			}
		})
	}
}

// Opening is tried again as well; it proves nothing yet.
func TestOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var h heard
		calls, up := 0, false
		var opened context.Context
		open := func(ctx context.Context) (backends.Backend, error) {
			if calls++; !up && calls < 4 {
				return nil, refused()
			}
			opened = ctx
			return mem.New(), nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		b, err := Open(ctx, open, h.options(Options{}))
		if err != nil || calls != 4 || len(h.retries) != 3 || len(h.backs) != 1 {
			t.Fatalf("%v, %d calls, %d retries, back %v", err, calls, len(h.retries), h.backs)
		}
		cancel()
		if opened.Err() != nil {
			t.Errorf("the context of the opened backend is done: %v", opened.Err())
		}
		if l := b.limit(); l != time.Minute {
			t.Errorf("limit %v before the store has answered", l)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		_, err = Open(t.Context(), func(context.Context) (backends.Backend, error) {
			return nil, &backends.OpError{Op: "open", Err: backends.ErrConfig}
		}, Options{})
		if !errors.Is(err, backends.ErrConfig) {
			t.Errorf("permanent: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		_, err = Open(ctx, func(ctx context.Context) (backends.Backend, error) {
			cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}, Options{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// What the store asks to wait is waited, unless it is longer than the patience.
func TestBackend_RetryAfter(t *testing.T) {
	for _, c := range []struct {
		after, limit time.Duration
		want         time.Duration // -1: given up at once
	}{
		{10 * time.Second, 0, 11 * time.Second}, {time.Hour, 0, -1}, {14 * time.Minute, 0, 14*time.Minute + time.Second},
		{30 * time.Minute, time.Hour, 30*time.Minute + time.Second}, {24 * time.Hour, -1, time.Hour + time.Second},
	} {
		bubble(t, func(t *testing.T) {
			s := newStore(t, Options{Elapsed: c.limit})
			s.faulty.Add(faulty.Rule{Op: faulty.Put, Nth: 1, Do: faulty.Fail(&backends.OpError{Retryable: true, RetryAfter: c.after, Err: errors.New("slow down")})})
			began := time.Now()
			err := s.put(t.Context(), "x", nil)
			if c.want < 0 {
				wantTook(t, began, 0, 0)
				if err == nil || !strings.Contains(err.Error(), "slow down; gave up, since the store asks to wait 1h0m0s") {
					t.Errorf("%v: %v", c.after, err)
				}
				return
			}
			wantTook(t, began, c.want, c.want)
			if err != nil {
				t.Errorf("%v: %v", c.after, err)
			}
		})
	}
}

// Waits are random below their bound, so that many who failed together spread.
func TestBackoff(t *testing.T) {
	b := Wrap(mem.New(), Options{})
	for fails := 1; fails < 100; fails++ {
		bound := time.Minute
		if fails <= 6 {
			bound = time.Second << (fails - 1)
		}
		low := false
		for range 100 {
			d := b.backoff(fails)
			if d < 0 || d > bound {
				t.Fatalf("after %d failures %v, at most %v", fails, d, bound)
			}
			low = low || d < bound/2
		}
		if !low {
			t.Errorf("after %d failures never less than half of %v", fails, bound)
		}
	}
}

// When the store is back for one it is for all: those who wait are called. One that
// fails on its own is not made to hammer by the success of others.
func TestBackend_CallsThoseWhoWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{Elapsed: -1})
		s.rand = nil
		var mu sync.Mutex
		n := 0
		s.rand = func() float64 { // the first sleeps little, the others long
			mu.Lock()
			defer mu.Unlock()
			n++
			return map[bool]float64{true: 0.01, false: 1}[n%8 == 1]
		}
		s.faulty.Add(down(faulty.Put, 10*time.Minute), faulty.Rule{Op: faulty.Stat, Do: faulty.Fail(refused())})
		began := time.Now()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if err := s.put(t.Context(), fmt.Sprint(i), nil); err != nil {
					t.Error(err)
				}
				if i == 0 {
					return
				}
			})
		}
		all.Wait()
		wantTook(t, began, 10*time.Minute, 10*time.Minute+5*time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		s.retries, s.rand = nil, func() float64 { return 1 }
		all.Go(func() { _, _ = s.Stat(ctx, "bad") })
		for ctx.Err() == nil {
			if err := s.put(t.Context(), "good", nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		all.Wait()
		if got := len(s.retries); got < 10 || got > 20 {
			t.Errorf("%d retries of one bad call in ten minutes", got)
		}
	})
}

// A call that fails alone while others succeed is no reason to say that the store
// cannot be reached.
func TestBackend_GivesUpAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{})
		s.faulty.Add(faulty.Rule{Op: faulty.Get, Do: faulty.Fail(refused())})
		result := make(chan error)
		go func() {
			_, err := backends.ReadRange(t.Context(), s, "x", 0, 1, nil)
			result <- err
		}()
		time.Sleep(10 * time.Minute)
		if err := s.put(t.Context(), "x", nil); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !errors.Is(err, errDown) || errors.Is(err, backends.ErrUnreachable) {
			t.Errorf("%v", err)
		}
	})
}

// The trouble lasts until the last call that failed has succeeded.
func TestBackend_Trouble(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{})
		s.has(t, "x", nil)
		s.faulty.Add(down(faulty.Put, time.Minute), down(faulty.Stat, 3*time.Minute))
		var all sync.WaitGroup
		began := time.Now()
		all.Go(func() {
			if err := s.put(t.Context(), "x", nil); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			if _, err := s.Stat(t.Context(), "x"); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if len(s.backs) != 1 || s.backs[0] != time.Since(began) {
			t.Errorf("back %v, after %v", s.backs, time.Since(began))
		}
		for _, r := range s.retries {
			if r.Trouble > time.Since(began) || r.Left <= 0 || r.Left > 15*time.Minute || r.Op != "put" && r.Op != "stat" || r.Key != "x" {
				t.Errorf("%+v", r)
			}
		}
		// An answer that is an error is one, too.
		s.faulty.Heal()
		s.faulty.Add(faulty.Rule{Op: faulty.Stat, Nth: 1, Do: faulty.Fail(refused())})
		if _, err := s.Stat(t.Context(), "none"); !errors.Is(err, backends.ErrNotFound) {
			t.Error(err)
		}
		if len(s.backs) != 2 {
			t.Errorf("back %v", s.backs)
		}
	})
}

// The error of a later attempt says which one it was.
func TestBackend_Numbered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{})
		s.faulty.Add(faulty.Rule{Times: 2, Do: faulty.Fail(refused())})
		_, err := s.Stat(t.Context(), "none")
		if op := (*backends.OpError)(nil); !errors.As(err, &op) || op.Attempt != 3 {
			t.Errorf("%v", err)
		}
	})
}

func TestBackend_Info(t *testing.T) {
	inner := mem.New()
	b := Wrap(inner, Options{Connections: 3})
	if b.Unwrap() != backends.Backend(inner) {
		t.Error("Unwrap returns another backend")
	}
	if info, err := b.Info(t.Context()); err != nil || info.Connections != 3 || !info.Sorted {
		t.Errorf("%+v, %v", info, err)
	}
}

// batching answers each deletion of several objects as the test says.
type batching struct {
	backends.Backend
	calls   [][]string
	answers []error
}

func (b *batching) Batch() int { return 1000 }

func (b *batching) DeleteBatch(_ context.Context, keys []string) error {
	b.calls = append(b.calls, slices.Clone(keys))
	return b.answers[len(b.calls)-1]
}

// Of several objects only those that were not deleted are tried again, and only if that can
// help; those that stay are in the error, whatever became of the others.
func TestDeleteBatch(t *testing.T) {
	failed := func(key string, again bool) *backends.OpError {
		err := backends.ErrLocked
		if again {
			err = errors.New("slow down")
		}
		return &backends.OpError{Op: "delete", Key: key, Retryable: again, Err: err}
	}
	synctest.Test(t, func(t *testing.T) {
		in := &batching{Backend: mem.New(), answers: []error{
			&backends.OpError{Op: "delete", Retryable: true, Err: errors.New("down")},
			&backends.BatchError{Failed: []*backends.OpError{failed("a", true), failed("b", false)}},
			&backends.BatchError{Failed: []*backends.OpError{failed("a", true)}},
			nil,
		}}
		b := Wrap(in, Options{})
		err := backends.DeleteAll(t.Context(), b, []string{"a", "b", "c"})
		got := backends.FailedOf(err)
		if len(got) != 1 || got[0].Key != "b" || !errors.Is(err, backends.ErrLocked) {
			t.Errorf("failed: %v", err)
		}
		want := [][]string{{"a", "b", "c"}, {"a", "b", "c"}, {"a"}, {"a"}}
		if !slices.EqualFunc(in.calls, want, slices.Equal) {
			t.Errorf("asked for %v, want %v", in.calls, want)
		}
		_ = b.Close()
	})
}
