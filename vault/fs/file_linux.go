package fs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// A File is a regular file of a Target that is not there yet: it has no name, or
// a temporary one where the file system cannot do without. WriteAt and PunchHole may be
// called by many goroutines; Commit or Abort once all have returned. What is never
// written is a hole.
type File struct {
	t    *Target
	d    *dirHandle
	path string
	name string
	temp string // "" for none
	size int64
	f    *os.File // nil after Commit or Abort
}

// CreateTemp begins the file path of size bytes.
func (t *Target) CreateTemp(path string, size int64) (*File, error) {
	d, name, err := t.parent(path, true)
	if err != nil {
		return nil, t.error("create", path, err)
	}
	f := &File{t: t, d: d, path: path, name: name, size: size}
	t.probed.Do(func() { t.unnamed = t.unnamed && t.canName(d.fd) })
	fd, err := -1, error(unix.EOPNOTSUPP)
	if t.unnamed {
		fd, err = openat(d.fd, ".", unnamedFlags, 0o600)
	}
	if anyOf(err, unix.EOPNOTSUPP, unix.EISDIR, unix.EINVAL, unix.ENOENT) {
		f.temp = t.tempName()
		fd, err = openat(d.fd, f.temp, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	}
	if err != nil {
		f.done()
		return nil, t.error("create", path, err)
	}
	f.f = os.NewFile(uintptr(fd), t.full(path))
	return f, nil
}

// unnamedFlags make a file that vanishes with its descriptor unless it gets a name.
const unnamedFlags = unix.O_TMPFILE | unix.O_RDWR | unix.O_CLOEXEC

// canName reports whether a file made without a name can get one here: not every
// file system can, and /proc must be there. Better to know before it holds data.
func (t *Target) canName(dirfd int) bool {
	fd, err := openat(dirfd, ".", unnamedFlags, 0o600)
	if err != nil {
		return false
	}
	defer closeFD(fd)
	temp := t.tempName()
	defer t.tempDone(temp)
	return nameFile(fd, dirfd, temp) == nil && unix.Unlinkat(dirfd, temp, 0) == nil
}

func nameFile(fd, dirfd int, name string) error {
	return unix.Linkat(unix.AT_FDCWD, node{fd: fd}.proc(), dirfd, name, unix.AT_SYMLINK_FOLLOW)
}

// WriteAt writes p at off; it refuses to write beyond the size of the file.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > f.size || int64(len(p)) > f.size-off {
		return 0, f.t.error("write", f.path, fmt.Errorf("%d bytes at %d of %d: %w", len(p), off, f.size, unix.EFBIG))
	}
	return f.f.WriteAt(p, off)
}

// PunchHole turns n bytes at off, which may have been written, into a hole: into zeros at the least.
func (f *File) PunchHole(off, n int64) error {
	if off < 0 || n < 0 || off > f.size || n > f.size-off {
		return f.t.error("punch hole", f.path, unix.EINVAL)
	}
	if n == 0 {
		return nil
	}
	err := unix.Fallocate(int(f.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	if !anyOf(err, unix.EOPNOTSUPP, unix.ENOSYS) {
		return f.t.error("punch hole", f.path, err)
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
	f.close()
	return problems, nil
}

func (f *File) commit(e *page.Entry) (MetaProblems, error) {
	if e.Type != page.File {
		return nil, unix.EINVAL
	}
	n := node{fd: int(f.f.Fd())}
	if err := f.flush(n.fd); err != nil {
		return nil, err
	}
	problems := f.t.apply(n, e, true)
	if err := f.place(n.fd); err != nil {
		return problems, err
	}
	problems.add("flags", n.lock(e))
	return problems, nil
}

// flush brings the file to its size and asks for write errors that are still to come.
func (f *File) flush(fd int) error {
	st, err := fstat(fd)
	if err != nil {
		return err
	}
	if st.Size != f.size {
		if err := unix.Ftruncate(fd, f.size); err != nil {
			return err
		}
	}
	if f.t.opt.Fsync {
		return unix.Fsync(fd)
	}
	// A network file system tells of a failed write when the file is closed, but
	// the descriptor is still needed. Closing a copy of it is enough.
	other, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(other)
}

// place gives the file its name.
func (f *File) place(fd int) error {
	if f.temp != "" {
		return f.t.place(f.d, f.temp, f.path, f.name)
	}
	if err := nameFile(fd, f.d.fd, f.name); !errors.Is(err, unix.EEXIST) {
		return err
	}
	f.temp = f.t.tempName()
	if err := nameFile(fd, f.d.fd, f.temp); err != nil {
		return err
	}
	return f.t.place(f.d, f.temp, f.path, f.name)
}

// Abort removes the file. It does nothing after Commit, so that it can be deferred.
func (f *File) Abort() {
	if f.f == nil {
		return
	}
	if f.temp != "" {
		_ = unix.Unlinkat(f.d.fd, f.temp, 0) // where that fails, RemoveTemps finds it
	}
	f.close()
}

func (f *File) close() {
	_ = f.f.Close() // flush has asked for errors, or the file is thrown away
	f.f = nil
	f.done()
}

func (f *File) done() {
	if f.temp != "" {
		f.t.tempDone(f.temp)
	}
	f.d.release()
}
