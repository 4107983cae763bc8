//go:build portable

package fs

import (
	"strings"

	"golang.org/x/sys/unix"
)

func device(path string, mode uint32, dev uint64) error { return unix.Mknod(path, mode, int(dev)) }

func removable(name string) bool {
	return strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "system.posix_acl_") || name == "security.capability"
}
