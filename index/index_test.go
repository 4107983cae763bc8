package index

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

func TestIndex_RoundTrip(t *testing.T) {
	r := newSource(t)
	x := open(t, filepath.Join(t.TempDir(), "index"))
	if !x.Empty() {
		t.Error("a new index is not empty")
	}
	set := r.set()
	a, b := r.stored(1), r.stored(20_000) // more than a transaction takes
	nums := write(t, x, &Batch{Blobs: []StoredBlob{a, b}})
	if want := []BlobNum{1, 2}; !slices.Equal(nums, want) {
		t.Fatalf("numbers %v, want %v", nums, want)
	}
	leaf, branch, entries := LeafKey{set, r.path()}, BranchKey{Set: set}, r.entries(300, nums)
	r.fill(branch.Digest[:])
	wantLeaf, wantBranch := r.leaf(2, 1), Branch{Page: Loc{Blob: 1, Span: r.span()}, PageID: r.id()}
	notStored := LeafKey{set, r.path()}
	wantNotStored := Leaf{Blobs: []BlobNum{1}, Files: 1}
	write(t, x, &Batch{
		Leaves:   []LeafRow{{leaf, wantLeaf}, {notStored, wantNotStored}},
		Entries:  []EntriesRow{{leaf, entries}},
		Branches: []BranchRow{{branch, wantBranch}},
	})
	check := func(t *testing.T) {
		t.Helper()
		wantChunks(t, x, a, 1)
		wantChunks(t, x, b, 2)
		wantChunks(t, x, r.stored(100), 0)
		if got, ok := x.Leaf(leaf); !ok || !reflect.DeepEqual(got, wantLeaf) {
			t.Errorf("leaf: got %+v %v, want %+v", got, ok, wantLeaf)
		}
		if got, ok := x.Leaf(notStored); !ok || !reflect.DeepEqual(got, wantNotStored) {
			t.Errorf("leaf not stored: got %+v %v, want %+v", got, ok, wantNotStored)
		}
		if got, ok := x.LeafEntries(leaf); !ok || !sameEntries(got, entries) {
			t.Errorf("entries: %v, got %+v", ok, got)
		}
		if got, ok := x.Branch(branch); !ok || !reflect.DeepEqual(got, wantBranch) {
			t.Errorf("branch: got %+v %v, want %+v", got, ok, wantBranch)
		}
		if _, ok := x.Leaf(LeafKey{set, r.path()}); ok {
			t.Error("found a leaf that was never written")
		}
		if n, ok := x.Num(b.Name); !ok || n != 2 {
			t.Errorf("number of blob 2: %d %v", n, ok)
		}
		if in, ok := x.Blob(1); !ok || in != a.Info {
			t.Errorf("blob 1: %+v %v", in, ok)
		}
		var all []blob.Info
		x.Blobs(func(_ BlobNum, in blob.Info) bool { all = append(all, in); return true })
		if !slices.Equal(all, []blob.Info{a.Info, b.Info}) {
			t.Errorf("blobs: %+v", all)
		}
		if x.Empty() {
			t.Error("empty")
		}
		if s := x.Stats(); s.Blobs != 2 || s.BadRows != 0 || s.GoneRows != 0 || s.Skipped != 0 {
			t.Errorf("stats %+v", s)
		}
	}
	t.Run("written", check)
	if err := x.Sync(); err != nil {
		t.Fatal(err)
	}
	x = reopen(t, x)
	t.Run("reopened", check)
	if again := write(t, x, &Batch{Blobs: []StoredBlob{b, r.stored(1), a}}); !slices.Equal(again, []BlobNum{2, 3, 1}) {
		t.Errorf("written again: numbers %v", again)
	}
	write(t, x, &Batch{DropLeaves: []LeafKey{leaf}, DropBranches: []BranchKey{branch}})
	if _, ok := x.Leaf(leaf); ok {
		t.Error("dropped leaf is there")
	}
	if _, ok := x.LeafEntries(leaf); ok {
		t.Error("dropped entries are there")
	}
	if _, ok := x.Branch(branch); ok {
		t.Error("dropped branch is there")
	}
}

func sameEntries(a, b []LeafEntry) bool {
	return slices.EqualFunc(a, b, func(a, b LeafEntry) bool {
		return a.Path == b.Path && a.Stat == b.Stat && a.ListLevel == b.ListLevel && slices.Equal(a.Refs, b.Refs)
	})
}

