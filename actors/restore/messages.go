package restore

import (
	"vaultik/messages"
	"vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/plan"
)

// restoreItem is an entry to be restored that is not a directory. Only the planner knows
// its state.
type restoreItem struct {
	Path    string     // in the target
	Entry   page.Entry // without references
	Fresh   bool       // nothing stands there: its directory was just made
	Content bool       // it has chunks
	LinkSum uint64     // of one of several names: plan.LinkSum
	Apart   bool       // it is no link to a name that came before, though the group is the same
	Known   *outcome   // the walker has compared it already
	Err     error      // it cannot be restored
	Dir     *restoreDir
}

// contents are an item and extents of it: chunks, and holes unless nothing can stand there.
type contents struct {
	Item *restoreItem
	plan.Contents
}

// checkPiece asks a writer whether an extent is in a source, and to take it from there.
type checkPiece struct {
	Item *restoreItem
	plan.Extent
	Source plan.Source
	Only   bool // report, and do not write
	Whole  bool // it is all of the file: make the file if it is in the source
}

// restoreDir is a directory of the target. It does not hold its path: thirty
// thousand in each other would hold a gigabyte.
type restoreDir struct {
	Name   string     // in Parent; "." for the target itself
	Entry  page.Entry // without a path, but for that of the target itself
	Parent *restoreDir
	Fresh  bool        // it was just made
	Other  bool        // it was made instead of something else
	FS     *fileSystem // of a dry run: where it stands, or would
	// Of a dry run: nothing in it can be changed, because of how it is mounted.
	ReadOnly bool
	// The file system of the kernel that is there, such as sysfs: it has the attributes that the
	// kernel gives it.
	Kernel string
	Attrs  bool  // it gets the attributes in Entry
	Counts bool  // it is a selected entry, and part of the result
	Doubt  bool  // an interrupted restore may have left it: contents must be compared
	Parts  bool  // it holds parts of large files, which an interrupted restore has left
	Err    error // it cannot be made, and nothing below it
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
// walker's credits until all its items and their extents are done.
type entriesSelected struct {
	Opened []*restoreDir // made, or there
	Goes   *contents     // continues the last item of an earlier batch, which was Open
	Items  []contents
	Left   []*restoreDir // nothing more will come below them; after Items
}

// walkEnded is sent after the last entriesSelected.
type walkEnded struct{ Err error }

// pagesLost reports entries that cannot be known.
type pagesLost struct {
	After, Last string
	Err         error
}

// fetchBlob asks for frames of a blob, each to be sent to the planner as frameFetched.
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
	Err   error   // the frame is unreadable
	Bad   []error // nil, or for each of its pieces what is wrong with it
}

// blobFetched ends a fetchBlob. Frames that did not come have failed, with Err.
type blobFetched struct {
	Bytes int64 // fetched
	Err   error
	Fatal bool // the store is unreachable, or the job ends: other blobs would fail too
}

// writing is one job of a writer: one of the first four is set.
type writing struct {
	Place  []*restoreItem // compare with what is there, make what has no chunks
	Check  []checkPiece
	Finish []finishEntry
	Frame  *messages.Buf // of Pieces; the planner gives it back when the last one is written
	Pieces []writePiece
}

// path is where its entry stands in the target.
func (f *finishEntry) path() string {
	if f.Item != nil {
		return f.Item.Path
	}
	return f.Dir.Path()
}

// writePiece is one chunk and where it goes.
type writePiece struct {
	plan.Piece[*restoreItem]
	Source plan.Source
	Whole  bool // it is all of the file: make, write and name it
}

// finishEntry is the last step of one entry: that of an item says Last or Link.
type finishEntry struct {
	Item    *restoreItem
	Last    plan.Finish
	Source  plan.Source
	There   fs.Stat    // what stood there when it was looked at
	Missing int        // pieces that Source did not have
	Link    *plan.Link // it becomes another name of that
	Dir     *restoreDir
}

// outcome is what became of an item, or of a directory.
type outcome struct {
	Item    *restoreItem
	Dir     *restoreDir
	Status  plan.Status // "" : its contents are needed
	New     plan.Status // then: what it will be, restored or replaced
	Source  plan.Source // then: where chunks may be found
	Keep    bool        // then: if all are found, the existing file is kept
	Doubt   bool        // then: size and mtime match, but contents must be compared
	There   fs.Stat
	Anew    string // what is there is not to become the snapshot's file, and why
	Foreign bool   // it is somebody else's, and nothing may be written to it
	Err     error
	NoLink  bool   // it cannot be a link, and needs contents of its own
	Removed int    // parts of files that no restore resumes, from a directory
	Half    bool   // it was to be changed in place, and is left changed in part
	Why     string // it is to be made, or stays
	Fixed   bool   // of a dry run: it would get other attributes
	Written int64  // bytes
	Reused  int64  // bytes that were there
	Attrs   fs.MetaProblems
}

// writingDone is the result of a writing. Pieces that are not in it are written.
type writingDone struct {
	Placed  []outcome
	Failed  []outcome // pieces: Item and Err
	Missing []int     // of Check: those that are not in their source, ascending
	Full    error     // the target takes no more
}
