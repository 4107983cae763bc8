package backup_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/actors"
	"vaultik/actors/jobtest"
	"vaultik/internal/testtree"
	"vaultik/messages"
)

func motionTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range []string{"a", "b", "c"} {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, n), testtree.Bytes(1, 700<<10), 0o600))
	}
	return dir
}

func TestBackup_FileThatChangesOnceIsReadAgain(t *testing.T) {
	h, dir := jobtest.New(t), motionTree(t)
	var done atomic.Bool
	r, said := h.BackupItems(dir, func(f *actors.Faults) {
		f.OnRead = func(path string) {
			if strings.HasSuffix(path, "/b") && done.CompareAndSwap(false, true) {
				jobtest.Must(t, os.WriteFile(path, testtree.Bytes(2, 900<<10), 0o600))
			}
		}
	})
	if said["b"] != messages.StatusNew || !r.Complete || r.Errors != 0 {
		t.Errorf("%v %+v", said, r)
	}
	h.CheckTree(dir)
}

func TestBackup_FileThatKeepsChanging(t *testing.T) {
	h, dir := jobtest.New(t), motionTree(t)
	r, said := h.BackupItems(dir, func(f *actors.Faults) {
		f.OnRead = func(path string) {
			if strings.HasSuffix(path, "/b") {
				g, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				jobtest.Must(t, err)
				_, err = g.WriteString("more")
				jobtest.Must(t, err)
				jobtest.Must(t, g.Close())
			}
		}
	})
	if said["b"] != messages.StatusInMotion || r.Errors != 0 || r.Counts.Files != 3 {
		t.Errorf("%v %+v", said, r)
	}
	if got := h.ReadBack()[strings.TrimPrefix(dir, "/")+"/b"]; got.Size != 700<<10+4 {
		t.Errorf("size %d", got.Size)
	}
	// What was saved in motion is never taken for unchanged.
	if r, said := h.BackupItems(dir, func(*actors.Faults) {}); said["b"] != messages.StatusChanged || r.Counts.Unchanged != 2 {
		t.Errorf("%v %+v", said, r)
	}
	h.CheckTree(dir)
}

func TestBackup_TruncatedWhileRead(t *testing.T) {
	h, dir := jobtest.New(t), motionTree(t)
	size := int64(600 << 10)
	_, said := h.BackupItems(dir, func(f *actors.Faults) {
		f.OnRead = func(path string) {
			if strings.HasSuffix(path, "/b") {
				jobtest.Must(t, os.Truncate(path, size))
				size -= 100 << 10
			}
		}
	})
	if said["b"] != messages.StatusInMotion {
		t.Errorf("%v", said)
	}
	h.ReadBack()
}

func TestBackup_VanishedIsCounted(t *testing.T) {
	h, dir := jobtest.New(t), motionTree(t)
	r, said := h.BackupItems(dir, func(f *actors.Faults) {
		f.OnChunk = func(path string) {
			if strings.HasSuffix(path, "/b") {
				_ = os.Remove("/" + path)
			}
		}
	})
	if said["b"] != messages.StatusVanished || !r.Complete || r.Errors != 0 || r.Counts.Files != 2 {
		t.Errorf("%v %+v", said, r)
	}
	if _, there := h.ReadBack()[strings.TrimPrefix(dir, "/")+"/b"]; there {
		t.Error("the file that vanished is in the snapshot")
	}
}

func TestBackup_SwappedTypeIsRefused(t *testing.T) {
	for name, swap := range map[string]func(path string) error{
		"symlink": func(p string) error { return os.Symlink("/etc/passwd", p) },
		"fifo":    func(p string) error { return unix.Mkfifo(p, 0o600) },
		"dir":     func(p string) error { return os.Mkdir(p, 0o700) },
		"file":    func(p string) error { return os.WriteFile(p, []byte("another"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			h, dir := jobtest.New(t), motionTree(t)
			r, said := h.BackupItems(dir, func(f *actors.Faults) {
				f.OnChunk = func(path string) {
					if strings.HasSuffix(path, "/b") {
						// The old file stays somewhere, or its inode could be used again.
						jobtest.Must(t, os.Rename("/"+path, filepath.Join(filepath.Dir(dir), "kept")))
						jobtest.Must(t, swap("/"+path))
					}
				}
			})
			if said["b"] != messages.StatusFailed || r.Complete || r.Errors != 1 {
				t.Errorf("%v %+v", said, r)
			}
			h.Backup(dir)
			h.CheckTree(dir)
		})
	}
}
