package page

import (
	"encoding/binary"
	"slices"

	"github.com/zeebo/blake3"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

// maxRunPaths ends a page whose paths are together this long, in bytes: 1,024
// paths of ordinary length are far below, and with it no page that Check allows
// comes near MaxPage.
const maxRunPaths = 1 << 20

// minList is the number of references that a list page holds at least, unless it is the last.
const minList = 64

// Cutter decides where pages end. It serves one goroutine.
type Cutter struct{ hash *blake3.Hasher }

// NewCutter takes the key that the host secret yields for page cuts.
func NewCutter(key [32]byte) *Cutter {
	h, err := blake3.NewKeyed(key[:])
	if err != nil { // only for a key that is not 32 bytes
		panic(err)
	}
	return &Cutter{hash: h}
}

// PathHash is the keyed BLAKE3 of a path.
type PathHash [32]byte

// Hash is the keyed BLAKE3-256 of a path.
func (c *Cutter) Hash(path string) (h PathHash) {
	c.hash.Reset()
	_, _ = c.hash.WriteString(path) // a hash takes everything
	c.hash.Sum(h[:0])
	return h
}

// Ends reports whether a page of this level (0: leaf) ends after the path: its
// bits 8*level to 8*level+7 are zero, that is, byte `level` of the hash.
func (h PathHash) Ends(level int) bool { return level < len(h) && h[level] == 0 }

// ListEnds reports whether a list page of this level ends after two references
// with these ids (a hole's is zero), if it is long enough.
func (c *Cutter) ListEnds(a, b chunk.ID, level int) bool {
	c.hash.Reset()
	_, _ = c.hash.Write(a[:])
	_, _ = c.hash.Write(b[:])
	var h PathHash
	c.hash.Sum(h[:0])
	return h.Ends(level)
}

// Run is the page of one level that is being filled, as a count. A level ends
// its page after a path if the path's hash says so, at MaxItems, or when the
// page's paths reach 1 MiB together; above the leaves not before the second item.
type Run struct {
	cut          *Cutter
	level        int
	items, bytes int
}

// Run counts pages of one level; 0 are leaves.
func (c *Cutter) Run(level int) *Run { return &Run{cut: c, level: level} }

// Add counts an entry (or the last path of an item) and reports whether the page ends after it.
func (r *Run) Add(path string) bool {
	r.items++
	r.bytes += len(path)
	ends := r.items >= MaxItems || r.bytes >= maxRunPaths || r.cut.Hash(path).Ends(r.level)
	if !ends || r.level > 0 && r.items < 2 {
		return false
	}
	r.items, r.bytes = 0, 0
	return true
}

// CutBranch cuts the items of one level (1: each item is a leaf) into branches.
// The runs are parts of items.
func CutBranch(items []Item, level int, cut *Cutter) [][]Item {
	run := cut.Run(level)
	return cutAfter(items, func(i int) bool { return run.Add(items[i].Last) })
}

// CutLists cuts the references of one level (0: to content) into list pages. The
// runs are parts of refs. The caller stores each, and repeats with the
// references to them until MaxInlineRefs or fewer are left; see Writer.Content.
func CutLists(refs []Ref, level int, cut *Cutter) [][]Ref {
	n := 0
	return cutAfter(refs, func(i int) bool {
		n++
		ends := n >= MaxItems || n >= minList && cut.ListEnds(refs[i-1].ID, refs[i].ID, level)
		if ends {
			n = 0
		}
		return ends
	})
}

func cutAfter[T any](all []T, ends func(i int) bool) (runs [][]T) {
	start := 0
	for i := range all {
		if ends(i) {
			runs = append(runs, slices.Clip(all[start:i+1]))
			start = i + 1
		}
	}
	if start < len(all) {
		runs = append(runs, slices.Clip(all[start:]))
	}
	return runs
}

// BranchDigest identifies the contents of a branch before it is encoded: BLAKE3 over
// the last paths, counts, chunk ids and places of its items. Ids are keyed, so the
// digest says nothing to others. A branch one of whose pages had to be stored again has
// another digest; one that names self is never carried over.
func BranchDigest(items []Item) (sum [32]byte) {
	h := blake3.NewDeriveKey("vaultik v1 branch digest")
	var n [32]byte
	le := binary.LittleEndian
	for i := range items {
		it := &items[i]
		le.PutUint64(n[0:], uint64(len(it.Last)))
		le.PutUint64(n[8:], uint64(it.Entries))
		le.PutUint32(n[16:], it.Ref.Span.FrameOff)
		le.PutUint32(n[20:], it.Ref.Span.FrameLen)
		le.PutUint32(n[24:], it.Ref.Span.Off)
		le.PutUint32(n[28:], it.Ref.Span.Len)
		_, _ = h.Write(n[:]) // a hash takes everything
		_, _ = h.WriteString(it.Last)
		_, _ = h.Write(it.Ref.ID[:])
		var name blob.Name
		if it.Ref.Blob != nil {
			name = it.Ref.Blob.Name
		}
		_, _ = h.Write(name[:])
	}
	h.Sum(sum[:0])
	return sum
}
