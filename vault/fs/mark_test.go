package fs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vaultik/internal/testtree"
	"vaultik/internal/testuser"
	"vaultik/vault/page"
)

func marksIn(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, markPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What a mark does to the directory that it is in must not be seen afterwards.
func sameDir(t *testing.T, dir string, want Stat) {
	t.Helper()
	if st, err := Lstat(dir); err != nil || st.Mtime != want.Mtime || st.Mode != want.Mode {
		t.Errorf("%s: %v %o, %v; was %v %o", dir, st.Mtime, st.Mode, err, want.Mtime, want.Mode)
	}
}

// A mark is made before the first change, is held until everything is on the disk, and is left
// otherwise.
func TestTarget_mark(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, "file d/there text=x")
	before, err := Lstat(dir)
	if err != nil {
		t.Fatal(err)
	}
	first := openTarget(t, dir, TargetOptions{Mark: "first"})
	e := newEntry(page.File)
	if _, err := first.SetFileMeta("d/there", e); err != nil {
		t.Fatal(err)
	}
	if got := marksIn(t, dir); len(got) > 0 || first.Begun() {
		t.Fatalf("a mark before the first change: %q", got)
	}
	if err := put(first, "d/new", "new"); err != nil {
		t.Fatal(err)
	}
	mark := marksIn(t, dir)
	if len(mark) != 1 || !first.Begun() || !IsUnfinished(filepath.Base(mark[0])) {
		t.Fatalf("marks: %q", mark)
	}
	sameDir(t, dir, before)

	second := openTarget(t, dir, TargetOptions{Mark: "second"})
	if left, err := second.Marks("."); err != nil || len(left) > 0 {
		t.Errorf("one that is held was found: %v, %v", left, err)
	}
	if above := MarkedAbove(filepath.Join(dir, "d")); above != "" {
		t.Errorf("one that is held was found above, in %q", above)
	}
	held := &Mark{Dir: ".", Name: filepath.Base(mark[0])}
	if err := second.RemoveLeft(held); err != nil || len(marksIn(t, dir)) != 1 {
		t.Errorf("one that is held was removed: %v", err)
	}

	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := second.Marks(".")
	if err != nil || len(left) != 1 || left[0].Text != "first" {
		t.Fatalf("left: %+v, %v", left, err)
	}
	resolved, _ := filepath.EvalSymlinks(dir)
	for _, below := range []string{"d", "d/deep/er"} {
		if above := MarkedAbove(filepath.Join(dir, below)); above != resolved {
			t.Errorf("above %s: %q", below, above)
		}
	}
	if s, err := second.RemoveTemps("."); err != nil || !s.Marks || s.Removed > 0 {
		t.Errorf("swept: %+v, %v", s, err)
	}
	if err := put(second, "d/other", "other"); err != nil {
		t.Fatal(err)
	}
	if again, err := second.Marks("."); err != nil || len(again) != 1 {
		t.Errorf("beside its own it finds %+v, %v", again, err)
	}

	// The directory gets its attributes before its mark goes.
	end := newEntry(page.Dir)
	end.Mode = 0o500
	if _, err := second.SetDirMeta(".", end); err != nil {
		t.Fatal(err)
	}
	if before, err = Lstat(dir); err != nil {
		t.Fatal(err)
	}
	if err := second.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := second.Unmark(); err != nil {
		t.Fatal(err)
	}
	if got := marksIn(t, dir); len(got) != 1 || got[0] != mark[0] {
		t.Errorf("left after the end: %q", got)
	}
	for range 2 { // a second time somebody else was faster
		if err := second.RemoveLeft(&left[0]); err != nil {
			t.Error(err)
		}
	}
	if got := marksIn(t, dir); len(got) > 0 {
		t.Errorf("left at last: %q", got)
	}
	sameDir(t, dir, before)
}

// Without a text there is none, and one that is no file of ours counts as well; what is no
// file does not.
func TestTarget_marksOfOthers(t *testing.T) {
	dir := t.TempDir()
	name := markPrefix + strings.Repeat("A", 26)
	testtree.Make(t, dir, "file d/"+name+" text=x\nfile d/"+name+"B text=x\nfifo e/"+name+"\n"+
		"symlink e/"+name[:44]+"C target=../d/"+name+"\nfile e/"+name[:44]+"D/f")
	target := openTarget(t, dir, TargetOptions{})
	if err := put(target, "f", "f"); err != nil {
		t.Fatal(err)
	}
	if target.Begun() || len(marksIn(t, dir)) > 0 {
		t.Error("a mark without a text")
	}
	for path, want := range map[string]int{".": 0, "d": 1, "e": 0} {
		if left, err := target.Marks(path); err != nil || len(left) != want {
			t.Errorf("%s: %+v, %v", path, left, err)
		}
	}
	if at := MarkedAbove(filepath.Join(dir, "e", "x")); at != "" {
		t.Errorf("a FIFO was opened, or counts, in %q", at)
	}
}

// Where no mark can be made each file is on the disk before it has its name.
func TestTarget_noMark(t *testing.T) {
	if !testuser.AsNobody(t, nil) {
		return
	}
	dir := t.TempDir()
	testtree.Make(t, dir, "file d/there text=x\nfile d/kept text=k")
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	target := openTarget(t, dir, TargetOptions{Mark: "text"})
	if err := put(target, "d/new", "new"); err != nil {
		t.Fatal(err)
	}
	if _, err := target.KeepFile("d/kept", newEntry(page.File)); err != nil {
		t.Fatal(err)
	}
	if !target.own.each || !target.Begun() {
		t.Error("files were not written one by one")
	}
	if err := target.Sync(); err != nil {
		t.Error(err)
	}
	if err := target.Unmark(); err != nil {
		t.Error(err)
	}
}

// A directory full of what looks like marks costs little.
func TestTarget_manyMarks(t *testing.T) {
	dir := t.TempDir()
	for i := range maxMarks + 3 {
		name := markPrefix + strings.Repeat("A", 22) + string([]byte{
			'A' + byte(i/676%26), 'A' + byte(i/26%26), 'A' + byte(i%26), 'A'})
		testtree.Make(t, dir, "file "+name+" size=9000")
	}
	left, err := openTarget(t, dir, TargetOptions{}).Marks(".")
	if err != nil || len(left) != maxMarks || len(left[0].Text) != maxMark {
		t.Errorf("%d marks, %v", len(left), err)
	}
}
