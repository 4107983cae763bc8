package fs

import (
	"errors"
	"io"
	iofs "io/fs"
	"os"

	"vaultik/vault/page"
)

// Decision is what to do with one entry.
type Decision int

// Keep is the zero value.
const (
	Keep         Decision = iota // the entry and what is below it
	Skip                         // neither the entry nor what is below it
	SkipContents                 // the entry, without what is below it
)

// A Chooser decides what one walk visits. It is called by the goroutine of the walk and
// in its order, and may remember where the walk is. It is not asked about implied
// directories.
type Chooser interface {
	// Wants is asked first, about each entry, roots included, by its name alone: what it
	// refuses is touched by no call to the file system. kind is what the directory says
	// the entry is, "" if it does not say; only Linux's walk asks it.
	Wants(path string, kind page.Type) bool
	// Decide is asked about each entry that Wants let pass, before the walk opens it.
	// st must not be kept.
	Decide(path string, st *Stat) Decision
	// Enter is asked when the names in a directory are known, unless it is empty: visit
	// (nil: all) says which of them the walk looks at. err is reported after the
	// directory, as if the directory could not be read; the walk continues. d must not
	// be kept.
	Enter(d Dir) (visit func(name string) bool, err error)
}

// Dir is a directory whose names a walk has read and is about to visit.
type Dir interface {
	Path() string // as in WalkItem
	Stat() *Stat
	Has(name string) bool                          // costs no system call
	Lstat(name string) (Stat, error)               // of an entry
	Open(name string) (io.ReadCloser, Stat, error) // a regular file, as OpenFile does: ErrSwapped for anything else
}

// WalkOptions narrow a walk.
type WalkOptions struct {
	Choose Chooser // nil keeps everything
	// OneFS excludes what is mounted inside a root, except other roots: the mount point
	// is kept, its contents are not. Where the table of mounts says that a program or
	// another machine serves it, the mount point is not touched either.
	OneFS bool
	// Touch, if set, is told of each path before a call to the file system for it,
	// any of which may hang.
	Touch func(path string)
}

// A WalkItem is one entry, or one failure. Where Err is set only Path is: a
// failure to read a directory comes after the directory's own item. An entry that
// vanished while the walk was under way gives an item whose Err is fs.ErrNotExist.
type WalkItem struct {
	Path    string // without the leading slash; "." for the top
	Stat    Stat
	Implied bool   // a directory above the roots: attributes only
	Mount   bool   // its contents were excluded: another file system is mounted there
	Unseen  bool   // a mount point that was not touched: Stat is made up, see unseenStat
	Kernel  string // the kernel's own file system that this is, why its contents were left out; ""
	Err     error

	// DirFD and Name look the entry up without its path, until the callback returns.
	DirFD int
	Name  string
}

// unseenStat stands for a mount point that was not looked at, since its file system may
// refuse, fail or never answer. Only its name is known: it goes to the owner of the
// directory above, who alone may enter it, and has no time.
func unseenStat(uid, gid uint32) Stat {
	return Stat{Type: page.Dir, Mode: 0o700, UID: uid, GID: gid}
}

// fail reports that path could not be read: as its own item if it was to be saved
// itself, and as one for each root below it, since those are the requested paths.
func (w *walker) fail(op, path string, inside bool, below *rootTree, err error) error {
	tell := func(path string) error { return w.tell(path, pathError(op, "/"+path, err)) }
	if inside && (below == nil || !below.root) {
		if err := tell(path); err != nil {
			return err
		}
	}
	if below == nil {
		return nil
	}
	return below.roots(path, tell)
}

// tell passes a failure to the callback.
func (w *walker) tell(path string, err error) error {
	err = w.fn(WalkItem{Path: path, DirFD: -1, Err: err})
	if errors.Is(err, iofs.SkipDir) {
		return nil
	}
	return err
}

// reader is what OpenFile returns as what Dir.Open returns.
func reader(f *os.File, st Stat, err error) (io.ReadCloser, Stat, error) {
	if err != nil {
		return nil, st, err
	}
	return f, st, nil
}
