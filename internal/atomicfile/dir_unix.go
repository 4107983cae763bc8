//go:build unix

package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/internal/platform"
)

// Dir is an open directory. Paths given to its methods are relative to it and
// slash-separated; "" is the directory itself. The caller has checked that no part
// is empty, "." or ".."; symlinks, also as the last part, are refused. All methods
// may be called at once, but none during or after Close.
type Dir struct {
	fd   int
	path string
	hook Hook
}

// Stat is what is known of a name without opening it.
type Stat struct {
	Mode    fs.FileMode // type bits only
	Size    int64
	ModTime time.Time
	dev     uint64
	ino     uint64
}

// OpenDir opens the directory at path, following symlinks up to it. hook may be nil.
func OpenDir(path string, hook Hook) (*Dir, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Dir{fd, path, hook}, nil
}

// Path returns the path that the directory was opened by.
func (d *Dir) Path() string { return d.path }

// Close releases the directory.
func (d *Dir) Close() error { return closed(unix.Close(d.fd)) }

// Sub opens a directory below.
func (d *Dir) Sub(rel string) (*Dir, error) {
	fd, err := d.open(rel, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &Dir{fd, path.Join(d.path, rel), d.hook}, nil
}

// Mkdir makes the directory name, for this user only. An existing one is fs.ErrExist.
func (d *Dir) Mkdir(name string) error {
	err := d.hook.do(StepMkdir, d.join(name), func() error { return unix.Mkdirat(d.fd, name, 0o700) })
	return d.wrap("mkdir", name, err)
}

// Open opens a regular file for reading; anything else is ErrNotRegular.
func (d *Dir) Open(rel string) (*os.File, Stat, error) {
	fd, err := d.open(rel, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, Stat{}, err
	}
	var raw unix.Stat_t
	err = platform.Again(func() error { return unix.Fstat(fd, &raw) })
	st := newStat(&raw)
	if err == nil && !st.Mode.IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, Stat{}, d.wrap("open", rel, err)
	}
	return os.NewFile(uintptr(fd), d.join(rel)), st, nil
}

// ReadAt fills p from the file rel at off, with as few system calls as there can
// be. It returns io.ErrUnexpectedEOF if the file ends before.
func (d *Dir) ReadAt(rel string, p []byte, off int64) (int, error) {
	fd, err := d.open(rel, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	done := 0
	for done < len(p) {
		var n int
		err := platform.Again(func() (err error) {
			n, err = unix.Pread(fd, p[done:], off+int64(done))
			return err
		})
		switch {
		case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ESPIPE):
			err = ErrNotRegular
		case err == nil && n == 0:
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return done, d.wrap("read", rel, err)
		}
		done += n
	}
	return done, nil
}

// Lstat describes the name rel; a symlink is described itself.
func (d *Dir) Lstat(rel string) (Stat, error) {
	parent, name := d.fd, rel
	if dir, last := path.Split(rel); dir != "" {
		fd, err := d.open(strings.TrimSuffix(dir, "/"), unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return Stat{}, err
		}
		defer func() { _ = unix.Close(fd) }()
		parent, name = fd, last
	}
	var raw unix.Stat_t
	err := platform.Again(func() error { return unix.Fstatat(parent, name, &raw, unix.AT_SYMLINK_NOFOLLOW) })
	return newStat(&raw), d.wrap("stat", rel, err)
}

// Names calls fn for each name in the directory, in no order, few in memory at a
// time. It stops at the first error of fn and returns it as it is.
func (d *Dir) Names(fn func(name string) error) error {
	fd, err := openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return d.wrap("open", "", err)
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer func() { _ = f.Close() }()
	for {
		names, err := f.Readdirnames(512)
		for _, name := range names {
			if err := fn(name); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Remove removes the name rel, which must not be a directory.
func (d *Dir) Remove(rel string) error {
	dir, name := path.Split(rel)
	if dir != "" {
		sub, err := d.Sub(strings.TrimSuffix(dir, "/"))
		if err != nil {
			return err
		}
		defer func() { _ = sub.Close() }()
		return sub.Remove(name)
	}
	err := d.hook.do(StepRemove, d.join(name), func() error { return unix.Unlinkat(d.fd, name, 0) })
	return d.wrap("remove", name, err)
}

// Sync makes the names in the directory durable.
func (d *Dir) Sync() error {
	err := d.hook.do(StepSyncDir, d.path, func() error { return fsync(d.fd) })
	return d.wrap("sync", "", err)
}

// Alive reports whether the directory still has a name. An error says nothing of that.
func (d *Dir) Alive() (bool, error) {
	var raw unix.Stat_t
	err := d.hook.do(StepStat, d.path, func() error { return unix.Fstat(d.fd, &raw) })
	return err == nil && raw.Nlink > 0, d.wrap("stat", "", err)
}

// Space returns the bytes in all and the bytes that this user can still write.
func (d *Dir) Space() (total, free int64, err error) {
	var s unix.Statfs_t
	if err := platform.Again(func() error { return unix.Fstatfs(d.fd, &s) }); err != nil {
		return -1, -1, d.wrap("statfs", "", err)
	}
	return int64(s.Blocks) * blockSize(&s), int64(s.Bavail) * blockSize(&s), nil
}

func (d *Dir) join(rel string) string { return path.Join(d.path, rel) }

func (d *Dir) wrap(op, rel string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.join(rel), Err: err}
}

// open walks to rel part by part, so that no symlink is followed on the way.
func (d *Dir) open(rel string, flags int) (int, error) {
	at, rest := d.fd, rel
	for {
		part, next, more := strings.Cut(rest, "/")
		f := flags
		if more {
			f = unix.O_RDONLY | unix.O_DIRECTORY
		}
		fd, err := openat(at, part, f|unix.O_NOFOLLOW, 0)
		if isSymlink(at, part, err) {
			err = ErrSymlink
		}
		if at != d.fd {
			_ = unix.Close(at)
		}
		if err != nil {
			return -1, d.wrap("open", rel, err)
		}
		if !more {
			return fd, nil
		}
		at, rest = fd, next
	}
}

// isSymlink reports whether err came from refusing to follow the symlink name.
func isSymlink(at int, name string, err error) bool {
	if !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
		return false
	}
	var raw unix.Stat_t
	err = platform.Again(func() error { return unix.Fstatat(at, name, &raw, unix.AT_SYMLINK_NOFOLLOW) })
	return err == nil && raw.Mode&unix.S_IFMT == unix.S_IFLNK
}

func newStat(raw *unix.Stat_t) Stat {
	st := Stat{Size: raw.Size, ModTime: time.Unix(raw.Mtim.Unix()), dev: uint64(raw.Dev), ino: raw.Ino}
	switch raw.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		st.Mode = fs.ModeDir
	case unix.S_IFLNK:
		st.Mode = fs.ModeSymlink
	default:
		st.Mode = fs.ModeIrregular
	}
	return st
}

// closed is the result of a close. One that a signal has interrupted is not repeated: the
// descriptor is free by then, and may be another's.
func closed(err error) error {
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	return err
}

func openat(at int, name string, flags int, perm uint32) (fd int, err error) {
	err = platform.Again(func() error {
		fd, err = unix.Openat(at, name, flags|unix.O_CLOEXEC, perm)
		return err
	})
	return fd, err
}

// fsync tolerates file systems that have nothing to sync (some FUSE ones).
func fsync(fd int) error {
	err := unix.Fsync(fd)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