func TestIndex_InBatch(t *testing.T) {
	r := newSource(t)
	x := open(t, t.TempDir())
	set := r.set()
	key, lost := LeafKey{set, r.path()}, LeafKey{set, r.path()}
	write(t, x, &Batch{Blobs: []StoredBlob{r.stored(3)}})
	entries := r.entries(10, []BlobNum{1, InBatch(0)})
	before := slices.Clone(entries)
	for i := range before {
		before[i].Refs = slices.Clone(before[i].Refs)
	}
	nums := write(t, x, &Batch{
		Blobs:    []StoredBlob{r.stored(1)},
		Leaves:   []LeafRow{{key, r.leaf(InBatch(0), 1)}, {lost, r.leaf(InBatch(1))}},
		Entries:  []EntriesRow{{key, entries}},
		Branches: []BranchRow{{BranchKey{Set: set}, Branch{Page: Loc{Blob: InBatch(0)}, Blobs: []BlobNum{InBatch(0)}}}},
	})
	if l, ok := x.Leaf(key); !ok || l.Page.Blob != nums[0] || !slices.Equal(l.Blobs, []BlobNum{2, 1}) {
		t.Errorf("leaf %+v %v", l, ok)
	}
	if b, ok := x.Branch(BranchKey{Set: set}); !ok || b.Page.Blob != 2 || !slices.Equal(b.Blobs, []BlobNum{2}) {
		t.Errorf("branch %+v %v", b, ok)
	}
	if got, ok := x.LeafEntries(key); !ok || !sameEntries(got, resolveEntries(entries, nums)) {
		t.Errorf("entries %+v %v", got, ok)
	}
	if !sameEntries(entries, before) {
		t.Error("Write changed the caller's entries")
	}
	if _, ok := x.Leaf(lost); ok || x.Stats().Skipped != 1 {
		t.Errorf("a leaf that names no blob was written: %v, %+v", ok, x.Stats())
	}
}

func TestIndex_DropBlobs(t *testing.T) {
	r := newSource(t)
	x := open(t, t.TempDir())
	a, b := r.stored(10), r.stored(10)
	nums := write(t, x, &Batch{Blobs: []StoredBlob{a, b}})
	set := r.set()
	both, one := LeafKey{set, r.path()}, LeafKey{set, r.path()}
	entries := []LeafEntry{
		{Path: r.path(), Stat: [16]byte{1}, Refs: []LeafRef{{Loc: Loc{1, r.span()}, ID: r.id()}}},
		{Path: r.path(), Stat: [16]byte{2}, Refs: []LeafRef{{Hole: 7}, {Loc: Loc{2, r.span()}, ID: r.id()}, {Loc: Loc{1, r.span()}, ID: r.id()}}},
		{Path: r.path(), Stat: [16]byte{3}, Refs: []LeafRef{{Hole: 7}}},
	}
	write(t, x, &Batch{
		Leaves:  []LeafRow{{both, r.leaf(nums...)}, {one, r.leaf(1)}},
		Entries: []EntriesRow{{both, entries}},
	})
	if err := x.DropBlobs([]blob.Name{b.Name, r.info().Name}); err != nil {
		t.Fatal(err)
	}
	entries[1].Refs, entries[1].Stat = nil, [16]byte{}
	for _, when := range []string{"dropped", "reopened"} {
		wantChunks(t, x, a, 1)
		wantChunks(t, x, b, 0)
		if _, ok := x.Leaf(both); ok {
			t.Errorf("%s: leaf of a gone blob is there", when)
		}
		if _, ok := x.Leaf(one); !ok {
			t.Errorf("%s: leaf of a present blob is absent", when)
		}
		if got, ok := x.LeafEntries(both); !ok || !sameEntries(got, entries) {
			t.Errorf("%s: entries %+v %v", when, got, ok)
		}
		if _, ok := x.Num(b.Name); ok {
			t.Errorf("%s: gone blob has a number", when)
		}
		x = reopen(t, x)
	}
	// A number is never given again, the name may come back.
	if n := write(t, x, &Batch{Blobs: []StoredBlob{b}}); n[0] != 3 {
		t.Errorf("number %d, want 3", n[0])
	}
	wantChunks(t, x, b, 3)
}

func TestIndex_Reset(t *testing.T) {
	r := newSource(t)
	x := open(t, t.TempDir())
	old, key := r.stored(30_000), LeafKey{r.set(), r.path()}
	write(t, x, &Batch{Blobs: []StoredBlob{old}})
	write(t, x, &Batch{Leaves: []LeafRow{{key, r.leaf(1)}}})
	x = reopen(t, x)
	if err := x.Reset(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !x.Empty() || x.Stats().Generation != 2 {
			t.Errorf("empty %v, %+v", x.Empty(), x.Stats())
		}
		wantChunks(t, x, old, 0)
		if _, ok := x.Leaf(key); ok {
			t.Error("leaf survived")
		}
		if x.Stats().DiskBytes > 1<<20 {
			t.Errorf("%d bytes left", x.Stats().DiskBytes)
		}
		x = reopen(t, x)
	}
	fresh := r.stored(10)
	if n := write(t, x, &Batch{Blobs: []StoredBlob{fresh}}); n[0] != 1 {
		t.Errorf("number %d, want 1", n[0])
	}
	wantChunks(t, x, fresh, 1)
	wantChunks(t, x, old, 0)
}

