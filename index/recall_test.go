package index

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"vaultik/vault/layout"
)

// TestLaw_Recall: however the leaves of a walk differ from those that were written,
// each file is found that is no more than maxNeighbours rows from where its leaf begins;
// a file that is in no row never is.
func TestLaw_Recall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := layout.SetID{7}
		n := rapid.IntRange(1, 200).Draw(t, "files")
		key := func(i int) (k PathKey) {
			if i >= 0 {
				binary.BigEndian.PutUint32(k[:], uint32(i+1)) //nolint:gosec // small
			}
			return k
		}
		ends := func(label string) []int { // one past the last file of each leaf
			var out []int
			for at := 0; at < n; {
				at = min(n, at+rapid.IntRange(1, 40).Draw(t, label))
				out = append(out, at)
			}
			return out
		}
		old := ends("old")
		rows := map[LeafKey][]LeafEntry{}
		rowOf := make([]int, n)
		from := 0
		for r, end := range old {
			var row []LeafEntry
			for i := from; i < end; i++ {
				row = append(row, LeafEntry{Path: key(i)})
				rowOf[i] = r
			}
			rows[LeafKey{Set: set, Last: key(from - 1)}] = row
			from = end
		}
		reads := 0
		r := &Recall{set: set, rows: func(k LeafKey) ([]LeafEntry, bool) { reads++; row, ok := rows[k]; return row, ok }}
		from = 0
		for _, end := range ends("new") {
			reads = 0
			r.Leaf(key(from - 1))
			if rapid.IntRange(0, 9).Draw(t, "carried") == 0 && rowOf[from] == rowOf[end-1] &&
				(from == 0 || rowOf[from-1] != rowOf[from]) && (end == n || rowOf[end] != rowOf[end-1]) {
				r.Forget()
				from = end
				continue
			}
			for i := from; i < end; i++ {
				e := r.Find(key(i))
				if near := rowOf[i] - rowOf[from]; e == nil && near <= maxNeighbours-1 || e != nil && e.Path != key(i) {
					t.Fatalf("file %d of the leaf from %d to %d: %v, %d rows on", i, from, end, e, near)
				}
			}
			if r.Find(key(n)) != nil {
				t.Fatal("a file is found that nobody wrote")
			}
			if reads > 1+maxNeighbours {
				t.Fatalf("%d rows were read", reads)
			}
			from = end
		}
	})
}
