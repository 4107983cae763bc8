//go:build unix

package index

import (
	"io/fs"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Nobody else may read an index, whatever the umask is.
func TestOpen_Private(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	dir := filepath.Join(t.TempDir(), "index")
	look := func(when string) {
		files := 0
		must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			fi, err := d.Info()
			if err == nil && fi.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %s has mode %v", when, path, fi.Mode())
			}
			files++
			return err
		}))
		if files < 4 {
			t.Errorf("%s: only %d files", when, files)
		}
	}
	x, err := Open(dir, Options{Key: testKey})
	must(t, err)
	look("open")
	must(t, x.Close())
	look("closed")
}
