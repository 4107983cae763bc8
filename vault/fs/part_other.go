//go:build !linux || portable

package fs

import (
	"os"

	"vaultik/vault/page"
)

// ResumeTemp is CreateTemp for a file of which HasPart reports a part. What an
// earlier restore has written is still in it, and not to be trusted before it is compared.
func (t *Target) ResumeTemp(path string, size int64) (*File, error) {
	return t.create(path, size, true)
}

// HasPart reports whether an interrupted restore has left a part of the file path.
func (t *Target) HasPart(path string, size int64) bool {
	if !t.isLarge(size) {
		return false
	}
	dir, name, err := t.parent(path, false)
	if err != nil {
		return false
	}
	st, err := lstat(t.full(join(dir, partName(name))))
	return err == nil && t.ownPart(&st)
}

// ownPart reports whether nobody else can have put a part there, or change it.
func (t *Target) ownPart(st *Stat) bool {
	return st.Type == page.File && st.UID == t.euid && st.Nlink == 1 && st.Mode == 0o600
}

// openPart opens the part of f in dir, or makes it; empty, unless it is to be resumed.
// It reports false where that is not possible: another process works on it, what is
// there is not ours, or the system cannot tell.
func (f *File) openPart(dir, name string, resume bool) bool {
	temp := join(dir, partName(name))
	file, err := f.t.root.OpenFile(temp, changeFlags, 0)
	made := false
	if err != nil {
		file, err = f.t.root.OpenFile(temp, changeFlags|os.O_CREATE|os.O_EXCL, 0o600)
		if made = err == nil; !made {
			return false
		}
	}
	if f.t.lockPart(file, temp) && (made || resume || file.Truncate(0) == nil) {
		f.t.useTemp(partName(name))
		f.f, f.temp, f.part = file, temp, true
		return true
	}
	_ = file.Close()
	if made {
		_ = f.t.root.Remove(temp) // it cannot be told from another's there
	}
	return false
}

// lockPart reports whether an open part is ours alone.
func (t *Target) lockPart(file *os.File, temp string) bool {
	st, err := fstat(file)
	if err != nil || !t.ownPart(&st) || !lockFile(file) {
		return false
	}
	now, err := lstat(t.full(temp)) // the former holder of the lock may have given the file its name
	return err == nil && now.SameFile(&st)
}

// Suspend closes the file without completing it: what there is of a part stays for the next
// restore, which it reports; all else is removed. It does nothing after Commit or Abort.
func (f *File) Suspend() (kept bool) {
	if f.f == nil || !f.part {
		f.Abort()
		return false
	}
	_ = f.f.Close() // it is compared before it is believed
	f.f = nil
	f.done()
	return true
}

// RemoveParts removes from the directory path the parts that no restore works
// on, and returns how many there were.
func (t *Target) RemoveParts(path string) (removed int, err error) {
	if t.opt.ReadOnly {
		return 0, t.error("remove", path, errReadOnly)
	}
	err = t.eachName(path, func(name string) error {
		if !isPart(name) || t.inUse(name) {
			return nil
		}
		temp := join(path, name)
		f, err := t.root.OpenFile(temp, changeFlags, 0)
		if err != nil {
			return nil //nolint:nilerr // not ours
		}
		mine := t.lockPart(f, temp)
		_ = f.Close()
		if !mine {
			return nil
		}
		if err := t.root.Remove(temp); err != nil {
			return t.error("remove", temp, err)
		}
		removed++
		return nil
	})
	return removed, err
}

// ReadPart opens for reading what HasPart reports.
func (t *Target) ReadPart(path string) (*os.File, error) {
	dir, name, err := t.parent(path, false)
	if err != nil {
		return nil, t.error("open", path, err)
	}
	f, err := t.root.OpenFile(join(dir, partName(name)), readFlags, 0)
	return f, t.error("open", path, err)
}
