package config

import (
	"os"
	"os/user"
	"path/filepath"
)

// CallersConfig is the usual configuration of the user who called this process by sudo or
// doas, and that user's name; "" if there is none. Under sudo HOME is often that of root,
// where another configuration would begin another host.
func CallersConfig() (name, file string) {
	for _, env := range []string{"SUDO_USER", "DOAS_USER"} {
		name := os.Getenv(env)
		if name == "" {
			continue
		}
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		file := filepath.Join(u.HomeDir, ".config", "vaultik", "config.yaml")
		if isFile(file) {
			return name, file
		}
	}
	return "", ""
}
