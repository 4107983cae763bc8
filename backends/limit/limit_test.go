package limit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vaultik/backends"
	"vaultik/backends/backendtest"
	"vaultik/backends/mem"
	"vaultik/internal/testsize"
)

func parse(t *testing.T, text string) Schedule {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A limit that is never reached changes nothing.
func TestBackend(t *testing.T) {
	testsize.Long(t)
	l := New(parse(t, "100G:200G"))
	backendtest.Run(t, backendtest.Harness{New: func(t *backendtest.T) backendtest.Opener {
		t.Cleanup(func() { mem.Drop("limit") })
		return func(ctx context.Context, o backends.Options) (backends.Backend, error) {
			b, err := backends.Open(ctx, "mem://limit", o)
			if err != nil {
				return nil, err
			}
			return Wrap(b, l), nil
		}
	}})
}

func TestWrap_NoLimit(t *testing.T) {
	inner := mem.New()
	for _, l := range []*Limiter{nil, New(Schedule{}), New(parse(t, "off"))} {
		if b := Wrap(inner, l); b != backends.Backend(inner) {
			t.Errorf("wrapped in a %T", b)
		}
	}
	if b := Wrap(inner, New(parse(t, "off:1M"))).(*Backend); b.Unwrap() != backends.Backend(inner) {
		t.Error("Unwrap returns another backend")
	}
}

// Every way of moving bytes takes as long as the limit says, whatever the number
// of workers; all stores share it. Time is that of the test's own clock.
func TestLimiter_Exact(t *testing.T) {
	const size, each = 1 << 20, 4
	put := func(t *testing.T, b backends.Backend, key string) {
		if _, err := b.Put(t.Context(), key, backends.Bytes(make([]byte, size), nil), backends.PutOptions{}); err != nil {
			t.Error(err)
		}
	}
	get := func(t *testing.T, b backends.Backend, key string) {
		r, _, err := b.Get(t.Context(), key, 0, -1)
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Close()
		if n, err := io.Copy(io.Discard, r); n != size || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	whole := func(t *testing.T, b backends.Backend, key string) {
		if _, err := backends.ReadRange(t.Context(), b, key, 0, size, nil); err != nil {
			t.Error(err)
		}
	}
	ranges := func(t *testing.T, b backends.Backend, key string) {
		for off := int64(0); off < size; off += 4 << 10 {
			if _, err := backends.ReadRange(t.Context(), b, key, off, 4<<10, nil); err != nil {
				t.Error(err)
			}
		}
	}
	for _, c := range []struct {
		name string
		do   func(*testing.T, backends.Backend, string)
		up   bool
	}{{"put", put, true}, {"get", get, false}, {"whole", whole, false}, {"ranges", ranges, false}} {
		for _, workers := range []int{1, 8} {
			for _, rate := range []int64{100 << 10, 3 << 20, 200 << 20} {
				t.Run(fmt.Sprintf("%s %d workers %d bytes/s", c.name, workers, rate), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						limits := fmt.Sprintf("off:%dK", rate>>10)
						if c.up {
							limits = fmt.Sprintf("%dK:off", rate>>10)
						}
						stores := []*mem.Backend{mem.New(), mem.New()}
						l := New(parse(t, limits))
						for i := range each {
							put(t, stores[0], fmt.Sprint(i))
							put(t, stores[1], fmt.Sprint(i))
						}
						began := time.Now()
						var all sync.WaitGroup
						for w := range workers {
							b := Wrap(stores[w%2], l)
							all.Go(func() {
								for i := range each {
									c.do(t, b, fmt.Sprint(i))
								}
							})
						}
						all.Wait()
						want := float64(workers*each*size) / float64(rate)
						if got := time.Since(began).Seconds(); got < want*0.99 || got > want*1.01 {
							t.Errorf("took %.3f s, want %.3f", got, want)
						}
					})
				})
			}
		}
	}
}

// A pause earns no more than a quarter of a second.
func TestLimiter_Pause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(parse(t, "1M"))
		time.Sleep(time.Hour)
		began := time.Now()
		if err := l.up.wait(t.Context(), 1<<20); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(began); got < 740*time.Millisecond || got > 760*time.Millisecond {
			t.Errorf("took %v after a pause, want 750ms", got)
		}
	})
}

