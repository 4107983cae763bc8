package platform

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// NoFollow and NonBlock mean nothing here: what is opened is looked at before,
// and there are no FIFOs among files.
const (
	NoFollow = 0
	NonBlock = 0
)

// lockAt is a byte behind the contents of any lock file: locks bind here, and
// what the file says of its holder must stay readable.
const lockAt = 1 << 30

// Lock takes the lock of f until f is closed or the process ends, however it
// ends: shared or for one alone, with or without waiting. ErrLocked where another
// process has it and wait is false.
func Lock(f *os.File, shared, wait bool) error {
	var how uint32
	if !shared {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	if !wait {
		how |= windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &windows.Overlapped{Offset: lockAt})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return err
}

// Writable fails where this user may not make names in the directory dir.
func Writable(dir string) error {
	f, err := os.CreateTemp(dir, ".vaultik-*")
	if err != nil {
		return err
	}
	_ = f.Close()
	return os.Remove(f.Name())
}

// SyncPath makes a file durable. The names in a directory cannot be asked for
// here: NTFS keeps a journal of them.
func SyncPath(path string) error {
	st, err := os.Stat(path)
	if err != nil || st.IsDir() {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// Space returns the bytes that this user may still write on the volume of dir, and its size.
func Space(dir string) (free, total int64, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return 0, 0, err
	}
	name, err := windows.UTF16PtrFromString(abs)
	if err != nil {
		return 0, 0, err
	}
	var mine, all uint64
	if err := windows.GetDiskFreeSpaceEx(name, &mine, &all, nil); err != nil {
		return 0, 0, fmt.Errorf("ask for free space of %q: %w", dir, err)
	}
	return int64(mine), int64(all), nil
}

// OpenLimit is how many files the process may have open at once: no limit is known here.
func OpenLimit() uint64 { return math.MaxUint64 }

// OpenShare is how many files one part of the program may have open at once: most, since no
// limit of a process is known here.
func OpenShare(most, nth int) int { return most }

// Map returns size zero bytes that the garbage collector does not know of; Unmap gives them back.
func Map(size int) ([]byte, error) {
	at, err := windows.VirtualAlloc(0, uintptr(size), windows.MEM_COMMIT|windows.MEM_RESERVE, windows.PAGE_READWRITE)
	if err != nil {
		return nil, err
	}
	// The address is no Go pointer, so that it goes through a variable of its own.
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&at))), size), nil
}

// Unmap gives back what Map returned.
func Unmap(b []byte) error {
	return windows.VirtualFree(uintptr(unsafe.Pointer(unsafe.SliceData(b))), 0, windows.MEM_RELEASE)
}

// NoCoreDumps does nothing: error reports are not made of what handles its own panics.
func NoCoreDumps() {}

func noSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
