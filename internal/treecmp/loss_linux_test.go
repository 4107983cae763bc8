package treecmp_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/treecmp"
)

// makeTree makes a small tree with one of everything, always the same.
func makeTree(t *testing.T) string {
	t.Helper()
	top := filepath.Join(t.TempDir(), "top")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p := func(name string) string { return filepath.Join(top, name) }
	for _, d := range []string{".", "dir", "dir/sub", "empty"} {
		check(os.Mkdir(p(d), 0o755))
	}
	for _, f := range []string{"file", "dir/file", "dir/sub/odd\xff\nname", "linked", "twin 1", "twin 2"} {
		check(os.WriteFile(p(f), []byte("contents of "+strings.TrimRight(f, " 12")), 0o644))
	}
	check(os.WriteFile(p("nothing"), nil, 0o644))
	check(os.WriteFile(p("zeros"), make([]byte, 1<<20), 0o644))
	check(os.Link(p("linked"), p("dir/linked")))
	check(os.Link(p("linked"), p("dir/sub/linked")))
	check(os.Symlink("target", p("symlink")))
	check(os.Symlink("target", p("plain symlink")))
	check(unix.Mkfifo(p("fifo"), 0o644))
	sparse, err := os.Create(p("sparse"))
	check(err)
	_, err = sparse.WriteAt([]byte("data"), 1<<20)
	check(err)
	check(sparse.Truncate(3 << 20))
	check(sparse.Close())
	check(unix.Setxattr(p("file"), "user.note", []byte("note"), 0))
	check(unix.Setxattr(p("dir"), "user.note", []byte("note"), 0))
	check(unix.Setxattr(p("dir"), "system.posix_acl_default", defaultACL, 0))
	if os.Geteuid() == 0 {
		check(unix.Mknod(p("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		check(unix.Lsetxattr(p("symlink"), "trusted.note", []byte("note"), 0))
	}
	check(filepath.WalkDir(top, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return stampNano(path, 1_700_000_000, 123_456_789)
	}))
	return top
}

// defaultACL is version 2 with owner, group and others.
var defaultACL = []byte{2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 5, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255}

func stampNano(path string, sec, nsec int64) error {
	ts := []unix.Timespec{{Sec: sec, Nsec: nsec}, {Sec: sec, Nsec: nsec}}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW)
}

// keepTimes does something to path and puts back its mtime and that of its directory.
func keepTimes(path string, do func() error) error {
	if err := do(); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		if err := stampNano(path, 1_700_000_000, 123_456_789); err != nil {
			return err
		}
	}
	return stampNano(filepath.Dir(path), 1_700_000_000, 123_456_789)
}

// loss is one thing that a bad restore could get wrong, and all that must be reported.
type loss struct {
	name string
	path string
	do   func(path string) error
	want []string // "kind path"
	root bool     // only root can do it
}

