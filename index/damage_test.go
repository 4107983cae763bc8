package index

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"vaultik/internal/testsize"
)

// damagedWorld is an index with tables and a log that a crash left, and what is true about it.
type damagedWorld struct {
	dir    string
	blobs  []StoredBlob
	leaves map[LeafKey]Leaf
	rows   map[LeafKey][]LeafEntry
}

func makeWorld(t *testing.T, r source) damagedWorld {
	t.Helper()
	w := damagedWorld{filepath.Join(t.TempDir(), "world"), nil, map[LeafKey]Leaf{}, map[LeafKey][]LeafEntry{}}
	dir := filepath.Join(t.TempDir(), "index")
	x := open(t, dir)
	for range 8 {
		s := r.stored(1500)
		nums := write(t, x, &Batch{Blobs: []StoredBlob{s}})
		key := LeafKey{r.set(), r.path()}
		w.leaves[key], w.rows[key] = r.leaf(nums...), r.entries(100, nums)
		write(t, x, &Batch{Leaves: []LeafRow{{key, w.leaves[key]}}, Entries: []EntriesRow{{key, w.rows[key]}}})
		w.blobs = append(w.blobs, s)
		if len(w.blobs) == 7 {
			x = reopen(t, x)
		}
	}
	must(t, os.CopyFS(w.dir, os.DirFS(dir))) // without Close, as a crash would leave it
	must(t, x.Close())
	return w
}

// check opens a copy of the world that was damaged. Absent is allowed, wrong is not.
func (w damagedWorld) check(t *testing.T, dir, what string) (opened bool) {
	t.Helper()
	x, err := Open(dir, Options{Key: testKey})
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: %v", what, err)
		}
		if _, err := Recreate(dir); err != nil {
			t.Fatalf("%s: recreate: %v", what, err)
		}
		if x, err = Open(dir, Options{Key: testKey}); err != nil || !x.Empty() {
			t.Fatalf("%s: open anew: %v", what, err)
		}
		must(t, x.Close())
		return false
	}
	for _, s := range w.blobs {
		n, _ := x.Num(s.Name)
		if in, ok := x.Blob(n); ok && in != s.Info {
			t.Fatalf("%s: blob %+v, want %+v", what, in, s.Info)
		}
		for i, loc := range lookup(t, x, s) {
			if loc != (Loc{}) && (loc != Loc{Blob: n, Span: s.Rows[i].Span}) {
				t.Fatalf("%s: chunk %d: %+v", what, i, loc)
			}
		}
	}
	for key, want := range w.rows {
		if got, ok := x.LeafEntries(key); ok && !sameEntries(got, want) {
			for i := range got {
				if got[i].Refs != nil && !sameEntries(got[i:i+1], want[i:i+1]) {
					t.Fatalf("%s: entry %d: %+v", what, i, got[i])
				}
			}
		}
		if got, ok := x.Leaf(key); ok && got.Digest != w.leaves[key].Digest {
			t.Fatalf("%s: leaf %+v", what, got)
		}
	}
	must(t, x.Close())
	return true
}

func TestOpen_Damage(t *testing.T) {
	testsize.Long(t)
	t.Parallel()
	r := newSource(t)
	w := makeWorld(t, r)
	names, err := os.ReadDir(filepath.Join(w.dir, dbName))
	must(t, err)
	kinds := map[string]func(b []byte) []byte{
		"flip":                func(b []byte) []byte { b[r.IntN(len(b))] ^= 1 << r.IntN(8); return b },
		"flip near the start": func(b []byte) []byte { b[r.IntN(min(len(b), 200))] ^= 1 << r.IntN(8); return b },
		"flip near the end":   func(b []byte) []byte { b[len(b)-1-r.IntN(min(len(b), 200))] ^= 1 << r.IntN(8); return b },
		"cut":                 func(b []byte) []byte { return b[:r.IntN(len(b))] },
		"empty":               func(b []byte) []byte { return nil },
		"grow":                func(b []byte) []byte { return append(b, make([]byte, 1+r.IntN(100))...) },
		"zero a page": func(b []byte) []byte {
			at := r.IntN(len(b)) &^ 4095
			clear(b[at:min(len(b), at+4096)])
			return b
		},
		"noise": func(b []byte) []byte {
			at := r.IntN(len(b))
			r.fill(b[at:min(len(b), at+64)])
			return b
		},
		"delete": nil,
	}
	opened, refused := 0, 0
	all := slices.Sorted(maps.Keys(kinds))
	for _, e := range names {
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, kind := range all[:4] {
			damage := kinds[kind]
			dir := filepath.Join(t.TempDir(), "index")
			must(t, os.CopyFS(dir, os.DirFS(w.dir)))
			path := filepath.Join(dir, dbName, e.Name())
			b, err := os.ReadFile(path)
			must(t, err)
			switch {
			case damage == nil:
				must(t, os.Remove(path))
			case len(b) > 0:
				must(t, os.WriteFile(path, damage(b), 0o600))
			}
			if w.check(t, dir, kind+" "+e.Name()) {
				opened++
			} else {
				refused++
			}
		}
	}
	t.Logf("opened %d, refused %d", opened, refused)
	if opened == 0 || refused == 0 {
		t.Error("the test damaged nothing, or everything")
	}
}

// Rows that were damaged below Badger's own checksums are absent.
func TestIndex_BadRow(t *testing.T) {
	r := newSource(t)
	x := open(t, t.TempDir())
	s := r.stored(50)
	rows := r.pageRows(t, x, write(t, x, &Batch{Blobs: []StoredBlob{s}}))
	var keys [][]byte
	for name, row := range rows {
		if !row.read() {
			t.Fatalf("no %s", name)
		}
		keys = append(keys, row.key)
	}
	for i := range s.Rows {
		keys = append(keys, appendChunkKey(nil, x.gen, &s.Rows[i].ID))
	}
	for _, k := range keys {
		w := x.newWriter()
		v, ok := x.get(w.txn, k, nil)
		if !ok {
			t.Fatalf("no row %q", k)
		}
		v[r.IntN(len(v))] ^= 1 << r.IntN(8)
		must(t, w.finish(w.set(k, v)))
	}
	wantChunks(t, x, s, 0)
	for name, row := range rows {
		if row.read() {
			t.Errorf("damaged %s", name)
		}
	}
	if s := x.Stats(); s.BadRows+s.GoneRows != int64(len(keys)) {
		t.Errorf("%d keys, stats %+v", len(keys), s)
	}
}
