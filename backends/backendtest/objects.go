package backendtest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"vaultik/backends"
)

func testEmpty(t *T) {
	b := t.create()
	for _, prefix := range []string{"", "a", "a/", "a/b/c"} {
		if got := keysOf(t, b, prefix); len(got) != 0 {
			t.Errorf("a new store lists %v under %q", got, prefix)
		}
	}
	put(t, b, "dir/sub/x", []byte("x"))
	for _, key := range []string{"a", "a/b/c", "dir/none", "dir/sub", "dir", "dir/sub/x/y", "dir/sub/xx"} {
		wantAbsent(t, b, key)
		_, err := b.Stat(t.Context(), key)
		wantOpError(t, "Stat of a missing object", err, backends.ErrNotFound)
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, backends.ErrContainerNotFound) {
			t.Errorf("Stat %s: %v must match fs.ErrNotExist, not ErrContainerNotFound", key, err)
		}
		for _, n := range []int64{-1, 0, 10} {
			_, _, err := b.Get(t.Context(), key, 0, n)
			wantOpError(t, "Get of a missing object", err, backends.ErrNotFound)
		}
		_, err = backends.ReadRange(t.Context(), b, key, 0, 1, nil)
		wantOpError(t, "ReadRange of a missing object", err, backends.ErrNotFound)
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete of missing %s: %v", key, err)
		}
	}
	wantObject(t, b, "dir/sub/x", []byte("x"))
	if got := keysOf(t, b, "dir/none/"); len(got) != 0 {
		t.Errorf("missing prefix lists %v", got)
	}
}

func testSizes(t *T) {
	b := t.create()
	limit := capabilities(t, b).MaxObjectSize
	for i, size := range []int{
		1, 4095, 4096, 4097, 64<<10 - 1, 64 << 10, 64<<10 + 1, 5<<20 - 1, 5 << 20, 5<<20 + 1,
		16<<20 - 1, 16 << 20, 16<<20 + 1, 64 << 20,
	} {
		if size > t.Profile.MaxObject {
			break
		}
		data := random(uint64(i), size)
		if i%3 == 1 {
			data = make([]byte, size) // all zero: nothing may become a hole that reads otherwise
		}
		key := keyOf("sizes/%d", size)
		if limit > 0 && int64(size) > limit {
			_, err := b.Put(t.Context(), key, source(data), backends.PutOptions{})
			t.without(keyOf("objects of more than %d bytes", limit))
			wantOpError(t, "Put over the limit", err, backends.ErrUnsupported)
			wantAbsent(t, b, key)
			continue
		}
		put(t, b, key, data)
		wantObject(t, b, key, data)
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("%v", err)
		}
	}
}

func testEmptyObject(t *T) {
	b := t.create()
	if !capabilities(t, b).EmptyObjects {
		t.without("empty objects")
		_, err := b.Put(t.Context(), "empty", source(nil), backends.PutOptions{})
		wantOpError(t, "Put of nothing", err, backends.ErrUnsupported)
		wantAbsent(t, b, "empty")
		return
	}
	put(t, b, "empty", nil)
	wantObject(t, b, "empty", nil)
	if got, err := get(t.Context(), b, "empty", 0, 0); err != nil || len(got) != 0 {
		t.Errorf("Get(0, 0): %d bytes, %v", len(got), err)
	}
	_, _, err := b.Get(t.Context(), "empty", 0, 1)
	wantOpError(t, "Get of a byte of nothing", err, backends.ErrInvalidRange)
}

