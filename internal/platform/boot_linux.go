package platform

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Boot is the time since the machine started, sleep included; false where the system does not tell.
func Boot() (time.Duration, bool) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}

// BootID names this start of the machine, nil where the system does not tell.
func BootID() []byte {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil
	}
	return id
}

// DropCache says that what f has in memory will not be read again soon, so that
// the next reading is of the disk.
func DropCache(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

// NoTracing keeps other processes of this user out of the memory of this one.
func NoTracing() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
