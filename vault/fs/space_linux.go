package fs

import (
	"os"

	"golang.org/x/sys/unix"
)

// unsure are the file systems, by the numbers of linux/magic.h and their own sources,
// whose free space says too little: they compress, or are remote.
var unsure = map[uint32]bool{
	unix.BTRFS_SUPER_MAGIC: true,
	unix.F2FS_SUPER_MAGIC:  true,
	0x2fc12fc1:             true, // ZFS
	0xca451a4e:             true, // bcachefs
	0x7366746e:             true, // NTFS
	unix.FUSE_SUPER_MAGIC:  true,
	unix.NFS_SUPER_MAGIC:   true,
	unix.SMB_SUPER_MAGIC:   true,
	unix.SMB2_SUPER_MAGIC:  true,
	unix.CIFS_SUPER_MAGIC:  true,
	unix.V9FS_MAGIC:        true,
	unix.CEPH_SUPER_MAGIC:  true,
}

func spaceOf(path string) (Space, error) {
	var s unix.Statfs_t
	if err := statfs(path, &s); err != nil {
		return Space{}, err
	}
	readOnly := s.Flags&unix.ST_RDONLY != 0
	if s.Blocks == 0 {
		return Space{Free: -1, Inodes: -1, ReadOnly: readOnly}, nil
	}
	blocks := s.Bavail
	if os.Geteuid() == 0 { // may use what is reserved for it
		blocks = s.Bfree
	}
	out := Space{
		Free: int64(blocks) * s.Frsize, Inodes: int64(s.Ffree), ReadOnly: readOnly,
		Unsure: unsure[uint32(s.Type)],
	}
	if s.Files == 0 {
		out.Inodes = -1
	}
	return out, nil
}
