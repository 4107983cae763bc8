package fs

import (
	"crypto/rand"
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// tempPrefix begins the names of unfinished entries; random letters follow.
const tempPrefix = ".vaultik-tmp-"

// tempName returns a name that nobody can foresee, and notes that it is in use.
func (t *Target) tempName() string {
	name := tempPrefix + rand.Text()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.temps[name] = true
	return name
}

func (t *Target) tempDone(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.temps, name)
}

// isTemp reports whether name has the form of those that tempName makes.
func isTemp(name string) bool {
	rest, ok := strings.CutPrefix(name, tempPrefix)
	return ok && len(rest) == 26 && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// RemoveTemps removes from the directory path, not from those below, what an
// interrupted restore has left, and returns how many there were. It leaves alone
// what this Target is making, but not what another process is.
func (t *Target) RemoveTemps(path string) (int, error) {
	if err := page.CheckPath(path); err != nil {
		return 0, t.error("open", path, err)
	}
	d, err := t.openDir(path, false)
	if err != nil {
		return 0, t.error("open", path, err)
	}
	defer d.release()
	fd, err := openat(d.fd, ".", dirFlags, 0)
	if err != nil {
		return 0, t.error("open", path, err)
	}
	defer closeFD(fd)
	var names nameList
	if err := names.read(fd, make([]byte, direntBuffer)); err != nil {
		return 0, t.error("read", path, err)
	}
	removed := 0
	for name := names.pop(); name != nil; name = names.pop() {
		if !isTemp(string(name)) || t.inUse(string(name)) {
			continue
		}
		if err := unix.Unlinkat(d.fd, string(name), 0); err != nil {
			if err == unix.EISDIR || err == unix.EPERM || err == unix.ENOENT { // not ours
				continue
			}
			return removed, t.error("remove", join(path, string(name)), err)
		}
		removed++
	}
	return removed, nil
}

func (t *Target) inUse(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.temps[name]
}

// Symlink makes the symbolic link path with the target and attributes in e.
func (t *Target) Symlink(path string, e *page.Entry) (MetaProblems, error) {
	if strings.IndexByte(e.Target, 0) >= 0 || e.Target == "" {
		return nil, t.error("symlink", path, unix.EINVAL)
	}
	return t.make("symlink", path, e, func(dirfd int, name string) error {
		return unix.Symlinkat(e.Target, dirfd, name)
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
	return t.make("make", path, e, func(dirfd int, name string) error {
		return unix.Mknodat(dirfd, name, kind|0o600, int(unix.Mkdev(e.Major, e.Minor)))
	})
}

// make makes an entry without data under a temporary name, and gives it its
// attributes before its name.
func (t *Target) make(op, path string, e *page.Entry, create func(dirfd int, name string) error) (MetaProblems, error) {
	d, name, err := t.parent(path, true)
	if err != nil {
		return nil, t.error(op, path, err)
	}
	defer d.release()
	temp := t.tempName()
	defer t.tempDone(temp)
	if err := create(d.fd, temp); err != nil {
		return nil, t.error(op, path, err)
	}
	n, err := openNode(d.fd, temp, e.Type)
	if err != nil {
		_ = unix.Unlinkat(d.fd, temp, 0) // err says what is wrong
		return nil, t.error(op, path, err)
	}
	defer n.close()
	problems := t.apply(n, e, true)
	return problems, t.error(op, path, t.place(d, temp, path, name))
}

// place gives temp its final name in one step. It never leaves temp behind.
func (t *Target) place(d *dirHandle, temp, path, name string) error {
	err := unix.Renameat(d.fd, temp, d.fd, name)
	if err == unix.EISDIR || err == unix.EEXIST || err == unix.ENOTEMPTY {
		err = unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR)
		if err == unix.ENOTEMPTY || err == unix.EEXIST {
			err = ErrNotEmpty
		}
		if err == nil {
			t.dirs.forget(path)
			err = unix.Renameat(d.fd, temp, d.fd, name)
		}
	}
	if err != nil {
		_ = unix.Unlinkat(d.fd, temp, 0) // err says what is wrong
	}
	return err
}

// Link makes path another name of the file existing, which this Target has made.
func (t *Target) Link(existing, path string) error {
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
	err = link(from.fd, fromName, to.fd, name)
	if !errors.Is(err, unix.EEXIST) {
		return t.error("link", path, err)
	}
	a, err := Lstatat(from.fd, fromName)
	if err != nil {
		return t.error("link", existing, err)
	}
	if b, err := Lstatat(to.fd, name); err == nil && a.SameFile(&b) {
		return nil // renaming one name of a file to another does nothing
	}
	temp := t.tempName()
	defer t.tempDone(temp)
	if err := link(from.fd, fromName, to.fd, temp); err != nil {
		return t.error("link", path, err)
	}
	return t.error("link", path, t.place(to, temp, path, name))
}

// link is linkat, also for a file whose flags forbid it: they were just restored.
func link(fromfd int, from string, tofd int, to string) error {
	err := unix.Linkat(fromfd, from, tofd, to, 0)
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
	err = unix.Linkat(fromfd, from, tofd, to, 0)
	if lockErr := n.setFlags(flags); err == nil {
		err = lockErr
	}
	return err
}
