package backendtest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"vaultik/backends"
)

func testList(t *T) {
	b := t.create()
	want := map[string]int64{"aa": 1, "aab": 2, "aa-x/1": 3, "aa.x/1": 4, "ab/aa/1": 5, "ab/aa/2": 6, "ab/ab/1": 7, "b": 8}
	for i := range t.Profile.Many {
		want[keyOf("big/%04d", i)] = int64(1 + i%7)
	}
	keys := make(chan string)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for key := range keys {
				for try := 0; ; try++ { // a busy server may refuse some, as WebDAV does with 423
					_, err := b.Put(t.Context(), key, source(make([]byte, want[key])), backends.PutOptions{})
					if err != nil && backends.Retryable(err) && try < 3 {
						continue
					}
					if err != nil {
						t.Errorf("Put %s: %v", key, err)
					}
					break
				}
			}
		})
	}
	for key := range want {
		keys <- key
	}
	close(keys)
	wg.Wait()
	sorted := capabilities(t, b).Sorted
	for _, prefix := range []string{
		"", "a", "aa", "aa-", "aa-x", "aa-x/", "aa-x/1", "aa-x/1/", "aab", "aab/", "ab", "ab/", "ab/a", "ab/aa", "ab/aa/",
		"ab/aa/1", "b", "big/0", "big/10", "big/1099", "bigger", "none/", "c/d/e",
	} {
		var expect []string
		for key := range want {
			if strings.HasPrefix(key, prefix) {
				expect = append(expect, key)
			}
		}
		slices.Sort(expect)
		got := keysOf(t, b, prefix)
		if sorted && !slices.IsSorted(got) {
			t.Errorf("list %q is not sorted", prefix)
		}
		if slices.Sort(got); !slices.Equal(got, expect) {
			t.Errorf("list %q: %d keys, want %d: %.200q", prefix, len(got), len(expect), got)
		}
	}
	seen := 0
	err := b.ListStream(t.Context(), "", func(o backends.ObjectInfo) error {
		if o.Size != want[o.Key] {
			t.Errorf("list: %s has %d bytes, want %d", o.Key, o.Size, want[o.Key])
		}
		if seen++; seen%max(1, len(want)/t.Profile.Stats) != 0 {
			return nil
		}
		st, err := b.Stat(t.Context(), o.Key)
		if err == nil && (st.Size != o.Size || !st.ModTime.Equal(o.ModTime)) {
			t.Errorf("%s: list says %d, %v; Stat %d, %v", o.Key, o.Size, o.ModTime, st.Size, st.ModTime)
		}
		return err
	})
	if err != nil {
		t.Errorf("%v", err)
	}
}

