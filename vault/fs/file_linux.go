//go:build !portable

package fs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// A File is a regular file of a Target on its way to being complete: CreateTemp
// makes one that is not there yet, with no name, or with a temporary one where
// the file system cannot do without; OpenInPlace opens one that is. WriteAt and
// PunchHole may be called by many goroutines; Commit, Suspend or Abort once all
// have returned. What is never written of a new file is a hole.
type File struct {
	t       *Target
	d       *dirHandle
	path    string
	name    string
	temp    string // "" for none
	part    bool   // temp is the name of a part, which Suspend leaves for the next restore
	size    int64
	f       *os.File // nil after Commit, Suspend or Abort
	inPlace *inPlace // nil for a new file
}

// CreateTemp begins the file path of size bytes.
func (t *Target) CreateTemp(path string, size int64) (*File, error) {
	return t.create(path, size, false)
}

// ResumeTemp is CreateTemp for a file of which HasPart reports a part. What an
// earlier restore has written is still in it, and not to be trusted before it is compared.
func (t *Target) ResumeTemp(path string, size int64) (*File, error) {
	return t.create(path, size, true)
}

func (t *Target) create(path string, size int64, resume bool) (*File, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	d, name, err := t.parent(path, true)
	if err != nil {
		return nil, t.error("create", path, err)
	}
	if err := d.changeable(); err != nil {
		d.release()
		return nil, t.error("create", path, err)
	}
	f := &File{t: t, d: d, path: path, name: name, size: size}
	if t.isLarge(size) && f.openPart(resume) {
		return f, nil
	}
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
	return nameFile(fd, dirfd, temp) == nil && unlinkat(dirfd, temp, 0) == nil
}

func nameFile(fd, dirfd int, name string) error {
	return linkat(unix.AT_FDCWD, node{fd: fd}.proc(), dirfd, name, unix.AT_SYMLINK_FOLLOW)
}

// Commit gives the file its size, the attributes in e, and then its name. On an error
// nothing of it is left, and whatever was there before still is (of a file that is
// changed in place: see OpenInPlace).
func (f *File) Commit(e *page.Entry) (MetaProblems, error) {
	if f.f == nil {
		return nil, f.t.error("write", f.path, os.ErrClosed)
	}
	problems, err := f.commit(e)
	if err != nil {
		f.Abort()
		return problems, f.t.error("write", f.path, err)
	}
	f.close()
	return problems, nil
}

func (f *File) commit(e *page.Entry) (MetaProblems, error) {
	if e.Type != page.File {
		return nil, unix.EINVAL
	}
	n := node{fd: int(f.f.Fd())}
	if f.inPlace != nil {
		return f.commitInPlace(e)
	}
	st, err := f.flush(n.fd)
	if err != nil {
		return nil, err
	}
	problems := f.t.applyTo(n, &st, e, true)
	if err := f.place(n.fd); err != nil {
		return problems, err
	}
	problems.add("flags", n.lock(e))
	return problems, nil
}

// flush brings the file to its size and asks for write errors that are still to come. st is
// as it was before.
func (f *File) flush(fd int) (st Stat, err error) {
	if st, err = fstat(fd); err != nil {
		return st, err
	}
	if st.Size != f.size {
		if err := ftruncate(fd, f.size); err != nil {
			return st, err
		}
	}
	if f.t.own.each {
		if err := synced(f.f.Sync()); err != nil {
			return st, err
		}
	}
	// A network file system reports a failed write when the file is closed, but the
	// descriptor is still needed. Closing a copy of it is enough.
	other, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return st, err
	}
	return st, closeWritten(other)
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
		_ = unlinkat(f.d.fd, f.temp, 0) // where that fails, RemoveTemps finds it
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
