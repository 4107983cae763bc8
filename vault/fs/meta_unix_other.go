//go:build darwin || freebsd || (linux && portable)

package fs

import (
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// readFlags open a file for reading. A FIFO put in its place does not block.
const readFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

func lstat(path string) (Stat, error) {
	var raw unix.Stat_t
	for {
		err := unix.Lstat(path, &raw)
		if !errors.Is(err, unix.EINTR) {
			return statOf(&raw), err
		}
	}
}

func fstat(f *os.File) (Stat, error) {
	var raw unix.Stat_t
	for {
		err := unix.Fstat(int(f.Fd()), &raw)
		if !errors.Is(err, unix.EINTR) {
			return statOf(&raw), err
		}
	}
}

func statOf(raw *unix.Stat_t) Stat {
	st := Stat{
		Type:   typeOf(uint32(raw.Mode)),
		Mode:   uint32(raw.Mode) & 0o7777,
		UID:    raw.Uid,
		GID:    raw.Gid,
		Size:   raw.Size,
		Blocks: int64(raw.Blocks) * 512,
		Mtime:  page.Time{Sec: raw.Mtim.Sec, Nsec: int32(raw.Mtim.Nsec)},
		Ctime:  page.Time{Sec: raw.Ctim.Sec, Nsec: int32(raw.Ctim.Nsec)},
		Btime:  birth(raw),
		Dev:    uint64(raw.Dev),
		Ino:    raw.Ino,
		Nlink:  uint64(raw.Nlink),
	}
	if st.Type == page.Char || st.Type == page.Block {
		st.Major, st.Minor = unix.Major(uint64(raw.Rdev)), unix.Minor(uint64(raw.Rdev))
	}
	return st
}

func typeOf(mode uint32) page.Type {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return page.File
	case unix.S_IFDIR:
		return page.Dir
	case unix.S_IFLNK:
		return page.Symlink
	case unix.S_IFIFO:
		return page.FIFO
	case unix.S_IFCHR:
		return page.Char
	case unix.S_IFBLK:
		return page.Block
	}
	return page.Socket // what else there is (doors, whiteouts) holds nothing to save either
}

// xattrs returns the extended attributes that can be read, sorted by name; none where there
// is no such thing.
func xattrs(path string, bad *AttrErrors) []page.Xattr {
	names, err := xattrNames(path)
	bad.add(attrList, err)
	return readXattrs(names, func(name string) ([]byte, error) {
		return readAttr(func(buf []byte) (int, error) { return unix.Lgetxattr(path, name, buf) })
	}, noAttr, bad)
}

func xattrNames(path string) ([]string, error) {
	text, err := readAttr(func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) })
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EPERM) { // a file system without them
		return nil, nil
	}
	if err != nil || len(text) == 0 {
		return nil, err
	}
	names := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	slices.Sort(names)
	return names, nil
}

// readAttr asks for the size of what get gives, then for it.
func readAttr(get func([]byte) (int, error)) ([]byte, error) {
	for {
		size, err := get(nil)
		if err == nil && size > 0 {
			buf := make([]byte, size)
			if size, err = get(buf); err == nil {
				return buf[:size:size], nil
			}
		}
		if errors.Is(err, unix.ERANGE) { // it grew
			continue
		}
		return nil, err
	}
}
