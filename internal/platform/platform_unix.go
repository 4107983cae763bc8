//go:build unix

package platform

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// NoFollow and NonBlock are flags of os.OpenFile: fail at a symbolic link, and
// never wait for the other end of a FIFO.
const (
	NoFollow = unix.O_NOFOLLOW
	NonBlock = unix.O_NONBLOCK
)

// Lock takes the lock of f until f is closed or the process ends, however it
// ends: shared or for one alone, with or without waiting. ErrLocked where another
// process has it and wait is false.
func Lock(f *os.File, shared, wait bool) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	if !wait {
		how |= unix.LOCK_NB
	}
	err := Again(func() error { return unix.Flock(int(f.Fd()), how) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// Writable fails where this user may not make names in the directory dir.
func Writable(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }

// SyncPath makes a file, or the names in a directory, durable.
func SyncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	defer func() { _ = f.Close() }()
	err = f.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil // some file systems have no such thing for directories
	}
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// Space returns the bytes that this user may still write on the file system of
// dir, and its size.
func Space(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := Again(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return 0, 0, fmt.Errorf("ask for free space of %q: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// OpenLimit is how many files the process may have open at once.
func OpenLimit() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return math.MaxUint64
	}
	return uint64(l.Cur)
}

// OpenShare is how many files one part of the program may have open at once: most, or a
// share, one nth, of what the process may have open, but never fewer than 8.
func OpenShare(most, nth int) int {
	return int(min(uint64(most), max(8, OpenLimit()/uint64(nth))))
}

// Map returns size zero bytes that the garbage collector does not know of; Unmap gives them back.
func Map(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

// Unmap gives back what Map returned.
func Unmap(b []byte) error { return unix.Munmap(b) }

// NoCoreDumps keeps the memory of this process out of core files.
func NoCoreDumps() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }

func noSpace(error) bool { return false }
