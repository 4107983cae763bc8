package oddtree

import (
	"bytes"
	"encoding/binary"
)

// attributes: extended attributes, ACLs, capabilities, inode flags.
func (b *builder) attributes() {
	b.dir("attrs", 0o755)
	b.file("attrs/user", []byte("user"))
	b.xattr("attrs/user", "user.comment", []byte("plain text"))
	b.xattr("attrs/user", "user.empty", nil)
	b.xattr("attrs/user", "user.binary", []byte{0, 1, 2, 0xff, '\n', 0})
	b.xattr("attrs/user", "user.näme\xff", []byte("a name that is not UTF-8"))
	b.file("attrs/large", []byte("large"))
	b.xattr("attrs/large", "user.large", b.bytes(3300)) // more than a page takes inline
	b.dir("attrs/dir", 0o755)
	b.xattr("attrs/dir", "user.dir", []byte("of a directory"))
	b.file("attrs/many", nil)
	for i := range 40 {
		b.xattr("attrs/many", "user.number-"+string(rune('A'+i)), bytes.Repeat([]byte{byte(i)}, i))
	}

	b.file("attrs/acl", []byte("acl"))
	b.xattr("attrs/acl", "system.posix_acl_access", acl(6, 1234, 7, 5))
	b.dir("attrs/acl-dir", 0o755)
	b.xattr("attrs/acl-dir", "system.posix_acl_access", acl(7, 1234, 5, 5))
	b.xattr("attrs/acl-dir", "system.posix_acl_default", acl(7, 4321, 7, 0))

	b.file("attrs/nodump", []byte("nodump"))
	b.flag("attrs/nodump", 0x40) // FS_NODUMP_FL, chattr +d

	if !b.asRoot {
		return
	}
	b.file("attrs/capability", []byte("#!/bin/true\n"))
	b.chmod("attrs/capability", 0o755)
	// Revision 2, effective, cap_net_bind_service: as `setcap cap_net_bind_service=ep`.
	b.xattr("attrs/capability", "security.capability", []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	b.xattr("attrs/capability", "trusted.note", []byte("for root's eyes"))
	b.symlink("capability", "attrs/link")
	b.xattr("attrs/link", "trusted.link", []byte("of the link itself"))
}

// acl encodes a POSIX ACL with one named user as the kernel keeps it: version 2, then
// tag, permission and id of each entry.
func acl(owner uint16, user uint32, userPerm, other uint16) []byte {
	p := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, owner, ^uint32(0)}, {2, userPerm, user}, {4, 5, ^uint32(0)}, {16, 7, ^uint32(0)}, {32, other, ^uint32(0)}} {
		p = binary.LittleEndian.AppendUint16(p, e.tag)
		p = binary.LittleEndian.AppendUint16(p, e.perm)
		p = binary.LittleEndian.AppendUint32(p, e.id)
	}
	return p
}
