//go:build !portable

package fs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testtree"
	"vaultik/vault/page"
)

// A file that its flags protect is replaced, or changed, by those who may clear them.
func TestTarget_immutable(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, "file a text=old\nfile b text=old\nfile c text=old\nfile d/x text=old")
	locked := []string{"a", "b", "d", "c"}
	change := func(name string, set, unset uint32) error {
		fd, err := unix.Open(filepath.Join(dir, name), unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		flags, err := node{fd: fd}.flags()
		if err == nil {
			err = node{fd: fd}.setFlags(flags&^unset | set)
		}
		return err
	}
	t.Cleanup(func() {
		for _, name := range locked {
			_ = change(name, 0, lockingFlags)
		}
	})
	for i, name := range locked {
		if err := change(name, []uint32{flagImmutable, flagAppend}[i%2], 0); err != nil {
			t.Logf("flags need a privilege and a file system that has them: %v", err)
			return
		}
	}
	target := openTarget(t, dir, TargetOptions{})
	if err := put(target, "a", "new"); err != nil {
		t.Error(err)
	}
	if _, err := target.Symlink("b", &page.Entry{Type: page.Symlink, Target: "new"}); err != nil {
		t.Error(err)
	}
	f, err := target.OpenInPlace("c", sized(3))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("new"), 0); err != nil {
		t.Error(err)
	}
	e := newEntry(page.File)
	e.Flags = flagImmutable
	if problems, err := f.Commit(e); err != nil || problems != nil {
		t.Error(problems, err)
	}
	if err := put(target, "d/x", "new"); err == nil {
		t.Error("a protected directory was changed without being entered")
	}
	if err := target.Enter("d"); err != nil {
		t.Error(err)
	}
	if err := put(target, "d/x", "new"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"a", "c", "d/x"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); string(text) != "new" {
			t.Errorf("%s: %q %v", name, text, err)
		}
	}
	noTemps(t, dir)
}
