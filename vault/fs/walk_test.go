//go:build !portable

package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testtree"
	"vaultik/vault/page"
)

// Law: a walk gives all entries, each once, in strict page.Compare order.
func TestWalk_order(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		dir := t.TempDir()
		tree := testtree.Random(seed, testtree.RandomOptions{Nodes: 200, MaxSize: 10})
		last, count := "", 0
		for _, m := range tree.Make(t, dir) {
			if m.What == "device" { // not allowed to whoever runs the test
				count++
			}
		}
		err := Walk(t.Context(), []string{dir}, WalkOptions{}, func(it WalkItem) error {
			if last != "" && page.Compare(last, it.Path) >= 0 {
				t.Errorf("seed %d: %q after %q", seed, it.Path, last)
			}
			last = it.Path
			if !it.Implied {
				count++
			}
			return it.Err
		})
		if err != nil || count != len(tree) {
			t.Errorf("seed %d: %d of %d entries, %v", seed, count, len(tree), err)
		}
	}
}

func TestWalk(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, `
		file a/b text=1
		file a-c text=1
		file a/c/d text=1
		symlink l a
		dir e
		file z/1 text=1
		file z/2 text=1`)
	skip := func(name string, d Decision) Chooser {
		return chooseFunc(func(path string, _ *Stat) Decision {
			if filepath.Base(path) == name {
				return d
			}
			return Keep
		})
	}
	for _, test := range []struct {
		name  string
		roots string // below dir
		opt   WalkOptions
		want  string
	}{
		{"all", ".", WalkOptions{}, "a a/b a/c a/c/d a-c e l z z/1 z/2"},
		{"file", "a/b", WalkOptions{}, "^a a/b"},
		{"link", "l", WalkOptions{}, "l"},
		{"empty directory", "e", WalkOptions{}, "e"},
		{"several, unsorted", "z/2 a-c a/c", WalkOptions{}, "^a a/c a/c/d a-c ^z z/2"},
		{"overlapping", "a a/c a/b", WalkOptions{}, "a a/b a/c a/c/d"},
		{"skip", ".", WalkOptions{Choose: skip("a", Skip)}, "a-c e l z z/1 z/2"},
		{"skip contents", ".", WalkOptions{Choose: skip("a", SkipContents)}, "a a-c e l z z/1 z/2"},
		{"skip a root", "a z", WalkOptions{Choose: skip("z", Skip)}, "a a/b a/c a/c/d"},
		{"implied is not asked", "a/c", WalkOptions{Choose: skip("a", Skip)}, "^a a/c a/c/d"},
		{"missing", "a/x z", WalkOptions{}, "^a !a/x z z/1 z/2"},
		{"missing above", "x/y/1 x/z", WalkOptions{}, "!x/y/1 !x/z"},
		{"file above", "a-c/y", WalkOptions{}, "!a-c/y"},
		{"link above", "l/b", WalkOptions{}, "!l/b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var roots []string
			for _, root := range strings.Fields(test.roots) {
				roots = append(roots, filepath.Join(dir, root))
			}
			var got []string
			err := Walk(t.Context(), roots, test.opt, func(it WalkItem) error {
				path, below := strings.CutPrefix("/"+it.Path, dir+"/")
				mark := ""
				if it.Err != nil {
					mark = "!"
				} else if it.Implied {
					mark = "^"
				}
				if below {
					got = append(got, mark+path)
				} else if !strings.HasPrefix(dir+"/", "/"+it.Path+"/") && it.Path != "." {
					t.Errorf("%q is not above the roots", it.Path)
				}
				return nil
			})
			if err != nil || strings.Join(got, " ") != test.want {
				t.Errorf("%q, %v; want %q", strings.Join(got, " "), err, test.want)
			}
		})
	}
}

