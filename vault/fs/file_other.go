//go:build !linux || portable

package fs

import (
	"fmt"
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
	f    *os.File // nil after Commit or Abort
}

// CreateTemp begins the file path of size bytes.
func (t *Target) CreateTemp(path string, size int64) (*File, error) {
	dir, _, err := t.parent(path, true)
	if err != nil {
		return nil, t.error("create", path, err)
	}
	name := t.tempName()
	f := &File{t: t, path: path, temp: join(dir, name), size: size}
	if f.f, err = t.root.OpenFile(f.temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		t.tempDone(name)
		return nil, t.error("create", path, err)
	}
	return f, nil
}

// WriteAt writes p at off; it refuses to write beyond the size of the file.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > f.size || int64(len(p)) > f.size-off {
		return 0, f.t.error("write", f.path, fmt.Errorf("%d bytes at %d of %d: %w", len(p), off, f.size, syscall.EFBIG))
	}
	return f.f.WriteAt(p, off)
}

// PunchHole turns n bytes at off, which may have been written, into zeros.
func (f *File) PunchHole(off, n int64) error {
	if off < 0 || n < 0 || off > f.size || n > f.size-off {
		return f.t.error("punch hole", f.path, syscall.EINVAL)
	}
	st, err := f.f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	for end := min(off+n, st.Size()); off < end; off += int64(len(zeros)) {
		if _, err := f.f.WriteAt(zeros[:min(int64(len(zeros)), end-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// Commit gives the file its size, the attributes in e, and then its name. On an
// error nothing of it is left, and what stood there still does.
func (f *File) Commit(e *page.Entry) (MetaProblems, error) {
	if f.f == nil {
		return nil, f.t.error("commit", f.path, os.ErrClosed)
	}
	problems, err := f.commit(e)
	if err != nil {
		f.Abort()
		return problems, f.t.error("commit", f.path, err)
	}
	return problems, nil
}

func (f *File) commit(e *page.Entry) (MetaProblems, error) {
	if e.Type != page.File {
		return nil, syscall.EINVAL
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
	if f.t.opt.Fsync {
		if err := f.f.Sync(); err != nil {
			return nil, err
		}
	}
	err = f.f.Close() // tells of writes that failed late
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
	_ = f.t.root.Remove(f.temp) // where that fails, RemoveTemps finds it
	f.done()
}

func (f *File) done() {
	_, name := split(f.temp)
	f.t.tempDone(name)
}
