package keys

import (
	"os"

	"vaultik/internal/platform"
)

// HardenProcess keeps secrets of this process from other processes of the same
// user, as far as the system offers that: no core dumps, no tracing, and on Linux
// /proc/self/environ, which still shows variables that were removed, becomes
// unreadable. It also removes AGEDEBUG, under which age prints file keys. Call it
// first in main; what the system refuses is left as it is.
func HardenProcess() {
	platform.NoCoreDumps()
	platform.NoTracing()
	_ = os.Unsetenv("AGEDEBUG")
}
