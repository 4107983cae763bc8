package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOpen_Directory(t *testing.T) {
	r := newSource(t)
	tests := []struct {
		name string
		make func(t *testing.T, dir string)
		key  [32]byte
		want error
	}{
		{"missing", func(*testing.T, string) {}, testKey, nil},
		{"empty", func(t *testing.T, dir string) { must(t, os.Mkdir(dir, 0o755)) }, testKey, nil},
		{"foreign", func(t *testing.T, dir string) { put(t, dir, "notes.txt", "mine") }, testKey, ErrForeign},
		{"foreign db", func(t *testing.T, dir string) { put(t, filepath.Join(dir, dbName), "mine.db", "x") }, testKey, ErrForeign},
		{"foreign format", func(t *testing.T, dir string) {
			put(t, dir, formatName, "{}")
			put(t, dir, "notes.txt", "mine")
		}, testKey, ErrForeign},
		{"another host", makeIndex, [32]byte{9}, ErrForeign},
		{"newer", func(t *testing.T, dir string) {
			line := `{"format":"vaultik-index","v":2}`
			put(t, dir, formatName, line+fmt.Sprintf("\n%08x\n", sum(0, []byte(line))))
		}, testKey, ErrNewerFormat},
		{"format lost", func(t *testing.T, dir string) {
			makeIndex(t, dir)
			must(t, os.Remove(filepath.Join(dir, formatName)))
		}, testKey, ErrDamaged},
		{"format flipped", func(t *testing.T, dir string) {
			makeIndex(t, dir)
			flip(t, r, filepath.Join(dir, formatName))
		}, testKey, ErrDamaged},
		{"db lost", func(t *testing.T, dir string) {
			makeIndex(t, dir)
			must(t, os.RemoveAll(filepath.Join(dir, dbName)))
		}, testKey, nil},
		{"manifest lost", func(t *testing.T, dir string) {
			makeIndex(t, dir)
			must(t, os.Remove(filepath.Join(dir, dbName, manifestName)))
		}, testKey, ErrDamaged},
		{"strange file", func(t *testing.T, dir string) {
			makeIndex(t, dir)
			put(t, filepath.Join(dir, dbName), "-1.sst", "x") // Badger ends the process over this one
		}, testKey, ErrDamaged},
		{"file", func(t *testing.T, dir string) { must(t, os.WriteFile(dir, nil, 0o600)) }, testKey, os.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "index")
			tt.make(t, dir)
			x, err := Open(dir, Options{Key: tt.key})
			switch {
			case errors.Is(tt.want, os.ErrInvalid):
				if err == nil {
					t.Error("opened")
				}
			case !errors.Is(err, tt.want):
				t.Errorf("got %v, want %v", err, tt.want)
			case err == nil:
				if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
					t.Errorf("mode %v, %v", fi.Mode(), err)
				}
				must(t, x.Close())
			}
			_, rerr := Recreate(dir)
			switch {
			case errors.Is(tt.want, ErrForeign) && tt.key == testKey, errors.Is(tt.want, ErrNewerFormat):
				if !errors.Is(rerr, tt.want) {
					t.Errorf("recreate: got %v, want %v", rerr, tt.want)
				}
			case errors.Is(tt.want, ErrDamaged):
				must(t, rerr)
				x := open(t, dir)
				if !x.Empty() {
					t.Error("recreated index is not empty")
				}
			}
		})
	}
}

func makeIndex(t *testing.T, dir string) {
	r := newSource(t)
	x := open(t, dir)
	write(t, x, &Batch{Blobs: []StoredBlob{r.stored(1000)}})
	must(t, x.Close())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, dir, name, text string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

// flip turns one bit of a file and returns where.
func flip(t testing.TB, r source, path string) int64 {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	at := r.IntN(len(b))
	b[at] ^= 1 << r.IntN(8)
	must(t, os.WriteFile(path, b, 0o600))
	return int64(at)
}

func TestOpen_Busy(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir)
	_, err := Open(dir, Options{Key: testKey})
	var busy *BusyError
	if !errors.Is(err, ErrBusy) || !errors.As(err, &busy) || busy.PID != os.Getpid() || time.Since(busy.Since) > time.Hour {
		t.Errorf("got %v", err)
	}
	if _, err := Recreate(dir); !errors.Is(err, ErrBusy) {
		t.Errorf("recreate: got %v", err)
	}
	must(t, x.Close())
	open(t, dir)
}

func TestRecreate_KeepsOne(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		x := open(t, dir)
		write(t, x, &Batch{Blobs: []StoredBlob{newSource(t).stored(1)}})
		must(t, x.Close())
		aside, err := Recreate(dir)
		if err != nil || filepath.Dir(aside) != dir {
			t.Fatalf("%d: %q %v", i, aside, err)
		}
		names, err := os.ReadDir(dir)
		if err != nil || len(names) != 2 { // lock, damaged
			t.Fatalf("%d: %v %v", i, names, err)
		}
	}
}
