package retry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"vaultik/backends"
	"vaultik/backends/faulty"
	"vaultik/backends/mem"
)

// Time in these tests is that of a bubble of testing/synctest: minutes pass at
// once, and a goroutine that is left behind fails the test.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("connection refused")

// refused is what a store that is down answers.
func refused() error {
	return &backends.OpError{Op: "test", Retryable: true, Err: errDown}
}

// heard gathers what a backend tells of its retries.
type heard struct {
	mu      sync.Mutex
	retries []Retry
	backs   []time.Duration
	ends    int // of troubles without an answer
}

func (h *heard) options(o Options) Options {
	o.OnRetry = func(r Retry) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.retries = append(h.retries, r)
	}
	o.OnOver = func(d time.Duration, answered bool) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if answered {
			h.backs = append(h.backs, d)
		} else {
			h.ends++
		}
	}
	return o
}

// store is a patient backend over one that can be made to fail.
type store struct {
	*Backend
	*heard
	mem    *mem.Backend
	faulty *faulty.Backend
}

// newStore makes a store that has answered once. Waits are the longest that chance allows.
func newStore(t *testing.T, o Options) *store {
	t.Helper()
	s := &store{heard: &heard{}, mem: mem.New()}
	s.faulty = faulty.New(s.mem)
	s.Backend = Wrap(s.faulty, s.options(o))
	s.rand = func() float64 { return 1 }
	if _, err := s.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *store) has(t *testing.T, key string, data []byte) {
	t.Helper()
	if _, err := s.mem.Put(t.Context(), key, backends.Bytes(data, nil), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (s *store) put(ctx context.Context, key string, data []byte) error {
	_, err := s.Put(ctx, key, backends.Bytes(data, nil), backends.PutOptions{})
	return err
}

// want compares an object with data, past all that fails.
func (s *store) want(t *testing.T, key string, data []byte) {
	t.Helper()
	got, err := backends.ReadRange(t.Context(), s.mem, key, 0, -1, nil)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%s: %d bytes, %v, want %d bytes", key, len(got), err, len(data))
	}
}

// down makes calls fail until a time has passed.
func down(op faulty.Op, d time.Duration) faulty.Rule {
	end := time.Now().Add(d)
	return faulty.Rule{Op: op, Do: faulty.When(func() bool { return time.Now().Before(end) }, faulty.Fail(refused()))}
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = r.Read(b)
	return b
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// wantTook checks how much of the bubble's time has passed.
func wantTook(t *testing.T, began time.Time, low, high time.Duration) {
	t.Helper()
	if d := time.Since(began); d < low || d > high {
		t.Errorf("took %v, want %v to %v", d, low, high)
	}
}

// everyCall makes each kind of call once, all of which must succeed.
func everyCall(ctx context.Context, b backends.Backend) map[string]func() error {
	data := random(1, 100)
	return map[string]func() error{
		"put": func() error {
			_, err := b.Put(ctx, "a/x", backends.Bytes(data, nil), backends.PutOptions{})
			return err
		},
		"get": func() error {
			r, _, err := b.Get(ctx, "a/x", 0, -1)
			if err != nil {
				return err
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if err == nil && !bytes.Equal(got, data) {
				err = fmt.Errorf("%d wrong bytes", len(got))
			}
			return err
		},
		"range": func() error {
			got, err := backends.ReadRange(ctx, b, "a/x", 10, 20, nil)
			if err == nil && !bytes.Equal(got, data[10:30]) {
				err = fmt.Errorf("%d wrong bytes", len(got))
			}
			return err
		},
		"stat": func() error {
			_, err := b.Stat(ctx, "a/x")
			return err
		},
		"list": func() error {
			_, err := backends.List(ctx, b, "a/")
			return err
		},
		"info": func() error {
			_, err := b.Info(ctx)
			return err
		},
		"delete": func() error { return b.Delete(ctx, "a/y") },
	}
}