func losses() []loss {
	write := func(data string) func(string) error {
		return func(p string) error { return os.WriteFile(p, []byte(data), 0o644) }
	}
	replace := func(again func(p string) error) func(string) error {
		return func(p string) error {
			if err := os.RemoveAll(p); err != nil {
				return err
			}
			return again(p)
		}
	}
	chmod := func(mode uint32) func(string) error {
		return func(p string) error { return unix.Chmod(p, mode) }
	}
	var list []loss
	add := func(name, path string, do func(string) error, want ...string) {
		list = append(list, loss{name, path, do, want, false})
	}
	asRoot := func(name, path string, do func(string) error, want ...string) {
		list = append(list, loss{name, path, do, want, true})
	}
	for _, p := range []string{"nothing", "empty", "symlink", "fifo", "dir/sub/odd\xff\nname"} {
		add("lost "+p, p, os.RemoveAll, "missing "+p)
	}
	add("extra", "extra", write(""), "missing extra")
	add("name in another encoding", "dir/sub/odd\xff\nname", func(p string) error {
		return os.Rename(p, strings.Replace(p, "\xff", "\ufffd", 1))
	}, "missing dir/sub/odd\xff\nname", "missing dir/sub/odd\ufffd\nname")
	add("file for directory", "empty", replace(write("")), "type empty")
	add("directory for file", "nothing", replace(func(p string) error { return os.Mkdir(p, 0o755) }), "type nothing")
	add("file for symlink", "symlink", replace(write("target")), "type symlink")
	add("file for fifo", "fifo", replace(write("")), "type fifo")
	add("socket for fifo", "fifo", replace(func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o644, 0) }), "type fifo")
	add("mode of file", "file", chmod(0o600), "mode file")
	add("setuid", "file", chmod(0o4644), "mode file")
	add("setgid", "dir", chmod(0o2755), "mode dir")
	add("sticky", "empty", chmod(0o1755), "mode empty")
	add("mode of fifo", "fifo", chmod(0o600), "mode fifo")
	add("mode of the top", ".", chmod(0o700), "mode .")
	add("shorter", "file", write("contents of fil"), "size file", "content file")
	add("empty", "file", write(""), "size file", "content file")
	add("longer by zeros", "file", write("contents of file\x00"), "size file", "content file")
	add("one bit", "file", write("contents of fild"), "content file")
	add("contents of a neighbour", "twin 1", write("contents of file"), "content twin 1")
	add("hole filled", "sparse", func(p string) error { return writeAt(p, 0, make([]byte, 1<<20)) }, "holes sparse")
	add("end filled", "sparse", func(p string) error { return writeAt(p, 2<<20, make([]byte, 1<<20)) }, "holes sparse")
	add("hole over data", "sparse", func(p string) error { return os.Truncate(p, 0) }, "size sparse", "content sparse")
	add("target", "plain symlink", replace(func(p string) error { return os.Symlink("other", p) }), "target plain symlink")
	add("no attribute", "file", func(p string) error { return unix.Removexattr(p, "user.note") }, "xattr file")
	add("other attribute", "file", func(p string) error { return unix.Setxattr(p, "user.note", []byte("nota"), 0) }, "xattr file")
	add("empty attribute", "file", func(p string) error { return unix.Setxattr(p, "user.note", nil, 0) }, "xattr file")
	add("more attributes", "nothing", func(p string) error { return unix.Setxattr(p, "user.empty", nil, 0) }, "xattr nothing")
	add("attribute of a directory", "dir", func(p string) error { return unix.Removexattr(p, "user.note") }, "xattr dir")
	add("default ACL", "dir", func(p string) error { return unix.Removexattr(p, "system.posix_acl_default") }, "xattr dir")
	add("hard link now a copy", "dir/linked", replace(write("contents of linked")), "hardlink dir/linked", "hardlink dir/sub/linked")
	add("copy now a hard link", "twin 2", replace(func(p string) error {
		return os.Link(filepath.Join(filepath.Dir(p), "twin 1"), p)
	}), "hardlink twin 1", "hardlink twin 2")

	flag := func(flag uint32) func(string) error { return func(p string) error { return addFlag(p, flag) } }
	add("no dump", "file", flag(0x40), "flags file")
	add("no access time of a directory", "dir", flag(0x80), "flags dir")
	add("synchronous", "file", flag(0x8), "flags file")
	add("file for socket's place", "fifo", replace(func(p string) error { return os.Mkdir(p, 0o755) }), "type fifo")
	add("data of zeros now a hole", "zeros", replace(func(p string) error {
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			return err
		}
		return os.Truncate(p, 1<<20)
	}), "holes zeros")
	add("owner's bits of a symlink's target", "linked", chmod(0o600), "mode linked", "mode dir/linked", "mode dir/sub/linked")
	add("symlink now a hard link", "plain symlink", replace(func(p string) error {
		return os.Link(filepath.Join(filepath.Dir(p), "symlink"), p)
	}), "hardlink plain symlink", "hardlink symlink")
	if os.Geteuid() == 0 { // only root's tree has an attribute on the other link
		list[len(list)-1].want = append(list[len(list)-1].want, "xattr plain symlink")
	}
	add("hard link group split in two", "dir/linked", func(p string) error {
		top := filepath.Dir(filepath.Dir(p))
		if err := os.Remove(p); err != nil {
			return err
		}
		if err := os.WriteFile(p, []byte("contents of linked"), 0o644); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(top, "dir/sub/linked")); err != nil {
			return err
		}
		if err := os.Link(p, filepath.Join(top, "dir/sub/linked")); err != nil {
			return err
		}
		return stampNano(filepath.Join(top, "dir/sub"), 1_700_000_000, 123_456_789)
	}, "hardlink dir/linked", "hardlink linked")
	add("access ACL", "file", func(p string) error { return unix.Setxattr(p, "system.posix_acl_access", accessACL, 0) }, "xattr file", "mode file")
	add("attribute of another name", "file", func(p string) error {
		if err := unix.Removexattr(p, "user.note"); err != nil {
			return err
		}
		return unix.Setxattr(p, "user.Note", []byte("note"), 0)
	}, "xattr file")

	asRoot("synchronous directory", "dir", flag(0x10000), "flags dir")
	asRoot("top of hierarchy", "dir", flag(0x20000), "flags dir")
	asRoot("owner of a fifo", "fifo", func(p string) error { return os.Lchown(p, 1, 0) }, "owner fifo")
	asRoot("owner of the top", ".", func(p string) error { return os.Lchown(p, 1, 0) }, "owner .")
	asRoot("owner of a device", "null", func(p string) error { return os.Lchown(p, 0, 1) }, "owner null")
	asRoot("large number of an owner", "file", func(p string) error { return os.Lchown(p, 1<<32-2, 0) }, "owner file")
	asRoot("security attribute", "nothing", func(p string) error { return unix.Setxattr(p, "security.note", []byte("x"), 0) }, "xattr nothing")

	asRoot("owner", "file", func(p string) error { return os.Lchown(p, 1, 0) }, "owner file")
	asRoot("group", "empty", func(p string) error { return os.Lchown(p, 0, 1) }, "owner empty")
	asRoot("owner of symlink", "symlink", func(p string) error { return os.Lchown(p, 1, 0) }, "owner symlink")
	asRoot("minor", "null", replace(mknod(unix.S_IFCHR, 1, 4)), "device null")
	asRoot("major", "null", replace(mknod(unix.S_IFCHR, 2, 3)), "device null")
	asRoot("block for character", "null", replace(mknod(unix.S_IFBLK, 1, 3)), "type null")
	asRoot("trusted attribute of symlink", "symlink", func(p string) error { return unix.Lremovexattr(p, "trusted.note") }, "xattr symlink")
	asRoot("capability", "file", func(p string) error {
		return unix.Setxattr(p, "security.capability", []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0)
	}, "xattr file")
	return list
}

