package index

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// snap is what tells whether anything below dir was touched.
func snap(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	out := map[string]time.Time{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		out[path] = fi.ModTime()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCopy(t *testing.T) {
	r := newSource(t)
	dir := filepath.Join(t.TempDir(), "index")
	x := open(t, dir)
	a := r.stored(100)
	write(t, x, &Batch{Blobs: []StoredBlob{a}})
	var busy *BusyError
	if err := Copy(dir, t.TempDir()); !errors.As(err, &busy) || busy.PID != os.Getpid() {
		t.Errorf("in use: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	before := snap(t, dir)
	to := t.TempDir()
	if err := Copy(dir, to); err != nil {
		t.Fatal(err)
	}
	y := open(t, to)
	wantChunks(t, y, a, 1)
	write(t, y, &Batch{Blobs: []StoredBlob{r.stored(10)}})
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
	if after := snap(t, dir); !maps.Equal(before, after) {
		t.Errorf("the original was touched:\n%v\n%v", before, after)
	}
}

// TestCopy_AfterCrash: rows that are only in the log are copied as well.
func TestCopy_AfterCrash(t *testing.T) {
	r := newSource(t)
	dir := filepath.Join(t.TempDir(), "index")
	x := open(t, dir)
	a := r.stored(100)
	write(t, x, &Batch{Blobs: []StoredBlob{a}})
	if err := x.Sync(); err != nil {
		t.Fatal(err)
	}
	crashed := t.TempDir() // what a kill leaves: the files as they are now
	for _, name := range []string{lockName, formatName} {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(crashed, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(crashed, dbName), os.DirFS(filepath.Join(dir, dbName))); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	if err := Copy(crashed, to); err != nil {
		t.Fatal(err)
	}
	wantChunks(t, open(t, to), a, 1)
}

func TestCopy_None(t *testing.T) {
	dir := t.TempDir()
	if err := Copy(filepath.Join(dir, "none"), t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, lockName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Copy(dir, t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing in it: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, formatName), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Copy(dir, t.TempDir()); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
}
