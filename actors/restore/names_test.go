package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
	vfs "vaultik/vault/fs"
)

// Of entries that are one on the target's file system the first is restored, and
// the others are named; the directory's own rule decides, found out by trying.
func TestRestore_Names(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	testtree.Make(t, dir, strings.NewReplacer("@1", "\u00c4", "@2", "A\u0308", "@3", "stra\u00dfe").Replace(`
file README text=1
file Readme text=2
file readme text=3
file other text=4
dir Dir
file Dir/a text=5
dir dir
file dir/a text=6
file dir/b text=7
symlink LINK other
symlink link other
file sub/A text=8
file sub/a text=9
file @1 text=10
file @2 text=11
file strasse text=12
file @3 text=13
`))
	h.Backup(dir)
	if _, err := os.Lstat(filepath.Join(dir, "\u00c4")); err != nil {
		t.Fatalf("the tree is not as it should be: %v", err)
	}
	restored := func(one func(dir, a, b string) (bool, error)) (*restore.Result, string) {
		out := filepath.Join(t.TempDir(), "out")
		s := h.RestoreSpec(dir, out)
		s.Faults.OneName = one
		r := h.Restore(s)
		var failed []string
		for _, p := range r.Problems {
			if !errors.Is(p.Err, vfs.ErrSameName) {
				t.Errorf("%s: %v", p.Path, p.Err)
			}
			rel, _ := filepath.Rel(strings.TrimPrefix(dir, "/"), p.Path)
			failed = append(failed, rel)
			if _, err := os.Lstat(filepath.Join(out, rel)); err == nil {
				t.Errorf("%s is there", rel)
			}
		}
		jobtest.NoTemps(t, out)
		slices.Sort(failed)
		return r, strings.Join(failed, " ")
	}
	tries := 0
	r, failed := restored(func(dir, a, b string) (bool, error) {
		tries++
		return dir != "sub" && vfs.FoldName(a) == vfs.FoldName(b), nil
	})
	if want := "Readme dir dir/a dir/b link readme stra\u00dfe \u00c4"; failed != want || r.Failed != 8 {
		t.Errorf("failed: %q, want %q", failed, want)
	}
	if tries > 9 {
		t.Errorf("%d pairs were tried", tries)
	}
	r, failed = restored(nil) // this file system tells them apart
	if failed != "" || r.Failed != 0 {
		t.Errorf("failed: %q", failed)
	}
	if _, failed = restored(func(_, a, b string) (bool, error) { return false, errors.New("cannot try") }); failed != "" {
		t.Errorf("failed: %q", failed)
	}
}
