//go:build darwin || freebsd

package fs

import "golang.org/x/sys/unix"

// spaceOf is unsure: APFS and ZFS share space, clone and compress.
func spaceOf(path string) (Space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Space{}, err
	}
	return Space{
		Free: int64(s.Bavail) * int64(s.Bsize), Inodes: -1, Unsure: true,
		ReadOnly: uint64(s.Flags)&unix.MNT_RDONLY != 0,
	}, nil
}
