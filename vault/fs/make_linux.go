//go:build !portable

package fs

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// RemoveTemps removes from the directory path, not from those below, what an
// interrupted restore has left. It keeps what this Target is making, but not what
// another process is.
func (t *Target) RemoveTemps(path string) (s Swept, err error) {
	if t.opt.ReadOnly {
		return s, t.error("remove", path, errReadOnly)
	}
	err = t.eachNameIn(path, func(d *dirHandle, name string) error {
		s.Parts = s.Parts || isPart(name)
		s.Marks = s.Marks || isMark(name) && !t.inUse(name)
		if !isTemp(name) || t.inUse(name) {
			return nil
		}
		switch err := unlinkat(d.fd, name, 0); {
		case err == nil:
			s.Removed++
		case anyOf(err, unix.EISDIR, unix.EPERM, unix.ENOENT, unix.EROFS): // not ours, or none can be removed
		default:
			return t.error("remove", join(path, name), err)
		}
		return nil
	})
	return s, err
}

// eachName calls fn for each name in the directory path, in order.
func (t *Target) eachName(path string, fn func(name string) error) error {
	return t.eachNameIn(path, func(_ *dirHandle, name string) error { return fn(name) })
}

func (t *Target) eachNameIn(path string, fn func(d *dirHandle, name string) error) error {
	if err := page.CheckPath(path); err != nil {
		return t.error("open", path, err)
	}
	d, err := t.openDir(path, false)
	if err != nil {
		return t.error("open", path, err)
	}
	defer d.release()
	fd, err := openat(d.fd, ".", dirFlags, 0)
	if err != nil {
		return t.error("open", path, err)
	}
	defer closeFD(fd)
	var names nameList
	if err := names.read(fd, make([]byte, direntBuffer)); err != nil {
		return t.error("read", path, err)
	}
	for name, _ := names.pop(); name != nil; name, _ = names.pop() {
		if err := fn(d, string(name)); err != nil {
			return err
		}
	}
	return nil
}

// Symlink makes the symbolic link path with the target and attributes in e.
func (t *Target) Symlink(path string, e *page.Entry) (MetaProblems, error) {
	if strings.IndexByte(e.Target, 0) >= 0 || e.Target == "" {
		return nil, t.error("symlink", path, unix.EINVAL)
	}
	return t.make("symlink", path, e, func(dirfd int, name string) error {
		return symlinkat(e.Target, dirfd, name)
	})
}

// Special makes a FIFO or device. A socket fails with ErrSocket.
func (t *Target) Special(path string, e *page.Entry) (MetaProblems, error) {
	kind := uint32(0)
	switch e.Type {
	case page.FIFO:
		kind = unix.S_IFIFO
	case page.Char:
		kind = unix.S_IFCHR
	case page.Block:
		kind = unix.S_IFBLK
	case page.Socket:
		return nil, t.error("make", path, ErrSocket)
	default:
		return nil, t.error("make", path, unix.EINVAL)
	}
	if e.Major >= 1<<12 || e.Minor >= 1<<20 { // the kernel would drop the upper bits, and make another device
		return nil, t.error("make", path, unix.EOVERFLOW)
	}
	return t.make("make", path, e, func(dirfd int, name string) error {
		err := mknodat(dirfd, name, kind|0o600, int(unix.Mkdev(e.Major, e.Minor)))
		if anyOf(err, unix.EPERM) && t.euid == 0 && kind != unix.S_IFIFO {
			return ErrNoDevice
		}
		return err
	})
}

// make makes an entry without data under a temporary name, and gives it its
// attributes before its name.
func (t *Target) make(op, path string, e *page.Entry, create func(dirfd int, name string) error) (MetaProblems, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	d, name, err := t.parent(path, true)
	if err != nil {
		return nil, t.error(op, path, err)
	}
	defer d.release()
	if err := d.changeable(); err != nil {
		return nil, t.error(op, path, err)
	}
	temp := t.tempName()
	defer t.tempDone(temp)
	if err := create(d.fd, temp); err != nil {
		if !errors.Is(err, unix.EEXIST) {
			_ = unlinkat(d.fd, temp, 0) // exfat-fuse makes a file of a FIFO, and then says EIO
		}
		return nil, t.error(op, path, err)
	}
	n, err := openNode(d.fd, temp, e.Type)
	if err != nil {
		_ = unlinkat(d.fd, temp, 0) // err says what is wrong
		return nil, t.error(op, path, err)
	}
	defer n.close()
	problems := t.apply(n, e, true)
	return problems, t.error(op, path, t.place(d, temp, path, name))
}

// place gives temp its final name in one step. It never leaves temp behind.
func (t *Target) place(d *dirHandle, temp, path, name string) error {
	err := renameat(d.fd, temp, d.fd, name)
	if lockedOut(err) {
		err = unlockedRename(d.fd, temp, name)
	}
	if anyOf(err, unix.EISDIR, unix.EEXIST, unix.ENOTEMPTY) {
		err = unlinkat(d.fd, name, unix.AT_REMOVEDIR)
		if anyOf(err, unix.ENOTEMPTY, unix.EEXIST) {
			err = ErrNotEmpty
		}
		if err == nil {
			t.dirs.forget(path)
			err = renameat(d.fd, temp, d.fd, name)
		}
	}
	if err != nil {
		_ = unlinkat(d.fd, temp, 0) // err says what is wrong
	}
	return refused(err, name)
}

