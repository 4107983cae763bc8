package fs

import (
	iofs "io/fs"

	"vaultik/vault/page"
)

// Stat is what the kernel says about one entry, of which symbolic links are never followed.
type Stat struct {
	Type                page.Type
	Mode                uint32 // permission, setuid, setgid and sticky bits: 07777
	UID, GID            uint32
	Size                int64 // bytes
	Blocks              int64 // bytes that it takes on its file system, holes left out
	Mtime, Ctime, Btime page.Time
	Dev, Ino            uint64
	Subvol              uint64 // of btrfs and bcachefs, where Linux 6.10 and newer tell: inodes are numbered anew in each
	Nlink               uint64
	Major, Minor        uint32 // of a char or block device
	Mount               bool   // another file system, or part of one, is mounted here; Linux 5.8 and newer tell
}

// SameFile reports whether both describe one inode.
func (s *Stat) SameFile(o *Stat) bool {
	return s.Dev == o.Dev && s.Ino == o.Ino && s.Subvol == o.Subvol
}

func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &iofs.PathError{Op: op, Path: path, Err: err}
}
