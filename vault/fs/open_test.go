//go:build !portable

package fs

import (
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testtree"
	"vaultik/vault/page"
)

func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, `
		file f text=hello
		file g text=other
		symlink l f
		fifo p
		socket s
		dir d
		char c 1:3`)
	want, err := Lstat(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		want *Stat
		err  error
	}{
		{"f", &want, nil},
		{"f", nil, nil},
		{"g", nil, nil},
		{"g", &want, ErrSwapped},
		{"l", &want, ErrSwapped},
		{"p", &want, ErrSwapped},
		{"s", &want, ErrSwapped},
		{"d", &want, ErrSwapped},
		{"c", &want, ErrSwapped},
		{"gone", &want, iofs.ErrNotExist},
	} {
		if os.Geteuid() != 0 && test.name == "c" {
			test.err = iofs.ErrNotExist
		}
		f, st, err := OpenFile(filepath.Join(dir, test.name), test.want)
		if !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v", test.name, err, test.err)
		}
		if err == nil {
			if st.Size != 5 || st.Type != page.File {
				t.Errorf("%s: %+v", test.name, st)
			}
			f.Close()
		}
	}
}

func TestCaptureMeta(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, `
		file f text=hello mode=4711 mtime=-1.000000009 x:user.b=2 x:user.a=1 flags=40
		symlink l "not \xff there" mtime=5.123456789
		dir d mode=1750
		fifo p mode=600
		char c 1:3 mode=622`)
	names := NewNameCache()
	f := entryOf(t, filepath.Join(dir, "f"))
	want := page.Entry{Type: page.File, Mode: 0o4711, Size: 5, Mtime: page.Time{Sec: -1, Nsec: 9}, Flags: 0x40,
		UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	if f.Type != want.Type || f.Mode != want.Mode || f.Size != want.Size || f.Mtime != want.Mtime || f.Flags != want.Flags ||
		f.UID != want.UID || f.GID != want.GID || f.User != names.User(f.UID) {
		t.Errorf("captured %+v, want %+v", f, want)
	}
	if len(f.Xattrs) != 2 || f.Xattrs[0].Name != "user.a" || string(f.Xattrs[1].Value) != "2" {
		t.Errorf("captured attributes %q", f.Xattrs)
	}
	if f.Btime.IsZero() {
		t.Error("no birth time, which all file systems used for tests have")
	}
	if l := entryOf(t, filepath.Join(dir, "l")); l.Target != "not \xff there" || l.Size != 0 || l.Mtime.Nsec != 123456789 {
		t.Errorf("captured link %+v", l)
	}
	if d := entryOf(t, filepath.Join(dir, "d")); d.Mode != 0o1750 || d.Size != 0 {
		t.Errorf("captured directory %+v", d)
	}
	if os.Geteuid() == 0 {
		if c := entryOf(t, filepath.Join(dir, "c")); c.Type != page.Char || c.Major != 1 || c.Minor != 3 {
			t.Errorf("captured device %+v", c)
		}
	}

	file, st, err := OpenFile(filepath.Join(dir, "f"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var open page.Entry
	if err := CaptureOpen(file, &st, &open, names, AllAttrs); err != nil || len(open.Xattrs) != 2 || open.Flags != f.Flags || open.Mode != f.Mode {
		t.Errorf("captured open file %+v, %v", open, err)
	}
}

func TestCaptureMeta_swapped(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, "file f text=1\nfile g text=1\nsymlink l f\nfifo p\ndir d")
	for _, from := range []string{"f", "d", "p", "l"} {
		st, err := Lstat(filepath.Join(dir, from))
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"f", "g", "l", "p", "d"} {
			var e page.Entry
			err := CaptureMeta(filepath.Join(dir, to), &st, &e, NewNameCache(), AllAttrs)
			if from == to && err != nil || from != to && !errors.Is(err, ErrSwapped) {
				t.Errorf("%s became %s: %v", from, to, err)
			}
		}
		var e page.Entry
		if err := CaptureMeta(filepath.Join(dir, "gone"), &st, &e, NewNameCache(), AllAttrs); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s is gone: %v", from, err)
		}
	}
}

