package atomicfile

import (
	"golang.org/x/sys/unix"

	"vaultik/internal/platform"
)

// Replaces reports whether a reader of a name that is replaced finds the old file or the new
// one, never none. What a FUSE program makes of a rename is its own affair: ntfs-3g removes
// the old file first.
func (d *Dir) Replaces() bool {
	var s unix.Statfs_t
	err := platform.Again(func() error { return unix.Fstatfs(d.fd, &s) })
	return err == nil && s.Type != unix.FUSE_SUPER_MAGIC
}
