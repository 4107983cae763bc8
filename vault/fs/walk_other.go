//go:build !linux || portable

package fs

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"vaultik/vault/page"
)

// Walk calls fn for every entry at and below the roots (absolute clean paths, in any
// order, may overlap) and for the directories above them, in the order of page.Compare,
// each once, from the calling goroutine. An error of fn ends the walk and is returned,
// except fs.SkipDir, which skips the contents of the directory it was called for. What
// cannot be read is given to fn as a WalkItem with Err and does not end the walk.
//
// Memory is bounded but for the names of the directories on the current path.
func Walk(ctx context.Context, roots []string, opt WalkOptions, fn func(WalkItem) error) error {
	top, err := newRootTree(roots)
	if err != nil || len(roots) == 0 {
		return err
	}
	w := &walker{ctx: ctx, opt: opt, fn: fn}
	if opt.OneFS {
		w.mounts = readMountTable()
	}
	return w.visit(".", top, false, devices{})
}

type walker struct {
	ctx context.Context // of one call of Walk
	opt WalkOptions
	fn  func(WalkItem) error

	mounts *mountTable // nil unless OneFS
}

// devices are where the root is that an entry belongs to, and where the directory
// is that it stands in.
type devices struct {
	root, above uint64
	source      string // of the root, as in the table of mounts
	uid, gid    uint32 // of the directory above
}

// visit reports one entry and what is below it. saved says that the directory
// above is at or below a root.
func (w *walker) visit(path string, below *rootTree, saved bool, dev devices) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	isRoot := below != nil && below.root
	inside := saved || isRoot
	abs := "/" + strings.TrimPrefix(path, ".")
	if path != "." {
		abs = "/" + path
	}
	it := WalkItem{Path: path, Implied: !inside, DirFD: -1}
	if inside && w.opt.Choose != nil && !w.opt.Choose.Wants(path, "") {
		return nil
	}
	var at *mountPoint // another file system is mounted here, and left out
	if w.mounts != nil && below == nil {
		at = w.mounts.otherAt(path, dev.source)
	}
	w.touch(path)
	st, err := Lstat(abs)
	if err != nil && at != nil {
		return w.unseen(it, dev)
	}
	if err != nil {
		return w.fail("lstat", path, inside, below, bare(err))
	}
	it.Stat = st
	if inside && w.opt.Choose != nil {
		switch w.opt.Choose.Decide(path, &it.Stat) {
		case Skip:
			return nil
		case SkipContents:
			_, err := w.report(it)
			return err
		case Keep:
		}
	}
	if st.Type != page.Dir {
		if !inside {
			return w.fail("open", path, inside, below, syscall.ENOTDIR)
		}
		_, err := w.report(it)
		return err
	}
	switch {
	case isRoot:
		dev.root = st.Dev
		if w.mounts != nil {
			dev.source = w.mounts.source(path)
		}
	case !inside || st.Dev == dev.above:
	case w.opt.OneFS && st.Dev != dev.root:
		it.Mount = true
	default:
		it.Kernel = kernelFSAt(abs)
		it.Mount = it.Kernel != ""
	}
	contents := inside && !it.Mount // or nothing but the roots inside
	dev.above, dev.uid, dev.gid = st.Dev, st.UID, st.GID
	into, err := w.report(it)
	if err != nil || !into {
		return err
	}
	var names []string
	if contents {
		var problem error
		if names, problem = w.list(path, abs, &st); problem != nil {
			if err := w.tell(path, problem); err != nil {
				return err
			}
		}
	} else if below != nil {
		names = below.names()
	}
	for _, name := range names {
		var next *rootTree
		if below != nil {
			next = below.below[name]
		}
		if err := w.visit(join(path, name), next, contents, dev); err != nil {
			return err
		}
	}
	return nil
}

// unseen reports a mount point that does not answer.
func (w *walker) unseen(it WalkItem, dev devices) error {
	if w.opt.Choose != nil && !w.opt.Choose.Wants(it.Path, page.Dir) { // now that it is known to be one
		return nil
	}
	it.Stat, it.Mount, it.Unseen = unseenStat(dev.uid, dev.gid), true, true
	_, err := w.report(it)
	return err
}

func (w *walker) touch(path string) {
	if w.opt.Touch != nil {
		w.opt.Touch(path)
	}
}

// list reads the names in a directory, and lets the chooser look at them.
func (w *walker) list(path, abs string, st *Stat) ([]string, error) {
	w.touch(path)
	names, op, err := namesIn(abs, st)
	err = pathError(op, "/"+path, bare(err))
	if w.opt.Choose == nil || len(names) == 0 {
		return names, err
	}
	visit, cerr := w.opt.Choose.Enter(&plainDir{path, abs, st, names})
	if visit != nil {
		names = slices.DeleteFunc(names, func(name string) bool { return !visit(name) })
	}
	if err == nil {
		return names, cerr
	}
	return names, errors.Join(err, cerr)
}

// plainDir is the Dir of a directory that is known by its path.
type plainDir struct {
	path, abs string
	st        *Stat
	names     []string
}

// Path implements Dir.
func (d *plainDir) Path() string { return d.path }

// Stat implements Dir.
func (d *plainDir) Stat() *Stat { return d.st }

// Has implements Dir.
func (d *plainDir) Has(name string) bool {
	_, found := slices.BinarySearch(d.names, name)
	return found
}

// Lstat implements Dir.
func (d *plainDir) Lstat(name string) (Stat, error) { return Lstat(d.under(name)) }

// Open implements Dir.
func (d *plainDir) Open(name string) (io.ReadCloser, Stat, error) {
	return reader(OpenFile(d.under(name), nil))
}

func (d *plainDir) under(name string) string { return "/" + join(d.path, name) }

// namesIn returns the sorted names in the directory abs, if it still is the one
// that st describes. Names read before an error are returned with it and op, what failed.
func namesIn(abs string, st *Stat) (names []string, op string, err error) {
	if native(abs) == "" {
		return drives(), "", nil
	}
	f, err := os.Open(native(abs))
	if err != nil {
		return nil, "open", err
	}
	defer func() { _ = f.Close() }()
	if now, err := fstat(f); err != nil || now.Type != page.Dir || !now.SameFile(st) {
		return nil, "open", ErrSwapped
	}
	names, err = f.Readdirnames(-1)
	slices.Sort(names)
	return slices.Compact(names), "read", err
}

// report passes it to the callback, and says whether to go into it.
func (w *walker) report(it WalkItem) (into bool, err error) {
	err = w.fn(it)
	if errors.Is(err, iofs.SkipDir) {
		return false, nil
	}
	return true, err
}
