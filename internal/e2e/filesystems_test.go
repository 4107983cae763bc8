package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/internal/oddtree"
	"vaultik/internal/testfuse"
	"vaultik/internal/treecmp"
)

// fileSystem is a kind of place where people keep files.
type fileSystem struct {
	name  string
	needs []string // programs
	// loses is what it cannot keep, for want of which nobody is to blame.
	loses []treecmp.Kind
	// open mounts it in an empty directory, and makes the tree to save. What it changes
	// afterwards must not change what is saved.
	open func(p *mounted)
}

// mounted is a file system in use.
type mounted struct {
	t        *testing.T
	dir      string // all of it is in here
	src, out string // what is saved, and where it is restored to
	loops    map[string]string
	// again puts it back as after a reboot or a change of mounts; nil: there is nothing to change.
	again func()
}

func fileSystems() []fileSystem {
	return []fileSystem{
		{name: "xfs", needs: []string{"mkfs.xfs"}, open: func(p *mounted) {
			p.image("xfs", "320M", "mkfs.xfs", "-q")
			p.mount("xfs", "one")
			p.odd(p.in("one/src"))
			p.src, p.out = p.in("one/src"), p.in("one/out")
		}},
		{name: "ext4 with inodes of 128 bytes", needs: []string{"mkfs.ext4"}, loses: []treecmp.Kind{treecmp.Mtime}, open: func(p *mounted) {
			p.image("ext4", "64M", "mkfs.ext4", "-q", "-F", "-I", "128")
			p.mount("ext4", "one")
			p.plain(p.in("one/src"))
			p.src, p.out = p.in("one/src"), p.in("one/out")
		}},
		{name: "btrfs: subvolumes, a snapshot, one received", needs: []string{"mkfs.btrfs", "btrfs"}, open: func(p *mounted) {
			p.image("btrfs", "512M", "mkfs.btrfs", "-q")
			p.mount("btrfs", "one")
			top := p.in("one")
			must(p.t, os.Mkdir(filepath.Join(top, "src"), 0o755))
			for _, name := range []string{"x", "y"} { // inode numbers in both are the same
				p.run("btrfs", "subvolume", "create", filepath.Join(top, "src", name))
				p.odd(filepath.Join(top, "src", name, "odd"))
				p.pair(filepath.Join(top, "src", name), "of "+name)
			}
			p.run("btrfs", "subvolume", "snapshot", "-r", top+"/src/x", top+"/src/snapshot")
			must(p.t, os.Mkdir(top+"/src/received", 0o755))
			p.run("sh", "-c", `btrfs -q send "$0" | btrfs -q receive "$1"`, top+"/src/snapshot", top+"/src/received")
			p.src, p.out = top+"/src", top+"/out"
		}},
		{name: "btrfs: subvolumes whose device numbers change places", needs: []string{"mkfs.btrfs", "btrfs"}, open: func(p *mounted) {
			p.subvolumes("one/src")
			p.src, p.out = p.in("one/src"), p.in("out")
			p.again = func() { // who is looked at first has the lower number
				p.unmount("one")
				p.mount("btrfs", "one")
				for _, name := range []string{"y", "x"} {
					_, err := os.Stat(p.in("one/src/" + name + "/a"))
					must(p.t, err)
				}
				p.besidePair(p.in("one/src/x"))
			}
		}},
		{name: "btrfs: subvolumes mounted in another order", needs: []string{"mkfs.btrfs", "btrfs"}, open: func(p *mounted) {
			p.subvolumes("one")
			must(p.t, os.Mkdir(p.in("src"), 0o755))
			p.unmount("one")
			p.mount("btrfs", "src/x", "-o", "subvol=x")
			p.mount("btrfs", "src/y", "-o", "subvol=y")
			p.src, p.out = p.in("src"), p.in("out")
			p.again = func() {
				p.unmount("src/x")
				p.unmount("src/y")
				p.mount("btrfs", "src/y", "-o", "subvol=y")
				p.mount("btrfs", "src/x", "-o", "subvol=x")
				p.besidePair(p.in("src/x"))
			}
		}},
		{name: "two copies of one image, as LVM snapshots are", needs: []string{"mkfs.ext4"}, open: func(p *mounted) {
			p.image("ext4", "64M", "mkfs.ext4", "-q", "-F", "-b", "4096")
			p.mount("ext4", "one")
			p.pair(p.in("one"), "of the first")
			p.fill(p.in("one"))
			p.unmount("one")
			p.run("cp", p.in("ext4.img"), p.in("copy.img"))
			must(p.t, os.Mkdir(p.in("src"), 0o755))
			p.mount("ext4", "src/x")
			p.mount("copy", "src/y")
			must(p.t, os.WriteFile(p.in("src/y/a"), []byte("of the second"), 0o600))
			p.src, p.out = p.in("src"), p.in("out")
			p.again = func() {
				p.unmount("src/x")
				p.unmount("src/y")
				p.mount("copy", "src/y")
				p.mount("ext4", "src/x")
				p.besidePair(p.in("src/x"))
			}
		}},
		{name: "overlay", open: func(p *mounted) {
			for _, d := range []string{"disk", "src"} {
				must(p.t, os.Mkdir(p.in(d), 0o755))
			}
			p.mountKind("tmpfs", "disk", "tmpfs", "")
			for _, d := range []string{"lower", "upper", "work"} {
				must(p.t, os.Mkdir(p.in("disk/"+d), 0o755))
			}
			p.odd(p.in("disk/lower/odd"))
			p.pair(p.in("disk/lower"), "of the lower one")
			must(p.t, os.WriteFile(p.in("disk/lower/gone"), []byte("deleted in the upper one"), 0o600))
			over := func() {
				p.mountKind("overlay", "src", "overlay", "lowerdir="+p.in("disk/lower")+",upperdir="+p.in("disk/upper")+",workdir="+p.in("disk/work"))
			}
			over()
			must(p.t, os.Remove(p.in("src/gone"))) // a whiteout
			p.pair(p.in("src"), "of the upper one")
			must(p.t, os.WriteFile(p.in("src/odd/new"), []byte("beside what is below"), 0o600))
			p.src, p.out = p.in("src"), p.in("out")
			p.again = func() {
				p.unmount("src")
				over()
			}
		}},
		{name: "bind mounts, and one more of them", needs: []string{"mkfs.ext4"}, open: func(p *mounted) {
			p.image("ext4", "64M", "mkfs.ext4", "-q", "-F", "-b", "4096")
			p.mount("ext4", "src/data")
			p.odd(p.in("src/data/odd"))
			p.pair(p.in("src/data"), "of the disk")
			p.fill(p.in("src/data"))
			must(p.t, os.WriteFile(p.in("src/file"), nil, 0o600))
			p.bind("src/data/a", "src/file")
			p.src, p.out = p.in("src"), p.in("out")
			p.again = func() { // as in a container that was given one more volume
				p.unmount("src/file")
				p.unmount("src/data")
				p.mount("ext4", "before")
				p.bind("before", "src/data")
				p.bind("before/a", "src/file")
				p.besidePair(p.in("src/data"))
			}
		}},
		{name: "exfat-fuse", needs: []string{"mount.exfat-fuse", "mkfs.exfat"}, loses: []treecmp.Kind{treecmp.Mode, treecmp.Owner}, open: func(p *mounted) {
			p.image("exfat", "64M", "mkfs.exfat")
			p.mountBy("exfat", "one", "mount.exfat-fuse")
			p.plain(p.in("one/src"))
			p.src, p.out = p.in("one/src"), p.in("one/out")
			p.again = func() { // inode numbers are those of this mount
				p.unmount("one")
				p.mountBy("exfat", "one", "mount.exfat-fuse")
			}
		}},
		{name: "ntfs-3g", needs: []string{"ntfs-3g", "mkfs.ntfs"}, loses: []treecmp.Kind{treecmp.Mode, treecmp.Owner, treecmp.Mtime}, open: func(p *mounted) {
			p.image("ntfs", "64M", "mkfs.ntfs", "-q", "-f", "-F")
			p.mountBy("ntfs", "one", "ntfs-3g")
			p.plain(p.in("one/src"))
			p.pair(p.in("one/src"), "of NTFS")
			p.src, p.out = p.in("one/src"), p.in("one/out")
			p.again = func() {
				p.unmount("one")
				p.mountBy("ntfs", "one", "ntfs-3g")
			}
		}},
	}
}

