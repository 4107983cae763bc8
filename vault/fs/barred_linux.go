//go:build !portable

package fs

import (
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// OpenOwn is OpenRead, also where the modes of a file of the caller's, or of directories
// above it in the target, bar him: they are opened for the moment in which the file is.
func (t *Target) OpenOwn(path string) (*os.File, Stat, error) {
	f, st, err := t.OpenRead(path)
	if !errors.Is(err, unix.EACCES) {
		return f, st, err
	}
	t.barring.Lock() // of two that open one directory the first must not close it for the second
	defer t.barring.Unlock()
	f, st, own := t.openOwn(path)
	if own != nil {
		return nil, Stat{}, err // says more
	}
	return f, st, nil
}

func (t *Target) openOwn(path string) (f *os.File, st Stat, err error) {
	var undo []func()
	defer func() {
		for _, u := range slices.Backward(undo) {
			u()
		}
	}()
	allow := func(fd int, need uint32) error {
		if st, err = fstat(fd); err != nil {
			return err
		}
		n, mode := node{fd, true}, st.Mode
		if mode&need == need || st.UID != t.euid || st.Type == page.Symlink {
			return nil // what stands in the way, if anything does, is met next
		}
		if err := n.chmod(mode | need); err != nil {
			return err
		}
		undo = append(undo, func() { _ = n.chmod(mode) })
		return nil
	}
	dir, name := t.dirs.top.fd, path
	for {
		if err := allow(dir, 0o100); err != nil {
			return nil, st, err
		}
		up, rest, below := strings.Cut(name, "/")
		if !below {
			break
		}
		fd, err := openat(dir, up, searchFlags, 0)
		if err != nil {
			return nil, st, err
		}
		undo = append(undo, func() { closeFD(fd) })
		dir, name = fd, rest
	}
	fd, err := openat(dir, name, handleFlags, 0)
	if err != nil {
		return nil, st, err
	}
	undo = append(undo, func() { closeFD(fd) })
	if err := allow(fd, 0o400); err != nil {
		return nil, st, err
	}
	return openFileAt(dir, name, t.full(path), &st)
}
