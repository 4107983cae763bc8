//go:build !linux || portable

package fs

import (
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"vaultik/vault/page"
)

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
	return t.make("symlink", path, e,
		func(temp string) error { return os.Symlink(e.Target, t.full(temp)) })
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
func (t *Target) make(op, path string, e *page.Entry,
	create func(temp string) error) (MetaProblems, error) {
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
