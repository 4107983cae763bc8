//go:build !portable

package fs

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// A node is one open entry: a descriptor for reading or writing where that is
// possible, else a handle (O_PATH), through which the kernel's /proc names the
// entry itself, even a symbolic link.
type node struct {
	fd     int
	handle bool
}

// openNode opens name without effect on it and without following it. What may
// not be read, and what has no data, is opened as a handle.
func openNode(dirfd int, name string, kind page.Type) (node, error) {
	flags := readFlags
	switch kind {
	case page.Dir:
		flags = dirFlags
	case page.File:
	default:
		fd, err := openat(dirfd, name, handleFlags, 0)
		return node{fd, true}, err
	}
	fd, err := openatQuiet(dirfd, name, flags)
	if anyOf(err, unix.EACCES, unix.EPERM, unix.EAGAIN, unix.EBUSY, unix.ETXTBSY) { // may not be read, or not now
		fd, err = openat(dirfd, name, handleFlags, 0)
		return node{fd, true}, err
	}
	if anyOf(err, unix.ELOOP, unix.ENOTDIR, unix.ENXIO) {
		err = ErrSwapped
	}
	return node{fd, false}, err
}

func (n node) close() { closeFD(n.fd) }

// proc is a path that leads to the entry itself.
func (n node) proc() string { return "/proc/self/fd/" + strconv.Itoa(n.fd) }

// keptFlags are the inode flags that a user can set and that say something about
// the entry, rather than how the file system happens to store it.
const keptFlags = 0x1 | // secure deletion
	0x2 | // undeletable
	0x4 | // compressed
	0x8 | // synchronous
	flagImmutable |
	flagAppend |
	0x40 | // no dump
	0x80 | // no access time
	0x400 | // not compressed
	0x4000 | // journal data
	0x8000 | // no tail merging
	0x10000 | // synchronous directory
	0x20000 | // top of hierarchy
	flagNoCOW |
	0x2000000 | // DAX
	0x20000000 | // project inherited
	flagCasefold

const (
	flagImmutable = 0x10
	flagAppend    = 0x20
	flagNoCOW     = 0x800000
	flagCasefold  = 0x40000000

	// knownFlags are those that statx tells.
	knownFlags = 0x4 | flagImmutable | flagAppend | 0x40
	// lockingFlags forbid all later changes, so they are cleared first and set last.
	lockingFlags = flagImmutable | flagAppend
	// flagsWhileEmpty can only be set on a directory (or file) without contents.
	flagsWhileEmpty = flagNoCOW | flagCasefold
)

// flags returns the inode flags, 0 where there are none.
func (n node) flags() (uint32, error) {
	if n.handle {
		return n.visibleFlags()
	}
	flags, err := ioctlGet(n.fd, unix.FS_IOC_GETFLAGS)
	if anyOf(err, unix.ENOTTY, unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL) {
		return 0, nil
	}
	return flags, err
}

// visibleFlags returns the few flags that can be known about an entry that may not be read.
func (n node) visibleFlags() (uint32, error) {
	var x unix.Statx_t
	err := sysStatx(n.fd, "", unix.AT_EMPTY_PATH, unix.STATX_TYPE, &x)
	return uint32(x.Attributes) & knownFlags, err // the same bits in both
}

func (n node) setFlags(flags uint32) error {
	if n.handle {
		return unix.EACCES
	}
	return ioctlSet(n.fd, unix.FS_IOC_SETFLAGS, int(int32(flags)))
}

// attrBuffers hold lists of names and values of attributes, of which Linux allows 64 KiB each.
var attrBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// xattrNames returns the names of the extended attributes, sorted; none where there is no
// such thing.
func (n node) xattrNames() ([]string, error) {
	text, err := readAttr(func(buf []byte) (int, error) {
		if n.handle {
			return unix.Listxattr(n.proc(), buf)
		}
		return unix.Flistxattr(n.fd, buf)
	})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil || len(text) == 0 {
		return nil, err
	}
	names := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	slices.Sort(names)
	return names, nil
}

func (n node) xattr(name string) ([]byte, error) {
	return readAttr(func(buf []byte) (int, error) {
		if n.handle {
			return unix.Getxattr(n.proc(), name, buf)
		}
		return unix.Fgetxattr(n.fd, name, buf)
	})
}

// readAttr returns a copy of what get puts into a buffer.
func readAttr(get func([]byte) (int, error)) ([]byte, error) {
	buf := attrBuffers.Get().(*[]byte)
	defer attrBuffers.Put(buf)
	size, err := filled(func() (int, error) { return get(*buf) })
	for big := 1 << 20; errors.Is(err, unix.ERANGE) && big <= 1<<26; big *= 8 { // some file systems allow more
		larger := make([]byte, big)
		if size, err = filled(func() (int, error) { return get(larger) }); err == nil {
			return larger[:size:size], nil
		}
	}
	if err != nil || size == 0 {
		return nil, err
	}
	return bytes.Clone((*buf)[:size]), nil
}

func (n node) setXattr(name string, value []byte) error {
	if n.handle {
		return setxattr(n.proc(), name, value, 0)
	}
	return fsetxattr(n.fd, name, value, 0)
}

func (n node) removeXattr(name string) error {
	if n.handle {
		return removexattr(n.proc(), name)
	}
	return fremovexattr(n.fd, name)
}

func (n node) chown(uid, gid int) error {
	return fchownat(n.fd, "", uid, gid, unix.AT_EMPTY_PATH)
}

func (n node) chmod(mode uint32) error {
	if n.handle {
		return fchmodat(unix.AT_FDCWD, n.proc(), mode, 0)
	}
	return fchmod(n.fd, mode)
}

func (n node) setTimes(times []unix.Timespec) error {
	err := utimensat(n.fd, "", times, unix.AT_EMPTY_PATH)
	if anyOf(err, unix.EINVAL, unix.ENOENT) { // before Linux 5.8
		return utimensat(unix.AT_FDCWD, n.proc(), times, 0)
	}
	return err
}
