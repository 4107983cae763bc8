package fidelity

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"vaultik/internal/treecmp"
)

// attribute is one thing that a file system holds. It is in the directory Slug of
// the tree, and nowhere else.
type attribute struct {
	name, slug string
	make       func(dir string) error
	kinds      []treecmp.Kind // in which both sides must agree, beside what is missing and of what type
	// Instead of kinds: whether b has what a has.
	same func(a, b string) (bool, error)
	// words that a program's listing of its archive has where the attribute is saved
	// though not restored, by program. What is restored has been saved.
	listed map[string]string
}

// attributes are all rows of the table, in their order.
func attributes() []attribute {
	var list []attribute
	add := func(name, slug string, create func(dir string) error, kinds ...treecmp.Kind) {
		list = append(list, attribute{name: name, slug: slug, make: create, kinds: kinds})
	}
	file := func(name string, then ...func(p string) error) func(dir string) error {
		return func(dir string) error {
			p := filepath.Join(dir, name)
			if err := os.WriteFile(p, []byte("contents of "+name), 0o644); err != nil {
				return err
			}
			return each(p, then)
		}
	}
	node := func(name string, mode uint32, dev uint64, then ...func(p string) error) func(dir string) error {
		return func(dir string) error {
			p := filepath.Join(dir, name)
			if err := unix.Mknod(p, mode, int(dev)); err != nil {
				return err
			}
			return each(p, then)
		}
	}
	subdir := func(name string, then ...func(p string) error) func(dir string) error {
		return func(dir string) error {
			p := filepath.Join(dir, name)
			if err := os.Mkdir(p, 0o755); err != nil {
				return err
			}
			return each(p, then)
		}
	}
	symlink := func(name, target string, then ...func(p string) error) func(dir string) error {
		return func(dir string) error {
			p := filepath.Join(dir, name)
			if err := os.Symlink(target, p); err != nil {
				return err
			}
			return each(p, then)
		}
	}
	const contents, mode, owner = treecmp.Content, treecmp.Mode, treecmp.Owner

	add("contents", "contents", file("file"), treecmp.Size, contents)
	add("empty file", "empty", func(d string) error { return os.WriteFile(filepath.Join(d, "empty"), nil, 0o644) }, treecmp.Size)
	add("empty directory", "emptydir", subdir("dir"))
	add("name that is not UTF-8", "latin", file("caf\xe9"), contents)
	add("name with a newline", "newline", file("two\nlines"), contents)
	add("name of 255 bytes", "long", file(strings.Repeat("n", 255)), contents)
	add("path of 5,000 bytes", "path", longPath, contents)

	add("permissions", "mode", file("file", chmod(0o751)), mode)
	add("permissions of a directory", "dirmode", subdir("dir", chmod(0o711)), mode)
	add("file without any", "mode0", file("file", chmod(0)), mode, contents)
	add("setuid, setgid", "setuid", file("file", chmod(0o6755)), mode)
	add("sticky directory", "sticky", subdir("dir", chmod(0o1777)), mode)
	add("owner and group that have names", "owner", file("file", chown(1, 2)), owner)
	add("owner and group without names", "number", file("file", chown(54321, 98765)), owner)
	add("owner of a symbolic link", "linkowner", symlink("link", "nowhere", chown(54321, 98765)), owner)

	add("mtime, to the nanosecond", "mtime", file("file", stamp(1_600_000_000, 123_456_789)), treecmp.Mtime)
	add("mtime of a directory", "dirmtime", subdir("dir", func(p string) error {
		if err := os.WriteFile(filepath.Join(p, "file"), nil, 0o644); err != nil {
			return err
		}
		return stamp(1_600_000_000, 123_456_789)(p)
	}), treecmp.Mtime)
	add("mtime of a symbolic link", "linkmtime", symlink("link", "nowhere", stamp(1_600_000_000, 123_456_789)), treecmp.Mtime)
	add("mtime before 1970", "old", file("file", stamp(-86_400, 500_000_000)), treecmp.Mtime)
	add("mtime after 2262", "late", file("file", stamp(13_569_465_600, 1)), treecmp.Mtime)
	list = append(list, attribute{name: "atime", slug: "atime", make: file("file", func(p string) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{Sec: 1_500_000_000, Nsec: 5}, {Sec: 1_600_000_000}}, 0)
	}), same: sameAtime, listed: map[string]string{"restic": `"atime":"2017-07-14`}})
	list = append(list, attribute{name: "birth time", slug: "btime", make: file("file"), same: sameBirth,
		listed: map[string]string{"vaultik": `"btime":`, "restic": `"btime"`}})

	add("symbolic link that leads nowhere", "dangling", symlink("link", "../nowhere"), treecmp.Target)
	add("target that is not UTF-8", "target", symlink("link", "caf\xe9"), treecmp.Target)
	add("hard links", "hardlink", file("a", linkTo("b")), treecmp.Hardlink)
	add("hard links of a symbolic link", "hardsymlink", symlink("a", "nowhere", linkTo("b")), treecmp.Hardlink)
	add("hard links of a FIFO", "hardfifo", node("a", unix.S_IFIFO|0o644, 0, linkTo("b")), treecmp.Hardlink)
	add("FIFO", "fifo", node("fifo", unix.S_IFIFO|0o640, 0), mode)
	add("character device", "char", node("null", unix.S_IFCHR|0o640, unix.Mkdev(1, 3)), treecmp.Device)
	add("block device", "block", node("loop", unix.S_IFBLK|0o640, unix.Mkdev(7, 77)), treecmp.Device)
	add("socket", "socket", node("socket", unix.S_IFSOCK|0o640, 0))
	list[len(list)-1].listed = map[string]string{"vaultik": `"socket"`, "restic": `"type":"socket"`}

	add("holes", "holes", sparse(64<<20, 1<<20, 30<<20), treecmp.Holes, contents)
	add("hole at the end", "holeend", sparse(8<<20, 0), treecmp.Holes, treecmp.Size, contents)
	add("2 GiB with 1 MiB of data", "gibibytes", sparse(2<<30, 1<<30), treecmp.Holes, treecmp.Size, contents)
	add("zeros that are no hole", "zeros", func(d string) error { return os.WriteFile(filepath.Join(d, "zeros"), make([]byte, 4<<20), 0o644) }, treecmp.Holes, contents)

	const x = treecmp.Xattr
	add("xattr user.*", "user", file("file", xattr("user.note", "note")), x)
	add("xattr without a value", "emptyx", file("file", xattr("user.note", "")), x)
	add("xattr with any bytes in name and value", "oddx", file("file", xattr("user.caf\xe9\n", "\x00\xff\n")), x)
	add("xattr of a directory", "dirx", subdir("dir", xattr("user.note", "note")), x)
	add("xattrs of 3 KB", "largex", file("file", xattr("user.a", strings.Repeat("a", 1500)), xattr("user.b", strings.Repeat("b", 1500))), x)
	add("xattr trusted.*", "trusted", file("file", xattr("trusted.note", "note")), x)
	add("xattr security.*", "security", file("file", xattr("security.note", "note")), x)
	add("xattr of a symbolic link", "linkx", symlink("link", "nowhere", xattr("trusted.note", "note")), x)
	add("xattr of a FIFO", "fifox", node("fifo", unix.S_IFIFO|0o644, 0, xattr("trusted.note", "note")), x)
	add("capabilities", "capability", file("file", chmod(0o755),
		xattr("security.capability", "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")), x)
	add("ACL", "acl", file("file", xattr("system.posix_acl_access", accessACL)), x, mode)
	add("default ACL", "defacl", subdir("dir", xattr("system.posix_acl_default", defaultACL)), x)

	flags := func(name, slug string, f uint32, create func(string, ...func(string) error) func(string) error, of string) {
		add(name, slug, create(of, flag(f)), treecmp.Flags)
	}
	flags("chattr +d (no dump)", "nodump", 0x40, file, "file")
	flags("chattr +A (no atime)", "noatime", 0x80, file, "file")
	flags("chattr +S (synchronous)", "sync", 0x8, file, "file")
	flags("chattr +i (immutable)", "immutable", 0x10, file, "file")
	flags("chattr +a (append only)", "append", 0x20, file, "file")
	flags("chattr +D (directory)", "dirsync", 0x10000, subdir, "dir")
	return list
}