func mknod(typ, major, minor uint32) func(string) error {
	return func(p string) error {
		if err := unix.Mknod(p, typ|0o666, int(unix.Mkdev(major, minor))); err != nil {
			return err
		}
		return unix.Chmod(p, 0o644)
	}
}

// accessACL is version 2 with owner, one named user, group, mask and others.
var accessACL = []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 210, 4, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
	16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255}

// addFlag sets an inode flag.
func addFlag(path string, flag uint32) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	now, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(int32(now|flag)))
}

// A name of the restored tree that is also one of somewhere else.
func TestCompare_outside(t *testing.T) {
	t.Parallel()
	base, other := makeTree(t), makeTree(t)
	if err := os.Link(filepath.Join(other, "dir/file"), filepath.Join(filepath.Dir(other), "elsewhere")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		outside bool
		want    int
	}{{false, 0}, {true, 1}} {
		r, err := treecmp.Compare(t.Context(), base, other, treecmp.Options{Outside: c.outside})
		if err != nil || len(r.Differences) != c.want {
			t.Errorf("outside %v: %v, %v", c.outside, r.Differences, err)
		}
	}
}

func writeAt(path string, off int64, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, off); err != nil {
		return err
	}
	return f.Close()
}

// Each single loss is seen, from both sides, and nothing else is reported.
func TestCompare_eachLoss(t *testing.T) {
	t.Parallel()
	base := makeTree(t)
	wantDifferences(t, base, makeTree(t), nil)
	for _, l := range losses() {
		if l.root && os.Geteuid() != 0 {
			t.Log("only for root:", l.name)
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			other := makeTree(t)
			path := filepath.Join(other, l.path)
			if err := keepTimes(path, func() error { return l.do(path) }); err != nil {
				t.Fatal(err)
			}
			wantDifferences(t, base, other, l.want)
			wantDifferences(t, other, base, l.want)
		})
	}
}

