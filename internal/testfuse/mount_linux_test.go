package testfuse

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMount(t *testing.T) {
	data := bytes.Repeat([]byte("abc"), 100<<10)
	m := New(t, filepath.Join(t.TempDir(), "m"), map[string]File{
		"good": Bytes(data), "unsized": Unsized(data),
		"eio":    {Size: 10, Read: func(int64, int) ([]byte, error) { return nil, unix.EIO }},
		"estale": {Stat: func() error { return unix.ESTALE }},
		"closed": {Open: func() error { return unix.EACCES }},
	})
	entries, err := os.ReadDir(m.Dir)
	if err != nil || len(entries) != 5 {
		t.Fatal(entries, err)
	}
	for _, name := range []string{"good", "unsized"} {
		if got, err := os.ReadFile(filepath.Join(m.Dir, name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for name, want := range map[string]error{"eio": unix.EIO, "estale": unix.ESTALE, "closed": unix.EACCES, "none": unix.ENOENT} {
		if _, err := os.ReadFile(filepath.Join(m.Dir, name)); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.Die()
	if _, err := os.ReadFile(filepath.Join(m.Dir, "good")); !errors.Is(err, unix.ENOTCONN) {
		t.Errorf("dead: %v", err)
	}
}
