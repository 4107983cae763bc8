//go:build unix

package fs

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Where no mark can be locked, others would remove it: none is made, and none stays.
func TestTarget_noLocks(t *testing.T) {
	for _, refusal := range []error{unix.ENOLCK, unix.EWOULDBLOCK} {
		flock = func(int, int) error { return refusal }
		t.Cleanup(func() { flock = unix.Flock })
		dir := t.TempDir()
		before, err := Lstat(dir)
		if err != nil {
			t.Fatal(err)
		}
		target := openTarget(t, dir, TargetOptions{Mark: "text"})
		if err := target.Begin(); err != nil {
			t.Fatal(err)
		}
		if marks := marksIn(t, dir); len(marks) > 0 || !target.own.each || !target.Begun() {
			t.Errorf("%v: marks %q, files one by one %v", refusal, marks, target.own.each)
		}
		sameDir(t, dir, before)
		if err := put(target, "f", "f"); err != nil {
			t.Error(err)
		}
	}
}
