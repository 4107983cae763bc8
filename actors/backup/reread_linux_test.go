package backup_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/internal/testfuse"
	"vaultik/internal/testtree"
	vfs "vaultik/vault/fs"
)

func everything([16]byte) bool { return true }

// A change that moved no time that counts is found by reading everything again, and only
// what differs is stored; a file that turns out to be the same counts as unchanged.
func TestBackup_Reread(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	data := testtree.Bytes(3, 6<<20)
	large, small := filepath.Join(dir, "large"), filepath.Join(dir, "small")
	jobtest.Must(t, os.WriteFile(large, data, 0o600))
	jobtest.Must(t, os.WriteFile(small, []byte("small"), 0o600))
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600))
	jobtest.Must(t, os.Truncate(filepath.Join(dir, "small"), 1<<20)) // ends in a hole
	past := time.Now().Add(-time.Hour)
	jobtest.Must(t, os.Chtimes(large, past, past))
	edit := func(reread func([16]byte) bool) {
		h.Edit = func(s *backup.Spec) { later(s); s.Ignore, s.Reread = vfs.IgnoreCtime, reread }
	}
	edit(nil)
	h.Backup(dir)

	edit(everything)
	r := h.Backup(dir)
	if r.BytesRead < 6<<20 || r.Counts.Unchanged != 3 || r.Counts.Changed != 0 || r.BlobsStored > 1 {
		t.Errorf("the same: %+v", r)
	}

	data[3<<20] ^= 1
	jobtest.Must(t, os.WriteFile(large, data, 0o600)) // into the same file
	jobtest.Must(t, os.Chtimes(large, past, past))
	edit(nil)
	if r := h.Backup(dir); r.BytesRead != 0 || r.Counts.Unchanged != 3 {
		t.Errorf("unseen: %+v", r)
	}
	edit(everything)
	r = h.Backup(dir)
	if r.Counts.Changed != 1 || r.Counts.Unchanged != 2 || r.BytesStored == 0 || r.BytesStored > 5<<20 {
		t.Errorf("seen: %+v", r)
	}
	h.CheckTree(dir)
	edit(nil)
	if r := h.Backup(dir); r.BytesRead != 0 || r.Counts.Unchanged != 3 {
		t.Errorf("after that: %+v", r)
	}
	h.CheckTree(dir)
	h.VerifyClean()
}

// What is known of a file that cannot be read again stays in the snapshot, and the
// failure is told each time.
func TestBackup_RereadFails(t *testing.T) {
	h := jobtest.New(t)
	var broken atomic.Bool // the kernel reads ahead, after a backup has ended too
	data := testtree.Bytes(4, 3<<20)
	m := testfuse.New(t, filepath.Join(t.TempDir(), "m"), map[string]testfuse.File{
		"f": {Size: 3 << 20, Read: func(off int64, n int) ([]byte, error) {
			if broken.Load() && off >= 2<<20 {
				return nil, unix.EIO
			}
			return data[off:min(off+int64(n), 3<<20)], nil
		}},
	})
	edit := func(reread func([16]byte) bool) {
		h.Edit = func(s *backup.Spec) { later(s); s.Reread = reread }
	}
	edit(nil)
	h.Backup(m.Dir)
	sum := h.ReadBack()[m.Dir[1:]+"/f"].Sum
	broken.Store(true)
	for range 2 {
		edit(everything)
		if r := h.Backup(m.Dir); r.Errors != 1 || r.Complete {
			t.Errorf("%+v", r)
		}
		if got := h.ReadBack()[m.Dir[1:]+"/f"].Sum; got != sum {
			t.Errorf("what was saved of it is not kept: %q", got)
		}
	}
	edit(nil)
	if r := h.Backup(m.Dir); r.Errors != 0 || r.BytesRead != 0 {
		t.Errorf("%+v", r)
	}
	h.VerifyClean()
}

// To ignore inode or ctime from now on means to read nothing again, and neither does a new
// number or ctime after that; to stop ignoring it means to read.
func TestBackup_Ignore(t *testing.T) {
	for _, c := range []struct {
		name   string
		ignore vfs.Ignore
		touch  func(t *testing.T, file string)
	}{
		{"inode", vfs.IgnoreInode | vfs.IgnoreCtime, func(t *testing.T, file string) {
			b, err := os.ReadFile(file)
			jobtest.Must(t, err)
			st, err := os.Stat(file)
			jobtest.Must(t, err)
			jobtest.Must(t, os.WriteFile(file+".new", b, 0o600))
			jobtest.Must(t, os.Chtimes(file+".new", st.ModTime(), st.ModTime()))
			jobtest.Must(t, os.Rename(file+".new", file))
		}},
		{"ctime", vfs.IgnoreCtime, func(t *testing.T, file string) {
			jobtest.Must(t, os.Chmod(file, 0o644)) //nolint:gosec // and back
			jobtest.Must(t, os.Chmod(file, 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := jobtest.New(t)
			dir := t.TempDir()
			file := filepath.Join(dir, "f")
			jobtest.Must(t, os.WriteFile(file, []byte("text"), 0o600))
			jobtest.Must(t, os.WriteFile(filepath.Join(dir, "g"), []byte("other"), 0o600))
			run := func(ignore vfs.Ignore, read int64) {
				t.Helper()
				h.Edit = func(s *backup.Spec) { later(s); s.Ignore = ignore }
				if r := h.Backup(dir); r.BytesRead != read || r.Errors != 0 {
					t.Errorf("%d bytes were read, not %d", r.BytesRead, read)
				}
				h.CheckTree(dir)
			}
			run(0, 9)
			run(c.ignore, 0)
			c.touch(t, file)
			run(c.ignore, 0)
			run(c.ignore, 0)
			run(0, 9)
			c.touch(t, file)
			run(0, 4)
			h.VerifyClean()
		})
	}
}