func testRanges(t *T) {
	b := t.create()
	const size = 100_000
	data := random(3, size)
	put(t, b, "r/object", data)
	for _, c := range []struct {
		off, n int64
		ok     bool
	}{
		{0, -1, true}, {0, size, true}, {0, 0, true}, {size, 0, true}, {size, -1, true}, {500, 0, true},
		{0, size / 2, true}, {size / 2, size / 2, true}, {0, 1, true}, {size - 1, 1, true}, {size - 1, -1, true},
		{4095, 4097, true}, {99_000, 1000, true}, {1, size - 1, true},
		{-3, 1, false}, {-1, -1, false}, {-1, 0, false}, {size, 3, false}, {size - 1, 3, false}, {size + 1, 3, false},
		{size + 1, 0, false}, {size + 1, -1, false}, {0, size + 1, false}, {1, 1<<63 - 1, false}, {1<<63 - 1, 1<<63 - 1, false},
	} {
		got, err := get(t.Context(), b, "r/object", c.off, c.n)
		ranged, rerr := backends.ReadRange(t.Context(), b, "r/object", c.off, c.n, make([]byte, 0, 10))
		if !c.ok {
			wantOpError(t, keyOf("Get(%d, %d)", c.off, c.n), err, backends.ErrInvalidRange)
			wantOpError(t, keyOf("ReadRange(%d, %d)", c.off, c.n), rerr, backends.ErrInvalidRange)
			continue
		}
		want := data[c.off:]
		if c.n >= 0 {
			want = want[:c.n]
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("Get(%d, %d): %d bytes, %v", c.off, c.n, len(got), err)
		}
		if rerr != nil || !bytes.Equal(ranged, want) {
			t.Errorf("ReadRange(%d, %d): %d bytes, %v", c.off, c.n, len(ranged), rerr)
		}
	}
	buf := make([]byte, 500)
	for i := range int64(50) {
		off := i * i * 37 % (size - 500)
		got, err := backends.ReadRange(t.Context(), b, "r/object", off, 500, buf)
		if err != nil || !bytes.Equal(got, data[off:off+500]) {
			t.Errorf("ReadRange(%d, 500): %v", off, err)
		} else if &got[0] != &buf[0] {
			t.Errorf("ReadRange has not used the memory it was given")
		}
	}
}

func testAdapters(t *T) {
	b := t.create()
	data := random(4, 3000)
	put(t, b, "h/1/m", data)
	put(t, b, "h/2/m", data[:5])
	o := backends.Objects(b)
	for _, c := range []struct{ off, n int64 }{{0, -1}, {10, 20}, {2990, -1}, {3, 0}} {
		want := data[c.off:]
		if c.n >= 0 {
			want = want[:c.n]
		}
		if got, err := o.Get(t.Context(), "h/1/m", c.off, c.n); err != nil || !bytes.Equal(got, want) {
			t.Errorf("Objects.Get(%d, %d): %d bytes, %v", c.off, c.n, len(got), err)
		}
	}
	if _, err := o.Get(t.Context(), "h/none", 0, -1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Objects.Get of a missing object: %v", err)
	}
	var sizes []int64
	err := o.List(t.Context(), "h/", func(key string, size int64, stored time.Time) error {
		sizes = append(sizes, size)
		if st, err := b.Stat(t.Context(), key); err != nil || !st.ModTime.Equal(stored) ||
			stored.IsZero() {
			t.Errorf("Objects.List says that %s was stored %v, Stat %v, %v", key, stored,
				st.ModTime, err)
		}
		return nil
	})
	if slices.Sort(sizes); err != nil || !slices.Equal(sizes, []int64{5, 3000}) {
		t.Errorf("Objects.List: sizes %v, %v", sizes, err)
	}
}

func testKeys(t *T) {
	b := t.create()
	long := strings.Repeat("a", 100) + "/" + strings.Repeat("b", 100) + "/" + strings.Repeat("c", t.Profile.MaxKey-202)
	keys := []string{
		"store.json", "0", "z", "a-b_c.d", "a..b", "a.", "x/y/z/1/2/3", "con", "nul.txt", "lock",
		"h/0123456789abcdef/b/aa/" + strings.Repeat("0", 64), long, "deep/" + strings.Repeat("d/", (t.Profile.MaxKey-6)/2) + "e",
	}
	for i, key := range keys {
		put(t, b, key, random(uint64(i), 10+i))
	}
	for i, key := range keys {
		wantObject(t, b, key, random(uint64(i), 10+i))
	}
	got := keysOf(t, b, "")
	slices.Sort(got)
	slices.Sort(keys)
	if !slices.Equal(got, keys) {
		t.Errorf("listed\n%q, want\n%q", got, keys)
	}
}

