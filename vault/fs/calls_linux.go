package fs

import (
	"errors"

	"golang.org/x/sys/unix"

	"vaultik/internal/platform"
)

// System calls that wait for a file system, made again when a signal interrupts them:
// FUSE and network file systems do not restart what they have begun.

func renameat(from int, name string, to int, newName string) error {
	return platform.Again(func() error { return unix.Renameat(from, name, to, newName) })
}

func unlinkat(dirfd int, name string, flags int) error {
	return platform.Again(func() error { return unix.Unlinkat(dirfd, name, flags) })
}

func linkat(from int, name string, to int, newName string, flags int) error {
	return platform.Again(func() error { return unix.Linkat(from, name, to, newName, flags) })
}

func symlinkat(target string, dirfd int, name string) error {
	return platform.Again(func() error { return unix.Symlinkat(target, dirfd, name) })
}

func mknodat(dirfd int, name string, mode uint32, dev int) error {
	return platform.Again(func() error { return unix.Mknodat(dirfd, name, mode, dev) })
}

func mkdirat(dirfd int, name string, mode uint32) error {
	return platform.Again(func() error { return unix.Mkdirat(dirfd, name, mode) })
}

func ftruncate(fd int, size int64) error {
	return platform.Again(func() error { return unix.Ftruncate(fd, size) })
}

func fallocate(fd int, mode uint32, off, n int64) error {
	return platform.Again(func() error { return unix.Fallocate(fd, mode, off, n) })
}

func fsync(fd int) error  { return platform.Again(func() error { return unix.Fsync(fd) }) }
func syncfs(fd int) error { return platform.Again(func() error { return unix.Syncfs(fd) }) }

func fchownat(dirfd int, path string, uid, gid, flags int) error {
	return platform.Again(func() error { return unix.Fchownat(dirfd, path, uid, gid, flags) })
}

func fchmodat(dirfd int, path string, mode uint32, flags int) error {
	return platform.Again(func() error { return unix.Fchmodat(dirfd, path, mode, flags) })
}

func fchmod(fd int, mode uint32) error {
	return platform.Again(func() error { return unix.Fchmod(fd, mode) })
}

func utimensat(dirfd int, path string, times []unix.Timespec, flags int) error {
	return platform.Again(func() error { return unix.UtimesNanoAt(dirfd, path, times, flags) })
}

func setxattr(path, name string, value []byte, flags int) error {
	return platform.Again(func() error { return unix.Setxattr(path, name, value, flags) })
}

func fsetxattr(fd int, name string, value []byte, flags int) error {
	return platform.Again(func() error { return unix.Fsetxattr(fd, name, value, flags) })
}

func removexattr(path, name string) error {
	return platform.Again(func() error { return unix.Removexattr(path, name) })
}

func fremovexattr(fd int, name string) error {
	return platform.Again(func() error { return unix.Fremovexattr(fd, name) })
}

func fstatfs(fd int, s *unix.Statfs_t) error {
	return platform.Again(func() error { return unix.Fstatfs(fd, s) })
}

func statfs(path string, s *unix.Statfs_t) error {
	return platform.Again(func() error { return unix.Statfs(path, s) })
}

func ioctlGet(fd int, request uint) (value uint32, err error) {
	err = platform.Again(func() error {
		value, err = unix.IoctlGetUint32(fd, request)
		return err
	})
	return value, err
}

func ioctlSet(fd int, request uint, value int) error {
	return platform.Again(func() error { return unix.IoctlSetPointerInt(fd, request, value) })
}

// filled is for calls that fill a buffer and return how many bytes they have put there.
func filled(call func() (int, error)) (n int, err error) {
	err = platform.Again(func() error {
		n, err = call()
		return err
	})
	return n, err
}

// closeWritten closes a descriptor that tells of writes that have failed. One that a signal
// has interrupted is not repeated: the descriptor is free by then, and may be another's.
func closeWritten(fd int) error {
	if err := unix.Close(fd); !errors.Is(err, unix.EINTR) {
		return err
	}
	return nil
}
