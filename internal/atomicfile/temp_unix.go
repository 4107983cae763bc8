//go:build unix

package atomicfile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/internal/platform"
)

// Temp is a file that is being written. Exactly one goroutine uses it. Abort must
// be called in the end; after a successful Commit it does nothing.
type Temp struct {
	dir  *Dir
	name string
	f    *os.File // nil once closed
	lock int      // a second descriptor: keeps the lock when f is closed; -1: none
	done bool     // the temporary name is gone
}

// CreateTemp creates an empty temporary file of exactly these permissions.
func (d *Dir) CreateTemp(perm fs.FileMode) (*Temp, error) {
	for {
		t, err := d.createTemp(perm)
		if !errors.Is(err, errTaken) {
			return t, err
		}
	}
}

// errTaken says that someone tidied the new file away before it was locked.
var errTaken = errors.New("temporary file taken")

func (d *Dir) createTemp(perm fs.FileMode) (*Temp, error) {
	name := TempPrefix + machine() + "-" + rand.Text()
	var fd int
	err := d.hook.do(StepCreate, d.join(name), func() (err error) {
		fd, err = openat(d.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
		return err
	})
	if err != nil {
		return nil, d.wrap("create", name, err)
	}
	t := &Temp{dir: d, name: name, f: os.NewFile(uintptr(fd), d.join(name)), lock: -1}
	if err := t.own(perm); err != nil {
		t.Abort()
		return nil, d.wrap("create", name, err)
	}
	return t, nil
}

func (t *Temp) own(perm fs.FileMode) error {
	fd := int(t.f.Fd())
	var err error
	if t.lock, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return err
	}
	var locked error // other than EWOULDBLOCK: no locks here, age protects the file
	err = t.dir.hook.do(StepLock, t.f.Name(), func() error {
		locked = flock(fd)
		return nil
	})
	if err == nil && errors.Is(locked, unix.EWOULDBLOCK) {
		err = errTaken
	}
	var raw unix.Stat_t
	if err == nil {
		err = platform.Again(func() error { return unix.Fstat(fd, &raw) })
	}
	if err != nil {
		return err
	}
	if raw.Nlink == 0 {
		return errTaken
	}
	if perm.Perm() != 0o600 {
		return platform.Again(func() error { return unix.Fchmod(fd, uint32(perm.Perm())) })
	}
	return nil
}

// Write appends p.
func (t *Temp) Write(p []byte) (int, error) {
	err := t.dir.hook.do(StepWrite, t.f.Name(), func() error { return nil })
	if err != nil {
		return 0, t.dir.wrap("write", t.name, err)
	}
	return t.f.Write(p)
}

// Flush makes the content durable and closes the file. What remains is the name.
func (t *Temp) Flush() (Stat, error) {
	var raw unix.Stat_t
	err := t.dir.hook.do(StepSync, t.f.Name(), func() error { return fsync(int(t.f.Fd())) })
	if err != nil {
		return Stat{}, t.dir.wrap("sync", t.name, err)
	}
	err = platform.Again(func() error { return unix.Fstat(int(t.f.Fd()), &raw) })
	if err != nil {
		return Stat{}, t.dir.wrap("stat", t.name, err)
	}
	err = t.dir.hook.at(StepClose, t.f.Name())
	if cerr := t.f.Close(); err == nil {
		err = cerr
	}
	t.f = nil
	return newStat(&raw), t.dir.wrap("close", t.name, closed(err))
}

// Commit gives the flushed file its final name and makes that durable. With
// replace it takes the place of what has that name; else a taken name is
// fs.ErrExist. If the name cannot be made durable it is taken away again, unless
// it has replaced something. Two Commits of one name must not run at once, or that
// could hit the other's file.
func (t *Temp) Commit(name string, replace bool) error {
	fresh := true
	var err error
	if replace {
		_, serr := t.dir.Lstat(name)
		fresh = errors.Is(serr, fs.ErrNotExist)
		err = t.rename(name)
	} else {
		err = t.link(name)
	}
	if err != nil {
		return err
	}
	if err := t.dir.Sync(); err != nil {
		if fresh && t.is(name) {
			_ = t.dir.Remove(name)
		}
		return err
	}
	return nil
}

func (t *Temp) rename(name string) error {
	err := t.dir.hook.do(StepRename, t.dir.join(name), func() error {
		return unix.Renameat(t.dir.fd, t.name, t.dir.fd, name)
	})
	t.done = err == nil
	return t.dir.wrap("rename", name, err)
}

func (t *Temp) link(name string) error {
	err := t.dir.hook.do(StepLink, t.dir.join(name), func() error {
		return unix.Linkat(t.dir.fd, t.name, t.dir.fd, name, 0)
	})
	switch {
	case err == nil:
	case errors.Is(err, unix.EEXIST) && t.is(name):
		err = nil // a network file system has repeated our own call
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EMLINK):
		return t.renameNew(name)
	}
	if err == nil {
		// Left behind it would only be tidied up later, so this is no failure.
		t.done = t.dir.Remove(t.name) == nil
	}
	return t.dir.wrap("link", name, err)
}

// renameNew is for file systems without hard links.
func (t *Temp) renameNew(name string) error {
	err := t.dir.hook.do(StepRename, t.dir.join(name), func() error {
		return renameExclusive(t.dir.fd, t.name, name)
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		err = ErrNoExclusive
	}
	t.done = err == nil
	return t.dir.wrap("rename", name, err)
}

// is reports whether name is this very file.
func (t *Temp) is(name string) bool {
	var mine unix.Stat_t
	st, err := t.dir.Lstat(name)
	if err == nil {
		err = platform.Again(func() error { return unix.Fstat(t.lock, &mine) })
	}
	return err == nil && st.ino == mine.Ino && st.dev == uint64(mine.Dev)
}

// Abort removes what was not committed and releases the file.
func (t *Temp) Abort() {
	if t.f != nil {
		_ = t.f.Close()
		t.f = nil
	}
	if !t.done {
		_ = t.dir.Remove(t.name)
		t.done = true
	}
	if t.lock >= 0 {
		_ = unix.Close(t.lock)
		t.lock = -1
	}
}

// RemoveStale removes the temporary file name of this directory if its writer is
// dead: nobody holds its lock, and it was written since this machine started
// (locks reach all its processes) or a day ago. It reports whether it did.
func (d *Dir) RemoveStale(name string) bool {
	if !strings.HasPrefix(name, TempPrefix) {
		return false
	}
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	var raw unix.Stat_t
	err = platform.Again(func() error { return unix.Fstat(fd, &raw) })
	if err != nil || raw.Mode&unix.S_IFMT != unix.S_IFREG {
		return false
	}
	lerr := flock(fd)
	if errors.Is(lerr, unix.EWOULDBLOCK) {
		return false
	}
	ours := lerr == nil && strings.HasPrefix(name, TempPrefix+machine()+"-")
	if !ours && time.Since(newStat(&raw).ModTime) < staleAge {
		return false
	}
	return d.Remove(name) == nil
}

func flock(fd int) error {
	return platform.Again(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
}