// An entry of the timetable is felt within a second by transfers under way, also
// where 64 of them crawl.
func TestLimiter_Timetable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := time.Now().Truncate(time.Minute)
		clock := func(d time.Duration) string { return from.Add(d).Format("15:04") }
		s := parse(t, fmt.Sprintf("%s,16K %s,4M %s,16K %s,off", clock(0), clock(time.Minute), clock(2*time.Minute), clock(3*time.Minute)))
		l := New(s)
		var mu sync.Mutex
		passed := map[int]int64{} // by second
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				for l.down.wait(ctx, 1<<10) == nil {
					mu.Lock()
					passed[int(time.Since(from)/time.Second)] += 1 << 10
					over := time.Since(from) > 3*time.Minute+2*time.Second
					mu.Unlock()
					if over {
						return
					}
					if l.down.rate.Load() == 0 {
						time.Sleep(time.Millisecond) // nothing else lets time pass
					}
				}
			})
		}
		all.Wait()
		cancel()
		for _, c := range []struct {
			second int
			low    int64
			high   int64
		}{
			{30, 15 << 10, 17 << 10}, {59, 15 << 10, 17 << 10},
			{61, 31 << 17, 33 << 17}, {90, 31 << 17, 33 << 17},
			{121, 15 << 10, 17 << 10}, {150, 15 << 10, 17 << 10},
			{181, 8 << 20, 1 << 40},
		} {
			if got := passed[c.second]; got < c.low || got > c.high {
				t.Errorf("second %d: %d bytes, want %d to %d", c.second, got, c.low, c.high)
			}
		}
	})
}

// Whoever waits is let go by its context, at once, and is out of the way.
func TestLimiter_Cancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New()
		data := make([]byte, 10<<20)
		if _, err := store.Put(t.Context(), "x", backends.Bytes(data, nil), backends.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		b := Wrap(store, New(parse(t, "16K")))
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error)
		for range 4 {
			go func() {
				_, err := b.Put(ctx, "new", backends.Bytes(data, nil), backends.PutOptions{})
				results <- err
			}()
			go func() {
				_, err := backends.ReadRange(ctx, b, "x", 0, int64(len(data)), nil)
				results <- err
			}()
		}
		time.Sleep(10 * time.Second)
		cancel()
		began := time.Now()
		for range 8 {
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		}
		if d := time.Since(began); d > 0 {
			t.Errorf("took %v to stop", d)
		}
		if _, err := b.Stat(t.Context(), "new"); !errors.Is(err, backends.ErrNotFound) {
			t.Errorf("cancelled puts have stored something: %v", err)
		}
		short, cancel2 := context.WithTimeout(t.Context(), time.Second)
		defer cancel2()
		if _, err := b.Put(short, "new", backends.Bytes(data, nil), backends.PutOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("past its deadline: %v", err)
		}
	})
}

// Readers keep what backends use: Seek, and ReadAt where the source has it.
func TestSource_Keeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := []byte("0123456789")
		l := New(parse(t, "1K"))
		src := &source{backends.Bytes(data, nil), pass{t.Context(), l.up}}
		r, err := src.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		p := make([]byte, 4)
		if n, err := r.(io.ReaderAt).ReadAt(p, 3); n != 4 || err != nil || string(p) != "3456" {
			t.Errorf("ReadAt: %q, %v", p[:n], err)
		}
		if _, err := r.Seek(5, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(r); err != nil || !bytes.Equal(rest, data[5:]) {
			t.Errorf("after Seek: %q, %v", rest, err)
		}
		plain := &source{onlySeek{backends.Bytes(data, nil)}, pass{t.Context(), l.up}}
		r2, err := plain.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer r2.Close()
		if _, ok := r2.(io.ReaderAt); ok {
			t.Error("ReadAt where the source has none")
		}
	})
}

// onlySeek hides ReadAt.
type onlySeek struct{ backends.Source }

func (s onlySeek) Open() (io.ReadSeekCloser, error) {
	r, err := s.Source.Open()
	return struct{ io.ReadSeekCloser }{r}, err
}

// The errors of what is inside come through, from small and large ranges.
func TestBackend_Errors(t *testing.T) {
	store := mem.New()
	b := Wrap(store, New(parse(t, "100G")))
	if _, err := store.Put(t.Context(), "x", backends.Bytes(make([]byte, 1<<20), nil), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{1, 1 << 20} {
		if _, err := backends.ReadRange(t.Context(), b, "none", 0, n, nil); !errors.Is(err, backends.ErrNotFound) {
			t.Errorf("%d bytes of nothing: %v", n, err)
		}
		if _, err := backends.ReadRange(t.Context(), b, "x", 1<<20, n, nil); !errors.Is(err, backends.ErrInvalidRange) {
			t.Errorf("%d bytes past the end: %v", n, err)
		}
	}
}
