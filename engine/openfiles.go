package engine

import (
	"fmt"

	"vaultik/internal/fault"
	"vaultik/internal/platform"
)

// fewestFiles is how many files a process must be allowed to have open. With as few, each part
// of the program takes its smallest share, and the index some ten; with fewer still, entries
// could not be opened, or the store would be asked in vain until all retries are used up.
const fewestFiles = 40

// enoughFiles fails where no command could do its work.
func enoughFiles() error {
	n := platform.OpenLimit()
	if n >= fewestFiles {
		return nil
	}
	return fault.WithHint(
		fmt.Errorf("this process may have only %d files open at once; at least %d are needed",
			n, fewestFiles),
		"raise the limit before running it: ulimit -n 256 (as root, if it is refused; "+
			"for a systemd service: LimitNOFILE=256)")
}
