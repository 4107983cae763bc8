//go:build !portable

package fs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// OpenInPlace opens the regular file path, which is to become e, to
// change it where it stands: it keeps its inode, all of its names and whatever
// of its contents is not written. The mode does not matter to its owner, nor flags
// that forbid changes to those who may clear them; Commit sets them again.
//
// Until Commit nothing may take it for complete, whatever happens: before the first
// change it is made one byte too long, and that is on disk before anything else is.
// Abort and Suspend leave it so. A stranger's file fails with ErrStranger.
func (t *Target) OpenInPlace(path string, e *page.Entry) (*File, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	d, name, err := t.parent(path, true)
	if err != nil {
		return nil, t.error("open", path, err)
	}
	fd, err := openForChange(d.fd, name)
	if err != nil {
		d.release()
		return nil, t.error("open", path, err)
	}
	if err := t.owned(fd, path, e); err != nil {
		closeFD(fd)
		d.release()
		return nil, t.error("open", path, err)
	}
	return &File{t: t, d: d, path: path, name: name, size: e.Size, f: os.NewFile(uintptr(fd), t.full(path)), inPlace: &inPlace{}}, nil
}

const changeFlags = unix.O_RDWR | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// openForChange opens a regular file for reading and writing. The owner can remove what
// prevents that.
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

// setMeta gives a file that was changed in place its attributes.
func (f *File) setMeta(e *page.Entry) (MetaProblems, error) {
	n := node{fd: int(f.f.Fd())}
	problems := f.t.apply(n, e, false)
	problems.add("flags", n.lock(e))
	return problems, nil
}

// lockedOut reports the error that a locking flag causes.
func lockedOut(err error) bool { return errors.Is(err, unix.EPERM) }
