//go:build !portable

package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// A Target makes entries below one directory. Paths are those of entries, relative to
// that directory, "." being the directory itself; one that page.CheckPath refuses is
// refused, and no symbolic link below it is ever followed. What already exists at a
// path is replaced in one step, except that a directory with contents is only ever
// replaced by nothing: ErrNotEmpty.
//
// Missing directories on the way are made with mode 0700, and one that bars its own
// owner is opened to that user: SetDirMeta gives them their attributes when all below
// is done. Errors are *fs.PathError with the full path. Safe for many goroutines, as
// long as each path has one at a time.
type Target struct {
	dir   string
	opt   TargetOptions
	names *NameCache
	euid  uint32

	givesAway bool // it may give files to other users

	dirs    dirCache
	unnamed bool      // files are made without a name
	probed  sync.Once // whether that works here

	mu    sync.Mutex
	temps map[string]bool // temporary names in use

	own     ownMark
	devices map[uint64]int // open directories, one on each file system; -1 for none that may be read

	many sync.Mutex // held while attributes that Xattrs read are in memory

	barring   sync.Mutex
	measuring sync.Mutex
	measured  map[uint64]*keeps // by device; nil where it could not be measured
}

// OpenTarget opens dir, which may lead through symbolic links, and makes it (mode 0700)
// if it does not exist. Close releases its descriptors.
func OpenTarget(dir string, opt TargetOptions) (*Target, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open target: %w", err)
	}
	if !opt.ReadOnly {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make target: %w", err)
		}
	}
	fd, err := openat(unix.AT_FDCWD, dir, searchFlags&^unix.O_NOFOLLOW, 0)
	if opt.ReadOnly && errors.Is(err, unix.ENOENT) {
		fd, err = -1, nil // everything in it is missing
	}
	if err != nil {
		return nil, pathError("open", dir, err)
	}
	t := &Target{dir: dir, opt: opt, names: NewNameCache(), euid: uint32(os.Geteuid()), temps: map[string]bool{}, devices: map[uint64]int{}, measured: map[uint64]*keeps{}}
	t.unnamed, t.givesAway = true, mayChown()
	t.dirs.init(fd)
	return t, nil
}

// Close releases all descriptors but those of open Files.
func (t *Target) Close() error {
	for _, fd := range t.devices {
		closeFD(fd)
	}
	t.closeMark()
	t.dirs.close()
	return nil
}

// full is the path for messages.
func (t *Target) full(path string) string { return filepath.Join(t.dir, path) }

func (t *Target) error(op, path string, err error) error {
	if err == nil {
		return nil // without joining a path of up to 64 KiB
	}
	return pathError(op, t.full(path), err)
}

// parent opens the directory that holds path. With create, it and those above are made if missing.
func (t *Target) parent(path string, create bool) (*dirHandle, string, error) {
	if err := page.CheckPath(path); err != nil {
		return nil, "", err
	}
	if path == "." {
		return nil, "", unix.EISDIR
	}
	dir, name := split(path)
	d, err := t.openDir(dir, create)
	return d, name, err
}

// Mkdir makes the directory path, or keeps the one there.
func (t *Target) Mkdir(path string, e *page.Entry) error {
	if e.Type != page.Dir {
		return t.error("mkdir", path, unix.ENOTDIR)
	}
	if path == "." {
		return nil
	}
	if err := t.begin(); err != nil {
		return err
	}
	d, name, err := t.parent(path, true)
	if err != nil {
		return t.error("mkdir", path, err)
	}
	defer d.release()
	made, err := t.ensureDir(d.fd, name)
	if err != nil {
		return t.error("mkdir", path, err)
	}
	if flags := e.Flags & flagsWhileEmpty; made && flags != 0 {
		if n, err := openNode(d.fd, name, page.Dir); err == nil {
			_ = n.setFlags(flags) // SetDirMeta sees and reports that they are missing
			n.close()
		}
	}
	return nil
}

// ensureDir makes the directory name where there is none, instead of what may be replaced.
func (t *Target) ensureDir(dirfd int, name string) (made bool, err error) {
	err = mkdirat(dirfd, name, 0o700)
	if errors.Is(err, unix.EPERM) && isLocked(dirfd) {
		err = ErrDirLocked
	}
	if !errors.Is(err, unix.EEXIST) {
		return err == nil, refused(err, name)
	}
	st, err := Lstatat(dirfd, name)
	if err != nil {
		return false, err
	}
	if st.Type == page.Dir {
		return false, nil
	}
	if st.Type != page.Symlink && !t.opt.ReplaceFiles {
		return false, ErrInTheWay
	}
	if err := unlinkat(dirfd, name, 0); err != nil {
		return false, err
	}
	err = mkdirat(dirfd, name, 0o700)
	return err == nil, err
}