// A row of several MB lies in pieces; a shorter one in its place leaves none behind.
func TestIndex_BigRows(t *testing.T) {
	r := newSource(t)
	x := open(t, t.TempDir())
	nums := write(t, x, &Batch{Blobs: []StoredBlob{r.stored(1), r.stored(1)}})
	key := LeafKey{r.set(), r.path()}
	entries := r.entries(3, nums)
	for range 100_000 {
		entries[1].Refs = append(entries[1].Refs, LeafRef{Loc: Loc{nums[r.IntN(2)], r.span()}, ID: r.id()})
	}
	for _, n := range []int{100_000, 10_000, 1, 20_000} {
		entries[1].Refs = entries[1].Refs[:n]
		write(t, x, &Batch{Entries: []EntriesRow{{key, entries}}})
		x = reopen(t, x)
		if got, ok := x.LeafEntries(key); !ok || !sameEntries(got, entries) {
			t.Fatalf("%d references: not what was written (%v)", n, ok)
		}
	}
	write(t, x, &Batch{DropLeaves: []LeafKey{key}})
	if _, ok := x.LeafEntries(key); ok || x.Stats().BadRows != 0 {
		t.Errorf("dropped row: %v, %+v", ok, x.Stats())
	}
}

func TestIndex_Closed(t *testing.T) {
	x := open(t, t.TempDir())
	for range 2 {
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, werr := x.Write(&Batch{})
	for i, err := range []error{werr, x.Sync(), x.Reset(), x.DropBlobs(nil), x.Chunks(make([]chunk.ID, 1), make([]Loc, 1))} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, ok := x.Leaf(LeafKey{}); ok {
		t.Error("a closed index has a leaf")
	}
	x.Stats()
}

// A number that was given twice, because the newest rows were lost, must not
// make old rows point into the new blob.
func TestIndex_NumberGivenTwice(t *testing.T) {
	r := newSource(t)
	x := open(t, t.TempDir())
	a, key := r.stored(5), LeafKey{r.set(), r.path()}
	write(t, x, &Batch{Blobs: []StoredBlob{a}})
	write(t, x, &Batch{Leaves: []LeafRow{{key, r.leaf(1)}}})
	x.blobs = newBlobTable() // as if blob rows were lost, and only they
	if n := write(t, x, &Batch{Blobs: []StoredBlob{r.stored(5)}}); n[0] != 1 {
		t.Fatalf("number %d", n[0])
	}
	wantChunks(t, x, a, 0)
	if _, ok := x.Leaf(key); ok {
		t.Error("a leaf points into another blob")
	}
}

func TestBlobTable(t *testing.T) {
	r := newSource(t)
	tab, model := newBlobTable(), map[BlobNum]blob.Info{}
	for range 20_000 {
		switch n := tab.next; {
		case r.IntN(4) == 0 && n > 1:
			n = 1 + r.num(n-1)
			tab.drop(n)
			delete(model, n)
		default:
			in := r.info()
			tab.put(n, in)
			model[n] = in
		}
	}
	for n := BlobNum(0); n < tab.next+10; n++ {
		in, want := tab.get(n), model[n]
		if in == nil != (want == blob.Info{}) || in != nil && *in != want {
			t.Fatalf("blob %d: %+v, want %+v", n, in, want)
		}
		if in != nil && tab.find(want.Name) != n {
			t.Fatalf("blob %d not found by name", n)
		}
	}
	if tab.live != len(model) || tab.find(r.info().Name) != 0 {
		t.Errorf("live %d, want %d", tab.live, len(model))
	}
}

func (r source) num(n BlobNum) BlobNum { return BlobNum(r.Uint32N(uint32(n))) }

func TestFilter(t *testing.T) {
	r := newSource(t)
	f := newFilter(64 << 10)
	ids := make([]chunk.ID, 50_000)
	for i := range ids {
		ids[i] = r.id()
		f.add(&ids[i])
	}
	for i := range ids {
		if !f.mayContain(&ids[i]) {
			t.Fatal("filter lost an id")
		}
	}
	hits := 0
	for range 10_000 {
		if id := r.id(); f.mayContain(&id) {
			hits++
		}
	}
	if hits > 500 { // 10 bits an id: about 1 in 85
		t.Errorf("%d false hits of 10000", hits)
	}
}

func TestPathHasher(t *testing.T) {
	h := NewPathHasher(testKey)
	a, b := h.Key("etc/passwd"), h.Key("etc/passwe")
	if a == b || a != h.Key("etc/passwd") || a == NewPathHasher([32]byte{9}).Key("etc/passwd") {
		t.Error("path keys do not depend on exactly key and path")
	}
	if n := testing.AllocsPerRun(100, func() { h.Key("usr/share/doc/a path of some length that is usual") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
