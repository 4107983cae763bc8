package fs

import (
	"strings"

	"golang.org/x/sys/unix"
)

func device(path string, mode uint32, dev uint64) error { return unix.Mknod(path, mode, dev) }

// removable reports whether an attribute that an entry does not have is to go.
func removable(name string) bool { return strings.HasPrefix(name, "user.") }
