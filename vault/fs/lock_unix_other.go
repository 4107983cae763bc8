//go:build unix && (!linux || portable)

package fs

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks an open file against other processes until it is closed.
func lockFile(f *os.File) bool { return flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil }
