package aside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/backends"
	"vaultik/backends/backendtest"
	"vaultik/backends/file"
	"vaultik/backends/mem"
)

// The contract holds with calls made aside.
func TestContract(t *testing.T) {
	backendtest.Run(t, backendtest.Harness{New: func(*backendtest.T) backendtest.Opener {
		dir := t.TempDir() + "/store"
		return func(ctx context.Context, o backends.Options) (backends.Backend, error) {
			b, err := Open(ctx, func(context.Context) (backends.Backend, error) {
				return asBackend(file.Open(dir, o))
			})
			return asBackend(b, err)
		}
	}})
}

func asBackend[B backends.Backend](b B, err error) (backends.Backend, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// hanging is a backend none of whose calls returns before it is released, whatever becomes
// of their contexts.
type hanging struct {
	backends.Backend
	release chan struct{}
	began   atomic.Int64
}

func (h *hanging) wait() { h.began.Add(1); <-h.release }

func (h *hanging) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	h.wait()
	return h.Backend.Stat(ctx, key)
}

func (h *hanging) Delete(ctx context.Context, key string) error {
	h.wait()
	return h.Backend.Delete(ctx, key)
}

func (h *hanging) Info(ctx context.Context) (backends.Info, error) {
	h.wait()
	return h.Backend.Info(ctx)
}

func (h *hanging) ListStream(ctx context.Context, prefix string,
	fn func(backends.ObjectInfo) error) error {
	h.wait()
	return h.Backend.ListStream(ctx, prefix, fn)
}

func (h *hanging) Put(ctx context.Context, key string, src backends.Source,
	o backends.PutOptions) (backends.ObjectInfo, error) {
	h.wait()
	if err := ctx.Err(); err != nil {
		return backends.ObjectInfo{}, err
	}
	return h.Backend.Put(ctx, key, src, o)
}

func (h *hanging) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser,
	backends.ObjectInfo, error) {
	r, info, err := h.Backend.Get(context.WithoutCancel(ctx), key, off, n)
	return &hangingReader{r, h}, info, err
}

type hangingReader struct {
	io.ReadCloser
	h *hanging
}

func (r *hangingReader) Read(p []byte) (int, error) {
	r.h.wait()
	return r.ReadCloser.Read(p)
}

func (h *hanging) Close() error { h.wait(); return nil }

// Every call that hangs is left behind when its context ends, and what it does later is
// nobody's concern.
func TestHanging_IsLeftBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	m := mem.New()
	if _, err := m.Put(t.Context(), "x", backends.Bytes([]byte("text"), nil),
		backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	h := &hanging{Backend: m, release: make(chan struct{})}
	b, err := Open(t.Context(), func(context.Context) (backends.Backend, error) { return h, nil })
	if err != nil {
		t.Fatal(err)
	}
	p := []byte("----")
	for name, call := range map[string]func(context.Context) error{
		"stat":   func(ctx context.Context) error { _, err := b.Stat(ctx, "x"); return err },
		"delete": func(ctx context.Context) error { return b.Delete(ctx, "x") },
		"info":   func(ctx context.Context) error { _, err := b.Info(ctx); return err },
		"list": func(ctx context.Context) error {
			return b.ListStream(ctx, "", func(backends.ObjectInfo) error {
				t.Error("fn was called")
				return nil
			})
		},
		"put": func(ctx context.Context) error {
			_, err := b.Put(ctx, "y", backends.Bytes([]byte("y"), nil), backends.PutOptions{})
			return err
		},
		"read": func(ctx context.Context) error {
			r, _, err := b.Get(ctx, "x", 0, -1)
			if err != nil {
				return err
			}
			_, err = r.Read(p)
			return errors.Join(err, r.Close())
		},
		"open": func(ctx context.Context) error {
			_, err := Open(ctx, func(context.Context) (backends.Backend, error) {
				h.wait()
				return mem.New(), nil
			})
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		began := h.began.Load()
		go func() {
			for h.began.Load() == began {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	close(h.release)
	for runtime.NumGoroutine() > before {
		time.Sleep(time.Millisecond)
	}
	if string(p) != "----" {
		t.Errorf("a read that was left behind has written %q", p)
	}
	if _, err := m.Stat(t.Context(), "y"); !errors.Is(err, backends.ErrNotFound) {
		t.Errorf("a put that was left behind was made: %v", err)
	}
}

// The number of calls left behind is bounded, and one more is made when one has ended.
func TestHanging_Bounded(t *testing.T) {
	h := &hanging{Backend: mem.New(), release: make(chan struct{})}
	b, err := Open(t.Context(), func(context.Context) (backends.Backend, error) { return h, nil })
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for range maxLeft + 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, last = b.Info(ctx)
		cancel()
	}
	if n := h.began.Load(); n != maxLeft {
		t.Errorf("%d calls hang, want %d", n, maxLeft)
	}
	if !errors.Is(last, context.DeadlineExceeded) || !strings.Contains(last.Error(), "calls to the store hang") {
		t.Errorf("one too many: %v", last)
	}
	close(h.release)
	if _, err := b.Info(t.Context()); err != nil {
		t.Errorf("when all have ended: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// What was read ahead of the caller is passed on when the list has ended.
func TestListStream_Whole(t *testing.T) {
	inner := mem.New()
	const objects = 3 * ahead
	for i := range objects {
		_, err := inner.Put(t.Context(), fmt.Sprintf("x/%03d", i), backends.Bytes([]byte("x"), nil),
			backends.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	b := &Backend{inner, &calls{}}
	for range 20 {
		var got []string
		err := b.ListStream(t.Context(), "x/", func(o backends.ObjectInfo) error {
			got = append(got, o.Key)
			return nil
		})
		if err != nil || len(got) != objects || !slices.IsSorted(got) {
			t.Fatalf("%d objects of %d, in order: %v; %v", len(got), objects, slices.IsSorted(got), err)
		}
	}
}
