package index

import (
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
)

// BlobNum stands for a blob within one generation of the index: 1, 2, ... in
// the order in which the blobs were written. 0 is no blob.
type BlobNum uint32

// inBatch marks a number that counts a batch's own blobs.
const inBatch BlobNum = 1 << 31

// InBatch is the number of Batch.Blobs[i] inside rows of the same batch; Write
// puts the true number in its place.
func InBatch(i int) BlobNum { return inBatch | BlobNum(i) }

// Loc is the place of one chunk.
type Loc struct {
	Blob BlobNum // 0: absent
	Span blob.Span
}

// PathKey is a keyed hash of a path, cut to 128 bits.
type PathKey [16]byte

// Leaf is what the index knows of one leaf page.
type Leaf struct {
	Digest [32]byte  // over the stat tuples of the entries
	Page   Loc       // where the page is stored; Page.Blob 0: not stored yet
	PageID chunk.ID  // of the page's bytes
	Self   bool      // the page refers to its own blob and cannot be carried over
	Blobs  []BlobNum // all blobs that the page and its list pages use
	Live   []int64   // of each of Blobs, bytes of the chunks used; nil: not known
	Files  int64     // regular files on the page
	Bytes  int64     // sum of their sizes
}

// LeafRef is one reference of an entry's content: a hole or a chunk.
type LeafRef struct {
	Hole int64 // bytes of a hole; >0: nothing else is set
	Loc  Loc
	ID   chunk.ID
}

// LeafEntry is one entry with content. A zero Stat says that the file has to be
// read again: its times were too fresh, or a blob that it needs is gone (then
// Refs is nil as well).
type LeafEntry struct {
	Path      PathKey
	Stat      [16]byte // keyed hash of the stat tuple
	Refs      []LeafRef
	ListLevel int // 0: Refs are content; n: they are list pages of level n-1
}

// Branch is what the index knows of one branch page.
type Branch struct {
	Page   Loc
	PageID chunk.ID
	Blobs  []BlobNum // all blobs that the page and everything under it use
}

// StoredBlob is a blob that the store has acknowledged, with its chunks.
type StoredBlob struct {
	blob.Info
	Rows []blob.Row
	Part bool // Rows are not all that it has
}

// raw is how many bytes of chunks the blob has; 0: that is not known.
func (b *StoredBlob) raw() (n int64) {
	if b.Part {
		return 0
	}
	for i := range b.Rows {
		n += int64(b.Rows[i].Len)
	}
	return n
}

// LeafKey names a leaf: the set and the hash of the page's last path.
type LeafKey struct {
	Set  layout.SetID
	Last PathKey
}

// LeafRow is a leaf to write.
type LeafRow struct {
	LeafKey
	Leaf
}

// EntriesRow is a leaf's entries to write.
type EntriesRow struct {
	LeafKey
	Entries []LeafEntry
}

// BranchKey names a branch: the set and the digest over its items.
type BranchKey struct {
	Set    layout.SetID
	Digest [32]byte
}

// BranchRow is a branch to write.
type BranchRow struct {
	BranchKey
	Branch
}

// Use is how much of a blob the newest snapshot of a set uses.
type Use struct {
	Blob BlobNum
	Live int64 // bytes of chunks, pages among them, before compression
	Low  int64 // the day since which that is little, in days since 1970; 0: it is not
}

// UseRow is what a set uses, to write.
type UseRow struct {
	Set  layout.SetID
	Uses []Use
}

// Batch is what one Write adds. Leaves, Entries and Branches may name blobs of
// the same batch by [InBatch]. The caller may reuse its slices afterwards.
type Batch struct {
	Blobs        []StoredBlob
	Leaves       []LeafRow
	Entries      []EntriesRow
	Branches     []BranchRow
	Uses         []UseRow    // in the place of what was known of the same set
	DropLeaves   []LeafKey   // leaf and entries rows
	DropBranches []BranchKey // applied, like DropLeaves, before the rows above are written
}

// Stats tells how the index is doing.
type Stats struct {
	Generation uint32
	Blobs      int   // usable blob rows
	GoneBlobs  int   // blobs that were dropped
	DiskBytes  int64 // tables on disk, logs not counted
	BadRows    int64 // rows since Open that failed their checksum and count as absent
	GoneRows   int64 // rows since Open that named a blob which is gone
	Skipped    int64 // rows since Open not written, because they named a blob that is gone
	Filtered   int64 // lookups since Open that were answered from memory
}
