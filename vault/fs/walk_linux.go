//go:build !portable

package fs

import (
	"context"
	"errors"
	iofs "io/fs"

	"golang.org/x/sys/unix"

	"vaultik/internal/platform"
	"vaultik/vault/page"
)

// maxOpenDirs bounds the descriptors held on the way down a deep tree; those of
// the upper directories are closed first, and opened again on the way up.
var maxOpenDirs = platform.OpenShare(128, 8)

// direntBuffer holds about two thousand names: one call for most directories.
const direntBuffer = 64 << 10

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
	w := &walker{ctx: ctx, opt: opt, fn: fn, buf: make([]byte, direntBuffer)}
	if opt.OneFS {
		w.mounts = readMountTable()
	}
	defer w.close()
	if err := w.visit(nil, "/", ".", page.Dir, top); err != nil {
		return err
	}
	for len(w.stack) > 0 {
		if err := w.step(); err != nil {
			return err
		}
	}
	return nil
}

type walker struct {
	ctx   context.Context // of one call of Walk
	opt   WalkOptions
	fn    func(WalkItem) error
	stack []*openDir // from the top down; the descriptors of the first ones may be closed
	path  []byte     // of the last of the stack, without "."; those above are parts of it: deep ones of their own would add up
	open  int        // descriptors held
	spare []*openDir
	buf   []byte
	item  WalkItem
	dir   linuxDir // what the chooser is shown

	mounts *mountTable // nil unless OneFS
}

// openDir is one directory whose names are being visited.
type openDir struct {
	fd       int // -1: closed to save descriptors
	path     int // where its path ends, in that of the last of the stack
	name     int // where its name begins there
	dev, ino uint64
	device   uint64 // of the root it belongs to
	source   string // the same, as in the table of mounts
	uid, gid uint32
	names    nameList
	below    *rootTree // roots inside; nil: none
	implied  bool
}

func (d *openDir) flags() int {
	if d.implied {
		return searchFlags
	}
	return dirFlags
}

// kernelFS is the kernel's own file system that d is on, "" for any other.
func (d *openDir) kernelFS() string {
	var s unix.Statfs_t
	if d.fd < 0 || fstatfs(d.fd, &s) != nil {
		return ""
	}
	return kernelFS[uint32(s.Type)]
}

// step visits the next name of the directory at the bottom of the stack, or leaves it.
func (w *walker) step() error {
	d := w.stack[len(w.stack)-1]
	name, kind := d.names.pop()
	if name == nil {
		return w.leave(d)
	}
	w.path = w.path[:d.path]
	if len(w.path) > 0 {
		w.path = append(w.path, '/')
	}
	w.path = append(w.path, name...)
	path := string(w.path)
	var below *rootTree
	base := path[len(path)-len(name):]
	if d.below != nil {
		below = d.below.below[base]
	}
	return w.visit(d, base, path, kind, below)
}

// visit reports one entry and goes into it if it is a directory. kind is what the
// directory above says that it is.
func (w *walker) visit(parent *openDir, name, path string, kind page.Type, below *rootTree) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	dirfd, device := unix.AT_FDCWD, uint64(0)
	inside := below != nil && below.root // at or below a root
	if parent != nil {
		dirfd, device = parent.fd, parent.device
		inside = inside || !parent.implied
	}
	w.item = WalkItem{Path: path, Implied: !inside, DirFD: dirfd, Name: name}
	if inside && w.opt.Choose != nil && !w.opt.Choose.Wants(path, kind) {
		return nil
	}
	var at *mountPoint // another file system is mounted here, and left out
	if w.mounts != nil && below == nil && (kind == page.Dir || kind == "") {
		at = w.mounts.otherAt(path, parent.source)
	}
	if at != nil && kind == page.Dir && !at.local {
		return w.unseen(parent)
	}
	w.touch(path)
	st := &w.item.Stat
	if err := statx(dirfd, name, unix.AT_SYMLINK_NOFOLLOW, st); err != nil {
		if at != nil {
			return w.unseen(parent)
		}
		return w.fail("lstat", path, inside, below, err)
	}
	if inside && w.opt.Choose != nil {
		switch w.opt.Choose.Decide(path, st) {
		case Skip:
			return nil
		case SkipContents:
			_, err := w.report()
			return err
		case Keep:
		}
	}
	if st.Type == page.Dir {
		return w.enter(parent, below, device)
	}
	if !inside {
		return w.fail("open", path, inside, below, unix.ENOTDIR)
	}
	_, err := w.report()
	return err
}

// unseen reports a mount point without touching what is mounted there.
func (w *walker) unseen(parent *openDir) error {
	it := &w.item
	if w.opt.Choose != nil && !w.opt.Choose.Wants(it.Path, page.Dir) { // now that it is known to be one
		return nil
	}
	it.Stat, it.Mount, it.Unseen = unseenStat(parent.uid, parent.gid), true, true
	_, err := w.report()
	return err
}

