package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile makes data the content of the file at path, with exactly the
// permissions perm. Whatever happens, path holds the old content or the new; when
// it returns nil, the new survives a crash. A symlink at path is replaced, not
// followed. The directory must exist.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, true, nil)
}

// CreateFile is WriteFile for a path that must be free: a taken one is
// fs.ErrExist and stays as it is.
func CreateFile(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, false, nil)
}

func write(path string, data []byte, perm fs.FileMode, replace bool, hook Hook) error {
	dir, err := OpenDir(filepath.Dir(path), hook)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	// Leftovers may hold secrets. Not being able to look is no reason not to write.
	_ = dir.Names(func(name string) error {
		dir.RemoveStale(name)
		return nil
	})
	t, err := dir.CreateTemp(perm)
	if err != nil {
		return err
	}
	defer t.Abort()
	if _, err := t.Write(data); err != nil {
		return err
	}
	if _, err := t.Flush(); err != nil {
		return err
	}
	return t.Commit(filepath.Base(path), replace)
}

// MkdirAll makes the directory at path and the missing ones above it, for this
// user only, and makes their names durable. An existing directory stays as it is.
func MkdirAll(path string) error { return mkdirAll(filepath.Clean(path), nil) }

func mkdirAll(path string, hook Hook) error {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return nil
	}
	parent, name := filepath.Dir(path), filepath.Base(path)
	if parent == path || name == ".." {
		return &fs.PathError{Op: "mkdir", Path: path, Err: fs.ErrNotExist}
	}
	if err := mkdirAll(parent, hook); err != nil {
		return err
	}
	dir, err := OpenDir(parent, hook)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	err = dir.Mkdir(name)
	if errors.Is(err, fs.ErrExist) {
		if st, serr := os.Stat(path); serr != nil || !st.IsDir() {
			return err
		}
		err = nil
	}
	if err != nil {
		return err
	}
	return dir.Sync()
}
