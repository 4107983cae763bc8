package atomicfile

import "golang.org/x/sys/unix"

// renameExclusive renames without replacing; EINVAL or ENOSYS where the file system cannot.
func renameExclusive(dirfd int, from, to string) error {
	return unix.Renameat2(dirfd, from, dirfd, to, unix.RENAME_NOREPLACE)
}

// blockSize is the unit in bytes that s counts in.
func blockSize(s *unix.Statfs_t) int64 { return s.Frsize }
