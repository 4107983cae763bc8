//go:build !portable

package fs

import (
	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// Lstat describes path; errors are *fs.PathError.
func Lstat(path string) (Stat, error) {
	fd, err := openPath(path)
	if err != nil {
		return Stat{}, err
	}
	defer closeFD(fd)
	st, err := fstat(fd)
	return st, pathError("lstat", path, err)
}

// Lstatat describes name in the directory dirfd; errors are bare errno values.
func Lstatat(dirfd int, name string) (Stat, error) {
	var st Stat
	err := statx(dirfd, name, unix.AT_SYMLINK_NOFOLLOW, &st)
	return st, err
}

func fstat(fd int) (Stat, error) {
	var st Stat
	err := statx(fd, "", unix.AT_EMPTY_PATH, &st)
	return st, err
}

func statx(dirfd int, name string, flags int, st *Stat) error {
	var x unix.Statx_t
	err := sysStatx(dirfd, name, flags|unix.AT_NO_AUTOMOUNT,
		unix.STATX_BASIC_STATS|unix.STATX_BTIME|unix.STATX_SUBVOL, &x)
	if err != nil {
		return err
	}
	*st = Stat{
		Type:   typeOf(x.Mode),
		Mode:   uint32(x.Mode) & 0o7777,
		UID:    x.Uid,
		GID:    x.Gid,
		Size:   int64(x.Size),
		Blocks: int64(x.Blocks) * 512,
		Mtime:  page.Time{Sec: x.Mtime.Sec, Nsec: int32(x.Mtime.Nsec)},
		Ctime:  page.Time{Sec: x.Ctime.Sec, Nsec: int32(x.Ctime.Nsec)},
		Dev:    unix.Mkdev(x.Dev_major, x.Dev_minor),
		Ino:    x.Ino,
		Nlink:  uint64(x.Nlink),
		Mount:  x.Attributes&x.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0,
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		st.Btime = page.Time{Sec: x.Btime.Sec, Nsec: int32(x.Btime.Nsec)}
	}
	if x.Mask&unix.STATX_SUBVOL != 0 {
		st.Subvol = x.Subvol
	}
	if st.Type == page.Char || st.Type == page.Block {
		st.Major, st.Minor = x.Rdev_major, x.Rdev_minor
	}
	return nil
}

func typeOf(mode uint16) page.Type {
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
	case unix.S_IFSOCK:
		return page.Socket
	}
	return "" // no other kind exists on Linux
}