func TestWalk_callback(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, "file a/b text=1\nfile c text=1")
	var got []string
	err := Walk(t.Context(), []string{dir}, WalkOptions{}, func(it WalkItem) error {
		if it.Implied {
			return nil
		}
		got = append(got, filepath.Base(it.Path))
		if st, err := Lstatat(it.DirFD, it.Name); err != nil || !st.SameFile(&it.Stat) {
			t.Errorf("%s is not %q in its directory: %v", it.Path, it.Name, err)
		}
		return iofs.SkipDir // also for files, where it means nothing
	})
	if err != nil || strings.Join(got, " ") != filepath.Base(dir) {
		t.Errorf("walked %q, %v", got, err)
	}
	stop := errors.New("stop")
	if err := Walk(t.Context(), []string{dir}, WalkOptions{}, func(WalkItem) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = Walk(ctx, []string{dir}, WalkOptions{}, func(WalkItem) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled with %v", err)
	}
	for _, root := range []string{"relative", "", "/a/../b", "/a//b", "/a/"} {
		if err := Walk(t.Context(), []string{root}, WalkOptions{}, func(WalkItem) error { return nil }); err == nil {
			t.Errorf("root %q was accepted", root)
		}
	}
}

// Sources in motion: what is not any more what it was when it was listed.
func TestWalk_swapped(t *testing.T) {
	for _, test := range []struct {
		name string
		swap func(dir string) error // after a/x was listed, before it is opened
		want string
	}{
		{"link", func(dir string) error {
			return errors.Join(os.Remove(dir+"/a/x"), os.Symlink("../b", dir+"/a/x"))
		}, "a a/x !a/x b b/f"},
		{"file", func(dir string) error {
			return errors.Join(os.Remove(dir+"/a/x"), os.WriteFile(dir+"/a/x", nil, 0o600))
		}, "a a/x !a/x b b/f"},
		{"gone", func(dir string) error { return os.Remove(dir + "/a/x") }, "a a/x !a/x b b/f"},
		{"other directory", func(dir string) error {
			return errors.Join(os.Remove(dir+"/a/x"), os.Rename(dir+"/b", dir+"/a/x"))
		}, "a a/x a/x/f !b"},
		{"nothing", func(string) error { return nil }, "a a/x b b/f"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			testtree.Make(t, dir, "dir a/x\nfile b/f text=1")
			opt := WalkOptions{Choose: chooseFunc(func(path string, _ *Stat) Decision {
				if strings.HasSuffix(path, "/a/x") {
					if err := test.swap(dir); err != nil {
						t.Error(err)
					}
				}
				return Keep
			})}
			if got := strings.Join(walkAll(t, dir, opt), " "); got != test.want {
				t.Errorf("walked %q, want %q", got, test.want)
			}
		})
	}
}

// lookChooser looks into each directory.
type lookChooser struct {
	*testing.T
	visit  func(name string) bool
	err    error
	looked []string
}

func (c *lookChooser) Wants(string, page.Type) bool { return true }

func (c *lookChooser) Decide(string, *Stat) Decision { return Keep }

func (c *lookChooser) Enter(d Dir) (func(string) bool, error) {
	c.looked = append(c.looked, filepath.Base(d.Path()))
	st, err := d.Lstat("b")
	f, opened, oerr := d.Open("b")
	if has := d.Has("b"); has != (err == nil) || has != (oerr == nil) || d.Has("") || d.Has("bb") {
		c.Errorf("%s: has %v, but %v, %v", d.Path(), has, err, oerr)
	} else if has {
		text, err := io.ReadAll(f)
		if err != nil || string(text) != "1" || !opened.SameFile(&st) || d.Stat().Type != page.Dir || st.Type != page.File {
			c.Errorf("%s: %q, %+v, %v", d.Path(), text, st, err)
		}
		_ = f.Close()
	}
	return c.visit, c.err
}

// A chooser is shown each directory that is not empty, once, chooses among the
// names, and what it finds wrong is told after the directory.
func TestWalk_enter(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, "file a/b text=1\nfile a/c text=1\nfile ab/b text=1\ndir e\nsymlink l a\nfile z/y text=2")
	c := &lookChooser{T: t, visit: func(name string) bool { return name != "b" && name != "l" }, err: errors.New("wrong")}
	got := strings.Join(walkAll(t, dir, WalkOptions{Choose: c}), " ")
	if want := "a !a a/c ab !ab e z !z z/y"; got != want {
		t.Errorf("walked %q, want %q", got, want)
	}
	if looked := strings.Join(c.looked[1:], " "); looked != "a ab z" {
		t.Errorf("looked into %q", looked)
	}
	c = &lookChooser{T: t}
	if got := strings.Join(walkAll(t, dir, WalkOptions{Choose: c}), " "); got != "a a/b a/c ab ab/b e l z z/y" {
		t.Errorf("walked %q", got)
	}
}

