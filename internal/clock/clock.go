// Package clock is where the program asks for time that must not be fooled:
// the monotonic clock of Go stops while a machine sleeps.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Boot is the time since the machine started, sleep included.
func Boot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Since(start) // a kernel without it has not slept in a way we could know
	}
	return time.Duration(ts.Nano())
}

var start = time.Now()
