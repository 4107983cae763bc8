package backendtest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"vaultik/backends"
)

func testOverwrite(t *T) {
	b := t.create()
	for i, size := range []int{1000, 5000, 10, 10} {
		data := random(uint64(i), size)
		put(t, b, "o/x", data)
		wantObject(t, b, "o/x", data)
	}
	if got := keysOf(t, b, ""); len(got) != 1 {
		t.Errorf("one object replaced, listed: %v", got)
	}
}

func testOverwriteRead(t *T) {
	b := t.create()
	a, c := bytes.Repeat([]byte("a"), 300_000), bytes.Repeat([]byte("c"), 200_000)
	put(t, b, "o/x", a)
	atomicReplace := capabilities(t, b).AtomicReplace
	if !atomicReplace {
		t.without("atomic replacement")
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for n := 0; n < t.Profile.Reads && !stop.Load(); n++ {
				got, err := get(t.Context(), b, "o/x", 0, -1)
				if whole := bytes.Equal(got, a) || bytes.Equal(got, c); atomicReplace && (err != nil || !whole) {
					t.Errorf("Get beside Put: %d bytes, neither old nor new: %v", len(got), err)
					return
				}
			}
		})
	}
	for range t.Profile.Rounds {
		put(t, b, "o/x", c)
		put(t, b, "o/x", a)
	}
	stop.Store(true)
	wg.Wait()
	wantObject(t, b, "o/x", a)
}

func testPutSame(t *T) {
	b := t.create()
	data := random(6, 100_000)
	parallel(8, func(int) {
		if _, err := b.Put(t.Context(), "same/key", source(data), backends.PutOptions{}); err != nil {
			t.Errorf("one of many equal Puts: %v", err)
		}
	})
	wantObject(t, b, "same/key", data)
	if got := keysOf(t, b, ""); len(got) != 1 {
		t.Errorf("one key put many times, listed: %v", got)
	}
}

func testPutOther(t *T) {
	b, other := t.create(), t.create()
	parallel(8, func(i int) {
		h := []backends.Backend{b, other}[i%2]
		if _, err := h.Put(t.Context(), "race/key", source(random(uint64(i), 50_000+i)), backends.PutOptions{}); err != nil {
			t.Errorf("one of many Puts: %v", err)
		}
	})
	got, err := get(t.Context(), b, "race/key", 0, -1)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if i := len(got) - 50_000; i < 0 || i > 7 || !bytes.Equal(got, random(uint64(i), len(got))) {
		t.Errorf("%d bytes that nobody put", len(got))
	}
}

func testIfAbsent(t *T) {
	b := t.create()
	ifAbsent := backends.PutOptions{IfAbsent: true}
	if !capabilities(t, b).ConditionalPut {
		t.without("create-if-absent")
		_, err := b.Put(t.Context(), "c/x", source([]byte("x")), ifAbsent)
		wantOpError(t, "Put if absent", err, backends.ErrUnsupported)
		wantAbsent(t, b, "c/x")
		return
	}
	first := random(7, 4000)
	if _, err := b.Put(t.Context(), "c/x", source(first), ifAbsent); err != nil {
		t.Fatalf("%v", err)
	}
	for _, data := range [][]byte{first, random(8, 100)} {
		_, err := b.Put(t.Context(), "c/x", source(data), ifAbsent)
		wantOpError(t, "second Put if absent", err, backends.ErrExists)
		wantObject(t, b, "c/x", first)
	}
	if err := b.Delete(t.Context(), "c/x"); err != nil {
		t.Fatalf("%v", err)
	}
	if _, err := b.Put(t.Context(), "c/x", source(first[:10]), ifAbsent); err != nil {
		t.Errorf("Put if absent after Delete: %v", err)
	}
	wantObject(t, b, "c/x", first[:10])
}

func testIfAbsentRace(t *T) {
	b, other := t.create(), t.create()
	can := capabilities(t, b).ConditionalPut
	if !can {
		t.without("create-if-absent")
	}
	for round := range 5 {
		key := keyOf("c/%d", round)
		var winner, wins atomic.Int64
		parallel(16, func(i int) {
			h := []backends.Backend{b, other}[i%2]
			_, err := h.Put(t.Context(), key, source(random(uint64(i), 3000)), backends.PutOptions{IfAbsent: true})
			switch {
			case err == nil:
				winner.Store(int64(i))
				wins.Add(1)
			case can && !errors.Is(err, backends.ErrExists):
				t.Errorf("loser %d: %v, want ErrExists", i, err)
			case !can && !errors.Is(err, backends.ErrUnsupported):
				t.Errorf("Put if absent: %v, want ErrUnsupported", err)
			}
		})
		if !can {
			wantAbsent(t, b, key)
			continue
		}
		if wins.Load() != 1 {
			t.Fatalf("%d winners of one key", wins.Load())
		}
		wantObject(t, b, key, random(uint64(winner.Load()), 3000))
	}
}

