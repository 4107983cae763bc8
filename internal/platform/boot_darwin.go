package platform

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Boot is the time since the machine started, sleep included; false where the system does not tell.
func Boot() (time.Duration, bool) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil { // runs on during sleep here
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}

// BootID names this start of the machine, nil where the system does not tell.
func BootID() []byte {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return nil
	}
	return []byte(id)
}

// DropCache does nothing: reading back is of what the system has in memory.
func DropCache(*os.File) {}

// NoTracing keeps debuggers off.
func NoTracing() { _ = unix.PtraceDenyAttach() }
