package treecmp

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// Kind names a sort of difference. It is what Options.Ignore takes.
type Kind string

// The kinds of difference.
const (
	Missing  Kind = "missing"  // only one side has the name
	Type     Kind = "type"     // file, directory, ...; nothing else of the entry is compared
	Mode     Kind = "mode"     // permission bits, setuid, setgid, sticky
	Owner    Kind = "owner"    // numeric user or group
	Size     Kind = "size"     // of regular files
	Content  Kind = "content"  // of regular files
	Holes    Kind = "holes"    // a hole of 64 KiB or more is data on the other side
	Target   Kind = "target"   // of symbolic links
	Device   Kind = "device"   // numbers of a character or block device
	Mtime    Kind = "mtime"    // to the nanosecond
	Xattr    Kind = "xattr"    // extended attributes of all namespaces
	Flags    Kind = "flags"    // inode flags a user can set (lsattr)
	Hardlink Kind = "hardlink" // the set of names that share the inode
	Outside  Kind = "outside"  // names of the inode that are not in the tree; only with Options.Outside
)

// Kinds lists all of them, in the order in which they are checked.
var Kinds = []Kind{Missing, Type, Mode, Owner, Size, Content, Holes, Target, Device, Mtime, Xattr, Flags, Hardlink, Outside}

// extent is a range of bytes of a file.
type extent struct{ off, end int64 }

// inode identifies what a name stands for.
type inode struct{ dev, ino uint64 }

// entry is all that is compared of one name.
type entry struct {
	typ    string // file, dir, symlink, fifo, char, block, socket
	mode   uint32 // 07777
	uid    uint32
	gid    uint32
	size   int64 // regular files
	sum    [sha256.Size]byte
	holes  []extent
	block  int64 // bytes, the granularity of holes
	target string
	rdev   uint64
	mtime  timespec
	xattrs map[string]string
	flags  uint32
	inode  inode
	nlink  uint64
}

type timespec struct {
	sec  int64
	nsec int64
}

func (t timespec) String() string {
	return fmt.Sprintf("%d.%09d (%s)", t.sec, t.nsec, time.Unix(t.sec, t.nsec).UTC().Format(time.RFC3339Nano))
}
