package restore

import (
	"fmt"
	"log/slog"
	"time"

	"filippo.io/age"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/messages"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/read"
	"vaultik/vault/snapshot"
)

// Overwrite says what becomes of an existing file where one is to be restored.
// Directories are kept and get their attributes in any case but OverwriteNever.
type Overwrite string

// The ways to treat existing files.
const (
	// OverwriteIfChanged replaces what differs in type, size or mtime (a link: in
	// its target), and corrects other attributes in place. A file of the right size
	// with another mtime is in doubt: it is read, and kept if its contents are
	// right. The zero value means this.
	OverwriteIfChanged Overwrite = "if-changed"
	// OverwriteAlways replaces everything, whatever size and mtime say.
	OverwriteAlways Overwrite = "always"
	// OverwriteIfNewer replaces only what has an older mtime than the snapshot.
	OverwriteIfNewer Overwrite = "if-newer"
	// OverwriteNever keeps every existing file.
	OverwriteNever Overwrite = "never"
)

// Spec is one restore of one snapshot, or of a part of it.
type Spec struct {
	Store      backends.Backend
	Root       *snapshot.Root
	Identities []age.Identity // as snapshot.Store.Identities gives them

	Target string // directory; made if it does not exist

	// From is a path of the snapshot, as its entries spell it (no leading slash).
	// Its contents come directly into the target; a file comes under its own name.
	// "" or ".": everything stands under its full path.
	From string
	// Paths are what to restore, spelt as From; those outside of From are an
	// error, and so are those that the snapshot does not have. None: all of From.
	Paths []string
	// Include, if set, chooses entries: those for which it is true, and all below
	// them. Directories on the way are made as they are needed. Exclude, if set,
	// excludes entries and all below them; it wins. Both get the entry's full
	// path and are called from one goroutine.
	Include, Exclude func(path string, t page.Type) bool
	// Chosen is what Include and Exclude are, as text: those with the same text choose the same.
	Chosen string

	Overwrite Overwrite
	// InPlace changes files that are to be replaced where they stand, instead of in
	// one step: only what differs is written, and inode, other names and the like stay.
	InPlace      bool
	NumericOwner bool // owners by number, even where their names are known here

	// DryRun finds out what a restore would do and changes nothing: the result has
	// its counts, and OnItem is told the reasons.
	DryRun bool
	// NoSpaceCheck begins even if the target cannot take all that is to be written.
	NoSpaceCheck bool

	Parallel int   // transfers at once; 0: 4
	Memory   int64 // bytes, of the whole process; 0: 150 MiB

	Progress *messages.Progress // may be nil
	// OnItem is called from one goroutine, with paths of the snapshot. It may be nil.
	OnItem func(path string, status messages.Status, reason string)
	Warn   func(text string) // may be nil; from any goroutine

	// After how long a call to the target that does not return is named; 0: a minute.
	HangAfter time.Duration
	// Watch knows of the calls to the target that no actor makes: who calls Run, ReadBack or
	// Extras looks after them. It may be nil.
	Watch *actors.Watch

	quick  bool // of a dry run: only what is needed to know the space
	Faults actors.Faults
	Bounds Bounds // zero: the defaults
}

// Bounds are the bounds of a restore, beside those of memory.
type Bounds struct {
	// One batch of the walk; bytes of its entries, roughly.
	Items, Pieces, bytes int

	// How many batches are under way: some 16,000 files or 64,000 chunks, some 20
	// MiB of paths and references.
	Batches int

	// How many files are put together from several chunks at once, each an open file.
	Parts int

	// From how many bytes on a file is resumed after an interruption; 0: as vault/fs has it.
	Large int64

	// How many pieces, and bytes, may wait for their blobs before the blob that was wanted
	// first is fetched: much more than one blob holds, so that most are fetched only once.
	PlanPieces int
	PlanBytes  int64
}

