//go:build !portable

package fs

import (
	"errors"
	"sync/atomic"

	"vaultik/internal/platform"

	"golang.org/x/sys/unix"
)

// statxRefusal is what tests have a kernel say of an entry, nil where it makes the call. The
// call itself is no variable: what one of those is given goes to the heap, for each entry of
// a tree.
var statxRefusal func(name string) error

func statxCall(dirfd int, name string, flags, mask int, x *unix.Statx_t) error {
	if statxRefusal != nil {
		if err := statxRefusal(name); err != nil {
			return err
		}
	}
	return platform.Again(func() error { return unix.Statx(dirfd, name, flags, mask, x) })
}

// noStatx is set when it was found that there is no such call: the kernel is older than
// Linux 4.11, or a container forbids what its rules do not know.
var noStatx atomic.Bool

// sysStatx is statx, or what the older call tells instead: neither the time of birth, nor
// attributes, nor whether something is mounted there.
func sysStatx(dirfd int, name string, flags, mask int, x *unix.Statx_t) error {
	for !noStatx.Load() {
		err := statxCall(dirfd, name, flags, mask, x)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM) && statxForbidden():
			noStatx.Store(true)
		default:
			return err
		}
	}
	var st unix.Stat_t
	err := platform.Again(func() error { return unix.Fstatat(dirfd, name, &st, flags) })
	if err != nil {
		return err
	}
	*x = fromStat(&st)
	return nil
}

// statxForbidden tells a call that is forbidden from an entry that may not be looked at: nobody
// is refused the root directory.
func statxForbidden() bool {
	var x unix.Statx_t
	return errors.Is(statxCall(unix.AT_FDCWD, "/", 0, unix.STATX_TYPE, &x), unix.EPERM)
}

func fromStat(st *unix.Stat_t) unix.Statx_t {
	stamp := func(t unix.Timespec) unix.StatxTimestamp {
		sec, nsec := t.Unix()
		return unix.StatxTimestamp{Sec: sec, Nsec: uint32(nsec)} //nolint:gosec // below 10^9
	}
	dev, rdev := uint64(st.Dev), uint64(st.Rdev) // not of this type everywhere
	return unix.Statx_t{
		Mask: unix.STATX_BASIC_STATS, Mode: uint16(st.Mode), //nolint:gosec // 16 bits are used
		Nlink: uint32(st.Nlink), Uid: st.Uid, Gid: st.Gid, Ino: st.Ino, //nolint:gosec // as above
		Size: uint64(st.Size), Blocks: uint64(st.Blocks), //nolint:gosec // never below 0
		Mtime: stamp(st.Mtim), Ctime: stamp(st.Ctim),
		Dev_major: unix.Major(dev), Dev_minor: unix.Minor(dev),
		Rdev_major: unix.Major(rdev), Rdev_minor: unix.Minor(rdev),
	}
}
