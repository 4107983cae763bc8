//go:build !portable

package fs

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/vault/page"
)

// Whatever stands under a path, nothing outside of the target is touched.
func TestTarget_inTheWay(t *testing.T) {
	makers := map[string]func(*Target, string) error{
		"file": func(target *Target, path string) error { return put(target, path, "new") },
		"symlink": func(target *Target, path string) error {
			e := newEntry(page.Symlink)
			e.Target = "new"
			_, err := target.Symlink(path, e)
			return err
		},
		"fifo": func(target *Target, path string) error {
			_, err := target.Special(path, newEntry(page.FIFO))
			return err
		},
		"dir": func(target *Target, path string) error { return target.Mkdir(path, newEntry(page.Dir)) },
		"link": func(target *Target, path string) error {
			return errors.Join(put(target, "other", "new"), target.Link("other", path, sized(3)))
		},
		"below": func(target *Target, path string) error { return put(target, path+"/x", "new") },
	}
	for _, test := range []struct {
		there string // made under the name "it"
		want  map[string]error
	}{
		{"", nil},
		{"file it text=old", map[string]error{"dir": ErrInTheWay, "below": ErrInTheWay}},
		{"symlink it OUTSIDE", nil},
		{"symlink it nowhere", nil},
		{"symlink it .", nil},
		{"fifo it", map[string]error{"dir": ErrInTheWay, "below": ErrInTheWay}},
		{"dir it", nil},
		{"file it/x text=old", map[string]error{"file": ErrNotEmpty, "symlink": ErrNotEmpty, "fifo": ErrNotEmpty, "link": ErrNotEmpty}},
		{"symlink it/x OUTSIDE/file", map[string]error{"file": ErrNotEmpty, "symlink": ErrNotEmpty, "fifo": ErrNotEmpty, "link": ErrNotEmpty}},
	} {
		for kind, put := range makers {
			t.Run(test.there+" then "+kind, func(t *testing.T) {
				dir, outside := t.TempDir(), t.TempDir()
				testtree.Make(t, outside, "file file text=precious mode=600")
				before := entryOf(t, outside)
				testtree.Make(t, dir, strings.ReplaceAll(test.there, "OUTSIDE", outside))
				target := openTarget(t, dir, TargetOptions{})
				err := put(target, "it")
				if !errors.Is(err, test.want[kind]) {
					t.Fatalf("%v, want %v", err, test.want[kind])
				}
				if err == nil {
					want := map[string]page.Type{"link": page.File, "below": page.Dir}[kind]
					if want == "" {
						want = page.Type(kind)
					}
					if st, err := target.Lstat("it"); err != nil || st.Type != want {
						t.Errorf("made %+v, %v", st, err)
					}
				}
				if text, err := os.ReadFile(outside + "/file"); string(text) != "precious" {
					t.Errorf("outside is %q, %v", text, err)
				}
				if after := entryOf(t, outside); after.Mtime != before.Mtime {
					t.Error("something was made outside")
				}
				noTemps(t, dir)
			})
		}
	}
}

func TestTarget_replaceFiles(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, "file a text=old\nfile b text=old")
	target := openTarget(t, dir, TargetOptions{ReplaceFiles: true})
	if err := errors.Join(target.Mkdir("a", newEntry(page.Dir)), put(target, "b/c", "new")); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(dir + "/b/c"); string(text) != "new" {
		t.Errorf("%q, %v", text, err)
	}
}