// unbar lets an unprivileged owner work in the directory d, which an earlier
// restore may have given its final mode. It does nothing about other people's directories.
func (t *Target) unbar(d *dirHandle) error {
	if d.usable || t.euid == 0 {
		return nil
	}
	st, err := fstat(d.fd)
	if err == nil && st.UID == t.euid && st.Mode&0o700 != 0o700 {
		err = node{d.fd, true}.chmod(st.Mode | 0o700)
	}
	d.usable = err == nil
	return err
}

// openNode opens an existing entry for its metadata.
func (t *Target) openNode(path string) (node, Stat, error) {
	if path == "." {
		n, err := openNode(t.dirs.top.fd, ".", page.Dir)
		return n, Stat{Type: page.Dir}, err
	}
	d, name, err := t.parent(path, false)
	if err != nil {
		return node{}, Stat{}, err
	}
	defer d.release()
	st, err := Lstatat(d.fd, name)
	if err != nil {
		return node{}, st, err
	}
	n, err := openNode(d.fd, name, st.Type)
	return n, st, err
}

func (t *Target) setMeta(path string, e *page.Entry) (MetaProblems, error) {
	if t.opt.ReadOnly {
		return nil, t.error("set attributes", path, errReadOnly)
	}
	n, st, err := t.openNode(path)
	if err != nil {
		return nil, t.error("set attributes", path, err)
	}
	defer n.close()
	if st.Type != e.Type {
		return nil, t.error("set attributes", path, ErrSwapped)
	}
	if err := t.owned(n.fd, path, e); err != nil {
		return nil, t.error("set attributes", path, err)
	}
	problems := t.apply(n, e, false)
	problems.add("flags", n.lock(e))
	return problems, nil
}

// owned fails if an open entry is somebody else's: whoever put it there may not have it given
// to the owner of e. Without privilege only the caller's own things are given anything.
func (t *Target) owned(fd int, path string, e *page.Entry) error {
	st, err := fstat(fd)
	if err == nil && (t.givesAway || e.Type == page.File) && t.isForeign(path, &st, e) {
		err = ErrStranger
	}
	return err
}

// Lstat describes what is at path.
func (t *Target) Lstat(path string) (Stat, error) {
	if path == "." && t.dirs.top.fd < 0 {
		return Stat{}, t.error("lstat", path, unix.ENOENT)
	}
	if path == "." {
		st, err := fstat(t.dirs.top.fd)
		return st, t.error("lstat", path, err)
	}
	d, name, err := t.parent(path, false)
	if err != nil {
		return Stat{}, t.error("lstat", path, err)
	}
	defer d.release()
	st, err := Lstatat(d.fd, name)
	return st, t.error("lstat", path, err)
}

// OpenRead opens the regular file path for reading.
func (t *Target) OpenRead(path string) (*os.File, Stat, error) {
	d, name, err := t.parent(path, false)
	if err != nil {
		return nil, Stat{}, t.error("open", path, err)
	}
	defer d.release()
	return openFileAt(d.fd, name, t.full(path), nil)
}

// Same reports whether what is at path has the contents of e, as far as metadata tells:
// the type, and of a file size and mtime, of a link its target, of a device its
// numbers. If so, SetFileMeta or SetDirMeta does the rest. If not, the reason.
func (t *Target) Same(path string, e *page.Entry) (same bool, reason string) {
	n, st, err := t.openNode(path)
	if err != nil {
		return false, errText(err)
	}
	defer n.close()
	switch {
	case st.Type != e.Type:
		return false, fmt.Sprintf("is a %s", st.Type)
	case e.Type == page.File && st.Size != e.Size:
		return false, fmt.Sprintf("has %d bytes", st.Size)
	case e.Type == page.File && !t.sameTime(path, &st, e):
		return false, "was modified at another time"
	case e.Type == page.File && st.Nlink > 1 && e.HL == "" && !t.opt.KeepLinks:
		return false, "has other names" // which must not get these attributes
	case st.Major != e.Major || st.Minor != e.Minor:
		return false, "is another device"
	case e.Type == page.Symlink:
		if target, err := n.readlink(); err != nil || target != e.Target {
			return false, "leads elsewhere"
		}
	}
	return true, ""
}

func errText(err error) string {
	if errors.Is(err, unix.ENOENT) {
		return "does not exist"
	}
	return err.Error()
}
