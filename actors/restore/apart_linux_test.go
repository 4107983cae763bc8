package restore_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testfuse"
)

// linkedFiles are files that are said to be names of one, of which two are.
func linkedFiles() map[string]testfuse.File {
	files := map[string]testfuse.File{}
	for name, text := range map[string]string{"a": "first", "b": "first", "c": "other", "d": "other", "e": "third"} {
		f := testfuse.Bytes([]byte(text))
		f.Inode = 77
		files[name] = f
	}
	return files
}

// Names of one group come back as names of one file only where the snapshot has the same
// contents for them; otherwise apart, each with its own, and that is said. It does not matter
// what an earlier restore has made of them.
func TestRestore_LinksApart(t *testing.T) {
	h := jobtest.New(t)
	m := testfuse.New(t, filepath.Join(t.TempDir(), "fuse"), linkedFiles())
	h.Backup(m.Dir)
	groups := map[string]bool{}
	for _, e := range h.ReadBack() {
		if e.HL != "" {
			groups[e.HL] = true
		}
	}
	if len(groups) != 1 {
		t.Fatalf("groups: %v", groups)
	}
	out := filepath.Join(t.TempDir(), "out")
	check := func(when string, edit func(*restore.Spec)) {
		t.Helper()
		s := h.RestoreSpec(m.Dir, out)
		edit(s)
		var said []string
		s.Warn = func(text string) { said = append(said, text) }
		if r := h.Restore(s); r.Failed != 0 || r.Counts.Files != 5 {
			t.Errorf("%s: %+v", when, r)
		}
		for name, want := range map[string]string{"a": "first", "b": "first", "c": "other", "d": "other", "e": "third"} {
			if b, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(b) != want {
				t.Errorf("%s: %s is %q, %v; want %q", when, name, b, err, want)
			}
		}
		ino := func(name string) uint64 { return inode(t, filepath.Join(out, name)) }
		if ino("a") != ino("b") || ino("c") != ino("d") || ino("a") == ino("c") || ino("a") == ino("e") {
			t.Errorf("%s: the links are others", when)
		}
		said = slices.DeleteFunc(said, func(s string) bool { return !strings.Contains(s, "not linked") })
		if len(said) != 1 || !strings.Contains(said[0], "3 hard links were not linked to "+
			"other names of the same file") {
			t.Errorf("%s: %q", when, said)
		}
	}
	check("new", func(*restore.Spec) {})
	check("again", func(*restore.Spec) {})
	for _, name := range []string{"b", "c", "d", "e"} { // as a restore before this one made them
		jobtest.Must(t, os.Remove(filepath.Join(out, name)))
		jobtest.Must(t, os.Link(filepath.Join(out, "a"), filepath.Join(out, name)))
	}
	check("all of them one file", func(*restore.Spec) {})
	check("always", func(s *restore.Spec) { s.Overwrite = restore.OverwriteAlways })
}
