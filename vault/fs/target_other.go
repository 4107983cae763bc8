//go:build !linux || portable

package fs

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
		dir: dir, root: root, opt: opt, names: NewNameCache(), euid: uint32(os.Geteuid()), givesAway: os.Geteuid() == 0,
		temps: map[string]bool{}, dirs: map[string]bool{},
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

// parent finds the directory that holds path. With create, it and those above are made if missing.
func (t *Target) parent(path string, create bool) (dir, name string, err error) {
	if err := check(path); err != nil {
		return "", "", err
	}
	if path == "." {
		return "", "", syscall.EISDIR
	}
	dir, name = split(path)
	return dir, name, t.enter(dir, create)
}

// enter checks that dir and all above it are directories. With create, entries
// are to be made in it, and it is made itself if missing.
func (t *Target) enter(dir string, create bool) error {
	if create && t.opt.ReadOnly {
		return errReadOnly
	}
	if t.root == nil {
		return syscall.ENOENT
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.enterLocked(dir, create)
}

func (t *Target) enterLocked(dir string, create bool) error {
	usable, found := t.dirs[dir]
	if found && (usable || !create) {
		return nil
	}
	if dir != "." {
		up, _ := split(dir)
		if err := t.enterLocked(up, create); err != nil {
			return err
		}
	}
	st, err := t.root.Lstat(dir)
	if create && (errors.Is(err, iofs.ErrNotExist) || err == nil && !st.IsDir()) {
		_, err = t.ensureDir(dir)
	} else if err == nil && !st.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return err
	}
	if create {
		if err := t.unbar(dir); err != nil {
			return err
		}
	}
	if len(t.dirs) >= maxKnownDirs {
		clear(t.dirs)
	}
	t.dirs[dir] = create
	return nil
}

// Enter opens the existing directory path to an unprivileged owner whom its mode
// bars from it, as an earlier restore may have left it. SetDirMeta gives it its
// mode when all below is done.
func (t *Target) Enter(path string) error {
	if err := check(path); err != nil {
		return t.error("open", path, err)
	}
	return t.error("open", path, t.enter(path, true))
}

func (t *Target) forget(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.dirs, path)
}

// unbar lets an unprivileged owner work in a directory that an earlier restore
// may have given its final mode. It does nothing about other people's directories.
func (t *Target) unbar(dir string) error {
	if !hasOwners || t.euid == 0 {
		return nil
	}
	st, err := lstat(t.full(dir))
	if err == nil && st.UID == t.euid && st.Mode&0o700 != 0o700 {
		err = os.Chmod(t.full(dir), os.FileMode(st.Mode&0o777|0o700))
	}
	return err
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

// RemoveTemps removes from the directory path, not from those below, what an
// interrupted restore has left. It keeps what this Target is making, but not what
// another process is.
func (t *Target) RemoveTemps(path string) (s Swept, err error) {
	if t.opt.ReadOnly {
		return s, t.error("remove", path, errReadOnly)
	}
	err = t.eachName(path, func(name string) error {
		s.Parts = s.Parts || isPart(name)
		s.Marks = s.Marks || isMark(name) && !t.inUse(name)
		if !isTemp(name) || t.inUse(name) {
			return nil
		}
		if st, err := t.root.Lstat(join(path, name)); err != nil || st.IsDir() {
			return nil //nolint:nilerr // not ours
		}
		if err := t.root.Remove(join(path, name)); err != nil {
			return t.error("remove", join(path, name), err)
		}
		s.Removed++
		return nil
	})
	return s, err
}

// eachName calls fn for each name in the directory path, in order.
func (t *Target) eachName(path string, fn func(name string) error) error {
	if err := check(path); err != nil {
		return t.error("open", path, err)
	}
	if err := t.enter(path, false); err != nil {
		return t.error("open", path, err)
	}
	d, err := t.root.Open(path)
	if err != nil {
		return t.error("open", path, err)
	}
	names, err := d.Readdirnames(-1)
	_ = d.Close() // only read
	if err != nil {
		return t.error("read", path, err)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := fn(name); err != nil {
			return err
		}
	}
	return nil
}

// Symlink makes the symbolic link path with the target and attributes in e.
func (t *Target) Symlink(path string, e *page.Entry) (MetaProblems, error) {
	if strings.IndexByte(e.Target, 0) >= 0 || e.Target == "" {
		return nil, t.error("symlink", path, syscall.EINVAL)
	}
	return t.make("symlink", path, e, func(temp string) error { return os.Symlink(e.Target, t.full(temp)) })
}

// Special makes a FIFO or device, where there are such. A socket fails with ErrSocket.
func (t *Target) Special(path string, e *page.Entry) (MetaProblems, error) {
	switch e.Type {
	case page.FIFO, page.Char, page.Block:
	case page.Socket:
		return nil, t.error("make", path, ErrSocket)
	default:
		return nil, t.error("make", path, syscall.EINVAL)
	}
	return t.make("make", path, e, func(temp string) error { return mknod(t.full(temp), e) })
}

// make makes an entry without data under a temporary name, and gives it its
// attributes before its name.
func (t *Target) make(op, path string, e *page.Entry, create func(temp string) error) (MetaProblems, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	dir, _, err := t.parent(path, true)
	if err != nil {
		return nil, t.error(op, path, err)
	}
	name := t.tempName()
	defer t.tempDone(name)
	temp := join(dir, name)
	if err := create(temp); err != nil {
		return nil, t.error(op, path, err)
	}
	st, err := lstat(t.full(temp))
	if err != nil {
		_ = t.root.Remove(temp) // err says what is wrong
		return nil, t.error(op, path, err)
	}
	problems := t.apply(t.full(temp), e, &st, true)
	return problems, t.error(op, path, t.place(temp, path))
}

// place gives temp its final name in one step. It never leaves temp behind.
func (t *Target) place(temp, path string) error {
	err := t.root.Rename(temp, path)
	if err != nil {
		if st, serr := t.root.Lstat(path); serr == nil && st.IsDir() {
			err = t.root.Remove(path)
			if err != nil && !empty(t.root, path) {
				err = ErrNotEmpty
			}
			if err == nil {
				t.forget(path)
				err = t.root.Rename(temp, path)
			}
		}
	}
	if err != nil {
		_ = t.root.Remove(temp) // err says what is wrong
	}
	return err
}

func empty(root *os.Root, dir string) bool {
	d, err := root.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = d.Close() }()
	_, err = d.Readdirnames(1)
	return errors.Is(err, io.EOF)
}

