package messages

import (
	"vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/plan"
)

// The states of an entry of a restore.
const (
	StatusRestored Status = "restored" // made where nothing was
	StatusReplaced Status = "replaced" // made instead of what was there
	StatusKept     Status = "kept"     // what is there was not to be touched
)

// RestoreItem is one entry, but no directory, on its way into the target. All
// but State is immutable once sent.
type RestoreItem struct {
	Path    string     // in the target
	Entry   page.Entry // without references
	Fresh   bool       // nothing stands there: its directory was just made
	Content bool       // it has chunks
	Known   *Outcome   // the walker has compared it already
	Err     error      // it cannot be restored
	Dir     *RestoreDir
	Batch   *EntriesSelected

	State RestoreState // of the planner alone
}

// RestoreState is what the planner notes of an item.
type RestoreState struct {
	Status  Status // what it will be if all goes well
	Open    bool   // more pieces will come
	Decided bool   // its content is wanted
	Settled bool   // its last step is under way
	Done    bool
	Seen    int // pieces in all, so far
	Planned int // of these, wanted
	Left    int // pieces that are not written yet
	Held    []RestorePiece
	Counted int64 // bytes that the progress knows of
	Err     error // the first thing that went wrong
	Group   *LinkGroup
	More    []MorePieces
	Came    int // pieces that are written or given up
}

// MorePieces is a later batch with pieces of an item.
type MorePieces struct {
	Batch *EntriesSelected
	UpTo  int // done when this many pieces of the item are
}

// LinkGroup are the names of one file.
type LinkGroup struct {
	Leader  *RestoreItem   // whose content the others will share; nil: none yet
	Path    string         // of a name that is in its place; or ""
	Waiting []*RestoreItem // for the leader
}

// RestorePiece is one chunk of an item.
type RestorePiece struct {
	Item *RestoreItem
	At   int64 // byte offset in the file
	Ref  page.Ref
}

// RestoreDir is a directory of the target. All but the last three fields is immutable once sent.
type RestoreDir struct {
	Path   string
	Entry  page.Entry
	Parent *RestoreDir
	Fresh  bool  // it was just made
	Attrs  bool  // it gets the attributes in Entry
	Counts bool  // it is a selected entry, and part of the result
	Err    error // it cannot be made, and nothing below it

	Pending int  // of the planner: entries and directories in it that are not done
	Left    bool // of the planner: no more will come
	Failed  bool // of the planner
}

// EntriesSelected is a batch of the walk, in path order. It holds one of the
// walker's credits until all its items and pieces are done.
type EntriesSelected struct {
	Opened []*RestoreDir  // made, or there
	Items  []*RestoreItem // the last one may go on in the next batch: State.Open
	Pieces []RestorePiece // of Items, or of Goes
	Goes   *RestoreItem   // that is open since an earlier batch, and goes on here
	Ended  bool           // Goes is complete with this
	Err    error          // of Goes
	Left   []*RestoreDir  // nothing more will come below them; after Items

	Pending int // of the planner
}

// WalkEnded is sent behind the last EntriesSelected.
type WalkEnded struct{ Err error }

// PagesLost reports entries that cannot be known.
type PagesLost struct {
	After, Last string
	Err         error
}

// FetchBlob asks for frames of a blob, each to be sent to the planner as FrameFetched.
type FetchBlob struct {
	Lease *plan.Lease[*RestoreItem]
	First int // of Lease.Frames
	Count int
}

// FrameFetched is one decoded frame. The planner owns Buf, nil with an error. A
// frame comes again after a downloader has crashed.
type FrameFetched struct {
	Lease *plan.Lease[*RestoreItem]
	Index int
	Buf   *Buf
	Err   error   // the frame cannot be had
	Bad   []error // nil, or for each of its pieces what is wrong with it
}

// BlobFetched ends a FetchBlob. Frames that did not come have failed, with Err.
type BlobFetched struct {
	Bytes int64 // fetched
	Err   error
	Fatal bool // the store is gone, or the job ends: no other blob will fare better
}

// Writing is one job of a writer: one of the first three is set.
type Writing struct {
	Place  []*RestoreItem // compare with what is there, make what has no chunks
	Finish []FinishEntry
	Frame  *FrameBuf // of Pieces
	Pieces []WritePiece
}

// FrameBuf is a decoded frame whose pieces are being written. The planner gives
// the buffer back when the last is.
type FrameBuf struct {
	Buf  *Buf
	Left int // of the planner: pieces
}

// WritePiece is one chunk and where it goes.
type WritePiece struct {
	plan.Piece[*RestoreItem]
	Whole bool // it is all of the file: make, write and name it
}

// FinishEntry is the last step of one entry: one of the fields is set.
type FinishEntry struct {
	Commit *RestoreItem // whose pieces are all written: attributes, then the name
	Abort  *RestoreItem // one piece of which failed
	Link   *RestoreItem // another name of To
	To     string       // in the target
	Dir    *RestoreDir  // below which all is done: its attributes
}

// Outcome is what became of an item, or of a directory.
type Outcome struct {
	Item    *RestoreItem
	Dir     *RestoreDir
	Status  Status // "" : its contents are needed
	New     Status // then: what it will be, restored or replaced
	Err     error
	NoLink  bool  // it cannot be a link, and needs contents of its own
	Written int64 // bytes
	Attrs   fs.MetaProblems
}

// WritingDone is the result of a Writing. Pieces that are not in it are written.
type WritingDone struct {
	Placed []Outcome
	Failed []Outcome // pieces: Item and Err
	Full   error     // the target takes no more
}
