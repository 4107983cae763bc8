package testtree

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParse_law(t *testing.T) {
	for seed := range uint64(50) {
		tree := Random(seed, RandomOptions{})
		text := tree.String()
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		if again.String() != text {
			t.Fatalf("seed %d: written again it differs:\n%s\n%s", seed, text, again)
		}
		if len(again) != len(tree) {
			t.Fatalf("seed %d: %d nodes became %d", seed, len(tree), len(again))
		}
		for i := range tree {
			for _, n := range []*Node{&tree[i], &again[i]} {
				if n.UID < 0 && n.GID < 0 && len(n.Xattrs) == 0 {
					n.Xattrs = nil
				}
			}
			if !reflect.DeepEqual(tree[i], again[i]) {
				t.Fatalf("seed %d: node differs:\n%#v\n%#v", seed, tree[i], again[i])
			}
		}
	}
}

func TestParse_errors(t *testing.T) {
	for _, line := range []string{
		"dir", "thing a", "file ../a", "file /a", "file a/../b", "symlink a", "char a 1", "file a x=1",
		`file "a`, "file a mtime=1.5", "file a mode=9", "file a data=1:2", "file a size=x",
	} {
		if _, err := Parse(line); err == nil {
			t.Errorf("%q was accepted", line)
		}
	}
}

func TestTree_Create(t *testing.T) {
	dir := t.TempDir()
	Make(t, dir, `
		# one of each
		dir      . mode=750 mtime=1.000000001
		file     a/b/c.txt text="hello\n" mode=600 mtime=-5.000000007 x:user.k="v\x00w"
		file     sparse size=1048576 data=524288:10:1
		file     "odd \xff\n"
		symlink  l nowhere mtime=77.123456789
		hardlink a/h a/b/c.txt
		fifo     p mode=640
		socket   s`)
	check := func(name string, want any, got any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	var st, other unix.Stat_t
	stat := func(name string, st *unix.Stat_t) {
		t.Helper()
		if err := unix.Lstat(filepath.Join(dir, name), st); err != nil {
			t.Fatal(err)
		}
	}
	stat(".", &st)
	check("top mode", uint32(unix.S_IFDIR|0o750), st.Mode)
	check("top mtime", unix.Timespec{Sec: 1, Nsec: 1}, st.Mtim)
	stat("a/b/c.txt", &st)
	stat("a/h", &other)
	check("link", st.Ino, other.Ino)
	check("file mtime", unix.Timespec{Sec: -5, Nsec: 7}, st.Mtim)
	text, err := os.ReadFile(filepath.Join(dir, "a/h"))
	check("text", "hello\n", string(text))
	check("read", nil, err)
	stat("sparse", &st)
	check("size", int64(1<<20), st.Size)
	if st.Blocks > 64 {
		t.Errorf("sparse file has %d blocks", st.Blocks)
	}
	stat("l", &st)
	check("link mtime", unix.Timespec{Sec: 77, Nsec: 123456789}, st.Mtim)
	stat("p", &st)
	check("fifo", uint32(unix.S_IFIFO|0o640), st.Mode)
	stat("s", &st)
	check("socket", uint32(unix.S_IFSOCK|0o644), st.Mode)
	stat("odd \xff\n", &st)
	std := NewNode(Dir, "a")
	stat("a", &st)
	check("default mtime", unix.NsecToTimespec(std.Sec*1e9+std.Nsec), st.Mtim)
}

func TestTree_Create_random(t *testing.T) {
	for seed := range uint64(5) {
		dir := t.TempDir()
		tree := Random(seed, RandomOptions{Nodes: 60})
		missing, err := tree.Create(dir)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if os.Geteuid() == 0 && len(missing) > 0 {
			t.Logf("seed %d: %v", seed, missing)
		}
		for _, n := range tree {
			var st unix.Stat_t
			err := unix.Lstat(filepath.Join(dir, n.Path), &st)
			if err != nil && n.Kind != Char {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if n.Kind != Hardlink && err == nil && (st.Mtim.Sec != n.Sec || st.Mtim.Nsec != n.Nsec) {
				t.Errorf("seed %d: mtime of %q is %v", seed, n.Path, st.Mtim)
			}
		}
	}
}

// No name of a random tree is longer than the kernel takes, and some are as long.
func TestRandom_Names(t *testing.T) {
	longest := map[string]int{}
	for seed := range uint64(300) {
		for _, n := range Random(seed, RandomOptions{All: true}) {
			for name := range strings.SplitSeq(n.Path, "/") {
				longest["entry"] = max(longest["entry"], len(name))
			}
			for _, x := range n.Xattrs {
				longest["attribute"] = max(longest["attribute"], len(x.Name))
			}
		}
	}
	if longest["entry"] != maxName || longest["attribute"] != maxName {
		t.Errorf("the longest names: %v", longest)
	}
}