func testListStops(t *T) {
	b := t.create()
	const n = 10
	for i := range n {
		put(t, b, keyOf("l/%d/x", i), []byte("x"))
	}
	own := errors.New("enough")
	for _, at := range []int{1, n / 2, n} {
		for _, prefix := range []string{"", "l/"} {
			calls := 0
			err := b.ListStream(t.Context(), prefix, func(backends.ObjectInfo) error {
				if calls++; calls == at {
					return own
				}
				return nil
			})
			if !bare(err, own) || calls != at {
				t.Errorf("list %q stopped at %d: %d calls, %v", prefix, at, calls, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			calls = 0
			err = b.ListStream(ctx, prefix, func(backends.ObjectInfo) error {
				if calls++; calls == at {
					cancel()
				}
				return nil
			})
			cancel()
			// After the last one there is nothing left to stop.
			if calls != at || !bare(err, context.Canceled) && (at < n || err != nil) {
				t.Errorf("list %q cancelled at %d: %d calls, %v", prefix, at, calls, err)
			}
		}
	}
	// An error of fn that looks like one of the store stays what it is.
	if err := b.ListStream(t.Context(), "", func(backends.ObjectInfo) error { return backends.ErrNotFound }); !bare(err, backends.ErrNotFound) {
		t.Errorf("list whose function fails with ErrNotFound: %v", err)
	}
}

// bare reports whether err is want, not made an error of the store.
func bare(err, want error) bool {
	var op *backends.OpError
	return errors.Is(err, want) && !errors.As(err, &op)
}

func testListMotion(t *T) {
	b := t.create()
	const stable = 40
	for i := range stable {
		put(t, b, keyOf("m/%d/stays-%d", i%4, i), make([]byte, 100))
	}
	for i := range 10 {
		put(t, b, keyOf("half/%d", i), []byte("x"))
	}
	kept := 0
	err := b.ListStream(t.Context(), "half/", func(o backends.ObjectInfo) error {
		kept += int(o.Key[len("half/")]-'0') % 2
		for i := 0; i < 10; i += 2 {
			if err := b.Delete(t.Context(), keyOf("half/%d", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || kept != 5 {
		t.Errorf("half of the objects deleted while listed: %d of 5 others seen, %v", kept, err)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := 0; i < 20*t.Profile.Rounds && !stop.Load(); i++ {
				key := keyOf("m/%d/comes-%d-%d", i%6, w, i%20)
				if _, err := b.Put(t.Context(), key, source(make([]byte, 200)), backends.PutOptions{}); err != nil {
					t.Errorf("Put beside List: %v", err)
				}
				if err := b.Delete(t.Context(), keyOf("m/%d/comes-%d-%d", (i+3)%6, w, (i+3)%20)); err != nil {
					t.Errorf("Delete beside List: %v", err)
				}
			}
		})
	}
	for range 3 * t.Profile.Rounds {
		seen := 0
		err := b.ListStream(t.Context(), "m/", func(o backends.ObjectInfo) error {
			switch {
			case strings.Contains(o.Key, "/stays-") && o.Size == 100:
				seen++
			case strings.Contains(o.Key, "/comes-") && o.Size == 200:
			default:
				t.Errorf("list in motion: %s of %d bytes", o.Key, o.Size)
			}
			return nil
		})
		if err != nil || seen != stable {
			t.Errorf("list in motion: %d of %d objects that stay, %v", seen, stable, err)
			break
		}
	}
	stop.Store(true)
	wg.Wait()
}

// testConcurrent lets everything happen to a few keys at once. Each object says how
// long it is and what it is made of, so a torn one is seen. A store that does not
// replace atomically is asked for less: a key has always the same bytes, and a call
// that met another may have to be retried, if its error says so.
func testConcurrent(t *T) {
	b := t.create()
	atomicReplace := capabilities(t, b).AtomicReplace
	if !atomicReplace {
		t.without("atomic replacement")
	}
	const keys, rounds = 5, 40
	size := func(v int) int { return 1000 + 377*v }
	key := func(v int) string { return keyOf("all/%d", v%keys) }
	call := func(what string, f func() error) {
		for try := 1; ; try++ {
			err := f()
			if err != nil && !atomicReplace && backends.Retryable(err) && try < 20 {
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			return
		}
	}
	parallel(8, func(w int) {
		for i := range rounds {
			v := (w*7 + i*3) % 23
			if !atomicReplace {
				v %= keys
			}
			switch w % 4 {
			case 0, 1:
				call("Put", func() error {
					_, err := b.Put(t.Context(), key(v), source(random(uint64(v), size(v))), backends.PutOptions{})
					return err
				})
			case 2:
				call("Delete", func() error { return b.Delete(t.Context(), key(v)) })
			default:
				call("Get", func() error {
					got, err := get(t.Context(), b, key(v), 0, -1)
					if errors.Is(err, backends.ErrNotFound) {
						return nil
					}
					n := (len(got) - 1000) / 377
					if err == nil && (len(got) != size(n) || string(got) != string(random(uint64(n), size(n)))) {
						t.Errorf("Get: %d bytes that nobody put", len(got))
					}
					return err
				})
			}
		}
	})
	for _, k := range keysOf(t, b, "all/") {
		if _, err := get(t.Context(), b, k, 0, -1); err != nil {
			t.Errorf("listed but not readable: %v", err)
		}
	}
}

// firstOnly reads n bytes of r and then says it is the end.
type firstOnly struct {
	r io.Reader
	n int
}

func (f *firstOnly) Read(p []byte) (int, error) {
	if f.n == 0 {
		return 0, io.EOF
	}
	n, err := f.r.Read(p[:min(len(p), f.n)])
	f.n -= n
	return n, err
}