// refused makes the answer of FUSE programs to names such as a:b one that people understand. err
// is that of a call which makes a name in an open directory.
func refused(err error, name string) error {
	odd := func(r rune) bool { return r < ' ' || strings.ContainsRune(`"*:<>?|\`, r) }
	if errors.Is(err, unix.ENOENT) && strings.ContainsFunc(name, odd) {
		return ErrName
	}
	return err
}

// unlockedRename replaces a file whose flags forbid it, if they may be cleared.
// They are set again where that does not help.
func unlockedRename(dirfd int, temp, name string) error {
	n, err := openNode(dirfd, name, page.File)
	if err != nil {
		return unix.EPERM
	}
	defer n.close()
	flags, err := n.flags()
	if err != nil || flags&lockingFlags == 0 {
		return unix.EPERM
	}
	if n.setFlags(flags&^lockingFlags) != nil {
		return ErrLocked
	}
	if err := renameat(dirfd, temp, dirfd, name); err != nil {
		_ = n.setFlags(flags) // err says what is wrong
		return err
	}
	return nil
}

// Link makes path another name of the file existing, which this Target has made, or found to
// be e. Anything else that has come to stand there fails with ErrSwapped.
func (t *Target) Link(existing, path string, e *page.Entry) error {
	if err := t.begin(); err != nil {
		return err
	}
	from, fromName, err := t.parent(existing, false)
	if err != nil {
		return t.error("link", existing, err)
	}
	defer from.release()
	to, name, err := t.parent(path, true)
	if err != nil {
		return t.error("link", path, err)
	}
	defer to.release()
	if err := to.changeable(); err != nil {
		return t.error("link", path, err)
	}
	a, err := Lstatat(from.fd, fromName)
	if err == nil && (a.Type != e.Type || e.Type == page.File && a.Size != e.Size ||
		t.isForeign(existing, &a, e)) {
		err = ErrSwapped
	}
	if err != nil {
		return t.error("link", existing, err)
	}
	err = linkOf(&a, from.fd, fromName, to.fd, name)
	if !errors.Is(err, unix.EEXIST) {
		return t.error("link", path, err)
	}
	if b, err := Lstatat(to.fd, name); err == nil && a.SameFile(&b) {
		return nil // renaming one name of a file to another does nothing
	}
	temp := t.tempName()
	defer t.tempDone(temp)
	if err := linkOf(&a, from.fd, fromName, to.fd, temp); err != nil {
		return t.error("link", path, err)
	}
	return t.error("link", path, t.place(to, temp, path, name))
}

// linkOf is link, and leaves nothing if what was linked is not the file a.
func linkOf(a *Stat, fromfd int, from string, tofd int, to string) error {
	if err := link(fromfd, from, tofd, to); err != nil {
		return err
	}
	b, err := Lstatat(tofd, to)
	if err == nil && !a.SameFile(&b) {
		err = ErrSwapped
	}
	if err != nil {
		_ = unlinkat(tofd, to, 0) // err says what is wrong
	}
	return err
}

// link is linkat, also for a file whose flags forbid it: they were just restored.
func link(fromfd int, from string, tofd int, to string) error {
	err := linkat(fromfd, from, tofd, to, 0)
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	n, openErr := openNode(fromfd, from, page.File)
	if openErr != nil {
		return err
	}
	defer n.close()
	flags, flagErr := n.flags()
	if flagErr != nil || flags&lockingFlags == 0 || n.setFlags(flags&^lockingFlags) != nil {
		return err
	}
	err = linkat(fromfd, from, tofd, to, 0)
	if lockErr := n.setFlags(flags); err == nil {
		err = lockErr
	}
	return err
}

// tryNames makes two names in a new directory called temp, and removes all of it.
// It fails with fs.ErrExist if they are one.
func (t *Target) tryNames(path, temp, a, b string) error {
	d, err := t.openDir(path, true)
	if err != nil {
		return t.error("open", path, err)
	}
	defer d.release()
	if err := mkdirat(d.fd, temp, 0o700); err != nil {
		return t.error("mkdir", join(path, temp), err)
	}
	defer func() { _ = unlinkat(d.fd, temp, unix.AT_REMOVEDIR) }()
	dir, err := openat(d.fd, temp, dirFlags, 0)
	if err != nil {
		return t.error("open", join(path, temp), err)
	}
	defer closeFD(dir)
	for _, name := range []string{a, b} {
		fd, err := openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return t.error("create", join(join(path, temp), name), err)
		}
		closeFD(fd)
		defer func() { _ = unlinkat(dir, name, 0) }()
	}
	return nil
}
