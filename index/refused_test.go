package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What the system refuses says nothing about what the index holds.
func TestClassify_Refused(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.EMFILE, syscall.EFBIG,
		syscall.EINVAL, syscall.ESTALE, syscall.ENOSPC, syscall.EDQUOT, syscall.ELOOP} {
		flat := fmt.Errorf("while opening memtables error: %s", errno.Error())
		as := []error{&os.PathError{Op: "read", Path: "/x", Err: errno}, flat}
		if errno == syscall.ELOOP {
			as = as[:1] // known only where Badger passes it on
		}
		for _, err := range as {
			if got := unreadable(err, "x"); errors.Is(got, ErrDamaged) {
				t.Errorf("%v: %v", err, got)
			}
		}
	}
	for _, err := range []error{errors.New("bad magic"), os.ErrNotExist, syscall.ENOENT} {
		if got := unreadable(err, "x"); !errors.Is(got, ErrDamaged) {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// Files that cannot be read are not damaged: here they are directories, which no read
// gets anything from.
func TestVerify_Refused(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{manifestName, "000001.sst", "00001.mem"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_, table := verifyTable(filepath.Join(dir, "000001.sst"), 1000, nil)
	_, log := logEnd(filepath.Join(dir, "00001.mem"), 1000)
	_, manifest := verifyManifest(dir, map[string]int64{manifestName: 1000})
	for what, err := range map[string]error{"table": table, "log": log, "manifest": manifest} {
		if !errors.Is(err, syscall.EISDIR) || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
