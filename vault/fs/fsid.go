//go:build freebsd || portable

package fs

import "fmt"

// ownID is what f_fsid of FreeBSD says of a file system, "" if that is not its own id.
func ownID(kind string, number uint32, fsid [2]int32) string {
	low, high := uint32(fsid[0]), uint32(fsid[1])
	switch {
	case low == 0 && high == 0: // hidden from this user
		return ""
	case kind == "zfs":
		high &^= 0xff // the number of the type, by the order in which types are loaded
	case kind != "ufs", high == number: // the next free id: a copy has the one in the superblock
		return ""
	}
	return fmt.Sprintf("%s id %08x%08x", kind, high, low)
}