// enter opens the directory that w.item describes, reports it and puts it on the stack.
// It stats it again through its descriptor: only then is it certain that the attributes
// and the contents are of the same directory.
func (w *walker) enter(parent *openDir, below *rootTree, device uint64) error {
	it := &w.item
	d := w.take()
	defer func() { w.drop(d) }() // unless it went to the stack
	d.path, d.name, d.below, d.implied = len(w.path), len(w.path)-len(it.Name), below, it.Implied
	fd, openErr := openatQuiet(it.DirFD, it.Name, d.flags())
	if openErr == nil {
		d.fd = fd
		w.open++
		if openErr = statx(fd, "", unix.AT_EMPTY_PATH, &it.Stat); openErr != nil {
			return w.fail("lstat", it.Path, !d.implied, below, openErr)
		}
	}
	d.dev, d.ino, d.device = it.Stat.Dev, it.Stat.Ino, device
	d.uid, d.gid = it.Stat.UID, it.Stat.GID
	if parent != nil {
		d.source = parent.source
	}
	inside := !d.implied
	switch {
	case below != nil && below.root:
		d.device = d.dev
		if w.mounts != nil {
			d.source = w.mounts.source(it.Path)
		}
	case !inside || d.dev == parent.dev:
	case w.opt.OneFS && d.dev != device:
		it.Mount = true
	default:
		it.Kernel = d.kernelFS()
		it.Mount = it.Kernel != ""
	}
	d.implied = d.implied || it.Mount // nothing but the roots inside
	into, err := w.report()
	if err != nil || !into {
		return err
	}
	if openErr != nil {
		if anyOf(openErr, unix.ENOTDIR, unix.ELOOP) {
			openErr = ErrSwapped
		}
		return w.fail("open", it.Path, inside, below, openErr)
	}
	var problem error
	if !d.implied {
		problem = w.list(d)
	} else if below != nil {
		d.names.set(below.names())
	}
	w.stack = append(w.stack, d)
	w.spareDescriptors()
	d = nil
	if problem != nil {
		return w.tell(it.Path, problem)
	}
	return nil
}

func (w *walker) touch(path string) {
	if w.opt.Touch != nil {
		w.opt.Touch(path)
	}
}

// list reads the names in d, which w.item describes, and lets the chooser look at them.
func (w *walker) list(d *openDir) error {
	path := w.item.Path
	w.touch(path)
	err := d.names.read(d.fd, w.buf)
	if err != nil {
		err = pathError("read", "/"+path, err)
	}
	if w.opt.Choose == nil || d.names.empty() {
		return err
	}
	w.dir = linuxDir{d, path, &w.item.Stat}
	visit, cerr := w.opt.Choose.Enter(&w.dir)
	if visit != nil {
		d.names.keep(visit)
	}
	if err == nil {
		return cerr
	}
	return errors.Join(err, cerr)
}

// leave ends the visit of d, the last of the stack, and makes the one above it usable again.
func (w *walker) leave(d *openDir) error {
	w.stack = w.stack[:len(w.stack)-1]
	defer w.drop(d)
	if len(w.stack) == 0 {
		return nil
	}
	up := w.stack[len(w.stack)-1]
	if up.fd >= 0 {
		return nil
	}
	fd, err := w.reopen(up, d)
	if err == nil {
		up.fd = fd
		w.open++
		return nil
	}
	if up.names.empty() {
		return nil
	}
	up.names.set(nil)
	return w.fail("open", w.pathOf(up), true, nil, err)
}

// reopen opens up, whose descriptor was closed: through d below it, or by all names
// from the top if either was moved in the meantime.
func (w *walker) reopen(up, d *openDir) (int, error) {
	if d.fd >= 0 {
		if fd, err := openat(d.fd, "..", up.flags(), 0); err == nil {
			if up.is(fd) {
				return fd, nil
			}
			closeFD(fd)
		}
	}
	fd := unix.AT_FDCWD
	for _, s := range w.stack {
		next, err := openat(fd, w.nameOf(s), s.flags(), 0)
		closeParent(fd)
		if err != nil {
			return -1, err
		}
		if !s.is(next) {
			closeFD(next)
			return -1, ErrSwapped
		}
		fd = next
	}
	return fd, nil
}

// pathOf is the path of a directory of the stack, as in WalkItem.
func (w *walker) pathOf(d *openDir) string {
	if d.path == 0 {
		return "."
	}
	return string(w.path[:d.path])
}

// nameOf is its name in the directory above.
func (w *walker) nameOf(d *openDir) string {
	if d.path == 0 {
		return "/"
	}
	return string(w.path[d.name:d.path])
}

// is reports whether fd is the directory d.
func (d *openDir) is(fd int) bool {
	st, err := fstat(fd)
	return err == nil && st.Dev == d.dev && st.Ino == d.ino
}

// spareDescriptors closes the uppermost open directory of a deep path.
func (w *walker) spareDescriptors() {
	if w.open > maxOpenDirs {
		up := w.stack[len(w.stack)-w.open]
		closeFD(up.fd)
		up.fd = -1
		w.open--
	}
}

// report passes w.item to the callback, and says whether to go into it.
func (w *walker) report() (into bool, err error) {
	err = w.fn(w.item)
	if errors.Is(err, iofs.SkipDir) {
		return false, nil
	}
	return true, err
}

// maxSpareNames is how many bytes of names a directory may leave allocated for the next one.
const maxSpareNames = 1 << 20

// take returns an empty openDir.
func (w *walker) take() *openDir {
	d := &openDir{}
	if n := len(w.spare); n > 0 {
		d, w.spare = w.spare[n-1], w.spare[:n-1]
	}
	d.fd = -1
	return d
}

// drop closes d and keeps its memory for the next directory. d may be nil.
func (w *walker) drop(d *openDir) {
	if d == nil {
		return
	}
	if d.fd >= 0 {
		closeFD(d.fd)
		w.open--
	}
	*d = openDir{names: d.names}
	if cap(d.names.text) <= maxSpareNames && len(w.spare) < maxOpenDirs {
		w.spare = append(w.spare, d)
	}
}

// close releases all descriptors.
func (w *walker) close() {
	for _, d := range w.stack {
		closeFD(d.fd)
	}
}
