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
	StatusDeleted  Status = "deleted"  // was there, and is not in the snapshot
)

// Source is where chunks of a file may be had without asking the store. Each is
// compared with its id before it counts.
type Source uint8

// The sources.
const (
	NoSource      Source = iota
	FromFile             // what stands there: chunks are copied into a new file
	FromPart             // a part of a new file, which an interrupted restore has left: they are in place
	SourceInPlace        // what stands there, which is changed: they are in place
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
	Source  Source
	Keep    bool           // if all of its contents are there, what stands there stays
	There   fs.Stat        // what stood there when it was looked at
	Check   []RestorePiece // to be compared with the source
	Checks  int            // of Keep: pieces that are being compared
	Present []RestorePiece // of Keep: those that were there
	Lacking []RestorePiece // of Keep: those that were not
	Seen    int            // pieces in all, so far
	Left    int            // pieces that are not written yet
	Held    []RestorePiece
	Counted int64 // bytes that the progress knows of
	Err     error // the first thing that went wrong
	Group   *LinkGroup
	More    []MorePieces
	Came    int    // pieces that are written or given up
	Data    int64  // bytes of all pieces but holes, so far
	Missing int    // pieces that were compared, and not there
	Why     string // why it is what it is, of one that went well
}

// MorePieces is a later batch with pieces of an item.
type MorePieces struct {
	Batch *EntriesSelected
	UpTo  int // done when this many pieces of the item are
}

// LinkGroup are the names of one file.
type LinkGroup struct {
	Type    page.Type
	Leader  *RestoreItem   // whose content the others will share; nil: none yet
	Path    string         // of a name that is in its place; or ""
	Anew    bool           // that was made
	Waiting []*RestoreItem // for the leader
}

// RestorePiece is one chunk of an item, or a hole in it, unless nothing can stand there.
type RestorePiece struct {
	Item *RestoreItem
	At   int64 // byte offset in the file
	Ref  page.Ref
}

// CheckPiece asks a writer whether a piece can be had from a source, and to take it from there.
type CheckPiece struct {
	RestorePiece
	Source Source
	Only   bool // only tell
	Whole  bool // it is all of the file: make it, if it can be had
}

// RestoreDir is a directory of the target. All but the last three fields is immutable once sent.
// It does not hold its path: thirty thousand in each other would hold a gigabyte.
type RestoreDir struct {
	Name   string     // in Parent; "." for the target itself
	Entry  page.Entry // without a path, but for that of the target itself
	Parent *RestoreDir
	Fresh  bool        // it was just made
	Other  bool        // it was made instead of something else
	FS     *FileSystem // of a dry run: where it stands, or would
	Attrs  bool        // it gets the attributes in Entry
	Counts bool        // it is a selected entry, and part of the result
	Doubt  bool        // a restore that did not end may have left it: size and mtime tell nothing of contents
	Parts  bool        // it holds parts of large files, which an interrupted restore has left
	Err    error       // it cannot be made, and nothing below it

	Pending int  // of the planner: entries and directories in it that are not done
	Left    bool // of the planner: no more will come
	Failed  bool // of the planner
}

// Path is where the directory stands in the target.
func (d *RestoreDir) Path() string {
	n := -1
	for up := d; up.Parent != nil; up = up.Parent {
		n += 1 + len(up.Name)
	}
	if n < 0 {
		return d.Name
	}
	b := make([]byte, n)
	for up := d; up.Parent != nil; up = up.Parent {
		n -= copy(b[n-len(up.Name):], up.Name)
		if n > 0 {
			n--
			b[n] = '/'
		}
	}
	return string(b)
}

// FileSystem is one that a restore would write to.
type FileSystem struct {
	Path string // in the target: of the first directory there
	Dev  uint64
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

// Writing is one job of a writer: one of the first four is set.
type Writing struct {
	Place  []*RestoreItem // compare with what is there, make what has no chunks
	Check  []CheckPiece
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
	Source Source
	Whole  bool // it is all of the file: make, write and name it
}

// FinishEntry is the last step of one entry: one of the fields is set.
type FinishEntry struct {
	Commit *RestoreItem // whose pieces are all written: attributes, then the name
	Abort  *RestoreItem // one piece of which failed
	Keep   *RestoreItem // whose contents were all there: attributes only
	Source Source       // of Commit and Abort
	There  fs.Stat      // of Commit and Keep: what stood there when it was looked at
	Link   *RestoreItem // another name of To
	To     string       // in the target
	Anew   bool         // To was made
	Dir    *RestoreDir  // below which all is done: its attributes
}

// Outcome is what became of an item, or of a directory.
type Outcome struct {
	Item    *RestoreItem
	Dir     *RestoreDir
	Status  Status // "" : its contents are needed
	New     Status // then: what it will be, restored or replaced
	Source  Source // then: where chunks may be had
	Keep    bool   // then: if all are there, what stands there stays
	Doubt   bool   // then: size and mtime are right, and are not believed
	There   fs.Stat
	Err     error
	NoLink  bool   // it cannot be a link, and needs contents of its own
	Removed int    // parts of files that nobody goes on with, from a directory
	Half    bool   // it was to be changed in place, and is left changed in part
	Why     string // it is to be made, or stays
	Fixed   bool   // of a dry run: it would get other attributes
	Written int64  // bytes
	Reused  int64  // bytes that were there
	Attrs   fs.MetaProblems
}

// WritingDone is the result of a Writing. Pieces that are not in it are written.
type WritingDone struct {
	Placed  []Outcome
	Failed  []Outcome // pieces: Item and Err
	Missing []int     // of Check: those that cannot be had from their source, ascending
	Full    error     // the target takes no more
}