// The kernel's form of u::rw-,u:1234:rw-,g::r--,m::rw-,o::r-- and of u::rwx,g::r-x,o::r-x.
const (
	accessACL = "\x02\x00\x00\x00" + "\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x06\x00\xd2\x04\x00\x00" +
		"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x06\x00\xff\xff\xff\xff" + "\x20\x00\x04\x00\xff\xff\xff\xff"
	defaultACL = "\x02\x00\x00\x00" + "\x01\x00\x07\x00\xff\xff\xff\xff" + "\x04\x00\x05\x00\xff\xff\xff\xff" + "\x20\x00\x05\x00\xff\xff\xff\xff"
)

func each(p string, fns []func(string) error) error {
	for _, fn := range fns {
		if err := fn(p); err != nil {
			return err
		}
	}
	return nil
}

func chmod(mode uint32) func(string) error {
	return func(p string) error { return unix.Chmod(p, mode) }
}

func chown(uid, gid int) func(string) error {
	return func(p string) error { return os.Lchown(p, uid, gid) }
}

func stamp(sec, nsec int64) func(string) error {
	return func(p string) error {
		ts := []unix.Timespec{{Sec: sec, Nsec: nsec}, {Sec: sec, Nsec: nsec}}
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, ts, unix.AT_SYMLINK_NOFOLLOW)
	}
}

