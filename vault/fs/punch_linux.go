package fs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// punchHole makes n bytes of f at off a hole; errors.ErrUnsupported where the file system has none.
func punchHole(f *os.File, off, n int64) error {
	err := fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	if anyOf(err, unix.EOPNOTSUPP, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}
