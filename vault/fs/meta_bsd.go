//go:build darwin || freebsd

package fs

import (
	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// noAttr says that there is no attribute of that name.
const noAttr = unix.ENOATTR

func birth(raw *unix.Stat_t) page.Time {
	return page.Time{Sec: raw.Btim.Sec, Nsec: int32(raw.Btim.Nsec)}
}

// Flags of files that this family of systems shares with the inode flags of a
// page, which are those of Linux.
var sharedFlags = []struct{ here, page uint32 }{
	{0x1, 0x40},     // UF_NODUMP
	{0x2, 0x10},     // UF_IMMUTABLE
	{0x4, 0x20},     // UF_APPEND
	{0x20000, 0x10}, // SF_IMMUTABLE
	{0x40000, 0x20}, // SF_APPEND
}

func readFlagsOf(path string) (uint32, error) {
	var raw unix.Stat_t
	if err := unix.Lstat(path, &raw); err != nil {
		return 0, err
	}
	var flags uint32
	for _, f := range sharedFlags {
		if raw.Flags&f.here != 0 {
			flags |= f.page
		}
	}
	return flags, nil
}

// setFlagsOf gives the file or directory at path those of the flags that this system
// has: of the owner's kind, so that the owner can clear them.
func setFlagsOf(path string, flags uint32) error {
	var raw unix.Stat_t
	if err := unix.Lstat(path, &raw); err != nil {
		return err
	}
	want := raw.Flags
	for _, f := range sharedFlags {
		if f.here > 0x4 {
			continue
		}
		want &^= f.here
		if flags&f.page != 0 {
			want |= f.here
		}
	}
	if want == raw.Flags {
		return nil
	}
	return unix.Chflags(path, int(want))
}
