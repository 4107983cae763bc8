package actors

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testtree"
	"vaultik/messages"
)

// items collects what a backup says of single entries.
type items map[string]messages.Status

func (h *testHost) backupItems(dir string, inject func(*faults)) (*BackupResult, items) {
	h.t.Helper()
	said := items{}
	h.edit = func(s *BackupSpec) {
		s.OnItem = func(path string, st messages.Status, reason string) { said[filepath.Base(path)] = st }
		inject(&s.faults)
	}
	defer func() { h.edit = nil }()
	return h.backup(dir), said
}

func motionTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range []string{"a", "b", "c"} {
		must(t, os.WriteFile(filepath.Join(dir, n), testtree.Bytes(1, 700<<10), 0o600))
	}
	return dir
}

func TestBackup_FileThatChangesOnceIsReadAgain(t *testing.T) {
	h, dir := newTestHost(t), motionTree(t)
	var done atomic.Bool
	r, said := h.backupItems(dir, func(f *faults) {
		f.onRead = func(path string) {
			if strings.HasSuffix(path, "/b") && done.CompareAndSwap(false, true) {
				must(t, os.WriteFile(path, testtree.Bytes(2, 900<<10), 0o600))
			}
		}
	})
	if said["b"] != messages.StatusNew || !r.Complete || r.Errors != 0 {
		t.Errorf("%v %+v", said, r)
	}
	h.checkTree(dir)
}

func TestBackup_FileThatKeepsChanging(t *testing.T) {
	h, dir := newTestHost(t), motionTree(t)
	r, said := h.backupItems(dir, func(f *faults) {
		f.onRead = func(path string) {
			if strings.HasSuffix(path, "/b") {
				g, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				must(t, err)
				_, err = g.WriteString("more")
				must(t, err)
				must(t, g.Close())
			}
		}
	})
	if said["b"] != messages.StatusInMotion || r.Errors != 0 || r.Counts.Files != 3 {
		t.Errorf("%v %+v", said, r)
	}
	if got := h.readBack()[strings.TrimPrefix(dir, "/")+"/b"]; got.Size != 700<<10+4 {
		t.Errorf("size %d", got.Size)
	}
	// What was saved in motion is never taken for unchanged.
	if r, said := h.backupItems(dir, func(*faults) {}); said["b"] != messages.StatusChanged || r.Counts.Unchanged != 2 {
		t.Errorf("%v %+v", said, r)
	}
	h.checkTree(dir)
}

func TestBackup_TruncatedWhileRead(t *testing.T) {
	h, dir := newTestHost(t), motionTree(t)
	size := int64(600 << 10)
	_, said := h.backupItems(dir, func(f *faults) {
		f.onRead = func(path string) {
			if strings.HasSuffix(path, "/b") {
				must(t, os.Truncate(path, size))
				size -= 100 << 10
			}
		}
	})
	if said["b"] != messages.StatusInMotion {
		t.Errorf("%v", said)
	}
	h.readBack()
}

func TestBackup_VanishedIsCounted(t *testing.T) {
	h, dir := newTestHost(t), motionTree(t)
	r, said := h.backupItems(dir, func(f *faults) {
		f.onChunk = func(path string) {
			if strings.HasSuffix(path, "/b") {
				_ = os.Remove("/" + path)
			}
		}
	})
	if said["b"] != messages.StatusVanished || !r.Complete || r.Errors != 0 || r.Counts.Files != 2 {
		t.Errorf("%v %+v", said, r)
	}
	if _, there := h.readBack()[strings.TrimPrefix(dir, "/")+"/b"]; there {
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
			h, dir := newTestHost(t), motionTree(t)
			r, said := h.backupItems(dir, func(f *faults) {
				f.onChunk = func(path string) {
					if strings.HasSuffix(path, "/b") {
						// The old file stays somewhere, or its inode could be used again.
						must(t, os.Rename("/"+path, filepath.Join(filepath.Dir(dir), "kept")))
						must(t, swap("/"+path))
					}
				}
			})
			if said["b"] != messages.StatusFailed || r.Complete || r.Errors != 1 {
				t.Errorf("%v %+v", said, r)
			}
			h.backup(dir)
			h.checkTree(dir)
		})
	}
}
