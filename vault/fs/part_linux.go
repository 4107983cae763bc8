//go:build !portable

package fs

import (
	"os"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// HasPart reports whether an interrupted restore has left a part of the file path.
func (t *Target) HasPart(path string, size int64) bool {
	if !t.isLarge(size) {
		return false
	}
	d, name, err := t.parent(path, false)
	if err != nil {
		return false
	}
	defer d.release()
	st, err := Lstatat(d.fd, partName(name))
	return err == nil && t.ownPart(&st)
}

// ReadPart opens for reading what HasPart reports.
func (t *Target) ReadPart(path string) (*os.File, error) {
	d, name, err := t.parent(path, false)
	if err != nil {
		return nil, t.error("open", path, err)
	}
	defer d.release()
	f, _, err := openFileAt(d.fd, partName(name), t.full(path), nil)
	return f, err
}

// ownPart reports whether nobody else can have put a part there, or change it.
func (t *Target) ownPart(st *Stat) bool {
	return st.Type == page.File && st.UID == t.euid && st.Nlink == 1 && st.Mode == 0o600
}

// openPart opens the part of f, or makes it; empty, unless it is to be resumed. It
// reports false where that is not possible: another process works on it, what is there
// is not ours, or the file system cannot tell.
func (f *File) openPart(resume bool) bool {
	temp := partName(f.name)
	fd, made := f.lockPart(temp)
	if fd < 0 {
		return false
	}
	if !made && !resume && ftruncate(fd, 0) != nil {
		closeFD(fd)
		return false
	}
	f.t.useTemp(temp)
	f.f, f.temp, f.part = os.NewFile(uintptr(fd), f.t.full(f.path)), temp, true
	return true
}

// lockPart opens or makes a part that is ours alone; -1 if that is not possible.
func (f *File) lockPart(temp string) (fd int, made bool) {
	fd, err := openat(f.d.fd, temp, changeFlags, 0)
	if err != nil {
		fd, err = openat(f.d.fd, temp, changeFlags|unix.O_CREAT|unix.O_EXCL, 0o600)
		if made = err == nil; !made {
			return -1, false
		}
	}
	st, err := fstat(fd)
	if err == nil && f.t.ownPart(&st) && flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
		// The former holder of the lock may have given the file its name in the
		// meantime.
		if now, err := Lstatat(f.d.fd, temp); err == nil && now.SameFile(&st) {
			return fd, made
		}
	}
	if made {
		_ = unlinkat(f.d.fd, temp, 0) // it cannot be told from another's there
	}
	closeFD(fd)
	return -1, false
}

// Suspend closes the file without completing it: what there is of a part stays for the next
// restore, which it reports; all else is removed. It does nothing after Commit or Abort.
func (f *File) Suspend() (kept bool) {
	if f.f == nil || !f.part {
		f.Abort()
		return false
	}
	f.close()
	return true
}

// RemoveParts removes from the directory path the parts that no restore works
// on, and returns how many there were.
func (t *Target) RemoveParts(path string) (removed int, err error) {
	if t.opt.ReadOnly {
		return 0, t.error("remove", path, errReadOnly)
	}
	err = t.eachNameIn(path, func(d *dirHandle, name string) error {
		if !isPart(name) || t.inUse(name) {
			return nil
		}
		fd, err := openat(d.fd, name, changeFlags, 0)
		if err != nil {
			return nil // not ours
		}
		defer closeFD(fd)
		st, err := fstat(fd)
		if err != nil || !t.ownPart(&st) || flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
			return nil // in use, or not ours
		}
		if err := unlinkat(d.fd, name, 0); err != nil {
			return t.error("remove", join(path, name), err)
		}
		removed++
		return nil
	})
	return removed, err
}
