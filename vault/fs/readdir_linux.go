//go:build !portable

package fs

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// nameList holds the names of one directory in few allocations: a million
// names take their bytes and 5 more each.
type nameList struct {
	text []byte   // names, each after a byte for its type (DT_*) and closed by a zero byte
	offs []uint32 // where each starts, in order of names
	next int
}

// direntBytes is the size of the fixed part of struct linux_dirent64: inode (8), offset (8),
// length (2), type (1).
const direntBytes = 19

// read fills the list with the sorted names in the directory fd, using buf. What
// was read before an error stays in the list.
func (l *nameList) read(fd int, buf []byte) error {
	l.text, l.offs, l.next = l.text[:0], l.offs[:0], 0
	defer l.sort()
	for {
		n, err := filled(func() (int, error) { return unix.ReadDirent(fd, buf) })
		if err != nil || n == 0 {
			return err
		}
		for rest := buf[:n]; len(rest) > direntBytes; {
			size := int(binary.NativeEndian.Uint16(rest[16:]))
			if size <= direntBytes || size > len(rest) {
				return unix.EIO
			}
			name, kind := rest[direntBytes:size], rest[direntBytes-1]
			rest = rest[size:]
			if end := bytes.IndexByte(name, 0); end >= 0 {
				name = name[:end]
			}
			if len(name) == 0 || string(name) == "." || string(name) == ".." {
				continue
			}
			if len(l.text)+len(name)+1 >= math.MaxUint32 {
				return unix.EOVERFLOW
			}
			l.add(kind, name)
		}
	}
}

func (l *nameList) add(kind byte, name []byte) {
	l.text = append(l.text, kind)
	l.offs = append(l.offs, uint32(len(l.text)))
	l.text = append(append(l.text, name...), 0)
}

// sort orders the names by bytes and drops those that a changing directory listed twice.
func (l *nameList) sort() {
	// The zero byte after each name is less than any byte in one, so that names
	// compare rightly together with what follows them.
	slices.SortFunc(l.offs, func(a, b uint32) int { return bytes.Compare(l.text[a:], l.text[b:]) })
	l.offs = slices.CompactFunc(l.offs, func(a, b uint32) bool { return bytes.Equal(l.name(a), l.name(b)) })
}

func (l *nameList) name(off uint32) []byte {
	rest := l.text[off:]
	return rest[:bytes.IndexByte(rest, 0)]
}

// set fills the list with names that are already in order.
func (l *nameList) set(names []string) {
	l.text, l.offs, l.next = l.text[:0], l.offs[:0], 0
	for _, name := range names {
		l.add(unix.DT_UNKNOWN, []byte(name))
	}
}

// has reports whether name is in the list.
func (l *nameList) has(name string) bool {
	_, found := slices.BinarySearchFunc(l.offs, []byte(name), func(off uint32, name []byte) int {
		return bytes.Compare(l.name(off), name)
	})
	return found
}

// keep drops the names that visit does not want.
func (l *nameList) keep(visit func(name string) bool) {
	l.offs = slices.DeleteFunc(l.offs, func(off uint32) bool { return !visit(string(l.name(off))) })
}

// pop returns the next name, valid until the list is filled again; nil after the last.
// kind is "" where the directory does not tell.
func (l *nameList) pop() (name []byte, kind page.Type) {
	if l.next == len(l.offs) {
		return nil, ""
	}
	off := l.offs[l.next]
	l.next++
	return l.name(off), typeOfDirent(l.text[off-1])
}

func typeOfDirent(kind byte) page.Type {
	if kind == unix.DT_UNKNOWN {
		return ""
	}
	return typeOf(uint16(kind) << 12) // as in the mode of the inode
}

func (l *nameList) empty() bool { return l.next == len(l.offs) }
