//go:build !linux || portable

package fs

import (
	"errors"
	"os"
	"time"

	"vaultik/vault/page"
)

// Thaw makes the directory path changeable to its owner, whom its mode may bar
// from it. freeze gives it back its mode and its time.
func (t *Target) Thaw(path string) (freeze func() error, err error) {
	if t.opt.ReadOnly {
		return nil, t.error("open", path, errReadOnly)
	}
	st, err := t.Lstat(path)
	if err != nil {
		return nil, err
	}
	if err := t.Enter(path); err != nil {
		return nil, err
	}
	return func() error {
		var errs []error
		if now, err := t.Lstat(path); err != nil || now.Mode != st.Mode {
			errs = append(errs, bare(chmod(t.full(path), st.Mode)))
		}
		errs = append(errs, bare(os.Chtimes(t.full(path), time.Time{}, st.Mtime.Time())))
		return t.error("set attributes", path, errors.Join(errs...))
	}, nil
}

// Remove removes the entry path, if it still is the one that st describes. A
// directory with entries stays: ErrNotEmpty. The directory above must be changeable: see Thaw.
func (t *Target) Remove(path string, st *Stat) error {
	if t.opt.ReadOnly {
		return t.error("remove", path, errReadOnly)
	}
	now, err := t.Lstat(path)
	if err != nil {
		return err
	}
	if now.Type != st.Type || !now.SameFile(st) {
		return t.error("remove", path, ErrSwapped)
	}
	if st.Type == page.Dir {
		if !empty(t.root, path) {
			return t.error("remove", path, ErrNotEmpty)
		}
		t.forget(path)
	}
	return t.error("remove", path, t.root.Remove(path))
}