func xattr(name, value string) func(string) error {
	return func(p string) error { return unix.Lsetxattr(p, name, []byte(value), 0) }
}

func linkTo(name string) func(string) error {
	return func(p string) error { return os.Link(p, filepath.Join(filepath.Dir(p), name)) }
}

func flag(f uint32) func(string) error {
	return func(p string) error { return changeFlags(p, func(now uint32) uint32 { return now | f }) }
}

func changeFlags(p string, change func(uint32) uint32) error {
	f, err := os.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	now, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(int32(change(now))))
}

// sparse makes a file of size bytes with a mebibyte of data at each of the places.
func sparse(size int64, places ...int64) func(string) error {
	return func(dir string) (err error) {
		f, err := os.Create(filepath.Join(dir, "sparse"))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		for _, at := range places {
			if _, err := f.WriteAt(bytes.Repeat([]byte("data"), 1<<18), at); err != nil {
				return err
			}
		}
		return f.Truncate(size)
	}
}

// longPath makes a file whose path the kernel does not take at once.
func longPath(dir string) error {
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for i := 0; i < 20 && err == nil; i++ {
		name := strings.Repeat(string(rune('a'+i)), 250)
		next := -1
		if err = unix.Mkdirat(fd, name, 0o755); err == nil {
			next, err = unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
		_ = unix.Close(fd) // a directory: nothing is lost
		fd = next
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	n, err := unix.Openat(fd, "file", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(n), "file")
	_, err = f.WriteString("far down")
	return errors.Join(err, f.Close())
}

func statx(p string) (x unix.Statx_t, err error) {
	err = unix.Statx(unix.AT_FDCWD, p, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &x)
	return x, err
}

func sameAtime(a, b string) (bool, error) {
	_, err := statx(filepath.Join(a, "file"))
	y, err2 := statx(filepath.Join(b, "file"))
	want := unix.StatxTimestamp{Sec: 1_500_000_000, Nsec: 5} // reading may have moved that of a
	return y.Atime.Sec == want.Sec && y.Atime.Nsec == want.Nsec, errors.Join(err, err2)
}

func sameBirth(a, b string) (bool, error) {
	x, err := statx(filepath.Join(a, "file"))
	y, err2 := statx(filepath.Join(b, "file"))
	return x.Btime == y.Btime, errors.Join(err, err2)
}

// makeTree makes the tree in dir. What this machine cannot have is left out and returned, with
// the reason.
func makeTree(dir string, list []attribute) (missing map[string]error, err error) {
	missing = map[string]error{}
	for _, a := range list {
		d := filepath.Join(dir, a.slug)
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("make the tree: %w", err)
		}
		if err := a.make(d); err != nil {
			missing[a.slug] = err
		}
	}
	return missing, nil
}

// unlock makes a tree removable again.
func unlock(dir string) {
	_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && (d.IsDir() || d.Type().IsRegular()) {
			_ = changeFlags(p, func(now uint32) uint32 { return now &^ 0x30 }) // what cannot be is met by the removal
		}
		return nil
	})
}
