package testfuse

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// The structures of <linux/fuse.h>, version 7.31.

const (
	opLookup     = 1
	opForget     = 2
	opGetattr    = 3
	opOpen       = 14
	opRead       = 15
	opRelease    = 18
	opInit       = 26
	opOpendir    = 27
	opReaddir    = 28
	opReleasedir = 29
	opFlush      = 25
	opInterrupt  = 36
	opPoll       = 40
	opForgets    = 42
)

// Flags of an open file.
const (
	directIO = 1      // the kernel asks for each read, whatever the size of the file
	noFlush  = 1 << 5 // closing it sends no request: its process can end while we are stalled
)

type inHeader struct {
	Len, Op             uint32
	Unique, Node        uint64
	UID, GID, PID, More uint32
}

type outHeader struct {
	Len    uint32
	Error  int32
	Unique uint64
}

type initOut struct {
	Major, Minor, Readahead, Flags uint32
	Background, Congestion         uint16
	MaxWrite, Granularity          uint32
	MaxPages, Align                uint16
	Flags2                         uint32
	Unused                         [7]uint32
}

type attr struct {
	Ino, Size, Blocks, Atime, Mtime, Ctime        uint64
	AtimeN, MtimeN, CtimeN, Mode, Nlink, UID, GID uint32
	Rdev, BlockSize, Flags                        uint32
}

type entryOut struct {
	Node, Generation, EntryValid, AttrValid uint64
	EntryValidN, AttrValidN                 uint32
	Attr                                    attr
}

type attrOut struct {
	Valid         uint64
	ValidN, Dummy uint32
	Attr          attr
}

type openOut struct {
	Handle      uint64
	Flags, None uint32
}

type readIn struct {
	Handle, Offset uint64
	Size           uint32
}

// headerBytes is the size of outHeader.
const headerBytes = 16

// answer makes one reply; body may be nil, bytes or a structure.
func answer(unique uint64, errno unix.Errno, body any) []byte {
	var b bytes.Buffer
	raw, ok := body.([]byte)
	n := len(raw)
	if !ok && body != nil {
		n = binary.Size(body)
	}
	_ = binary.Write(&b, binary.NativeEndian, outHeader{uint32(headerBytes + n), -int32(errno), unique}) //nolint:gosec // small
	if ok {
		b.Write(raw)
	} else if body != nil {
		_ = binary.Write(&b, binary.NativeEndian, body) // a bytes.Buffer takes everything
	}
	return b.Bytes()
}

// dirent appends one name.
func dirent(b []byte, ino, next uint64, kind uint32, name string) []byte {
	b = binary.NativeEndian.AppendUint64(b, ino)
	b = binary.NativeEndian.AppendUint64(b, next)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(name))) //nolint:gosec // small
	b = binary.NativeEndian.AppendUint32(b, kind)
	b = append(b, name...)
	return append(b, make([]byte, -len(b)&7)...)
}