// Paths that a hostile store may name.
func TestTarget_paths(t *testing.T) {
	dir := t.TempDir() + "/target"
	target := openTarget(t, dir, TargetOptions{})
	long := strings.Repeat("x", 4096)
	for _, path := range []string{"", "/", "/etc/x", "..", "../x", "a/../../x", "a/..", "./x", "a//b", "a/", "a\x00b", "a/./b", long} {
		e := newEntry(page.Dir)
		errs := map[string]error{"mkdir": target.Mkdir(path, e), "create": put(target, path, "x"), "link from": target.Link(path, "y", sized(1)), "link to": target.Link("y", path, sized(1))}
		_, errs["dir meta"] = target.SetDirMeta(path, e)
		_, errs["lstat"] = target.Lstat(path)
		_, errs["fifo"] = target.Special(path, newEntry(page.FIFO))
		_, errs["temps"] = target.RemoveTemps(path)
		link := newEntry(page.Symlink)
		link.Target = "x"
		_, errs["symlink"] = target.Symlink(path, link)
		f, _, err := target.OpenRead(path)
		errs["open"] = err
		if f != nil {
			f.Close()
		}
		for what, err := range errs {
			if err == nil || path != long && strings.HasPrefix(what, "m") && !errors.Is(err, page.ErrInvalid) {
				t.Errorf("%s %q: %v", what, path, err)
			}
		}
		if same, _ := target.Same(path, e); same {
			t.Errorf("%q is there", path)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(dir)); len(entries) != 1 || err != nil {
		t.Errorf("beside the target: %v, %v", entries, err)
	}
	if entries, err := os.ReadDir(dir); len(entries) != 0 || err != nil {
		t.Errorf("in the target: %v, %v", entries, err)
	}
	if err := put(target, ".", "x"); !errors.Is(err, unix.EISDIR) {
		t.Errorf("a file instead of the target: %v", err)
	}
}

// The target itself may be named through a link, and is resolved once.
func TestOpenTarget_link(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, "dir real\ndir other\nsymlink l real")
	target := openTarget(t, dir+"/l", TargetOptions{})
	if err := errors.Join(os.Remove(dir+"/l"), os.Symlink("other", dir+"/l"), put(target, "a/f", "x")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir + "/real/a/f"); err != nil {
		t.Error(err)
	}
	if _, err := OpenTarget(dir+"/real/a/f", TargetOptions{}); err == nil {
		t.Error("a file is a target")
	}
}

// A directory that was used before is not left through a link put in its place.
func TestTarget_swappedParent(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	target := openTarget(t, dir, TargetOptions{})
	if err := put(target, "a/b/f", "x"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(dir+"/a/b"), os.Symlink(outside, dir+"/a/b")); err != nil {
		t.Fatal(err)
	}
	_ = put(target, "a/b/g", "x") // into the directory that is gone, or nowhere
	_ = put(target, "a/b/c/g", "x")
	if entries, err := os.ReadDir(outside); len(entries) > 0 || err != nil {
		t.Errorf("outside: %v, %v", entries, err)
	}
}

