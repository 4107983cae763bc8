package atomicfile

import "golang.org/x/sys/unix"

// renameExclusive renames without replacing; ENOTSUP where the file system cannot.
func renameExclusive(dirfd int, from, to string) error {
	return unix.RenameatxNp(dirfd, from, dirfd, to, unix.RENAME_EXCL)
}

// blockSize is the unit in bytes that s counts in.
func blockSize(s *unix.Statfs_t) int64 { return int64(s.Bsize) }
