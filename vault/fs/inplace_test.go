package fs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testtree"
	"vaultik/internal/testuser"
	"vaultik/vault/page"
)

// A file that is changed in place keeps all that is not written, and never looks
// complete while it is not.
func TestFile_inPlace(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, "file f size=300000 data=0:300000:1 mode=400\nhardlink sibling f\nsymlink link f\ndir d")
	target := openTarget(t, dir, TargetOptions{})
	before, err := target.Lstat("f")
	if err != nil {
		t.Fatal(err)
	}
	f, err := target.OpenInPlace("f", sized(200_000))
	if err != nil {
		t.Fatal(err)
	}
	if st, _ := target.Lstat("f"); st.Size != 300_000 || f.Unfinished() {
		t.Errorf("%d bytes before the first change", st.Size)
	}
	if _, err := f.WriteAt([]byte("new"), 1000); err != nil {
		t.Fatal(err)
	}
	if err := f.PunchHole(65536, 65536); err != nil {
		t.Fatal(err)
	}
	if st, _ := target.Lstat("f"); st.Size != 200_001 || !f.Unfinished() {
		t.Errorf("%d bytes after the first change", st.Size)
	}
	e := newEntry(page.File)
	e.Mode = 0o400
	if problems, err := f.Commit(e); err != nil || problems != nil {
		t.Fatal(problems, err)
	}
	f.Abort()
	want := testtree.Bytes(1, 300_000)[:200_000]
	copy(want[1000:], "new")
	clear(want[65536:131072])
	for _, name := range []string{"f", "sibling"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		st, _ := target.Lstat(name)
		if err != nil || !bytes.Equal(got, want) || st.Ino != before.Ino || st.Mode != 0o400 || st.Mtime != e.Mtime || st.Blocks > 140_000 {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
	}

	// Given up, it stays marked; without a change it stays as it was.
	for _, change := range []bool{false, true} {
		f, err := target.OpenInPlace("f", sized(200_000))
		if err != nil {
			t.Fatal(err)
		}
		if change {
			if _, err := f.WriteAt([]byte("x"), 0); err != nil {
				t.Fatal(err)
			}
		}
		f.Suspend()
		f.Abort()
		if st, _ := target.Lstat("f"); (st.Size == 200_001) != change || f.Unfinished() != change {
			t.Errorf("changed %v: %d bytes", change, st.Size)
		}
	}
	for name, want := range map[string]error{"link": ErrSwapped, "d": ErrSwapped, "none": unix.ENOENT} {
		if f, err := target.OpenInPlace(name, sized(1)); !errors.Is(err, want) {
			t.Errorf("%s: %v %v", name, f, err)
		}
	}
}

// What an unprivileged owner may not write he may make writable.
func TestFile_inPlace_nobody(t *testing.T) {
	if !testuser.AsNobody(t, nil) {
		return
	}
	dir := t.TempDir()
	testtree.Make(t, dir, "file f text=old mode=0")
	target := openTarget(t, dir, TargetOptions{})
	f, err := target.OpenInPlace("f", sized(3))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	e := newEntry(page.File)
	e.Mode = 0
	if problems, err := f.Commit(e); err != nil || problems != nil {
		t.Fatal(problems, err)
	}
	if st, err := target.Lstat("f"); err != nil || st.Mode != 0 || st.Size != 3 {
		t.Errorf("%+v %v", st, err)
	}
}

// A part is resumed only where asked for, only by one, and only if it is ours.
func TestFile_parts(t *testing.T) {
	dir := t.TempDir()
	target := openTarget(t, dir, TargetOptions{LargeFile: 1000})
	begin := func(resume bool) *File {
		t.Helper()
		f, err := target.create("f", 2000, resume)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	part := func() string {
		for _, name := range walkAll(t, dir, WalkOptions{}) {
			if isPart(name) {
				return filepath.Join(dir, name)
			}
		}
		return ""
	}
	write := func(f *File, text string) {
		t.Helper()
		if _, err := f.WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	read := func(f *File) string {
		b := make([]byte, 10)
		n, _ := f.ReadAt(b, 0)
		return string(b[:n])
	}
	if target.HasPart("f", 2000) || target.HasPart("f", 999) {
		t.Error("there is no part yet")
	}
	f := begin(false)
	write(f, "first")
	if other := begin(true); other.part {
		t.Error("two work on one part")
	} else {
		other.Abort()
	}
	if !f.Suspend() || !target.HasPart("f", 2000) || target.HasPart("f", 999) || part() == "" {
		t.Error("the part did not stay")
	}
	f = begin(true)
	if got := read(f); got != "first" {
		t.Errorf("resumed: %q", got)
	}
	f.Suspend()
	f = begin(false)
	if got := read(f); got != "" {
		t.Errorf("not resumed: %q", got)
	}
	write(f, "second")
	if problems, err := f.Commit(newEntry(page.File)); err != nil || problems != nil {
		t.Fatal(problems, err)
	}
	if st, err := target.Lstat("f"); err != nil || st.Size != 2000 || part() != "" {
		t.Errorf("%+v %v %q", st, err, part())
	}

	begin(false).Suspend()
	at := part()
	for what, spoil := range map[string]func() error{
		"mode":  func() error { return os.Chmod(at, 0o644) },
		"names": func() error { return os.Link(at, at+"x") },
		"link":  func() error { return errors.Join(os.Remove(at), os.Symlink("/etc/passwd", at)) },
		"fifo":  func() error { return errors.Join(os.Remove(at), unix.Mkfifo(at, 0o600)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if target.HasPart("f", 2000) {
			t.Errorf("%s: taken for ours", what)
		}
		f := begin(true)
		if f.part {
			t.Errorf("%s: resumed", what)
		}
		f.Abort()
		if n, err := target.RemoveParts("."); n != 0 || err != nil {
			t.Errorf("%s: removed %d, %v", what, n, err)
		}
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(at + "x")
		begin(false).Suspend()
	}
	if s, err := target.RemoveTemps("."); s != (Swept{Parts: true}) || err != nil {
		t.Errorf("%+v %v", s, err)
	}
	if n, err := target.RemoveParts("."); n != 1 || err != nil || part() != "" {
		t.Errorf("removed %d, %v", n, err)
	}
}

func TestIsZero(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for off, text := range map[int64]string{1 << 20: "x", 2 << 20: strings.Repeat("\x00", 70_000), 5 << 20: "y"} {
		if _, err := f.WriteAt([]byte(text), off); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		off, n int64
		want   bool
	}{
		{0, 1 << 20, true}, {0, 1<<20 + 1, false}, {1 << 20, 1, false}, {1<<20 + 1, 4<<20 - 1, true},
		{1<<20 + 1, 4 << 20, false}, {5<<20 + 1, 100, true}, {6 << 20, 1 << 30, true}, {7, 0, true}, {1<<20 - 10, 11, false},
	} {
		if got, err := IsZero(f, c.off, c.n, make([]byte, 1000)); got != c.want || err != nil {
			t.Errorf("%d at %d: %v %v", c.n, c.off, got, err)
		}
	}
}