// TestFileSystems: a tree on each kind of file system comes back as it was, also after the file
// system was mounted anew; what is there already is not written again.
func TestFileSystems(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	for _, fs := range fileSystems() {
		t.Run(fs.name, func(t *testing.T) {
			p := fs.start(t)
			m := newMachine(t)
			m.exits(0, "init")
			m.key = secretOf(t, m.config("recovery-kit.txt"))
			m.exits(0, "backup", p.src)
			if p.again != nil {
				m.settle(p.src)
				p.again()
			}
			m.exits(0, "backup", p.src)
			from := "latest:" + p.src
			m.exits(0, "restore", from, "--target", p.out)
			r, err := treecmp.Compare(t.Context(), p.src, p.out, treecmp.Options{Ignore: fs.loses})
			must(t, err)
			for _, d := range r.Differences {
				t.Error(d)
			}
			t.Logf("%d entries, %d bytes", r.Entries, r.Bytes)
			before := inodes(t, p.out)
			m.exits(0, "restore", from, "--target", p.out)
			for path, ino := range inodes(t, p.out) {
				if before[path] != ino {
					t.Errorf("written again: %q", path)
				}
			}
			m.exits(0, "verify", "--read-data")
		})
	}
}

// settle backs up until nothing is too fresh to be vouched for, and all pages are carried over.
func (m *machine) settle(src string) {
	m.t.Helper()
	for range 1_000 {
		l := m.exits(0, "--json", "backup", src)
		if strings.Contains(l.stdout, `"changed":0,`) && strings.Contains(l.stdout, `"objects_stored":2,`) { // root and manifest
			return
		}
	}
	m.t.Fatal("each backup finds changes")
}

