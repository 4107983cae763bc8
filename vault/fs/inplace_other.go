//go:build !linux || portable

package fs

import (
	"errors"
	iofs "io/fs"
	"os"

	"vaultik/vault/page"
)

// OpenInPlace opens the regular file path, which is to become e, to
// change it where it stands: it keeps its identity, all of its names and whatever
// of its contents is not written. The mode does not matter to its owner; Commit sets it again.
//
// Until Commit nothing may take it for complete, whatever happens: before the first
// change it is made one byte too long, and that is on disk before anything else is.
// Abort and Suspend leave it so. A stranger's file fails with ErrStranger.
func (t *Target) OpenInPlace(path string, e *page.Entry) (*File, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	if _, _, err := t.parent(path, true); err != nil {
		return nil, t.error("open", path, err)
	}
	st, err := t.Lstat(path)
	if err != nil {
		return nil, err
	}
	if st.Type != page.File {
		return nil, t.error("open", path, ErrSwapped)
	}
	if t.isForeign(path, &st, e) {
		return nil, t.error("open", path, ErrStranger)
	}
	f, err := t.root.OpenFile(path, changeFlags, 0)
	if errors.Is(err, iofs.ErrPermission) {
		_ = setFlagsOf(t.full(path), 0)
		_ = os.Chmod(t.full(path), os.FileMode(st.Mode&0o777|0o600))
		f, err = t.root.OpenFile(path, changeFlags, 0)
	}
	if err != nil {
		return nil, t.error("open", path, err)
	}
	if now, err := fstat(f); err != nil || !now.SameFile(&st) {
		_ = f.Close()
		return nil, t.error("open", path, ErrSwapped)
	}
	return &File{t: t, path: path, size: e.Size, f: f, inPlace: &inPlace{}}, nil
}

const changeFlags = readFlags&^os.O_RDONLY | os.O_RDWR

// setMeta gives a file that was changed in place its attributes, after closing it.
func (f *File) setMeta(e *page.Entry) (MetaProblems, error) {
	if err := f.f.Close(); err != nil {
		return nil, err
	}
	return f.t.SetFileMeta(f.path, e)
}
