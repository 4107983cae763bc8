package keys

import (
	"os"
	"regexp"

	"vaultik/internal/platform"
)

// HardenProcess keeps secrets of this process from other processes, as far as the system
// offers that: no core dumps and no tracing by those of the same user; and on Linux
// /proc/PID/environ, which shows the environment of the start for as long as a process
// lives, becomes unreadable for that user, and for root, who can read it all the same, the
// values of secrets in it are overwritten. It also removes AGEDEBUG, under which age prints
// file keys. Call it first in main; what the system refuses is left as it is.
func HardenProcess() {
	platform.NoCoreDumps()
	platform.NoTracing()
	platform.HideEnv(secretName.MatchString)
	_ = os.Unsetenv("AGEDEBUG")
}

// secretName matches variables that hold secrets of ours and of others: the identity, keys
// of S3 (AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), what rclone takes (RCLONE_CONFIG_PASS,
// RCLONE_CONFIG_REMOTE_KEY), and what programs may need whose output is saved (PGPASSWORD).
var secretName = regexp.MustCompile(`(?i)SECRET|PASS|TOKEN|CREDENTIAL|AUTH|_KEY`)
