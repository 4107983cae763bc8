//go:build !portable

package fs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// CaptureMeta fills e with everything about the entry at absPath but its path,
// contents, and hard-link group: what st says, names of owner and group, link
// target, extended attributes and inode flags. It never follows a symbolic link
// and never opens a FIFO or device.
//
// It fails with ErrSwapped when st describes something else, fs.ErrNotExist when it is
// gone. Another error means that an attribute could not be read; e holds all the
// others and is worth saving.
func CaptureMeta(absPath string, st *Stat, e *page.Entry, names *NameCache) error {
	dirfd, name, err := openParent(absPath)
	if err != nil {
		st.Fill(e, names)
		return err
	}
	defer closeParent(dirfd)
	return captureMetaAt(dirfd, name, absPath, st, e, names)
}

// captureMetaAt is CaptureMeta by directory descriptor; absPath only names the entry in errors.
func captureMetaAt(dirfd int, name, absPath string, st *Stat, e *page.Entry, names *NameCache) error {
	st.Fill(e, names)
	n, err := openNode(dirfd, name, st.Type)
	if err != nil {
		return pathError("open", absPath, err)
	}
	defer n.close()
	now, err := fstat(n.fd)
	if err == nil && (now.Type != st.Type || !now.SameFile(st)) {
		err = ErrSwapped
	}
	if err != nil {
		return pathError("open", absPath, err)
	}
	return n.capture(absPath, e)
}

// CaptureOpen is CaptureMeta for a file that OpenFile has opened: it saves opening it twice.
func CaptureOpen(f *os.File, st *Stat, e *page.Entry, names *NameCache) error {
	st.Fill(e, names)
	n := node{fd: int(f.Fd())}
	return n.capture(f.Name(), e)
}

// capture reads what only an open entry can tell.
func (n node) capture(absPath string, e *page.Entry) error {
	var errs []error
	note := func(op string, err error) {
		if err != nil {
			errs = append(errs, pathError(op, absPath, err))
		}
	}
	var err error
	if e.Type == page.Symlink {
		e.Target, err = n.readlink()
		note("readlink", err)
	}
	if e.Type == page.File || e.Type == page.Dir {
		e.Flags, err = n.flags()
		note("read flags", err)
		e.Flags &= keptFlags
	}
	e.Xattrs, err = n.xattrs()
	note("read attributes", err)
	return errors.Join(errs...)
}

// readlink returns the target of the symbolic link that n is a handle on.
func (n node) readlink() (string, error) {
	for size := 256; ; size *= 2 {
		buf := make([]byte, size)
		got, err := filled(func() (int, error) { return unix.Readlinkat(n.fd, "", buf) })
		if err != nil {
			return "", err
		}
		if got < size {
			return string(buf[:got]), nil
		}
	}
}