func testSourceSize(t *T) {
	b := t.create()
	old := random(9, 100)
	put(t, b, "s/old", old)
	for _, size := range []int{0, 1, 4096, 1 << 20} {
		for _, lie := range []int64{+42, +1, -1} {
			src := newSource(random(10, size))
			if src.size += lie; src.size < 0 {
				continue
			}
			for _, key := range []string{"s/new", "s/old"} {
				_, err := b.Put(t.Context(), key, src, backends.PutOptions{})
				if src.size == 0 && errors.Is(err, backends.ErrUnsupported) {
					continue // no empty objects here
				}
				wantOpError(t, keyOf("Put of %d bytes as %d", size, src.size), err, backends.ErrSourceSize)
			}
		}
	}
	wantAbsent(t, b, "s/new")
	wantObject(t, b, "s/old", old)
}

func testSourceFails(t *T) {
	b := t.create()
	const size = 1 << 20
	broken := errors.New("the disk of the source is broken")
	for _, at := range []int64{0, size / 2, size - 1, size} {
		src := newSource(random(11, size))
		src.block = 10_000
		if at == size-1 {
			src.block = size - 1
		}
		src.at = failAt(at, broken)
		_, err := b.Put(t.Context(), "s/new", src, backends.PutOptions{})
		wantOpError(t, keyOf("Put of a source that fails at %d", at), err, broken)
		var se *backends.SourceError
		if !errors.As(err, &se) {
			t.Errorf("%v is no *SourceError", err)
		}
		wantAbsent(t, b, "s/new")
	}
	src := newSource(random(11, size))
	src.at = failAt(0, backends.ErrNotFound) // a source that reads another store
	if _, err := b.Put(t.Context(), "s/new", src, backends.PutOptions{}); err == nil {
		t.Errorf("Put of a failing source succeeded")
	}
}

func testSourceClosed(t *T) {
	b := t.create()
	src := newSource(random(12, 300_000))
	for _, key := range []string{"s/a", "s/b"} {
		if _, err := b.Put(t.Context(), key, src, backends.PutOptions{}); err != nil {
			t.Fatalf("%v", err)
		}
		wantObject(t, b, key, src.data)
	}
	src.at = failAt(100, io.ErrClosedPipe)
	if _, err := b.Put(t.Context(), "s/c", src, backends.PutOptions{}); err == nil {
		t.Errorf("Put of a failing source succeeded")
	}
	if n := src.open.Load(); n != 0 {
		t.Errorf("%d readers of the source left open", n)
	}
}

func testSourcePanics(t *T) {
	b := t.create()
	src := newSource(random(13, 1<<20))
	src.block = 100_000
	src.at = func(at int64) error {
		if at > 500_000 {
			panic("source panics")
		}
		return nil
	}
	func() {
		defer func() {
			if v := recover(); v != "source panics" {
				t.Errorf("the panic of the source became %v", v)
			}
		}()
		_, err := b.Put(t.Context(), "s/x", src, backends.PutOptions{})
		t.Errorf("Put of a panicking source returned %v", err)
	}()
	if n := src.open.Load(); n != 0 {
		t.Errorf("%d readers of the source left open", n)
	}
	wantAbsent(t, b, "s/x")
	put(t, b, "s/x", []byte("after"))
	wantObject(t, b, "s/x", []byte("after"))
}

func testProgress(t *T) {
	b := t.create()
	const size = 3<<20 + 1
	for _, src := range []backends.Source{newSource(random(14, size)), source(random(14, size))} {
		var last int64
		_, err := b.Put(t.Context(), "p", src, backends.PutOptions{Progress: func(done, total int64) {
			if done < 0 || done > size || total != size {
				t.Errorf("progress %d of %d", done, total)
			}
			last = done
		}})
		if err != nil || last != size {
			t.Errorf("last progress %d of %d: %v", last, size, err)
		}
	}
}

func testChecksum(t *T) {
	b := t.create()
	data, wrong := random(15, 50_000), sha256.Sum256([]byte("other"))
	_, err := b.Put(t.Context(), "sum", backends.Bytes(data, &wrong), backends.PutOptions{})
	if capabilities(t, b).ServerChecksum {
		if !errors.Is(err, backends.ErrChecksum) {
			t.Errorf("Put with a wrong hash: %v, want ErrChecksum", err)
		}
		wantAbsent(t, b, "sum")
	} else {
		t.without("checksums of its own")
		if err != nil {
			t.Errorf("Put with a hash that this store does not check: %v", err)
		} else if info, err := b.Stat(t.Context(), "sum"); err != nil || info.SHA256 != nil {
			t.Errorf("Stat vouches for a hash that was never checked: %x, %v", info.SHA256, err)
		}
	}
	put(t, b, "sum", data)
	wantObject(t, b, "sum", data)
}

// parallel runs f(0) to f(n-1) at once.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}
