package fs

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// inPlace is the state of a file that is changed where it stands.
type inPlace struct {
	once   sync.Once
	err    error // of marking it
	marked bool
}

// OpenInPlace opens the regular file path, which is to become size bytes long, to
// change it where it stands: it keeps its inode, all of its names and whatever
// of its contents is not written. The mode does not matter to its owner, nor flags
// that forbid changes to those who may clear them; Commit sets them again.
//
// Until Commit nobody may take it for complete, whatever happens: before the
// first change it is made one byte too long, and that is on disk before anything else is.
// Abort and Suspend leave it so.
func (t *Target) OpenInPlace(path string, size int64) (*File, error) {
	d, name, err := t.parent(path, true)
	if err != nil {
		return nil, t.error("open", path, err)
	}
	fd, err := openForChange(d.fd, name)
	if err != nil {
		d.release()
		return nil, t.error("open", path, err)
	}
	return &File{t: t, d: d, path: path, name: name, size: size, f: os.NewFile(uintptr(fd), t.full(path)), inPlace: &inPlace{}}, nil
}

const changeFlags = unix.O_RDWR | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// openForChange opens a regular file for reading and writing. What keeps its owner
// from that, he can take away.
func openForChange(dirfd int, name string) (int, error) {
	fd, err := openat(dirfd, name, changeFlags, 0)
	if anyOf(err, unix.EACCES, unix.EPERM) {
		if made := makeWritable(dirfd, name); made != nil {
			return -1, err // says more than made does
		}
		fd, err = openat(dirfd, name, changeFlags, 0)
	}
	if anyOf(err, unix.ELOOP, unix.ENXIO, unix.EISDIR) {
		err = ErrSwapped
	}
	if err != nil {
		return -1, err
	}
	if st, err := fstat(fd); err != nil || st.Type != page.File {
		closeFD(fd)
		if err == nil {
			err = ErrSwapped
		}
		return -1, err
	}
	return fd, nil
}

// makeWritable gives the owner of a file the right to change it.
func makeWritable(dirfd int, name string) error {
	n, err := openNode(dirfd, name, page.File)
	if err != nil {
		return err
	}
	defer n.close()
	st, err := fstat(n.fd)
	if err != nil {
		return err
	}
	if st.Type != page.File {
		return ErrSwapped
	}
	if err := n.unlock(); err != nil {
		return err
	}
	if st.Mode&0o600 != 0o600 {
		return n.chmod(st.Mode | 0o600)
	}
	return nil
}

// mark makes a file that is changed in place look incomplete, before its first change.
func (f *File) mark() error {
	p := f.inPlace
	if p == nil {
		return nil
	}
	p.once.Do(func() {
		fd := int(f.f.Fd())
		if p.err = unix.Ftruncate(fd, f.size+1); p.err == nil {
			p.marked = true
			p.err = unix.Fsync(fd)
		}
		p.err = f.t.error("mark as incomplete", f.path, p.err)
	})
	return p.err
}

// commitInPlace makes the file look complete, when all that it holds is on disk.
func (f *File) commitInPlace(n node, e *page.Entry) (MetaProblems, error) {
	if f.inPlace.marked {
		if err := unix.Fsync(n.fd); err != nil {
			return nil, err
		}
	}
	st, err := fstat(n.fd)
	if err != nil {
		return nil, err
	}
	if st.Size != f.size {
		if err := unix.Ftruncate(n.fd, f.size); err != nil {
			return nil, err
		}
	}
	problems := f.t.apply(n, e, false)
	problems.add("flags", n.lock(e))
	return problems, nil
}

// Unfinished reports whether Abort leaves the file changed in part, and marked as such.
func (f *File) Unfinished() bool { return f.inPlace != nil && f.inPlace.marked }

// lockedOut reports the error that a locking flag causes.
func lockedOut(err error) bool { return errors.Is(err, unix.EPERM) }
