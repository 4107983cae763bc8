//go:build !linux || portable

package fs

import (
	"os"
	"time"

	"vaultik/vault/page"
)

// createMark makes an empty file in the target itself, if its mode allows that: it may be none
// of the directories that are restored, and keeps its mode.
func (t *Target) createMark(name string) (*os.File, error) {
	if t.opt.ReadOnly {
		return nil, errReadOnly
	}
	return t.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// isNamed reports whether a name in the target itself is that of an open file.
func (t *Target) isNamed(f *os.File, name string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := t.root.Lstat(name)
	return err == nil && os.SameFile(mine, now)
}

func (t *Target) removeName(name string) error {
	return t.error("remove", name, t.root.Remove(name))
}

// stale says that a directory has got its final mode.
func (t *Target) stale(dir string) { t.forget(dir) }

func (t *Target) setTime(path string, mtime page.Time) error {
	return os.Chtimes(t.full(path), time.Time{}, mtime.Time())
}

// syncTop writes the names in the target itself to disk.
func (t *Target) syncTop() error { return syncDir(t.dir) }

// Sync writes everything made so far to disk, as far as there is a call for that.
func (t *Target) Sync() error { return t.error("sync", ".", syncAll(t.dir)) }
