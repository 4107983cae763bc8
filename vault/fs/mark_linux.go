//go:build !portable

package fs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// createMark makes an empty file in the target itself, if its mode allows that: it may be none
// of the directories that are restored, and keeps its mode.
func (t *Target) createMark(name string) (*os.File, error) {
	if t.opt.ReadOnly {
		return nil, errReadOnly
	}
	if err := t.dirs.top.changeable(); err != nil { // a mark could be made, but not removed
		return nil, err
	}
	fd, err := openat(t.dirs.top.fd, name, changeFlags|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), t.full(name)), nil
}

// isNamed reports whether a name in the target itself is that of an open file.
func (t *Target) isNamed(f *os.File, name string) bool {
	mine, err := fstat(int(f.Fd()))
	if err != nil {
		return false
	}
	now, err := Lstatat(t.dirs.top.fd, name)
	return err == nil && now.SameFile(&mine)
}

func (t *Target) removeName(name string) error {
	return t.error("remove", name, unlinkat(t.dirs.top.fd, name, 0))
}

// stale says that a directory has got its final mode.
func (t *Target) stale(dir string) {
	if dir != "." {
		t.dirs.forget(dir)
		return
	}
	t.dirs.mu.Lock()
	defer t.dirs.mu.Unlock()
	t.dirs.top.usable = false
}

func (t *Target) setTime(path string, mtime page.Time) error {
	n, _, err := t.openNode(path)
	if err != nil {
		return err
	}
	defer n.close()
	ts, err := unix.TimeToTimespec(mtime.Time())
	if err != nil {
		return err
	}
	return n.setTimes([]unix.Timespec{ts, ts})
}

// syncTop writes the names in the target itself to disk.
func (t *Target) syncTop() error {
	fd, err := openat(t.dirs.top.fd, ".", dirFlags, 0)
	if errors.Is(err, unix.EACCES) { // it may be changed, and not be read
		unix.Sync()
		return nil
	}
	if err != nil {
		return err
	}
	defer closeFD(fd)
	return synced(fsync(fd))
}

// noteDevice remembers the file system of a directory that is in use, for Sync. The cache is
// locked.
func (t *Target) noteDevice(fd int) {
	if t.opt.Mark == "" {
		return
	}
	st, err := fstat(fd)
	if err != nil {
		return
	}
	if known, ok := t.devices[st.Dev]; ok && known >= 0 {
		return
	}
	open, err := openat(fd, ".", dirFlags, 0)
	if err != nil {
		open = -1
	}
	t.devices[st.Dev] = open
}

// Sync writes everything made so far to disk, on each file system that is part of the target.
func (t *Target) Sync() error {
	t.dirs.mu.Lock()
	defer t.dirs.mu.Unlock()
	top := -1
	if t.own.f != nil {
		// A descriptor tells of writes that failed since it was opened, and of earlier ones
		// only if nobody else has heard of them: that of the mark is older than all of ours.
		top = int(t.own.f.Fd())
	} else if fd, err := openat(t.dirs.top.fd, ".", dirFlags, 0); err == nil {
		defer closeFD(fd)
		top = fd
	}
	all := []int{top}
	for _, fd := range t.devices {
		all = append(all, fd)
	}
	for _, fd := range all {
		if fd < 0 { // one that may not be read
			unix.Sync()
			continue
		}
		if err := syncfs(fd); err != nil {
			return t.error("sync", ".", err)
		}
	}
	return nil
}
