package backup_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	vfs "vaultik/vault/fs"
)

// later has backups take place an hour from now, so that no file was changed just before.
func later(s *backup.Spec) { s.Now = func() time.Time { return time.Now().Add(time.Hour) } }

// A page that was made without extended attributes is not carried over to where they are
// saved, nor the other way round; contents are not read again for that.
func TestBackup_NoXattrs(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	jobtest.Must(t, os.WriteFile(file, []byte("text"), 0o600))
	jobtest.Must(t, unix.Setxattr(file, "user.x", []byte("1"), 0))
	for i, attrs := range []vfs.Attrs{vfs.AllAttrs, vfs.NoXattrs, vfs.NoXattrs, vfs.AllAttrs} {
		h.Edit = func(s *backup.Spec) { later(s); s.Attrs = attrs }
		r := h.Backup(dir)
		if read := i > 0 && r.BytesRead > 0; read || r.Errors > 0 {
			t.Errorf("run %d: %+v", i, r)
		}
		n := 0
		for _, x := range h.ReadBack()[file[1:]].Xattrs {
			if x.Name == "user.x" {
				n++
			}
		}
		if (n == 1) != (attrs == vfs.AllAttrs) {
			t.Errorf("run %d: saved with the attribute %d times", i, n)
		}
	}
}
