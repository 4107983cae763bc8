package index

import "testing"

// Each single bit of a row counts.
func TestIndex_EachBitOfARow(t *testing.T) {
	r := newSource(t)
	x := open(t, t.TempDir())
	s := r.stored(3)
	nums := write(t, x, &Batch{Blobs: []StoredBlob{s}})
	key, bkey := LeafKey{r.set(), r.path()}, BranchKey{Set: r.set()}
	write(t, x, &Batch{
		Leaves:   []LeafRow{{key, r.leaf(nums...)}},
		Entries:  []EntriesRow{{key, r.entries(5, nums)}},
		Branches: []BranchRow{{bkey, Branch{Page: Loc{Blob: 1}}}},
	})
	for name, row := range map[string]struct {
		key  []byte
		read func() bool
	}{
		"leaf":    {appendLeafKey(nil, x.gen, kindLeaf, key), func() bool { _, ok := x.Leaf(key); return ok }},
		"entries": {appendLeafKey(nil, x.gen, kindEntries, key), func() bool { _, ok := x.LeafEntries(key); return ok }},
		"branch":  {appendBranchKey(nil, x.gen, bkey), func() bool { _, ok := x.Branch(bkey); return ok }},
	} {
		w := x.newWriter()
		v, ok := x.get(w.txn, row.key, nil)
		must(t, w.finish(nil))
		if !ok || !row.read() {
			t.Fatalf("no %s", name)
		}
		for bit := range 8 * len(v) {
			v[bit/8] ^= 1 << (bit % 8)
			w := x.newWriter()
			must(t, w.finish(w.set(row.key, v)))
			if row.read() {
				t.Errorf("%s: bit %d of %d does not count", name, bit, 8*len(v))
			}
			v[bit/8] ^= 1 << (bit % 8)
		}
	}
}
