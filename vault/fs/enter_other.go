//go:build !linux || portable

package fs

import (
	"errors"
	iofs "io/fs"
	"os"
	"syscall"
)

// parent finds the directory that holds path. With create, it and those above are made if missing.
func (t *Target) parent(path string, create bool) (dir, name string, err error) {
	if err := check(path); err != nil {
		return "", "", err
	}
	if path == "." {
		return "", "", syscall.EISDIR
	}
	dir, name = split(path)
	return dir, name, t.enter(dir, create)
}

// enter checks that dir and all above it are directories. With create, entries
// are to be made in it, and it is made itself if missing.
func (t *Target) enter(dir string, create bool) error {
	if create && t.opt.ReadOnly {
		return errReadOnly
	}
	if t.root == nil {
		return syscall.ENOENT
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.enterLocked(dir, create)
}

func (t *Target) enterLocked(dir string, create bool) error {
	usable, found := t.dirs[dir]
	if found && (usable || !create) {
		return nil
	}
	if dir != "." {
		up, _ := split(dir)
		if err := t.enterLocked(up, create); err != nil {
			return err
		}
	}
	st, err := t.root.Lstat(dir)
	if create && (errors.Is(err, iofs.ErrNotExist) || err == nil && !st.IsDir()) {
		_, err = t.ensureDir(dir)
	} else if err == nil && !st.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return err
	}
	if create {
		if err := t.unbar(dir); err != nil {
			return err
		}
	}
	if len(t.dirs) >= maxKnownDirs {
		clear(t.dirs)
	}
	t.dirs[dir] = create
	return nil
}

// Enter opens the existing directory path to an unprivileged owner whom its mode
// bars from it, as an earlier restore may have left it. SetDirMeta gives it its
// mode when all below is done.
func (t *Target) Enter(path string) error {
	if err := check(path); err != nil {
		return t.error("open", path, err)
	}
	return t.error("open", path, t.enter(path, true))
}

func (t *Target) forget(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.dirs, path)
}

// unbar lets an unprivileged owner work in a directory that an earlier restore
// may have given its final mode. It does nothing about other people's directories.
func (t *Target) unbar(dir string) error {
	if !hasOwners || t.euid == 0 {
		return nil
	}
	st, err := lstat(t.full(dir))
	if err == nil && st.UID == t.euid && st.Mode&0o700 != 0o700 {
		err = os.Chmod(t.full(dir), os.FileMode(st.Mode&0o777|0o700))
	}
	return err
}
