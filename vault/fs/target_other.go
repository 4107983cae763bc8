//go:build !linux || portable

package fs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"vaultik/vault/page"
)

// A Target makes entries below one directory. Paths are those of entries, relative to
// that directory, "." being the directory itself; one that page.CheckPath refuses is
// refused, and no symbolic link below it is ever followed: what leads out of the
// directory is refused by os.Root, what leads elsewhere in it is looked for before.
// What already exists at a path is replaced in one step, except that a directory with
// contents is only ever replaced by nothing: ErrNotEmpty.
//
// Missing directories on the way are made with mode 0700, and one that bars its own
// owner is opened to that user: SetDirMeta gives them their attributes when all below
// is done. Errors are *fs.PathError with the full path. Safe for many goroutines, as
// long as each path has one at a time.
type Target struct {
	dir   string
	root  *os.Root
	opt   TargetOptions
	names *NameCache
	euid  uint32

	givesAway bool // it may give files to other users

	mu    sync.Mutex
	temps map[string]bool // temporary names in use
	dirs  map[string]bool // paths known to be directories; true: usable

	own ownMark

	many sync.Mutex // held while attributes that Xattrs read are in memory
}

// maxKnownDirs bounds Target.dirs.
const maxKnownDirs = 4096

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
	root, err := os.OpenRoot(dir)
	if opt.ReadOnly && errors.Is(err, iofs.ErrNotExist) {
		root, err = nil, nil // everything in it is missing
	}
	if err != nil {
		return nil, pathError("open", dir, bare(err))
	}
	return &Target{
		dir: dir, root: root, opt: opt, names: NewNameCache(), euid: uint32(os.Geteuid()),
		givesAway: os.Geteuid() == 0,
		temps:     map[string]bool{}, dirs: map[string]bool{},
	}, nil
}

// Close releases all descriptors but those of open Files.
func (t *Target) Close() error {
	if t.root == nil {
		return nil
	}
	t.closeMark()
	return t.root.Close()
}

// full is the path of an entry for the system, and for messages.
func (t *Target) full(path string) string { return filepath.Join(t.dir, filepath.FromSlash(path)) }

func (t *Target) error(op, path string, err error) error {
	return pathError(op, t.full(path), bare(err))
}

// check refuses what is not the path of an entry, or not possible here.
func check(path string) error {
	if err := page.CheckPath(path); err != nil {
		return err
	}
	if path != "." && !filepath.IsLocal(filepath.FromSlash(path)) || !validHere(path) {
		return ErrName
	}
	return nil
}

// Mkdir makes the directory path, or keeps the one there.
func (t *Target) Mkdir(path string, e *page.Entry) error {
	if e.Type != page.Dir {
		return t.error("mkdir", path, syscall.ENOTDIR)
	}
	if path == "." {
		return nil
	}
	if err := t.begin(); err != nil {
		return err
	}
	if _, _, err := t.parent(path, true); err != nil {
		return t.error("mkdir", path, err)
	}
	_, err := t.ensureDir(path)
	return t.error("mkdir", path, err)
}

// ensureDir makes the directory path where there is none, instead of what may be replaced.
func (t *Target) ensureDir(path string) (made bool, err error) {
	err = t.root.Mkdir(path, 0o700)
	if !errors.Is(err, iofs.ErrExist) {
		return err == nil, err
	}
	st, err := t.root.Lstat(path)
	if err != nil || st.IsDir() {
		return false, err
	}
	if st.Mode()&iofs.ModeSymlink == 0 && !t.opt.ReplaceFiles {
		return false, ErrInTheWay
	}
	if err := t.root.Remove(path); err != nil {
		return false, err
	}
	err = t.root.Mkdir(path, 0o700)
	return err == nil, err
}

func (t *Target) setMeta(path string, e *page.Entry) (MetaProblems, error) {
	if t.opt.ReadOnly {
		return nil, t.error("set attributes", path, errReadOnly)
	}
	st, err := t.Lstat(path)
	if err != nil {
		return nil, err
	}
	if st.Type != e.Type {
		return nil, t.error("set attributes", path, ErrSwapped)
	}
	if (t.givesAway || e.Type == page.File) && t.isForeign(path, &st, e) {
		return nil, t.error("set attributes", path, ErrStranger)
	}
	problems := t.apply(t.full(path), e, &st, false)
	problems.add("flags", lock(t.full(path), e))
	return problems, nil
}

// Lstat describes what is at path.
func (t *Target) Lstat(path string) (Stat, error) {
	if path != "." {
		if _, _, err := t.parent(path, false); err != nil {
			return Stat{}, t.error("lstat", path, err)
		}
	}
	st, err := lstat(t.full(path))
	return st, t.error("lstat", path, err)
}

// OpenRead opens the regular file path for reading.
func (t *Target) OpenRead(path string) (*os.File, Stat, error) {
	if _, _, err := t.parent(path, false); err != nil {
		return nil, Stat{}, t.error("open", path, err)
	}
	f, err := t.root.OpenFile(path, readFlags, 0)
	if err != nil {
		return nil, Stat{}, t.error("open", path, err)
	}
	st, err := fstat(f)
	if err == nil {
		err = isStill(t.full(path), &st, nil)
	}
	if err != nil {
		_ = f.Close()
		return nil, st, t.error("open", path, err)
	}
	return f, st, nil
}

// Same reports whether what is at path has the contents of e, as far as metadata tells:
// the type, and of a file size and mtime, of a link its target, of a device its
// numbers. If so, SetFileMeta or SetDirMeta does the rest. If not, the reason.
func (t *Target) Same(path string, e *page.Entry) (same bool, reason string) {
	st, err := t.Lstat(path)
	if err != nil {
		if errors.Is(err, iofs.ErrNotExist) {
			return false, "does not exist"
		}
		return false, bare(err).Error()
	}
	switch {
	case st.Type != e.Type:
		return false, fmt.Sprintf("is a %s", st.Type)
	case e.Type == page.File && st.Size != e.Size:
		return false, fmt.Sprintf("has %d bytes", st.Size)
	case e.Type == page.File && !sameTime(st.Mtime, e.Mtime):
		return false, "was modified at another time"
	case e.Type == page.File && st.Nlink > 1 && e.HL == "" && !t.opt.KeepLinks:
		return false, "has other names" // which must not get these attributes
	case st.Major != e.Major || st.Minor != e.Minor:
		return false, "is another device"
	case e.Type == page.Symlink:
		if target, err := os.Readlink(t.full(path)); err != nil || filepath.ToSlash(target) != e.Target {
			return false, "leads elsewhere"
		}
	}
	return true, ""
}
