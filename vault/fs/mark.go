package fs

import (
	"crypto/rand"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"vaultik/internal/platform"
	"vaultik/vault/page"
)

// markPrefix begins the names of marks; random letters follow, so that each restore has its own.
const markPrefix = ".vaultik-restoring-"

func isMark(name string) bool { return isCoded(name, markPrefix) }

// A Mark is a file that a restore makes in its target before it changes anything there,
// and removes when all of it is on the disk. A leftover mark says that this did not
// happen: after a power cut, files may have their size and mtime but not their
// contents. A restore locks its mark as long as it runs.
type Mark struct {
	Dir  string // path in the target
	Name string
	Text string // as in TargetOptions.Mark; empty if it was left before it was written
}

const (
	maxMark   = 512  // how much of a mark is read, in bytes: more than any has
	maxMarks  = 1000 // how many are returned of one directory: restores leave one each
	markTries = 16   // how often a new mark is made that another process takes away
)

// ownMark is the mark of a Target.
type ownMark struct {
	once sync.Once
	err  error
	f    *os.File // locked; nil if there is none
	name string
	// No mark could be made, so each file is synced before it gets its name.
	each bool
}

// begin makes the mark, if there is to be one. Everything that makes entries or changes
// contents calls it first.
func (t *Target) begin() error {
	if t.opt.Mark == "" {
		return nil
	}
	m := &t.own
	m.once.Do(func() { m.err = t.error("mark as incomplete", ".", t.makeMark()) })
	return m.err
}

// Begin makes the mark, which otherwise is made before the first change.
func (t *Target) Begin() error { return t.begin() }

func (t *Target) makeMark() error {
	if !syncsAll {
		t.own.each = true
		return nil
	}
	st, err := t.Lstat(".")
	if err != nil {
		return err
	}
	// The directory may be none of those that are restored. Who does not own it cannot help it.
	defer func() { _ = t.setTime(".", st.Mtime) }()
	for range markTries {
		name := markPrefix + rand.Text()
		t.useTemp(name)
		f, err := t.createMark(name)
		if platform.NoSpace(err) {
			return err
		}
		if err != nil { // this directory may not be changed; others in it may be
			break
		}
		err = t.writeMark(f, name)
		if err == nil {
			t.own.f, t.own.name = f, name
			return nil
		}
		_ = f.Close() // err says what is wrong
		if errors.Is(err, errNoLocks) {
			break
		}
		if !errors.Is(err, errMarkGone) {
			return err
		}
	}
	t.own.each = true
	return nil
}

var (
	// errMarkGone: another process saw a mark before it was locked, and took it for a
	// leftover.
	errMarkGone = errors.New("the mark was taken for another's")
	// errMarkHeld: another process has locked a mark.
	errMarkHeld = errors.New("a restore holds the mark")
	// errNoLocks: others would take a mark for a leftover, and remove it.
	errNoLocks = errors.New("files cannot be locked here")
)

// writeMark locks and fills a new mark, and waits until it is on the disk.
func (t *Target) writeMark(f *os.File, name string) error {
	err := lockMark(f, false)
	switch {
	case errors.Is(err, errMarkHeld), err == nil && !t.isNamed(f, name):
		err = errMarkGone
	case err != nil:
		err = errNoLocks
	}
	if err != nil {
		_ = t.removeName(name) // where that fails, it is gone
		return err
	}
	if _, err = f.WriteString(t.opt.Mark); err == nil {
		err = synced(f.Sync())
	}
	if err == nil {
		err = t.syncTop()
	}
	if err != nil {
		_ = t.removeName(name) // err says what is wrong
	}
	return err
}

// synced is the error of a sync, unless the file system just has no such thing.
func synced(err error) error {
	if anyOf(err, syscall.EINVAL, syscall.ENOSYS, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// Begun reports whether anything may have been made or changed that Sync has to write.
func (t *Target) Begun() bool { return t.own.f != nil || t.own.each }

// Unmark removes the mark. Sync must have gone before.
func (t *Target) Unmark() error {
	m := &t.own
	if m.f == nil {
		return nil
	}
	err := t.removeMark(".", func() error { return t.removeName(m.name) })
	t.closeMark()
	return err
}

// closeMark releases the lock of a mark that stays.
func (t *Target) closeMark() {
	if t.own.f != nil {
		_ = t.own.f.Close() // it is on disk already
		t.own.f = nil
	}
}

// RemoveLeft removes a mark that Marks has found, unless a restore holds it now.
func (t *Target) RemoveLeft(m *Mark) error {
	path := join(m.Dir, m.Name)
	f, st, err := t.OpenRead(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if errors.Is(lockMark(f, true), errMarkHeld) {
		return nil
	}
	err = t.removeMark(m.Dir, func() error { return t.Remove(path, &st) })
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	return err
}

// removeMark removes a mark from a directory that has its final attributes already, and keeps them.
func (t *Target) removeMark(dir string, remove func() error) error {
	t.stale(dir)
	freeze, err := t.Thaw(dir)
	if err != nil {
		return err
	}
	return errors.Join(remove(), freeze())
}

// Marks are those in the directory path that no restore holds any more. Of very many
// it returns some.
func (t *Target) Marks(path string) (left []Mark, err error) {
	err = t.eachName(path, func(name string) error {
		if len(left) == maxMarks || !isMark(name) || t.inUse(name) {
			return nil
		}
		f, _, err := t.OpenRead(join(path, name))
		if text, isLeft := leftMark(f, err); isLeft {
			left = append(left, Mark{Dir: path, Name: name, Text: text})
		}
		return nil
	})
	return left, err
}

// leftMark reads a mark; false if there is none, or a restore holds it.
func leftMark(f *os.File, err error) (text string, left bool) {
	switch {
	case errors.Is(err, iofs.ErrNotExist), errors.Is(err, ErrSwapped): // gone, or no file
		return "", false
	case err != nil:
		return "", true // somebody else's; nothing is known of it, so it counts
	}
	defer func() { _ = f.Close() }()
	if errors.Is(lockMark(f, true), errMarkHeld) {
		return "", false
	}
	b, err := io.ReadAll(io.LimitReader(f, maxMark))
	if err != nil {
		return err.Error(), true // it is not known to be empty
	}
	return string(b), true
}

// MarkedAbove finds a directory above dir, an absolute path, in which a restore has left its
// mark; "" for none.
func MarkedAbove(dir string) string {
	if to, err := filepath.EvalSymlinks(dir); err == nil {
		dir = to
	}
	for up := filepath.Dir(dir); up != dir; dir, up = up, filepath.Dir(up) {
		if hasLeft(up) {
			return up
		}
	}
	return ""
}

func hasLeft(dir string) bool {
	d, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = d.Close() }()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			if !isMark(name) {
				continue
			}
			f, _, err := OpenFile(filepath.ToSlash(filepath.Join(dir, name)), nil)
			if _, left := leftMark(f, err); left {
				return true
			}
		}
		if err != nil {
			return false
		}
	}
}

// KeepFile is SetFileMeta for a file whose contents were compared: once it has its
// mtime, nobody compares them again, so they must be on disk as if they were written here.
func (t *Target) KeepFile(path string, e *page.Entry) (MetaProblems, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	if t.own.each {
		f, _, err := t.OpenRead(path)
		if err == nil {
			err = errors.Join(synced(f.Sync()), f.Close())
		}
		if err != nil {
			return nil, err
		}
	}
	return t.SetFileMeta(path, e)
}