// Link makes path another name of the file existing, which this Target has made, or found to
// be e. Anything else that has come to stand there fails with ErrSwapped.
func (t *Target) Link(existing, path string, e *page.Entry) error {
	if err := t.begin(); err != nil {
		return err
	}
	if _, _, err := t.parent(existing, false); err != nil {
		return t.error("link", existing, err)
	}
	dir, _, err := t.parent(path, true)
	if err != nil {
		return t.error("link", path, err)
	}
	a, err := t.Lstat(existing)
	if err != nil {
		return err
	}
	if a.Type != e.Type || e.Type == page.File && a.Size != e.Size || t.isForeign(existing, &a, e) {
		return t.error("link", existing, ErrSwapped)
	}
	err = t.link(existing, path)
	if !errors.Is(err, iofs.ErrExist) {
		return t.error("link", path, err)
	}
	if b, err := t.Lstat(path); err == nil && a.SameFile(&b) {
		return nil // renaming one name of a file to another does nothing
	}
	name := t.tempName()
	defer t.tempDone(name)
	temp := join(dir, name)
	if err := t.link(existing, temp); err != nil {
		return t.error("link", path, err)
	}
	return t.error("link", path, t.place(temp, path))
}

// link is os.Root.Link, also for a file whose flags forbid it: they were just restored.
func (t *Target) link(existing, path string) error {
	err := t.root.Link(existing, path)
	if !errors.Is(err, iofs.ErrPermission) {
		return err
	}
	full := t.full(existing)
	flags, flagErr := readFlagsOf(full)
	if flagErr != nil || flags == 0 || setFlagsOf(full, 0) != nil {
		return err
	}
	err = t.root.Link(existing, path)
	if lockErr := setFlagsOf(full, flags); err == nil {
		err = lockErr
	}
	return err
}

// tryNames makes two names in a new directory called temp, and removes all of it.
// It fails with fs.ErrExist if they are one.
func (t *Target) tryNames(path, temp, a, b string) error {
	if err := t.enter(path, true); err != nil {
		return t.error("open", path, err)
	}
	dir := join(path, temp)
	if err := t.root.Mkdir(dir, 0o700); err != nil {
		return t.error("mkdir", dir, err)
	}
	defer func() { _ = t.root.Remove(dir) }()
	for _, name := range []string{a, b} {
		f, err := t.root.OpenFile(join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return t.error("create", join(dir, name), err)
		}
		_ = f.Close()
		defer func() { _ = t.root.Remove(join(dir, name)) }()
	}
	return nil
}
