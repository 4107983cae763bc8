//go:build darwin || freebsd || (linux && portable)

package fs

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// validHere reports whether path can be one here.
func validHere(string) bool { return true }

func chown(path string, uid, gid uint32) error {
	const none = 1<<32 - 1 // means "keep" to the kernel
	if uid == none || gid == none {
		return unix.EINVAL
	}
	err := bare(os.Lchown(path, int(uid), int(gid)))
	if err != nil {
		_ = os.Lchown(path, -1, int(gid)) // a group of one's own is allowed
	}
	return err
}

// setMtime sets the time of e; that of the last reading becomes the same.
func setMtime(path string, e *page.Entry) error {
	if e.Mtime.Nsec < 0 || e.Mtime.Nsec >= 1e9 { // the kernel has other meanings for these
		return unix.EINVAL
	}
	ts, err := unix.TimeToTimespec(e.Mtime.Time())
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

func sameTime(a, b page.Time) bool { return a == b }

func setXattr(path, name string, value []byte) error {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return unix.EINVAL
	}
	return unix.Lsetxattr(path, name, value, 0)
}

func removeXattr(path, name string) error { return unix.Lremovexattr(path, name) }

func mknod(path string, e *page.Entry) error {
	switch e.Type {
	case page.FIFO:
		return unix.Mkfifo(path, 0o600)
	case page.Char:
		return device(path, unix.S_IFCHR|0o600, unix.Mkdev(e.Major, e.Minor))
	case page.Block:
		return device(path, unix.S_IFBLK|0o600, unix.Mkdev(e.Major, e.Minor))
	}
	return unix.EINVAL
}

// syncAll has all file systems written. On some of these systems sync does not wait; what
// is written after that does, on the file system that dir is on.
func syncAll(dir string) error {
	unix.Sync()
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if os.IsPermission(err) { // it may be changed, and not be read
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return synced(d.Sync())
}
