//go:build !portable

package fs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// A target that is moved away, or has a path too long for names in it, gets its mark.
func TestTarget_markOfMoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	target := openTarget(t, dir, TargetOptions{Mark: "text"})
	if err := os.Rename(dir, dir+"b"); err != nil {
		t.Fatal(err)
	}
	if err := put(target, "f", "f"); err != nil {
		t.Fatal(err)
	}
	if marks := marksIn(t, dir+"b"); len(marks) != 1 || target.own.each {
		t.Errorf("marks %q, files one by one %v", marks, target.own.each)
	}
}

// A write that failed in the background is told at the end, also if another process that
// writes there has been told of it before.
func TestTarget_Sync_failedBefore(t *testing.T) {
	dir := t.TempDir()
	small, disk := filepath.Join(dir, "small"), filepath.Join(dir, "disk")
	for _, d := range []string{small, disk} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "mode=0700,size=16m"); err != nil {
		t.Skipf("mount: %v", err) // only root may
	}
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	image := filepath.Join(small, "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]string{{"mkfs.ext4", "-q", "-O", "^has_journal", image},
		{"mount", "-o", "loop", image, disk}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil { //nolint:gosec // constant
			t.Skipf("%q: %v: %s", c, err, out)
		}
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })

	target := openTarget(t, disk, TargetOptions{Mark: "text"})
	if err := target.Begin(); err != nil {
		t.Fatal(err)
	}
	other, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	f, err := target.CreateTemp("f", 32<<20)
	if err != nil {
		t.Fatal(err)
	}
	for off := int64(0); off < 32<<20; off += 1 << 20 {
		if _, err := f.WriteAt(make([]byte, 1<<20), off); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Commit(newEntry(page.File)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Syncfs(int(other.Fd())); err == nil {
		t.Skip("the loop device takes more than there is room for")
	}
	if err := target.Sync(); !errors.Is(err, unix.EIO) && !errors.Is(err, unix.ENOSPC) {
		t.Errorf("what is not on the disk was called written: %v", err)
	}
}