// inodes tells a file that was written again from one that stayed.
func inodes(t *testing.T, top string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(top, func(path string, _ os.DirEntry, err error) error {
		must(t, err)
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		found[path] = fmt.Sprint(st.Dev, st.Ino)
		return nil
	}))
	return found
}

// TestStoreOnFileSystems: a directory on each of them is a store.
func TestStoreOnFileSystems(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	for _, fs := range fileSystems() {
		t.Run(fs.name, func(t *testing.T) {
			p := fs.start(t)
			m := newMachine(t)
			store := filepath.Join(filepath.Dir(p.out), "store")
			m.exits(0, "init", "--store", store)
			m.key = secretOf(t, m.config("recovery-kit.txt"))
			docs := filepath.Join(m.home, "Documents")
			p.plain(docs)
			m.exits(0, "backup", docs)
			must(t, os.WriteFile(filepath.Join(docs, "new"), []byte("since then"), 0o600))
			m.exits(0, "backup", docs)
			m.exits(0, "verify", "--read-data")
			out := filepath.Join(m.root, "out")
			m.exits(0, "restore", "latest:"+docs, "--target", out)
			sameTree(t, docs, out)
			m.exits(0, "store", "check")
		})
	}
}

// TestDyingFileSystem: of a file system that fails in all ways, what can be read is saved; the
// rest is named, and the snapshot says that it is not complete.
func TestDyingFileSystem(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	m := newMachine(t)
	src, out := filepath.Join(m.root, "src"), filepath.Join(m.root, "out")
	must(t, os.Mkdir(src, 0o755))
	data := bytes.Repeat([]byte("kept"), 100_000)
	mount := testfuse.New(t, filepath.Join(src, "m"), map[string]testfuse.File{
		"a":      testfuse.Bytes(data),
		"closed": {Size: 10, Open: func() error { return unix.EACCES }},
		"eio":    {Size: 10, Read: func(int64, int) ([]byte, error) { return nil, unix.EIO }},
		"stale":  {Stat: func() error { return unix.ESTALE }},
	})
	must(t, os.WriteFile(filepath.Join(src, "beside"), data, 0o600))
	m.exits(0, "init")
	m.key = secretOf(t, m.config("recovery-kit.txt"))
	l := m.exits(3, "backup", src)
	for _, name := range []string{"closed", "eio", "stale"} {
		if !strings.Contains(l.stderr, filepath.Join(src, "m", name)) {
			t.Errorf("%s is not named:\n%s", name, l.stderr)
		}
	}
	m.exits(0, "restore", "latest:"+src, "--target", out)
	for _, name := range []string{"m/a", "beside"} {
		got, err := os.ReadFile(filepath.Join(out, name))
		must(t, err)
		if !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
	mount.Die()
	m.exits(3, "backup", src)
	m.exits(0, "restore", "latest:"+filepath.Join(src, "beside"), "--target", filepath.Join(m.root, "out2"))
	m.exits(0, "verify", "--read-data")
}

// start opens a file system in a directory of its own, or skips.
func (fs *fileSystem) start(t *testing.T) *mounted {
	t.Helper()
	for _, program := range fs.needs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("not installed: " + program)
		}
	}
	p := &mounted{t: t, dir: t.TempDir(), loops: map[string]string{}}
	fs.open(p)
	return p
}

func (p *mounted) in(name string) string { return filepath.Join(p.dir, name) }

