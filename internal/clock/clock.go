// Package clock is where the program asks for time that must not be fooled:
// the monotonic clock of Go stops while a machine sleeps.
package clock

import (
	"time"

	"vaultik/internal/platform"
)

// Boot is the time since the machine started, sleep included.
func Boot() time.Duration {
	if d, ok := platform.Boot(); ok {
		return d
	}
	return time.Since(start) // a system without it has not slept in a way we could know
}

var start = time.Now()
