package soak

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// levelName is the directory in each directory of makeLevels: in a path of 64 KiB
// there is room for 32,768.
const levelName = "d"

// makeLevels makes n directories in each other in dir, each with a time of its own.
func makeLevels(dir string, n int) error {
	at, err := os.Open(dir)
	for i := 0; i < n && err == nil; i++ {
		if err = unix.Mkdirat(int(at.Fd()), levelName, 0o700|uint32(i%64)); err == nil {
			at, err = step(at, levelName)
		}
	}
	for i := n; i > 0 && err == nil; i-- { // from below, since making a directory changes the one above
		if err = unix.UtimesNanoAt(int(at.Fd()), ".", []unix.Timespec{{Sec: 1e9}, {Sec: 1e9 + int64(i), Nsec: int64(i)}}, 0); err == nil {
			at, err = step(at, "..")
		}
	}
	return done(at, err)
}

// sameLevels fails unless the directories in each other below a and b are the same.
func sameLevels(a, b string) error {
	one, err := os.Open(a)
	if err != nil {
		return err
	}
	two, err := os.Open(b)
	for level := 0; err == nil; level++ {
		var names [2][]string
		var st [2]unix.Stat_t
		for i, at := range []*os.File{one, two} {
			if err == nil {
				err = unix.Fstat(int(at.Fd()), &st[i])
			}
			if err == nil {
				names[i], err = at.Readdirnames(-1)
			}
		}
		switch s, t := st[0], st[1]; {
		case err != nil:
		case s.Mode != t.Mode || s.Uid != t.Uid || s.Gid != t.Gid || s.Mtim != t.Mtim || fmt.Sprint(names[0]) != fmt.Sprint(names[1]) || len(names[0]) > 1:
			err = fmt.Errorf("level %d differs: %+v %q, %+v %q", level, s, names[0], t, names[1])
		case len(names[0]) == 0:
			return errors.Join(one.Close(), two.Close())
		default:
			if one, err = step(one, names[0][0]); err == nil {
				two, err = step(two, names[1][0])
			}
		}
	}
	return done(two, done(one, err))
}

// removeLevels removes what is in dir, if there is anything, from below: descriptors for all
// would be too many.
func removeLevels(dir string) error {
	at, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	n := 0
	for err == nil {
		if at, err = step(at, levelName); err == nil {
			n++
		}
	}
	if errors.Is(err, unix.ENOENT) { // the bottom
		err = nil
	}
	for ; n > 0 && err == nil; n-- {
		if at, err = step(at, ".."); err == nil {
			err = unix.Unlinkat(int(at.Fd()), levelName, unix.AT_REMOVEDIR)
		}
	}
	return done(at, err)
}

// step opens an entry of a directory, and closes the directory if it could.
func step(at *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(at.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return at, fmt.Errorf("open %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), at.Close()
}

// done closes c, which may be nil.
func done(c *os.File, err error) error {
	if c == nil {
		return err
	}
	return errors.Join(err, c.Close())
}
