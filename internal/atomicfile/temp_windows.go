package atomicfile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"vaultik/internal/platform"
)

// Temp is a file that is being written. Exactly one goroutine uses it. Abort must
// be called in the end; after a successful Commit it does nothing.
type Temp struct {
	dir  *Dir
	name string
	f    *os.File // nil once closed
	info fs.FileInfo
	done bool // the temporary name is gone
}

// CreateTemp creates an empty temporary file. Permissions are those that the
// directory hands down: there are no others here.
func (d *Dir) CreateTemp(fs.FileMode) (*Temp, error) {
	name := TempPrefix + machine() + "-" + rand.Text()
	if err := d.hook.at(StepCreate, d.join(name)); err != nil {
		return nil, d.wrap("create", name, err)
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, d.wrap("create", name, err)
	}
	t := &Temp{dir: d, name: name, f: f}
	err = d.hook.at(StepLock, d.join(name))
	if err == nil {
		err = platform.Lock(f, false, false)
	}
	if err != nil {
		t.Abort()
		return nil, d.wrap("lock", name, err)
	}
	return t, nil
}

// Write appends p.
func (t *Temp) Write(p []byte) (int, error) {
	if err := t.dir.hook.at(StepWrite, t.dir.join(t.name)); err != nil {
		return 0, t.dir.wrap("write", t.name, err)
	}
	return t.f.Write(p)
}

// Flush makes the content durable and closes the file. What remains is the name.
func (t *Temp) Flush() (Stat, error) {
	err := t.dir.hook.at(StepSync, t.dir.join(t.name))
	if err == nil {
		err = t.f.Sync()
	}
	if err != nil {
		return Stat{}, t.dir.wrap("sync", t.name, err)
	}
	if t.info, err = t.f.Stat(); err != nil {
		return Stat{}, t.dir.wrap("stat", t.name, err)
	}
	err = t.dir.hook.at(StepClose, t.dir.join(t.name))
	if cerr := t.f.Close(); err == nil {
		err = cerr
	}
	t.f = nil
	return newStat(t.info), t.dir.wrap("close", t.name, err)
}

// Commit gives the flushed file its final name. With replace it takes the place of
// what has that name; else a taken name is fs.ErrExist.
func (t *Temp) Commit(name string, replace bool) error {
	if replace {
		err := t.dir.hook.at(StepRename, t.dir.join(name))
		if err == nil {
			err = t.dir.root.Rename(t.name, name)
		}
		t.done = err == nil
		return t.dir.wrap("rename", name, err)
	}
	err := t.dir.hook.at(StepLink, t.dir.join(name))
	if err == nil {
		err = t.dir.root.Link(t.name, name)
	}
	switch {
	case err == nil:
		// Left behind it would only be tidied up later, so this is no failure.
		t.done = t.dir.Remove(t.name) == nil
	case !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
		err = ErrNoExclusive // FAT has no links
	}
	return t.dir.wrap("link", name, err)
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
}

// RemoveStale removes the temporary file name of this directory if its writer is
// dead: it was written a day ago. It reports whether it did. A file that is open
// cannot be removed here, which is the lock.
func (d *Dir) RemoveStale(name string) bool {
	if !strings.HasPrefix(name, TempPrefix) {
		return false
	}
	st, err := d.Lstat(name)
	if err != nil || st.Mode != 0 || time.Since(st.ModTime) < staleAge {
		return false
	}
	return d.Remove(name) == nil
}

// Exclusive tries whether a name can be created in the directory only if it is absent.
func (d *Dir) Exclusive() (bool, error) { return true, nil }
