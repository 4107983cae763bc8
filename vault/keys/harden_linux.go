package keys

import (
	"os"

	"golang.org/x/sys/unix"
)

// HardenProcess keeps secrets of this process from other processes of the same
// user: no core dumps, no ptrace, and /proc/self/environ, which still shows
// variables that were removed, becomes unreadable. It also removes AGEDEBUG,
// under which age prints file keys. Call it first in main; what the system
// refuses is left as it is.
func HardenProcess() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = os.Unsetenv("AGEDEBUG")
}
