package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vaultik/internal/testfuse"
)

// Names of one hard-link group for which the snapshot has different contents are files of their
// own, which is said.
func TestRecover_linksApart(t *testing.T) {
	t.Parallel()
	files := map[string]testfuse.File{}
	for name, text := range map[string]string{"a": "first", "b": "first", "c": "other", "d": "other"} {
		f := testfuse.Bytes([]byte(text))
		f.Inode = 77
		files[name] = f
	}
	fuse := testfuse.New(t, filepath.Join(t.TempDir(), "fuse"), files)
	m := newMachine(t)
	m.init()
	m.run("backup", fuse.Dir)
	out := filepath.Join(t.TempDir(), "out")
	code, said := m.recover(m.store, out)
	if code != 0 || !strings.Contains(said, "1 names of files with several names were not linked") {
		t.Errorf("exit %d: %s", code, said)
	}
	st := map[string]os.FileInfo{}
	for name, want := range map[string]string{"a": "first", "b": "first", "c": "other", "d": "other"} {
		path := filepath.Join(out, fuse.Dir, name)
		b, err := os.ReadFile(path)
		if err != nil || string(b) != want {
			t.Errorf("%s is %q, %v; want %q", name, b, err, want)
		}
		if st[name], err = os.Stat(path); err != nil {
			t.Fatal(err)
		}
	}
	if !os.SameFile(st["a"], st["b"]) || !os.SameFile(st["c"], st["d"]) || os.SameFile(st["a"], st["c"]) {
		t.Error("the links are others")
	}
}
