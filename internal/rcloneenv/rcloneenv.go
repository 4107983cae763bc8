// Package rcloneenv hides rclone's environment variables from rclone while its
// packages initialise. They would end the process before main where a value is bad
// (RCLONE_TRANSFERS=abc), and make a directory in the user's home.
//
// Go initialises packages in the order of their import paths, as far as imports
// allow. That is why this package imports nearly nothing, and why it is a module
// of its own: below "vaultik/" it would come after "github.com/rclone/".
package rcloneenv

import (
	"os"
	"strings"
)

const (
	prefix = "RCLONE_"
	config = prefix + "CONFIG" // where it is set, rclone makes no directory for it
)

var taken = map[string]string{}

func init() {
	for _, kv := range os.Environ() {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, prefix) {
			taken[name] = value
			_ = os.Unsetenv(name) // cannot fail for a name that is set
		}
	}
	_ = os.Setenv(config, os.DevNull)
}

// Restore puts the variables back. Call it once, after rclone is initialised.
func Restore() {
	_ = os.Unsetenv(config)
	for name, value := range taken {
		_ = os.Setenv(name, value)
	}
	clear(taken)
}
