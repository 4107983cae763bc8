//go:build portable

package fs

import (
	"os"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// With the tag portable the tests of this package run over what other systems
// use, on Linux.

const noAttr = unix.ENODATA

func birth(*unix.Stat_t) page.Time { return page.Time{} }

const portableFlags = 0x10 | 0x20 | 0x40 | 0x80

func withFlags(path string, fn func(fd int, flags uint32) error) error {
	f, err := os.OpenFile(path, readFlags, 0)
	if err != nil {
		return nil // may not be read: its flags stay unknown
	}
	defer func() { _ = f.Close() }()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return nil
	}
	return fn(int(f.Fd()), flags)
}

func readFlagsOf(path string) (flags uint32, err error) {
	err = withFlags(path, func(_ int, now uint32) error {
		flags = now & portableFlags
		return nil
	})
	return flags, err
}

func setFlagsOf(path string, flags uint32) error {
	return withFlags(path, func(fd int, now uint32) error {
		return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(now&^portableFlags|flags&portableFlags))
	})
}
