package treecmp

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// userFlags are the inode flags that a user or root can set, by their numbers in
// linux/fs.h: SECRM, UNRM, COMPR, SYNC, IMMUTABLE, APPEND, NODUMP, NOATIME, NOCOMP,
// JOURNAL_DATA, NOTAIL, DIRSYNC, TOPDIR, NOCOW, DAX, PROJINHERIT, CASEFOLD. The others
// tell how the file system keeps the file (extents, inline data, encryption).
const userFlags = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x400 | 0x4000 | 0x8000 | 0x10000 | 0x20000 |
	0x800000 | 0x2000000 | 0x20000000 | 0x40000000

// readFlags answers 0 where the file system has no flags.
func readFlags(fd int) uint32 {
	f, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err != nil {
		return 0
	}
	return f & userFlags
}

// readXattrs reads all extended attributes of path without following it. It
// answers nil where the file system has none.
func readXattrs(path string) (map[string]string, error) {
	list, err := grow(func(b []byte) (int, error) { return unix.Llistxattr(path, b) })
	if errors.Is(err, unix.ENOTSUP) || (err == nil && len(list) == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		v, err := grow(func(b []byte) (int, error) { return unix.Lgetxattr(path, name, b) })
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		out[name] = string(v)
	}
	return out, nil
}

// grow calls read with larger buffers until what it reads fits.
func grow(read func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := read(buf)
		if errors.Is(err, unix.ERANGE) && size < 1<<24 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}
