package index

import "vaultik/vault/layout"

// maxNeighbours is how many rows are read beyond a leaf's own to find its files.
const maxNeighbours = 8

// Recall finds what an index knows of the files of a walk, which is cut into leaves as
// page.Cutter does. Rows go by the last path before a leaf. Where a leaf was split, or
// two were joined, since they were written, rows of its neighbours answer for it.
// It belongs to one goroutine.
type Recall struct {
	rows func(LeafKey) ([]LeafEntry, bool)
	set  layout.SetID

	known map[PathKey]*LeafEntry // near the leaf; nil: nothing
	next  PathKey                // start of the row after those in known
	left  int                    // rows that may still be read for the leaf
}

// Recall begins a walk of a set, at its first leaf.
func (x *Index) Recall(set layout.SetID) *Recall {
	return &Recall{rows: x.LeafEntries, set: set}
}

// Leaf goes to the leaf after the path with the key; zero is the first.
func (r *Recall) Leaf(start PathKey) {
	r.left = maxNeighbours
	if rows, ok := r.rows(LeafKey{Set: r.set, Last: start}); ok {
		r.known = make(map[PathKey]*LeafEntry, len(rows))
		r.remember(rows)
	}
}

// Forget says that the leaf is as it was: nothing before its end is near what follows.
func (r *Recall) Forget() { r.known = nil }

// Find is what the index knows of a file of the leaf, nil for nothing.
func (r *Recall) Find(key PathKey) *LeafEntry {
	for r.known != nil {
		if e := r.known[key]; e != nil {
			return e
		}
		if r.left == 0 {
			break
		}
		r.left--
		rows, ok := r.rows(LeafKey{Set: r.set, Last: r.next})
		if !ok {
			r.left = 0
			break
		}
		r.remember(rows)
	}
	return nil
}

// remember adds a row, whose last entry has the key of the leaf's last path.
func (r *Recall) remember(rows []LeafEntry) {
	for i := range rows {
		r.known[rows[i].Path] = &rows[i]
	}
	if n := len(rows); n > 0 {
		r.next = rows[n-1].Path
	}
}
