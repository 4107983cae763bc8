package index

import (
	"testing"

	"vaultik/internal/testsize"
)

// Each single bit of a row counts.
func TestIndex_EachBitOfARow(t *testing.T) {
	testsize.Long(t)
	r := newSource(t)
	x := open(t, t.TempDir())
	for name, row := range r.pageRows(t, x, write(t, x, &Batch{Blobs: []StoredBlob{r.stored(3)}})) {
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
