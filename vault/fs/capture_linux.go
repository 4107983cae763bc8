//go:build !portable

package fs

import (
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
// gone. Another error means that attributes could not be read, AttrErrors for some of
// them; e holds all the others and is worth saving.
func CaptureMeta(absPath string, st *Stat, e *page.Entry, names *NameCache, attrs Attrs) error {
	dirfd, name, err := openParent(absPath)
	if err != nil {
		st.Fill(e, names)
		return err
	}
	defer closeParent(dirfd)
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
	return n.capture(absPath, e, attrs)
}

// CaptureOpen is CaptureMeta for a file that OpenFile has opened: it saves opening it twice.
func CaptureOpen(f *os.File, st *Stat, e *page.Entry, names *NameCache, attrs Attrs) error {
	st.Fill(e, names)
	n := node{fd: int(f.Fd())}
	return n.capture(f.Name(), e, attrs)
}

// capture reads what only an open entry can tell.
func (n node) capture(absPath string, e *page.Entry, attrs Attrs) error {
	var err error
	if e.Type == page.Symlink {
		if e.Target, err = n.readlink(); err != nil {
			return pathError("readlink", absPath, err)
		}
	}
	var bad AttrErrors
	if e.Type == page.File || e.Type == page.Dir {
		e.Flags, err = n.flags()
		bad.add(attrFlags, err)
		e.Flags &= keptFlags
	}
	if attrs == AllAttrs {
		names, err := n.xattrNames()
		bad.add(attrList, err)
		e.Xattrs = readXattrs(names, n.xattr, unix.ENODATA, &bad)
	}
	return bad.err()
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