// run runs a program, which must succeed.
func (p *mounted) run(name string, args ...string) string {
	p.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// image makes a file NAME.img of a size, formatted by a command.
func (p *mounted) image(name, size string, mkfs ...string) {
	p.t.Helper()
	p.run("truncate", "-s", size, p.in(name+".img"))
	p.run(mkfs[0], append(mkfs[1:], p.in(name+".img"))...)
}

// loop is the block device of an image.
func (p *mounted) loop(image string) string {
	p.t.Helper()
	if p.loops[image] == "" {
		dev := p.run("losetup", "--find", "--show", p.in(image+".img"))
		p.t.Cleanup(func() { _ = exec.Command("losetup", "--detach", dev).Run() })
		p.loops[image] = dev
	}
	return p.loops[image]
}

// mount mounts an image.
func (p *mounted) mount(image, dir string, options ...string) {
	p.t.Helper()
	p.at(dir)
	p.run("mount", append(options, p.loop(image), p.in(dir))...)
}

// mountBy mounts an image by the program of its file system.
func (p *mounted) mountBy(image, dir, program string) {
	p.t.Helper()
	p.at(dir)
	p.run(program, p.loop(image), p.in(dir))
}

// mountKind mounts what needs no device.
func (p *mounted) mountKind(source, dir, kind, options string) {
	p.t.Helper()
	p.at(dir)
	if err := unix.Mount(source, p.in(dir), kind, 0, options); err != nil {
		p.t.Skipf("mount %s: %v", kind, err)
	}
}

func (p *mounted) bind(from, dir string) {
	p.t.Helper()
	p.at(dir)
	must(p.t, unix.Mount(p.in(from), p.in(dir), "", unix.MS_BIND, ""))
}

// at prepares a mount point, and unmounts it in the end.
func (p *mounted) at(dir string) {
	p.t.Helper()
	if _, err := os.Lstat(p.in(dir)); err != nil {
		must(p.t, os.MkdirAll(p.in(dir), 0o755))
	}
	p.t.Cleanup(func() { _ = unix.Unmount(p.in(dir), unix.MNT_DETACH) })
}

func (p *mounted) unmount(dir string) {
	p.t.Helper()
	p.run("umount", p.in(dir)) // waits for the program of a FUSE file system, which writes until it ends
}

// odd makes a tree of all that a POSIX file system may hold.
func (p *mounted) odd(dir string) {
	p.t.Helper()
	leftOut, err := oddtree.Make(dir, oddtree.Options{Seed: 11, Small: true})
	must(p.t, err)
	if len(leftOut) > 0 {
		p.t.Logf("%s: not on this file system: %q", dir, leftOut)
	}
}

// pair makes a file of two names, one before and one after those of fill. The first file of an
// empty file system has the same inode number on each.
func (p *mounted) pair(dir, contents string) {
	p.t.Helper()
	must(p.t, os.WriteFile(filepath.Join(dir, "a"), []byte(contents), 0o600))
	_ = os.Remove(filepath.Join(dir, "zz"))
	must(p.t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "zz")))
}

// fill makes so many files that a tree has several pages.
func (p *mounted) fill(dir string) {
	p.t.Helper()
	for i := range 1_500 {
		must(p.t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%04d", i)), nil, 0o600))
	}
}

// besidePair makes a file whose page is that of the pair, and writes none of the other pages anew.
func (p *mounted) besidePair(dir string) {
	p.t.Helper()
	must(p.t, os.WriteFile(filepath.Join(dir, "ab"), []byte("new"), 0o600))
}

// subvolumes makes x and y of a new btrfs, mounted as one, in a directory of it: the inode numbers
// in both are the same.
func (p *mounted) subvolumes(dir string) {
	p.t.Helper()
	p.image("btrfs", "256M", "mkfs.btrfs", "-q")
	p.mount("btrfs", "one")
	must(p.t, os.MkdirAll(p.in(dir), 0o755))
	for _, name := range []string{"x", "y"} {
		sub := filepath.Join(p.in(dir), name)
		p.run("btrfs", "subvolume", "create", sub)
		p.pair(sub, "of "+name)
		p.fill(sub)
	}
}

// plain makes a tree that any file system can hold, with times of whole, even seconds, among them
// one that many cannot.
func (p *mounted) plain(dir string) {
	p.t.Helper()
	for i, name := range []string{"a", "Übung/b c", "Übung/empty", "deep/er/still/c"} {
		file := filepath.Join(dir, name)
		must(p.t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(p.t, os.WriteFile(file, bytes.Repeat([]byte(name), i%3*50_000), 0o644))
		when := time.Date(2000+10*i, 5, 6, 7, 8, 10, 0, time.UTC)
		must(p.t, os.Chtimes(file, when, when))
	}
	for _, d := range []string{"Übung", "deep/er/still", "deep/er", "deep", "."} {
		when := time.Date(2021, 5, 6, 7, 8, 10, 0, time.UTC)
		must(p.t, os.Chtimes(filepath.Join(dir, d), when, when))
	}
}
