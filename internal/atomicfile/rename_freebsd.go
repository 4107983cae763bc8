package atomicfile

import "golang.org/x/sys/unix"

// renameExclusive is for file systems without hard links; there is no such call here.
func renameExclusive(int, string, string) error { return unix.ENOSYS }

// blockSize is the unit in bytes that s counts in.
func blockSize(s *unix.Statfs_t) int64 { return int64(s.Bsize) }
