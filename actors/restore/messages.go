package restore

import (
	"vaultik/messages"
	"vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/plan"
)

// source is where chunks of a file may be had without asking the store. Each is
// compared with its id before it counts.
type source uint8

// The sources.
const (
	noSource      source = iota
	fromFile             // what stands there: chunks are copied into a new file
	fromPart             // a part of a new file, which an interrupted restore has left: they are in place
	sourceInPlace        // what stands there, which is changed: they are in place
)

// restoreItem is one entry, but no directory, on its way into the target. All
// but State is immutable once sent.
type restoreItem struct {
	Path    string     // in the target
	Entry   page.Entry // without references
	Fresh   bool       // nothing stands there: its directory was just made
	Content bool       // it has chunks
	Known   *outcome   // the walker has compared it already
	Err     error      // it cannot be restored
	Dir     *restoreDir
	Batch   *entriesSelected

	State restoreState // of the planner alone
}

// restoreState is what the planner notes of an item.
type restoreState struct {
	Status  messages.Status // what it will be if all goes well
	Open    bool            // more pieces will come
	Decided bool            // its content is wanted
	Settled bool            // its last step is under way
	Done    bool
	Source  source
	Keep    bool           // if all of its contents are there, what stands there stays
	There   fs.Stat        // what stood there when it was looked at
	Check   []restorePiece // to be compared with the source
	Checks  int            // of Keep: pieces that are being compared
	Present []restorePiece // of Keep: those that were there
	Lacking []restorePiece // of Keep: those that were not
	Seen    int            // pieces in all, so far
	Left    int            // pieces that are not written yet
	Held    []restorePiece
	Counted int64 // bytes that the progress knows of
	Err     error // the first thing that went wrong
	Group   *linkGroup
	More    []morePieces
	Came    int    // pieces that are written or given up
	Data    int64  // bytes of all pieces but holes, so far
	Missing int    // pieces that were compared, and not there
	Why     string // why it is what it is, of one that went well
}

// morePieces is a later batch with pieces of an item.
type morePieces struct {
	Batch *entriesSelected
	UpTo  int // done when this many pieces of the item are
}

// linkGroup are the names of one file.
type linkGroup struct {
	Type    page.Type
	Leader  *restoreItem   // whose content the others will share; nil: none yet
	Path    string         // of a name that is in its place; or ""
	Anew    bool           // that was made
	Waiting []*restoreItem // for the leader
}

// restorePiece is one chunk of an item, or a hole in it, unless nothing can stand there.
type restorePiece struct {
	Item *restoreItem
	At   int64 // byte offset in the file
	Ref  page.Ref
}

// checkPiece asks a writer whether a piece can be had from a source, and to take it from there.
type checkPiece struct {
	restorePiece
	Source source
	Only   bool // only tell
	Whole  bool // it is all of the file: make it, if it can be had
}

// restoreDir is a directory of the target. All but the last three fields is immutable once sent.
// It does not hold its path: thirty thousand in each other would hold a gigabyte.
type restoreDir struct {
	Name   string     // in Parent; "." for the target itself
	Entry  page.Entry // without a path, but for that of the target itself
	Parent *restoreDir
	Fresh  bool        // it was just made
	Other  bool        // it was made instead of something else
	FS     *fileSystem // of a dry run: where it stands, or would
	Attrs  bool        // it gets the attributes in Entry
	Counts bool        // it is a selected entry, and part of the result
	Parts  bool        // it holds parts of large files, which an interrupted restore has left
	Err    error       // it cannot be made, and nothing below it

	Pending int  // of the planner: entries and directories in it that are not done
	Left    bool // of the planner: no more will come
	Failed  bool // of the planner
}

// Path is where the directory stands in the target.
func (d *restoreDir) Path() string {
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

// fileSystem is one that a restore would write to.
type fileSystem struct {
	Path string // in the target: of the first directory there
	Dev  uint64
}

// entriesSelected is a batch of the walk, in path order. It holds one of the
// walker's credits until all its items and pieces are done.
type entriesSelected struct {
	Opened []*restoreDir  // made, or there
	Items  []*restoreItem // the last one may go on in the next batch: State.Open
	Pieces []restorePiece // of Items, or of Goes
	Goes   *restoreItem   // that is open since an earlier batch, and goes on here
	Ended  bool           // Goes is complete with this
	Err    error          // of Goes
	Left   []*restoreDir  // nothing more will come below them; after Items

	Pending int // of the planner
}

// walkEnded is sent behind the last EntriesSelected.
type walkEnded struct{ Err error }

// pagesLost reports entries that cannot be known.
type pagesLost struct {
	After, Last string
	Err         error
}

// fetchBlob asks for frames of a blob, each to be sent to the planner as FrameFetched.
type fetchBlob struct {
	Lease *plan.Lease[*restoreItem]
	First int // of Lease.Frames
	Count int
}

// frameFetched is one decoded frame. The planner owns Buf, nil with an error. A
// frame comes again after a downloader has crashed.
type frameFetched struct {
	Lease *plan.Lease[*restoreItem]
	Index int
	Buf   *messages.Buf
	Err   error   // the frame cannot be had
	Bad   []error // nil, or for each of its pieces what is wrong with it
}

// blobFetched ends a FetchBlob. Frames that did not come have failed, with Err.
type blobFetched struct {
	Bytes int64 // fetched
	Err   error
	Fatal bool // the store is gone, or the job ends: no other blob will fare better
}

// writing is one job of a writer: one of the first four is set.
type writing struct {
	Place  []*restoreItem // compare with what is there, make what has no chunks
	Check  []checkPiece
	Finish []finishEntry
	Frame  *frameBuf // of Pieces
	Pieces []writePiece
}

// frameBuf is a decoded frame whose pieces are being written. The planner gives
// the buffer back when the last is.
type frameBuf struct {
	Buf  *messages.Buf
	Left int // of the planner: pieces
}

// writePiece is one chunk and where it goes.
type writePiece struct {
	plan.Piece[*restoreItem]
	Source source
	Whole  bool // it is all of the file: make, write and name it
}

// finishEntry is the last step of one entry: one of the fields is set.
type finishEntry struct {
	Commit *restoreItem // whose pieces are all written: attributes, then the name
	Abort  *restoreItem // one piece of which failed
	Keep   *restoreItem // whose contents were all there: attributes only
	Source source       // of Commit and Abort
	There  fs.Stat      // of Commit and Keep: what stood there when it was looked at
	Link   *restoreItem // another name of To
	To     string       // in the target
	Anew   bool         // To was made
	Dir    *restoreDir  // below which all is done: its attributes
}

// outcome is what became of an item, or of a directory.
type outcome struct {
	Item    *restoreItem
	Dir     *restoreDir
	Status  messages.Status // "" : its contents are needed
	New     messages.Status // then: what it will be, restored or replaced
	Source  source          // then: where chunks may be had
	Keep    bool            // then: if all are there, what stands there stays
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

// writingDone is the result of a Writing. Pieces that are not in it are written.
type writingDone struct {
	Placed  []outcome
	Failed  []outcome // pieces: Item and Err
	Missing []int     // of Check: those that cannot be had from their source, ascending
	Full    error     // the target takes no more
}
