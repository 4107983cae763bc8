//go:build unix

package fs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"vaultik/internal/platform"
)

// syncsAll: there is a call that writes all of a file system to disk.
const syncsAll = true

// flock is replaced by tests of file systems that have no locks.
var flock = func(fd, how int) error {
	return platform.Again(func() error { return unix.Flock(fd, how) })
}

// lockMark locks a mark until it is closed. It fails with errMarkHeld if another process
// holds it, and otherwise where there are no locks.
func lockMark(f *os.File, shared bool) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	err := flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errMarkHeld
	}
	return err
}