// named says whether the target makes files without a name, where it can, or not.
func eachWay(t *testing.T, fn func(t *testing.T, target *Target, dir string)) {
	for _, unnamed := range []bool{true, false} {
		t.Run(fmt.Sprintf("unnamed=%v", unnamed), func(t *testing.T) {
			dir := t.TempDir()
			target := openTarget(t, dir, TargetOptions{})
			target.unnamed = unnamed
			fn(t, target, dir)
			noTemps(t, dir)
			if len(target.temps) > 0 {
				t.Errorf("temporary names in use: %v", target.temps)
			}
			if err := target.Sync(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFile(t *testing.T) {
	eachWay(t, func(t *testing.T, target *Target, dir string) {
		testtree.Make(t, dir, "file old text=old\nhardlink sibling old")
		for _, name := range []string{"new", "old"} {
			f, err := target.CreateTemp(name, 300_000)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for i := range int64(3) {
				wg.Go(func() {
					if _, err := f.WriteAt(testtree.Bytes(uint64(i), 1000), i*100_000); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if err := f.PunchHole(100_000, 1000); err != nil {
				t.Error(err)
			}
			if _, err := f.WriteAt([]byte("xx"), 299_999); !errors.Is(err, unix.EFBIG) {
				t.Errorf("wrote beyond the end: %v", err)
			}
			if _, err := os.Lstat(dir + "/new"); name == "new" && !errors.Is(err, iofs.ErrNotExist) {
				t.Errorf("visible before it is complete: %v", err)
			}
			if problems, err := f.Commit(newEntry(page.File)); err != nil || problems != nil {
				t.Fatal(problems, err)
			}
			f.Abort()
			if _, err := f.Commit(newEntry(page.File)); !errors.Is(err, os.ErrClosed) {
				t.Errorf("committed twice: %v", err)
			}
			want := make([]byte, 300_000)
			copy(want, testtree.Bytes(0, 1000))
			copy(want[200_000:], testtree.Bytes(2, 1000))
			if got, err := os.ReadFile(dir + "/" + name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: other contents, %v", name, err)
			}
			st, err := target.Lstat(name)
			if err != nil || st.Mode != 0o644 || st.Mtime != (page.Time{Sec: 7, Nsec: 9}) || st.Nlink != 1 {
				t.Errorf("%s: %+v, %v", name, st, err)
			}
		}
		if text, err := os.ReadFile(dir + "/sibling"); string(text) != "old" {
			t.Errorf("the other name of the file: %q, %v", text, err)
		}
	})
}

func TestFile_abort(t *testing.T) {
	eachWay(t, func(t *testing.T, target *Target, dir string) {
		testtree.Make(t, dir, "file old text=old\nfile full/x text=1")
		for _, name := range []string{"old", "new", "full"} {
			f, err := target.CreateTemp(name, 3)
			if err != nil {
				t.Fatal(err)
			}
			if name == "full" { // cannot be replaced
				if _, err := f.Commit(newEntry(page.File)); !errors.Is(err, ErrNotEmpty) {
					t.Error(err)
				}
			}
			f.Abort()
			f.Abort()
		}
		if text, err := os.ReadFile(dir + "/old"); string(text) != "old" {
			t.Errorf("%q, %v", text, err)
		}
		if _, err := target.Lstat("new"); !errors.Is(err, iofs.ErrNotExist) {
			t.Error(err)
		}
	})
}

func TestTarget_RemoveTemps(t *testing.T) {
	dir := t.TempDir()
	left := tempPrefix + strings.Repeat("A", 26)
	testtree.Make(t, dir, "file d/"+left+" text=1\nfifo d/"+left[:30]+"BBBBBBBBB\nfile d/.vaultik-tmp-mine text=1\n"+
		"dir d/"+left[:38]+"C\nfile d/sub/"+left+" text=1\nfile d/f text=1")
	target := openTarget(t, dir, TargetOptions{})
	target.unnamed = false
	f, err := target.CreateTemp("d/new", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Abort()
	if s, err := target.RemoveTemps("d"); s != (Swept{Removed: 2}) || err != nil {
		t.Errorf("removed %+v, %v", s, err)
	}
	if _, err := f.Commit(newEntry(page.File)); err != nil {
		t.Errorf("what was being made is gone: %v", err)
	}
	got := strings.Join(walkAll(t, dir, WalkOptions{}), " ")
	if want := "d d/.vaultik-tmp-AAAAAAAAAAAAAAAAAAAAAAAAAC d/.vaultik-tmp-mine d/f d/new d/sub d/sub/" + left; got != want {
		t.Errorf("left %q, want %q", got, want)
	}
	if _, err := target.RemoveTemps("missing"); !errors.Is(err, iofs.ErrNotExist) {
		t.Error(err)
	}
}

func TestTarget_Same(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, "file f text=hello mtime=5.000000001\nsymlink l there\nfile h text=1\nhardlink h2 h\ndir d\nfifo p\nchar c 1:3")
	target := openTarget(t, dir, TargetOptions{})
	for _, test := range []struct {
		path   string
		change func(*page.Entry)
		reason string
	}{
		{"f", func(*page.Entry) {}, ""},
		{"f", func(e *page.Entry) { e.Mode, e.UID, e.Xattrs = 0, 9, []page.Xattr{{Name: "user.a"}} }, ""},
		{"f", func(e *page.Entry) { e.Size = 6 }, "has 5 bytes"},
		{"f", func(e *page.Entry) { e.Mtime.Nsec++ }, "was modified at another time"},
		{"f", func(e *page.Entry) { e.Type = page.Dir }, "is a file"},
		{"l", func(*page.Entry) {}, ""},
		{"l", func(e *page.Entry) { e.Target += "x" }, "leads elsewhere"},
		{"h", func(e *page.Entry) { e.HL = "" }, "has other names"},
		{"h", func(e *page.Entry) { e.HL = "0123456789abcdef" }, ""},
		{"d", func(e *page.Entry) { e.Mtime.Sec++ }, ""},
		{"p", func(*page.Entry) {}, ""},
		{"c", func(e *page.Entry) { e.Minor = 5 }, "is another device"},
	} {
		if _, err := os.Lstat(dir + "/" + test.path); test.path == "c" && err != nil {
			continue // without privilege there is no device
		}
		e := entryOf(t, dir+"/"+test.path)
		test.change(&e)
		if same, reason := target.Same(test.path, &e); same != (test.reason == "") || reason != test.reason {
			t.Errorf("%s: %v, %q; want %q", test.path, same, reason, test.reason)
		}
	}
	if same, reason := target.Same("d/missing", newEntry(page.File)); same || reason != "does not exist" {
		t.Errorf("%v, %q", same, reason)
	}
}

// What is right already is not touched, not even its ctime.
func TestTarget_SetFileMeta_unchanged(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, `
		file f text=x mode=640 x:user.a=1 acl=u::rw-,u:1000:r--,g::r--,m::r--,o::---
		dir d mode=2750 defacl=u::rwx,u:1000:rwx,g::r-x,m::rwx,o::---
		symlink l nowhere
		fifo p mode=600`)
	target := openTarget(t, dir, TargetOptions{})
	for _, name := range []string{"f", "d", "l", "p"} {
		e := entryOf(t, dir+"/"+name)
		before, _ := target.Lstat(name)
		problems, err := target.SetFileMeta(name, &e)
		if after, _ := target.Lstat(name); err != nil || problems != nil || after != before {
			t.Errorf("%s: %v, %v\n%+v\n%+v", name, problems, err, before, after)
		}
		e.Mode, e.Mtime, e.Xattrs = 0o700, page.Time{Sec: 1, Nsec: 2}, nil
		problems, err = target.SetFileMeta(name, &e)
		got := entryOf(t, dir+"/"+name)
		if err != nil || problems != nil || got.Mtime != e.Mtime || got.Type != page.Symlink && got.Mode != e.Mode || len(got.Xattrs) > 0 {
			t.Errorf("%s: %v, %v, %+v", name, problems, err, got)
		}
	}
	if _, err := target.SetDirMeta("f", newEntry(page.Dir)); !errors.Is(err, ErrSwapped) {
		t.Errorf("a file took the attributes of a directory: %v", err)
	}
}

// Values that a hostile store may hold are refused one by one.
func TestTarget_badMeta(t *testing.T) {
	target := openTarget(t, t.TempDir(), TargetOptions{})
	e := newEntry(page.File)
	e.UID, e.GID = 1<<32-1, 1<<32-1
	e.Mode = 1<<31 | 0o640
	e.Mtime.Nsec = unix.UTIME_NOW
	e.Flags = 1 << 31
	e.Xattrs = []page.Xattr{{Name: ""}, {Name: "user.a\x00b"}, {Name: "nonsense"}, {Name: "user.ok", Value: []byte("v")}}
	f, err := target.CreateTemp("f", 0)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := f.Commit(e)
	if err != nil {
		t.Fatal(err)
	}
	var what []string
	for _, p := range problems {
		what = append(what, p.What)
	}
	if got, want := strings.Join(what, ","), "owner,xattr,xattr,xattr nonsense,times"; got != want {
		t.Errorf("problems with %q, want %q", got, want)
	}
	if x := entryOf(t, target.full("f")); x.Mode != 0o640 || len(x.Xattrs) != 1 {
		t.Errorf("made %+v", x)
	}
	for _, text := range []string{"", "a\x00b", strings.Repeat("x", 5000)} {
		link := newEntry(page.Symlink)
		link.Target = text
		if _, err := target.Symlink("l", link); err == nil {
			t.Errorf("made a link to %.10q", text)
		}
	}
	if _, err := target.Special("s", newEntry(page.Socket)); !errors.Is(err, ErrSocket) {
		t.Errorf("socket: %v", err)
	}
	if _, err := target.Special("s", newEntry(page.File)); err == nil {
		t.Error("a file is special")
	}
	if err := target.Mkdir("s", newEntry(page.File)); err == nil {
		t.Error("made a directory of a file")
	}
}

func TestTarget_owner(t *testing.T) {
	target := openTarget(t, t.TempDir(), TargetOptions{})
	root := target.names.User(0)
	if root == "" {
		t.Fatal("no user has number 0")
	}
	for _, test := range []struct {
		user    string
		numeric bool
		want    uint32
	}{
		{root, false, 0},
		{root, true, 1234},
		{"nobody-has-this-name", false, 1234},
		{"", false, 1234},
	} {
		target.opt.NumericOwner = test.numeric
		uid, gid := target.ids(&page.Entry{UID: 1234, GID: 1234, User: test.user})
		if uid != test.want || gid != 1234 {
			t.Errorf("%+v: %d, %d", test, uid, gid)
		}
	}
}

// More directories than the cache holds, by many goroutines.
func TestTarget_parallel(t *testing.T) {
	testsize.Long(t)
	t.Parallel()
	dir := t.TempDir()
	target := openTarget(t, dir, TargetOptions{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 2 * maxCachedDirs {
				path := fmt.Sprintf("%d/%d/%d/file", k, k/3, i)
				if err := put(target, path, path); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(target.dirs.byPath); n > maxCachedDirs {
		t.Errorf("%d directories are open", n)
	}
	for i := range 8 {
		for k := range 2 * maxCachedDirs {
			path := fmt.Sprintf("%d/%d/%d/file", k, k/3, i)
			if text, err := os.ReadFile(dir + "/" + path); string(text) != path {
				t.Fatalf("%s: %q, %v", path, text, err)
			}
		}
	}
}
