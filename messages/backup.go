package messages

import (
	"io"
	"time"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// Buf is one unit of a job's byte budget. Whoever received it in a message owns
// it, and gives it back to the budget or hands it on.
type Buf struct{ B []byte }

// ScanRoots starts the walk. One a round.
type ScanRoots struct {
	Round int
	First uint64 // number of its first leaf: what is late of an earlier round finds no leaf
}

// ScanDone ends the walk of a round.
type ScanDone struct {
	Leaves  int
	Batches int // ReadEntries jobs submitted
	Err     error
}

// Known is what the index remembers of an unchanged file: its content, in order.
type Known struct{ Refs []page.Ref }

// LeafScanned announces one leaf page. If Carried is set the page stands in the
// store as it is needed; otherwise each of its entries follows by EntriesPlaced.
type LeafScanned struct {
	Seq     uint64 // First, First+1 ... in path order
	Last    string // path of the last entry
	Entries int
	Key     [16]byte     // keyed hash of the last path before the leaf: what the index knows it by
	Digest  [32]byte     // zero: racy, never to be carried over
	Keys    [][16]byte   // keyed path hashes of the entries, unless carried
	Sums    []fs.StatSum // their stat sums
	Carried *CarriedPage
	Counts  Counts // of a carried page
}

// CarriedPage is a page that need not be written again.
type CarriedPage struct {
	Ref   page.Ref
	Blobs []blob.Name // that the page, its lists and its files use
}

// Counts are what a snapshot's summary adds up.
type Counts struct {
	Files, Dirs, Symlinks, Others int64
	Bytes                         int64 // sizes of regular files
	New, Changed, Unchanged       int64 // of files
}

// Add sums up.
func (c *Counts) Add(o Counts) {
	c.Files += o.Files
	c.Dirs += o.Dirs
	c.Symlinks += o.Symlinks
	c.Others += o.Others
	c.Bytes += o.Bytes
	c.New += o.New
	c.Changed += o.Changed
	c.Unchanged += o.Unchanged
}

// EntryTask is one entry whose metadata, and perhaps content, must be read.
type EntryTask struct {
	Index    int // in its leaf
	Path     string
	Stat     fs.Stat
	Implied  bool
	Failed   error     // the walk could not look at it
	Unlisted error     // a directory that could not be read
	Known    *Known    // content need not be read
	Seen     bool      // the index knew a file of this path
	Made     bool      // it is in no file system: Stat is all that is known of it
	Stream   io.Reader // the content of one that is made
}

// ReadEntries is a batch for one chunker: at most 256 entries and 1 MiB, or one large file.
type ReadEntries struct {
	Leaf  uint64
	Tasks []EntryTask
}

// Piece is one chunk or hole of a file, in order.
type Piece struct {
	Index    int   // entry in its leaf
	Hole     int64 // bytes; 0 for a chunk
	ID       chunk.ID
	Off, Len int  // in the Buf
	Restart  bool // forget the entry's earlier pieces: the file is read again
}

// Status says what became of an entry.
type Status string

// The states of an entry in results and in JSON items.
const (
	StatusNew       Status = "new"
	StatusChanged   Status = "changed"
	StatusUnchanged Status = "unchanged"
	StatusInMotion  Status = "changed-while-read"
	StatusFailed    Status = "failed"
	StatusVanished  Status = "vanished"
	StatusIgnored   Status = "ignored"
	StatusExcluded  Status = "excluded" // by a rule; a backup says so only of file systems of the kernel
)

// EntryDone ends one entry: all its pieces have been sent before.
type EntryDone struct {
	Index     int
	Entry     page.Entry // without references, unless Known
	Status    Status
	Reason    string // of anything but new, changed, unchanged
	Dropped   bool   // the entry is not part of the snapshot
	BytesRead int64
	Stat      fs.Stat   // as it was when read
	Read      time.Time // when it was looked at before it was read; zero: there was nothing to read
	Racy      bool      // changed too close to its reading: read again next time
}

// EntriesRead carries a chunker's results to the packer, which owns Buf from then on (it may be nil).
type EntriesRead struct {
	Leaf    uint64
	Attempt int
	Buf     *Buf
	Pieces  []Piece
	Done    []EntryDone
}

// Placed is a piece for which a place is known or promised.
type Placed struct {
	Index   int
	Restart bool
	Ref     page.Ref // complete if Frame is 0; otherwise Span.Off, Span.Len and ID
	Frame   uint64   // the frame that holds it, resolved by BlobSealed
}

// EntriesPlaced is EntriesRead after the dedup decision.
type EntriesPlaced struct {
	Leaf    uint64
	Attempt int
	Pieces  []Placed
	Done    []EntryDone
}

// FramePlace is where a frame went.
type FramePlace struct {
	Frame    uint64
	Off, Len uint32 // in the blob's plaintext
}

// BlobSealed resolves promised places: the blob's name is known. It may not be stored yet.
type BlobSealed struct {
	Info   *blob.Info
	Frames []FramePlace
}

// BlobIndexed says that a blob is acknowledged by the store and known to the index.
type BlobIndexed struct {
	Info   *blob.Info
	Frames []FramePlace // will not be promised again
}

// SealNow asks the packer to seal what it has, because leaves wait for it.
type SealNow struct{}

// Flush asks the packer to bring everything it holds into the store.
type Flush struct{}

// Flushed says that every data blob of this round is stored and indexed.
type Flushed struct{}

// HandedOver gives the only, unsealed blob of a small run to the committer, who adds the pages to it.
type HandedOver struct {
	Builder *blob.Builder // owned by the committer from now on
	Frames  []FramePlace
}

// Compress makes one frame of Raw. The packer keeps ownership of Raw until the answer.
type Compress struct {
	Frame uint64
	Raw   []byte
	Out   []byte // capacity to reuse for the result
}

// Seal pads, encrypts and names a blob in the buffer of its builder. The
// submitter owns the builder again with the answer. Started is set by the sealer
// before the first byte is overwritten: such a blob cannot be sealed again.
type Seal struct {
	Builder *blob.Builder
	Started bool
}

// Sealing is one job of a sealer: exactly one field is set.
type Sealing struct {
	Compress *Compress
	Seal     *Seal
}

// SealingDone is its result: a frame or a sealed blob, owned by the receiver.
type SealingDone struct {
	Frame  []byte
	Sealed blob.Sealed
	Err    error
}

// PutObject stores one object. The bytes are borrowed until the answer.
type PutObject struct {
	Key      string
	Bytes    []byte
	Sum      [32]byte // SHA-256 of Bytes
	IfAbsent bool
}

// Stored answers PutObject. Err is an expected failure of the store.
type Stored struct {
	Existed bool // IfAbsent, and an equal object stood there
	Err     error
}

// FinishTree asks the committer for branches and the last page blob; every leaf has been announced.
type FinishTree struct{ Leaves int }

// StageFailed ends the job.
type StageFailed struct{ Err error }

// Cancel asks a job to end early.
type Cancel struct{ Reason error }
