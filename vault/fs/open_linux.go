//go:build !portable

package fs

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

const (
	// dirFlags open a directory for reading its names.
	dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	// searchFlags open a directory for looking up names in it: needs no read permission.
	searchFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	// readFlags open a file for reading. A FIFO put in its place does not block.
	readFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	// handleFlags open anything, a symbolic link included, as what it is and without effect on it.
	handleFlags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
)

func openat(dirfd int, name string, flags int, perm uint32) (int, error) {
	return filled(func() (int, error) { return unix.Openat(dirfd, name, flags, perm) })
}

// openatQuiet opens for reading without touching the access time where that is allowed.
func openatQuiet(dirfd int, name string, flags int) (int, error) {
	fd, err := openat(dirfd, name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // not the owner
		return openat(dirfd, name, flags, 0)
	}
	return fd, err
}

func closeFD(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd) // only ever read from, or its data is already known to be safe
	}
}

// longestPath is what the kernel takes in one call, a closing zero byte included.
const longestPath = unix.PathMax

// openParent opens the directory that holds path when path is too long for one
// call, component by component. For others it returns AT_FDCWD and path itself.
func openParent(path string) (dirfd int, name string, err error) {
	if len(path) < longestPath {
		return unix.AT_FDCWD, path, nil
	}
	dirfd, rest := unix.AT_FDCWD, path
	for len(rest) >= longestPath {
		cut := strings.LastIndexByte(rest[:longestPath-1], '/')
		if cut <= 0 {
			err = unix.ENAMETOOLONG
			break
		}
		// Like the kernel with a shorter path, this follows links on the way: callers compare
		// the inode.
		var fd int
		fd, err = openat(dirfd, rest[:cut], searchFlags, 0)
		if err != nil {
			break
		}
		closeParent(dirfd)
		dirfd, rest = fd, strings.TrimLeft(rest[cut:], "/")
	}
	if err != nil {
		closeParent(dirfd)
		return 0, "", pathError("open", path, err)
	}
	return dirfd, rest, nil
}

func closeParent(dirfd int) {
	if dirfd != unix.AT_FDCWD {
		closeFD(dirfd)
	}
}

// openPath returns a handle on whatever path names; errors are *fs.PathError.
func openPath(path string) (int, error) {
	dirfd, name, err := openParent(path)
	if err != nil {
		return -1, err
	}
	defer closeParent(dirfd)
	fd, err := openat(dirfd, name, handleFlags, 0)
	return fd, pathError("open", path, err)
}

// OpenFile opens the regular file abs for reading and returns its state at that
// moment. It fails with ErrSwapped unless that is the file want describes (a nil
// want takes any regular file). It never blocks, neither on a FIFO put there
// meanwhile nor on a lease, and leaves the access time alone where allowed.
func OpenFile(abs string, want *Stat) (*os.File, Stat, error) {
	dirfd, name, err := openParent(abs)
	if err != nil {
		return nil, Stat{}, err
	}
	defer closeParent(dirfd)
	return openFileAt(dirfd, name, abs, want)
}

// OpenFileAt is OpenFile by directory descriptor; abs only names the file in errors.
func OpenFileAt(dirfd int, name, abs string, want *Stat) (*os.File, Stat, error) {
	return openFileAt(dirfd, name, abs, want)
}

func openFileAt(dirfd int, name, abs string, want *Stat) (*os.File, Stat, error) {
	fd, err := openatQuiet(dirfd, name, readFlags)
	if anyOf(err, unix.ELOOP, unix.ENXIO) { // a link now, or a socket
		err = ErrSwapped
	}
	if err != nil {
		return nil, Stat{}, pathError("open", abs, err)
	}
	st, err := fstat(fd)
	if err == nil && (st.Type != page.File || want != nil && !st.SameFile(want)) {
		err = ErrSwapped
	}
	if err != nil {
		closeFD(fd)
		return nil, st, pathError("open", abs, err)
	}
	return plainFile(fd, abs), st, nil
}

// plainFile is an os.File of a descriptor that does not block. The runtime must not
// notice that it does not: it would register it for polling, which calls a FUSE file
// system while holding a processor. A few that hang would halt the program.
func plainFile(fd int, name string) *os.File {
	_ = unix.SetNonblock(fd, false)
	f := os.NewFile(uintptr(fd), name)
	_ = unix.SetNonblock(fd, true) // some files of /proc would block for ever
	return f
}
