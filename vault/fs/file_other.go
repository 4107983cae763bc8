//go:build !linux || portable

package fs

import (
	"os"
	"syscall"

	"vaultik/vault/page"
)

// A File is a regular file of a Target under a temporary name. WriteAt and
// PunchHole may be called by many goroutines; Commit or Abort once all have
// returned. What is never written is a hole.
type File struct {
	t    *Target
	path string
	temp string
	size int64
	f    *os.File // nil after Commit, Suspend or Abort

	part    bool     // temp is the name of a part, which Suspend leaves for the next restore
	inPlace *inPlace // nil for a new file
}

// CreateTemp begins the file path of size bytes.
func (t *Target) CreateTemp(path string, size int64) (*File, error) {
	return t.create(path, size, false)
}

func (t *Target) create(path string, size int64, resume bool) (*File, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	dir, base, err := t.parent(path, true)
	if err != nil {
		return nil, t.error("create", path, err)
	}
	f := &File{t: t, path: path, size: size}
	if t.isLarge(size) && f.openPart(dir, base, resume) {
		return f, nil
	}
	name := t.tempName()
	f.temp = join(dir, name)
	if f.f, err = t.root.OpenFile(f.temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		t.tempDone(name)
		return nil, t.error("create", path, err)
	}
	return f, nil
}

// Commit gives the file its size, the attributes in e, and then its name. On an error
// nothing of it is left, and whatever was there before still is.
func (f *File) Commit(e *page.Entry) (MetaProblems, error) {
	if f.f == nil {
		return nil, f.t.error("write", f.path, os.ErrClosed)
	}
	problems, err := f.commit(e)
	if err != nil {
		f.Abort()
		return problems, f.t.error("write", f.path, err)
	}
	return problems, nil
}

func (f *File) commit(e *page.Entry) (MetaProblems, error) {
	if e.Type != page.File {
		return nil, syscall.EINVAL
	}
	if f.inPlace != nil {
		problems, err := f.commitInPlace(e)
		if err == nil {
			f.f = nil
		}
		return problems, err
	}
	st, err := f.f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() != f.size {
		if err := f.f.Truncate(f.size); err != nil {
			return nil, err
		}
	}
	if f.t.own.each {
		if err := synced(f.f.Sync()); err != nil {
			return nil, err
		}
	}
	err = f.f.Close() // reports writes that failed late
	f.f = nil
	defer f.done()
	if err != nil {
		_ = f.t.root.Remove(f.temp)
		return nil, err
	}
	now, err := lstat(f.t.full(f.temp))
	if err != nil {
		return nil, err
	}
	problems := f.t.apply(f.t.full(f.temp), e, &now, true)
	if err := f.t.place(f.temp, f.path); err != nil {
		return problems, err
	}
	problems.add("flags", lock(f.t.full(f.path), e))
	return problems, nil
}

// Abort removes the file. It does nothing after Commit, so that it can be deferred.
func (f *File) Abort() {
	if f.f == nil {
		return
	}
	_ = f.f.Close() // it is thrown away
	f.f = nil
	if f.inPlace != nil {
		return
	}
	_ = f.t.root.Remove(f.temp) // where that fails, RemoveTemps finds it
	f.done()
}

func (f *File) done() {
	_, name := split(f.temp)
	f.t.tempDone(name)
}
