//go:build !portable

package fs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// A kernel without statx, or a container that forbids it, tells the same by the older call.
func TestStatx_missing(t *testing.T) {
	dir := t.TempDir()
	paths := []string{dir, "/dev/null", "/proc/self"}
	for name, create := range map[string]func(string) error{
		"file": func(p string) error { return os.WriteFile(p, []byte("text"), 0o4640) },
		"link": func(p string) error { return os.Symlink("nowhere", p) },
		"fifo": func(p string) error { return unix.Mkfifo(p, 0o600) },
	} {
		p := filepath.Join(dir, name)
		if err := create(p); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	for _, no := range []error{unix.ENOSYS, unix.EPERM} {
		for _, p := range paths {
			want, err := Lstat(p)
			if err != nil {
				t.Fatal(err)
			}
			want.Btime, want.Mount = page.Time{}, false
			statxRefusal = func(string) error { return no }
			got, err := Lstat(p)
			_, missing := Lstat(p + "/none/at/all")
			statxRefusal = nil
			noStatx.Store(false)
			if err != nil || got != want {
				t.Errorf("%v: %s: %v\n%+v, want\n%+v", no, p, err, got, want)
			}
			if missing == nil {
				t.Errorf("%v: %s: what is not there was found", no, p)
			}
		}
	}
}

// One entry that may not be looked at does not mean that there is no statx.
func TestStatx_refusedOnce(t *testing.T) {
	statxRefusal = func(name string) error {
		if name == "/" {
			return nil
		}
		return unix.EPERM
	}
	defer func() { statxRefusal = nil }()
	if _, err := Lstat(t.TempDir()); !anyOf(err, unix.EPERM) || noStatx.Load() {
		t.Errorf("%v, given up: %v", err, noStatx.Load())
	}
}

// A walk makes the call for each entry: nothing is allocated but the name, as the kernel
// takes it.
func TestStatx_allocations(t *testing.T) {
	dir := t.TempDir()
	n := testing.AllocsPerRun(100, func() {
		if _, err := Lstatat(unix.AT_FDCWD, dir); err != nil {
			t.Fatal(err)
		}
	})
	if n > 1 {
		t.Errorf("%v allocations", n)
	}
}