// Result is what became of a restore.
type Result struct {
	Counts    messages.Counts // selected entries that are as in the snapshot now; Bytes of files
	Restored  int64           // made, where nothing was
	Replaced  int64           // made, instead of what was there
	Changed   int64           // changed in place
	Unchanged int64           // were there already, with their contents
	Kept      int64           // left as they were, as Overwrite wanted
	Ignored   int64           // never restored: sockets
	Deleted   int64           // extra; set by the caller of Extras
	Freed     int64           // bytes of these
	Failed    int64           // could not be restored, or not completely

	Problems []Problem        // the first 1,000 of those that failed
	Lost     []page.LostPaths // what cannot be known because pages are damaged
	Unread   []page.LostPaths // what is not known because pages could not be read
	NotRead  error            // the first reason why not; nil: all pages were read
	Damaged  bool             // pages are damaged: more may be missing than Failed says

	// Meta has the attributes that could not be set, by kind: "owner", "mode",
	// "flags", "times", "xattr user.comment" and the like. They are no failures.
	Meta      map[string]*MetaLoss
	MetaAbove int64 // the same, of directories that are only on the way to what was selected

	BytesWritten int64       // contents of files
	BytesReused  int64       // contents found in the target, compared, and so not fetched
	BytesRead    int64       // fetched from the store
	BytesFetch   int64       // of a dry run: about what would be fetched of the files' contents
	Corrected    int64       // of a dry run: entries that stay, and would get other attributes
	Space        []SpaceNeed // of a dry run: by file system of the target
	BlobsRead    int64       // leases of blobs
	Leftovers    int64       // temporary files of interrupted restores, removed
	Parts        int64       // large files that are incomplete; the next restore resumes them
	Restarts     int64
	Duration     time.Duration

	// Half are files that were to be changed in place and are left changed in part,
	// each one byte too long; beside those among the problems.
	Half []string

	// Abandoned is a path of the target at which a call never returned when the job was
	// to end; the call still waits. Nothing else of the result is known then.
	Abandoned string
}

// SpaceNeed is what a restore would take of one file system.
type SpaceNeed struct {
	Path   string // in the target
	Bytes  int64  // at the peak: a replaced file is kept until the new one is complete
	Inodes int64
	vfs.Space
}

// Short says that a file system cannot take what a restore would write.
func (n *SpaceNeed) Short() bool {
	return n.Free >= 0 && n.Bytes > n.Free || n.Space.Inodes >= 0 && n.Inodes > n.Space.Inodes
}

// Problem is one entry that failed.
type Problem struct {
	Path   string
	Reason string
	Err    error
}

// MetaLoss is one kind of attribute that could not be set.
type MetaLoss struct {
	Entries int64
	Path    string // the first of them
	Err     error  // why it could not be set there
}

// TargetFullError ends a restore: the target is full. What was restored is kept; the same
// restore resumes when there is room.
type TargetFullError struct {
	FilesDone, FilesLeft int64 // left: at least
	BytesLeft            int64 // at least
	Err                  error // ENOSPC, EDQUOT or EROFS, with the path
}

func (e *TargetFullError) Error() string {
	return fmt.Sprintf(
		"the target is full: %d files restored, at least %d files with %d bytes left: %v",
		e.FilesDone, e.FilesLeft, e.BytesLeft, e.Err)
}

// Unwrap returns the reason.
func (e *TargetFullError) Unwrap() error { return e.Err }

func (s *Spec) warn(text string) {
	if s.Warn != nil {
		s.Warn(text)
	} else {
		slog.Warn(text)
	}
}

// touch says that calls for a path of the target begin, until done is called.
func (s *Spec) touch(path string) (done func()) {
	if s.Watch == nil {
		return func() {}
	}
	t := s.Watch.Touch()
	t.Enter(path)
	return func() { s.Watch.Done(t) }
}

func (s *Spec) progress() *messages.Progress {
	if s.Progress == nil {
		s.Progress = &messages.Progress{}
	}
	return s.Progress
}

func (s *Spec) check() error {
	switch s.Overwrite {
	case "", OverwriteIfChanged, OverwriteAlways, OverwriteIfNewer, OverwriteNever:
	default:
		return fmt.Errorf("overwrite mode %q: want %s, %s, %s or %s", s.Overwrite,
			OverwriteIfChanged, OverwriteAlways, OverwriteIfNewer, OverwriteNever)
	}
	if s.Root.Top == nil {
		return read.ErrEmptySnapshot
	}
	return nil
}
