package fs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testtree"
	"vaultik/internal/testuser"
)

// Law: what is captured and restored is what was there.
func TestRoundTrip_random(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("without privilege: devices, owners and trusted attributes are not in the trees")
	}
	for seed := range uint64(8) {
		src, dst := t.TempDir(), t.TempDir()
		testtree.Random(seed, testtree.RandomOptions{Nodes: 150}).Make(t, src)
		for run := range 2 { // the second restores over what the first has made
			problems := copyTree(t, src, dst, TargetOptions{})
			for _, p := range problems {
				t.Errorf("seed %d, run %d: %v", seed, run, p)
			}
			equal(t, src, dst)
		}
		noTemps(t, dst)
		if t.Failed() {
			t.Fatalf("seed %d", seed) // testtree.Random(seed, ...) shows the tree
		}
	}
}

// odd has what the random trees seldom or never have.
const odd = `
	dir      . mode=1777 mtime=1.000000001
	dir      sticky mode=3771 mtime=-1.999999999
	file     suid text=x mode=6755 uid=1001 gid=1002
	file     capable text=x x:security.capability="\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	file     trusted text=x x:trusted.k=v x:user.empty=
	symlink  linkattr nowhere x:trusted.k=v uid=1003 gid=1004 mtime=5000000000.000000005
	file     acl text=x mode=664 acl=u::rw-,u:1000:rwx,g::r--,g:1001:-wx,m::rw-,o::r--
	dir      defacl mode=770 defacl=u::rwx,u:1000:rwx,g::r-x,m::rwx,o::--- acl=u::rwx,u:1002:r-x,g::r-x,m::rwx,o::---
	file     defacl/inherits text=x mode=600
	dir      defacl/sub mode=700
	fifo     fifo mode=4622
	char     null 1:3 mode=666
	block    loop 7:99 mode=660 gid=6
	file     flags text=x flags=c0
	file     fixed text=x flags=10
	hardlink fixed2 fixed
	file     log text=x flags=20
	dir      fixeddir flags=10 mode=555
	file     fixeddir/in text=x
	file     a/1 text=x
	file     a!2 text=x
	file     a0 text=x
	file     hole size=16777216
	file     tail size=300000 data=0:1:1
	file     head size=300000 data=299999:1:1
	file     gaps size=1000000 data=131072:1:1 data=262144:65536:2 data=999000:1000:3
	file     .vaultik-tmp-notmine text=x
	dir      empty mode=500`

func TestRoundTrip_odd(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	testtree.Make(t, src, odd)
	t.Cleanup(func() { open(src); open(dst) })
	for _, p := range copyTree(t, src, dst, TargetOptions{NumericOwner: true}) {
		t.Error(p)
	}
	equal(t, src, dst)
	noTempsBut(t, dst, ".vaultik-tmp-notmine")
}

// open clears what keeps a tree from being removed.
func open(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		if f, err := os.Open(path); err == nil {
			if flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
				_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags&^0x30)) // immutable, append only
			}
			f.Close()
		}
		return os.Chmod(path, 0o700)
	})
}

func noTempsBut(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Error(err)
	}
	noTemps(t, dir)
}

// Without privilege all contents come back, and what could not be set is said.
func TestRoundTrip_nobody(t *testing.T) {
	if !testuser.AsNobody(t, nil) {
		return
	}
	src, dst := t.TempDir(), t.TempDir()
	t.Cleanup(func() { open(src); open(dst) })
	testtree.Make(t, src, `
		dir      closed mode=500
		file     closed/f text=x mode=400 x:user.k=v
		file     bare text=x mode=0
		file     l text=x mode=640 acl=u::rw-,u:1000:rwx,g::r--,m::r--,o::---
		symlink  s nowhere
		hardlink h l
		fifo     p mode=600
		dir      w mode=300
		file     w/f text=x`)
	if got := strings.Join(walkAll(t, src, WalkOptions{}), " "); !strings.HasSuffix(got, " w !w") {
		t.Errorf("walked %q", got) // the entry, then why not what is in it
	}
	for _, name := range []string{"bare", "w"} {
		if err := os.Chmod(filepath.Join(src, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time into directories that are closed already
		for _, p := range copyTree(t, src, dst, TargetOptions{}) {
			t.Error(p)
		}
		equal(t, src, dst)
	}
	noTemps(t, dst)
}

// A tree of other owners is restored by whoever may not give files away.
func TestRoundTrip_foreignOwner(t *testing.T) {
	if !testuser.AsNobody(t, nil) {
		return
	}
	src, dst := t.TempDir(), t.TempDir()
	testtree.Make(t, src, `
		file     d/suid mode=6755`)
	target, err := OpenTarget(dst, TargetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	e := entryOf(t, filepath.Join(src, "d/suid"))
	e.UID, e.User, e.Group = 0, "", ""
	f, err := target.CreateTemp("suid", 0)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := f.Commit(&e)
	if err != nil {
		t.Fatal(err)
	}
	want := "set owner: operation not permitted; set mode: " + errNotOwner.Error()
	if got := text(problems); got != want {
		t.Errorf("problems %q, want %q", got, want)
	}
	st, err := target.Lstat("suid")
	if err != nil || st.Mode != 0o2755 || st.Mtime != e.Mtime {
		t.Errorf("made %+v, %v", st, err)
	}
	dev := e
	dev.Type, dev.Major, dev.Minor = "char", 1, 3
	if _, err := target.Special("dev", &dev); !os.IsPermission(err) {
		t.Errorf("made a device: %v", err)
	}
}

func text(problems MetaProblems) string {
	var all []string
	for _, p := range problems {
		all = append(all, p.Error())
	}
	return strings.Join(all, "; ")
}
