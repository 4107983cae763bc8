//go:build unix

package fs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncsAll: there is a call that writes all of a file system to disk.
const syncsAll = true

// lockMark locks a mark until it is closed. It reports false if another process holds
// it. Where there are no locks, nobody holds any.
func lockMark(f *os.File, shared bool) bool {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	return !errors.Is(unix.Flock(int(f.Fd()), how|unix.LOCK_NB), unix.EWOULDBLOCK)
}
