package pace

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"vaultik/backends"
	"vaultik/backends/mem"
	"vaultik/backends/retry"
)

// drip gives so many bytes every second, and takes as many.
type drip struct {
	backends.Backend
	n int
}

func (d drip) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser,
	backends.ObjectInfo, error) {
	r, info, err := d.Backend.Get(ctx, key, off, n)
	return &dripping{r, d.n}, info, err
}

type dripping struct {
	io.ReadCloser
	n int
}

func (d *dripping) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return d.ReadCloser.Read(p[:min(len(p), d.n)])
}

func (d drip) Put(ctx context.Context, key string, src backends.Source,
	o backends.PutOptions) (backends.ObjectInfo, error) {
	for done := int64(0); done < src.Size(); done += int64(d.n) {
		time.Sleep(time.Second)
		if ctx.Err() != nil {
			return backends.ObjectInfo{}, ctx.Err()
		}
		if o.Progress == nil {
			break
		}
		o.Progress(min(done+int64(d.n), src.Size()), src.Size())
	}
	return d.Backend.Put(ctx, key, src, backends.PutOptions{})
}

func TestFloor(t *testing.T) {
	const size = 100_000
	for _, c := range []struct {
		name string
		n    int // bytes a second
		o    Options
		slow bool
	}{
		{"a byte a second", 1, Options{Floor: Floor, Up: true}, true},
		{"just too slow", Floor - 1, Options{Floor: Floor, Up: true}, true},
		{"just fast enough", Floor, Options{Floor: Floor, Up: true}, false},
		{"a store known to be slow", SlowFloor, Options{Floor: SlowFloor, Up: true}, false},
		{"even so", 1, Options{Floor: SlowFloor, Up: true}, true},
		{"nobody asked", 10, Options{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := mem.New()
				if _, err := m.Put(t.Context(), "x", backends.Bytes(make([]byte, size), nil),
					backends.PutOptions{}); err != nil {
					t.Fatal(err)
				}
				b := Wrap(drip{m, c.n}, c.o)
				began := time.Now()
				r, _, err := b.Get(t.Context(), "x", 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, r)
				check(t, "get", err, c.slow, time.Since(began))
				if !c.slow && n != size {
					t.Errorf("%d bytes came", n)
				}
				began = time.Now()
				_, err = b.Put(t.Context(), "y", backends.Bytes(make([]byte, size), nil),
					backends.PutOptions{})
				check(t, "put", err, c.slow, time.Since(began))
			})
		})
	}
}

// With package retry above, a store that is always too slow ends the call.
func TestFloor_EndsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mem.New()
		if _, err := m.Put(t.Context(), "x", backends.Bytes(make([]byte, 2<<20), nil),
			backends.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		b := retry.Wrap(Wrap(drip{m, 10}, Options{Floor: Floor, Up: true}), retry.Options{})
		_, err := backends.ReadRange(ctx, b, "x", 0, 2<<20, nil)
		if !errors.Is(err, backends.ErrSlow) {
			t.Errorf("get: %v", err)
		}
		_, err = b.Put(ctx, "y", backends.Bytes(make([]byte, 2<<20), nil), backends.PutOptions{})
		if !errors.Is(err, backends.ErrSlow) {
			t.Errorf("put: %v", err)
		}
	})
}

func check(t *testing.T, what string, err error, slow bool, took time.Duration) {
	t.Helper()
	switch {
	case errors.Is(err, backends.ErrSlow) != slow || !slow && err != nil:
		t.Errorf("%s: %v", what, err)
	case slow && (took > Window+time.Second || !backends.Retryable(err)):
		t.Errorf("%s: %v after %v", what, err, took)
	}
}
