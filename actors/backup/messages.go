package backup

import (
	"io"

	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// scanRoots starts the walk. One a round.
type scanRoots struct {
	Round int
	First uint64 // number of its first leaf: what is late of an earlier round finds no leaf
}

// scanDone ends the walk of a round.
type scanDone struct {
	Leaves  int
	Batches int // readEntries jobs submitted
	Err     error
}

// known is what the index remembers of an unchanged file: its content, in order.
type known struct{ Refs []page.Ref }

// leafScanned announces one leaf page. If Carried is set the page stands in the
// store as it is needed; otherwise each of its entries follows by entriesPlaced.
type leafScanned struct {
	Seq     uint64 // First, First+1 ... in path order
	Last    string // path of the last entry
	Entries int
	Key     [16]byte     // keyed hash of the last path before the leaf: what the index knows it by
	Digest  [32]byte     // zero: racy, never to be carried over
	Keys    [][16]byte   // keyed path hashes of the entries, unless carried
	Sums    []fs.StatSum // their stat sums
	Carried *carriedPage
	Counts  messages.Counts // of a carried page
}

// carriedPage is a page that need not be written again.
type carriedPage struct {
	Ref   page.Ref
	Blobs []*blob.Info // that the page, its lists and its files use
	Live  []int64      // of each of Blobs, bytes of the chunks used; nil: not known
}

// entryTask is one entry whose metadata, and perhaps content, must be read.
type entryTask struct {
	Index    int // in its leaf
	Path     string
	Stat     fs.Stat
	Implied  bool
	Failed   error     // the walk could not look at it
	Unlisted error     // a directory that could not be read
	Known    *known    // content need not be read
	Reread   bool      // but is
	Anew     bool      // what of it is in blobs that are to be left is read and stored anew
	Seen     bool      // the index knew a file of this path
	Unseen   bool      // a mount point that is not touched: Stat is all that is known of it
	Made     bool      // it is in no file system: Stat is all that is known of it
	Stream   io.Reader // the content of one that is made
}

// readEntries is a batch for one chunker: at most 256 entries and 1 MiB, or one large
// file. Names of a file that was being read are sent once more by the chunker that read it.
type readEntries struct {
	Leaf  uint64
	Tasks []entryTask
}

// piece is one chunk or hole of a file, in order.
type piece struct {
	Index    int   // entry in its leaf
	Hole     int64 // bytes; 0 for a chunk
	ID       chunk.ID
	Off, Len int       // in the Buf
	Sent     bool      // it is not there: its bytes were sent before, for another name of the file
	Known    *page.Ref // it is not there, but stays where it is; nothing else but Index is set
	Anew     bool      // it is stored, in a blob that is to be left
	Restart  bool      // forget the entry's earlier pieces: the file is read again
}

// entryDone ends one entry: all its pieces have been sent before.
type entryDone struct {
	Index     int
	Entry     page.Entry // without references, unless Known
	Status    messages.Status
	Reason    string // of anything but new, changed, unchanged
	Dropped   bool   // the entry is not part of the snapshot
	Denied    bool   // it failed for want of permission
	BytesRead int64
	Stat      fs.Stat   // as it was when read
	Read      fs.Moment // when it was looked at before it was read; zero: there was nothing to read
	Racy      bool      // changed too close to its reading: read again next time
	Moved     bool      // an unchanged file whose pieces were sent, since they may have new places
}

// entriesRead carries a chunker's results to the packer, which owns Buf, if there is one,
// from then on.
type entriesRead struct {
	Leaf    uint64
	Attempt int
	Buf     *messages.Buf
	Pieces  []piece
	Done    []entryDone
}

// placed is a piece for which a place is known or promised.
type placed struct {
	Index   int
	Restart bool
	Ref     page.Ref // complete if Frame is 0; otherwise Span.Off, Span.Len and ID
	Frame   uint64   // the frame that holds it, resolved by blobSealed
}

// entriesPlaced is entriesRead after the dedup decision.
type entriesPlaced struct {
	Leaf    uint64
	Attempt int
	Pieces  []placed
	Done    []entryDone
}

// framePlace is where a frame went.
type framePlace struct {
	Frame    uint64
	Off, Len uint32 // in the blob's plaintext
}

// blobSealed resolves promised places: the blob's name is known. It may not be stored yet.
type blobSealed struct {
	Info   *blob.Info
	Frames []framePlace
}

// blobIndexed says that a blob is acknowledged by the store and known to the index.
type blobIndexed struct {
	Info   *blob.Info
	Frames []framePlace // will not be promised again
}

// sealNow asks the packer to seal what it has, because leaves wait for it.
type sealNow struct{}

// flush asks the packer to bring everything it holds into the store.
type flush struct{}

// flushed says that every data blob of this round is stored and indexed.
type flushed struct{}

// handedOver gives the only, unsealed blob of a small run to the tree builder, who adds
// the pages to it.
type handedOver struct {
	Builder *blob.Builder // owned by the tree builder from now on
	Frames  []framePlace
}

// compress makes one frame of Raw. The packer keeps ownership of Raw until the answer.
type compress struct {
	Frame uint64
	Raw   []byte
	Out   []byte // capacity to reuse for the result
}

// seal pads, encrypts and names a blob in the buffer of its builder. The
// submitter owns the builder again with the answer. Started is set by the sealer
// before the first byte is overwritten: such a blob cannot be sealed again.
type seal struct {
	Builder *blob.Builder
	Started bool
}

// sealing is one job of a sealer: exactly one field is set.
type sealing struct {
	Compress *compress
	Seal     *seal
}

// sealingDone is its result: a frame or a sealed blob, owned by the receiver.
type sealingDone struct {
	Frame  []byte
	Sealed blob.Sealed
	Err    error
}

// storeObject stores one object. The bytes are borrowed until the answer.
type storeObject struct {
	Key    string
	Bytes  []byte
	Sum    [32]byte // SHA-256 of Bytes
	Parity int      // percent of a blob that is stored beside it, too; 0: none
}

// objectStored answers storeObject. Err is an expected failure of the store.
type objectStored struct {
	Parity int // bytes of parity that were stored
	Err    error
}

// finishTree asks the tree builder for branches and the last blob of pages; every leaf
// has been announced.
type finishTree struct{}

// flushRows asks the tree builder to write all that is known of finished files to the index.
type flushRows struct{}

// rowsFlushed answers flushRows.
type rowsFlushed struct{}

type (
	// checkpointTick says that it is time to look whether a checkpoint is due.
	checkpointTick struct{}
	// checkpointEnded says that a checkpoint is written, or why it is not.
	checkpointEnded struct{ err error }
)
