//go:build !linux || portable

package fs

import (
	"errors"
	iofs "io/fs"
	"os"
	"syscall"

	"vaultik/vault/page"
)

// Other systems than Linux are read by path. What descriptors guarantee on Linux
// against concurrent changes of the tree is checked here before and after, as well as
// paths allow.

// Lstat describes the entry at an absolute path; errors are *fs.PathError.
func Lstat(path string) (Stat, error) {
	if native(path) == "" { // above the drives
		return Stat{Type: page.Dir, Mode: 0o755}, nil
	}
	st, err := lstat(native(path))
	return st, pathError("lstat", path, bare(err))
}

// Fstat describes an open file.
func Fstat(f *os.File) (Stat, error) { return fstat(f) }

// OpenFile opens the regular file abs for reading and returns its state at that
// moment. It fails with ErrSwapped unless that is the file want describes (a nil
// want takes any regular file). It never blocks on a FIFO put there meanwhile.
func OpenFile(abs string, want *Stat) (*os.File, Stat, error) {
	f, err := os.OpenFile(native(abs), readFlags, 0)
	if anyOf(err, syscall.ELOOP, syscall.ENXIO) { // a link now, or a socket
		err = ErrSwapped
	}
	if err != nil {
		return nil, Stat{}, pathError("open", abs, bare(err))
	}
	st, err := fstat(f)
	if err == nil {
		err = isStill(native(abs), &st, want)
	}
	if err != nil {
		_ = f.Close()
		return nil, st, pathError("open", abs, bare(err))
	}
	return f, st, nil
}

// isStill checks that an opened file is regular, what the path itself names, and what was listed.
func isStill(path string, opened, want *Stat) error {
	if opened.Type != page.File || want != nil && !opened.SameFile(want) {
		return ErrSwapped
	}
	now, err := lstat(path)
	if err != nil || now.Type != page.File || !now.SameFile(opened) {
		return ErrSwapped
	}
	return nil
}

// OpenFileAt is OpenFile of abs: only Linux looks names up in dirfd.
func OpenFileAt(_ int, _, abs string, want *Stat) (*os.File, Stat, error) {
	return OpenFile(abs, want)
}

// bare takes the path off an error.
func bare(err error) error {
	var at *iofs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}