func testInvalidKeys(t *T) {
	b := t.create()
	ctx := t.Context()
	put(t, b, "a/b", []byte("x"))
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../x", "a/../b", "a/./b", "a/..", ".hidden", "a/.b", "-a", "_a",
		"A", "a/B", "a b", "a\\b", "a\x00b", "ä", "a:b", "a*", "a\n", strings.Repeat("a", 101),
		strings.Repeat("a/", 128) + "a",
	} {
		src := newSource([]byte("x"))
		_, err := b.Put(ctx, key, src, backends.PutOptions{})
		wantOpError(t, keyOf("Put %q", key), err, backends.ErrInvalidKey)
		if src.opened.Load() != 0 {
			t.Errorf("Put %q has opened its source", key)
		}
		_, _, err = b.Get(ctx, key, 0, -1)
		wantOpError(t, keyOf("Get %q", key), err, backends.ErrInvalidKey)
		_, err = backends.ReadRange(ctx, b, key, 0, 1, nil)
		wantOpError(t, keyOf("ReadRange %q", key), err, backends.ErrInvalidKey)
		_, err = b.Stat(ctx, key)
		wantOpError(t, keyOf("Stat %q", key), err, backends.ErrInvalidKey)
		wantOpError(t, keyOf("Delete %q", key), b.Delete(ctx, key), backends.ErrInvalidKey)
	}
	for _, prefix := range []string{"/", "..", "../", "a/../", "a//", ".", "A", "a/b/../.."} {
		_, err := backends.List(ctx, b, prefix)
		wantOpError(t, keyOf("List %q", prefix), err, backends.ErrInvalidKey)
	}
}

func testDelete(t *T) {
	b := t.create()
	put(t, b, "d/one", []byte("1"))
	put(t, b, "d/two", []byte("2"))
	for range 2 {
		if err := b.Delete(t.Context(), "d/one"); err != nil {
			t.Fatalf("%v", err)
		}
		wantAbsent(t, b, "d/one")
		wantObject(t, b, "d/two", []byte("2"))
	}
	put(t, b, "d/one", []byte("again"))
	wantObject(t, b, "d/one", []byte("again"))
	for _, key := range []string{"d/one", "d/two"} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatalf("%v", err)
		}
	}
	if got := keysOf(t, b, ""); len(got) != 0 {
		t.Errorf("everything deleted, listed: %v", got)
	}
	put(t, b, "d/one", []byte("last"))
	wantObject(t, b, "d/one", []byte("last"))
}

// testDeleteMany deletes more than one request takes, some of which are not there, and leaves
// the others.
func testDeleteMany(t *T) {
	b := t.create()
	var gone []string
	for i := range min(t.Profile.Many, 30) {
		put(t, b, keyOf("many/%d", i), []byte("x"))
		put(t, b, keyOf("many/%d/stays", i+100), []byte("y"))
	}
	for i := range t.Profile.Many { // most have never been there
		gone = append(gone, keyOf("many/%d", i))
	}
	if backends.Batches(b) == nil {
		t.without("deletion of several objects in one request")
		gone = gone[:min(t.Profile.Many, 40)]
	}
	if err := backends.DeleteAll(t.Context(), b, gone); err != nil {
		t.Errorf("DeleteAll: %v", err)
	}
	left := keysOf(t, b, "many/")
	for _, key := range left {
		if !strings.HasSuffix(key, "/stays") {
			t.Errorf("%s is still there", key)
		}
	}
	if len(left) != min(t.Profile.Many, 30) {
		t.Errorf("%d objects are left, want %d", len(left), min(t.Profile.Many, 30))
	}
	wantOpError(t, "DeleteAll of an invalid key",
		backends.DeleteAll(t.Context(), b, []string{"many/130/stays", "many//x"}),
		backends.ErrInvalidKey)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := backends.DeleteAll(ctx, b, []string{"many/129/stays"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("DeleteAll, cancelled before: %v", err)
	}
	wantObject(t, b, "many/129/stays", []byte("y"))
}

func testDeleteRead(t *T) {
	b := t.create()
	data := random(5, 1<<20)
	put(t, b, "gone", data)
	r, _, err := b.Get(t.Context(), "gone", 0, -1)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(&firstOnly{r: r, n: 1000}); err != nil {
		t.Fatalf("%v", err)
	}
	if err := b.Delete(t.Context(), "gone"); err != nil {
		t.Fatalf("%v", err)
	}
	// The rest comes whole, or with an error; never as a silent early end.
	if _, err := buf.ReadFrom(r); err == nil && !bytes.Equal(buf.Bytes(), data) {
		t.Errorf("read beside Delete: %d bytes of %d and no error", buf.Len(), len(data))
	}
	if err := r.Close(); err != nil {
		t.Errorf("%v", err)
	}
	wantAbsent(t, b, "gone")
}