func TestLstat_longPath(t *testing.T) {
	dir := t.TempDir()
	path := strings.Repeat(strings.Repeat("n", 200)+"/", 2*unix.PathMax/200)
	testtree.Make(t, dir, "file "+path+"f text=hello")
	abs := dir + "/" + path + "f"
	st, err := Lstat(abs)
	if err != nil || st.Size != 5 {
		t.Fatalf("%+v, %v", st, err)
	}
	f, _, err := OpenFile(abs, &st)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := Lstat(dir + "/" + strings.Repeat("n", 2*unix.PathMax)); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("a name of two pages: %v", err)
	}
	if _, err := Lstat(abs + "/" + strings.Repeat("x", 300)); err == nil {
		t.Error("found something below a file")
	}
}

func TestRoots(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	testtree.Make(t, dir, `
		file a/b/f text=1
		file a-c text=1
		symlink a/up ..
		symlink link a/b
		symlink chain link
		symlink nowhere missing/x
		symlink loop loop2
		symlink loop2 loop`)
	testtree.Make(t, dir, "symlink abs "+dir+"/a")
	t.Chdir(dir)
	for _, test := range []struct {
		args, want, failed string
	}{
		{"a", "a", ""},
		{"a/b a a/b/f", "a", ""},
		{"a-c a", "a a-c", ""},
		{".", ".", ""},
		{"./a//b/../b/", "a/b", ""},
		{"link", "a/b link", ""},
		{"chain", "a/b chain link", ""},
		{"link/f", "a/b/f link", ""},
		{"link/..", "a link", ""}, // not "."
		{"a/up/a-c", "a/up a-c", ""},
		{"abs/b", "a/b abs", ""},
		{"nowhere", "nowhere", ""},
		{"nowhere/y", "", "nowhere/y"},
		{"missing a", "a", "missing"},
		{"a-c/x", "", "a-c/x"},
		{"a-c/..", "", "a-c/.."},
		{"loop", "", "loop"},
	} {
		got, err := Roots(strings.Fields(test.args))
		for i := range got {
			got[i], _ = filepath.Rel(dir, got[i])
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%q: %q, want %q", test.args, got, test.want)
		}
		var failed RootErrors
		if errors.As(err, &failed) != (test.failed != "") || len(failed) > 0 && failed[0].Path != test.failed {
			t.Errorf("%q: error %v, want for %q", test.args, err, test.failed)
		}
	}
	if got, err := Roots([]string{"/", dir}); err != nil || got[0] != "/" || len(got) > 2 {
		t.Errorf("top: %q, %v", got, err)
	}
	if got, err := Roots([]string{"/..", ""}); len(got) != 1 || got[0] != "/" || !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("above the top: %q, %v", got, err)
	}
}

func TestExtents(t *testing.T) {
	const k = 1 << 10
	dir := t.TempDir()
	for _, test := range []struct {
		name string
		line string
		want []Extent
	}{
		{"empty", "", nil},
		{"small", "text=hello", []Extent{{0, 5}}},
		{"small hole", "size=60000", []Extent{{0, 60000}}},
		{"hole", "size=65536", nil},
		{"large hole", "size=1099511627776", nil}, // 1 TiB
		{"data", "size=200000 data=0:200000:1", []Extent{{0, 200000}}},
		{"hole first", "size=204800 data=131072:73728:1", []Extent{{128 * k, 72 * k}}},
		{"hole last", "size=204800 data=0:4096:1", []Extent{{0, 4 * k}}},
		{"short hole last", "size=65636 data=0:4096:1", []Extent{{0, 65636}}},
		{"short holes", "size=131072 data=16384:4096:1 data=65536:4096:1", []Extent{{0, 128 * k}}},
		{"both", "size=1048576 data=131072:4096:1 data=147456:4096:1 data=524288:4096:1", []Extent{{128 * k, 20 * k}, {512 * k, 4 * k}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := strings.ReplaceAll(test.name, " ", "-")
			testtree.Make(t, dir, "file "+name+" "+test.line)
			f, st, err := OpenFile(filepath.Join(dir, name), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := Extents(f, st.Size)
			if err != nil || len(got) != len(test.want) {
				t.Fatalf("%v, %v; want %v", got, err, test.want)
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("%v, want %v", got, test.want)
				}
			}
			if off, err := f.Seek(0, 1); off != 0 || err != nil {
				t.Errorf("left at offset %d, %v", off, err)
			}
		})
	}
}