// The mtime of each type of entry counts, to the nanosecond.
func TestCompare_mtimes(t *testing.T) {
	t.Parallel()
	base, other := makeTree(t), makeTree(t)
	paths := []string{".", "dir", "dir/sub", "empty", "file", "nothing", "symlink", "fifo", "sparse", "dir/sub/odd\xff\nname"}
	if os.Geteuid() == 0 {
		paths = append(paths, "null")
	}
	for _, p := range paths {
		if err := stampNano(filepath.Join(other, p), 1_700_000_000, 123_456_788); err != nil {
			t.Fatal(err)
		}
		wantDifferences(t, base, other, []string{"mtime " + p})
		if err := stampNano(filepath.Join(other, p), 1_700_000_000, 123_456_789); err != nil {
			t.Fatal(err)
		}
	}
}

func wantDifferences(t *testing.T, a, b string, want []string) {
	t.Helper()
	r, err := treecmp.Compare(t.Context(), a, b, treecmp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, d := range r.Differences {
		got[fmt.Sprintf("%s %s", d.Kind, d.Path)] = true
	}
	for _, w := range want {
		if !got[w] {
			t.Errorf("%q was not seen", w)
		}
		delete(got, w)
	}
	for g := range got {
		t.Errorf("%q is no difference", g)
	}
}

func TestCompare_options(t *testing.T) {
	t.Parallel()
	base, other := makeTree(t), makeTree(t)
	if err := os.Chmod(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(other, "file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    treecmp.Options
		want int
	}{
		{treecmp.Options{}, 2},
		{treecmp.Options{SkipTop: true, Workers: 1}, 1},
		{treecmp.Options{Ignore: []treecmp.Kind{treecmp.Mode}}, 0},
		{treecmp.Options{Ignore: []treecmp.Kind{treecmp.Mtime}}, 2},
	} {
		r, err := treecmp.Compare(t.Context(), base, other, c.o)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Differences) != c.want {
			t.Errorf("%+v: found %v, want %d", c.o, r.Differences, c.want)
		}
	}
}

// What cannot be read is an error, never "no difference".
func TestCompare_errors(t *testing.T) {
	t.Parallel()
	base := makeTree(t)
	if _, err := treecmp.Compare(t.Context(), base, filepath.Join(base, "not there"), treecmp.Options{}); err == nil {
		t.Error("a missing top is no error")
	}
	if _, err := treecmp.Compare(t.Context(), filepath.Join(base, "not there"), base, treecmp.Options{}); err == nil {
		t.Error("a missing top is no error")
	}
	file := filepath.Join(base, "file")
	r, err := treecmp.Compare(t.Context(), file, filepath.Join(base, "twin 1"), treecmp.Options{})
	if err != nil || len(r.Differences) == 0 {
		t.Errorf("two files: %+v, %v", r, err)
	}
}