// A directory deeper than descriptors are held is moved away while the walk is in it.
func TestWalk_moved(t *testing.T) {
	dir := t.TempDir()
	deep := strings.Repeat("d/", maxOpenDirs+50)
	testtree.Make(t, dir, "file "+deep+"last text=1\nfile d/z text=1\nfile elsewhere/x text=1")
	var got []string
	err := Walk(t.Context(), []string{dir}, WalkOptions{}, func(it WalkItem) error {
		if it.Path == dir[1:]+"/"+deep+"last" {
			// Now "d/d" is elsewhere, and its ".." is not "d" any more.
			if err := os.Rename(dir+"/d/d", dir+"/elsewhere/d"); err != nil {
				t.Error(err)
			}
		}
		if strings.HasSuffix(it.Path, "z") || it.Err != nil {
			got = append(got, it.Path)
		}
		return nil
	})
	want := dir[1:] + "/d/z"
	if err != nil || !slices.Contains(got, want) {
		t.Errorf("walked %q, %v; want %q among them", got, err, want)
	}
}

// The walk holds no more descriptors than it says, and gives all back.
func TestWalk_descriptors(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, "file "+strings.Repeat("d/", 2*maxOpenDirs)+"last text=1")
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before, most := count(), 0
	err := Walk(t.Context(), []string{dir}, WalkOptions{}, func(it WalkItem) error {
		most = max(most, count())
		return it.Err
	})
	if after := count(); err != nil || after != before || most > before+maxOpenDirs+2 {
		t.Errorf("%d descriptors before, %d at most, %d after; %v", before, most, after, err)
	}
}

func TestWalk_oneFS(t *testing.T) {
	top, err := Lstat("/dev")
	if err != nil {
		t.Fatal(err)
	}
	mounts := map[string]bool{}
	inside := 0
	err = Walk(t.Context(), []string{"/dev"}, WalkOptions{OneFS: true}, func(it WalkItem) error {
		if it.Err == nil && !it.Implied && it.Stat.Dev != top.Dev {
			mounts[it.Path] = true
			if !it.Mount {
				t.Errorf("nobody is told that %s is a mount point", it.Path)
			}
		} else if it.Mount {
			t.Errorf("%s is no mount point", it.Path)
		}
		if dir, _ := split(it.Path); mounts[dir] {
			inside++
		}
		return nil
	})
	if err != nil || inside > 0 {
		t.Errorf("%d entries in mounts %v, %v", inside, mounts, err)
	}
	if st, err := Lstat("/dev/shm"); err == nil && st.Dev != top.Dev && !mounts["dev/shm"] {
		t.Errorf("the mount point /dev/shm itself is missing")
	}
}

func TestNameList(t *testing.T) {
	var l nameList
	for _, e := range []struct {
		kind byte
		name string
	}{
		{unix.DT_DIR, "b"}, {unix.DT_REG, "a"}, {unix.DT_UNKNOWN, "ab"}, {unix.DT_REG, "a"}, {unix.DT_LNK, "a-"},
		{unix.DT_WHT, "\xff"},
	} {
		l.add(e.kind, []byte(e.name))
	}
	l.sort()
	var got []string
	for name, kind := l.pop(); name != nil; name, kind = l.pop() {
		got = append(got, string(name)+":"+string(kind))
	}
	if want := "a:file a-:symlink ab: b:dir \xff:"; strings.Join(got, " ") != want {
		t.Errorf("sorted %q, want %q", got, want)
	}
}

// BenchmarkWalk walks 100,000 files (with -short 2,000) in directories of 50.
// Compare: find DIR -printf '%p %s %T@\n'.
func BenchmarkWalk(b *testing.B) {
	dir, dirs := b.TempDir(), 2000
	if testing.Short() {
		dirs = 40
	}
	for i := range dirs {
		sub := filepath.Join(dir, fmt.Sprintf("group%02d/package%03d", i/100, i))
		if err := os.MkdirAll(sub, 0o700); err != nil {
			b.Fatal(err)
		}
		for k := range 50 {
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("source_file_%02d.go", k)), nil, 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportAllocs()
	entries := 0
	for b.Loop() {
		entries = 0
		if err := Walk(b.Context(), []string{dir}, WalkOptions{}, func(WalkItem) error { entries++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(entries), "entries/op")
}
