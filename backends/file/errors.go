package file

import (
	"errors"
	"fmt"
	"io/fs"

	"syscall"

	"vaultik/backends"
	"vaultik/internal/atomicfile"
	"vaultik/internal/platform"
)

// fail makes err the error of an operation, nil if it is nil.
func (b *Backend) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	e := &backends.OpError{Op: op, Key: key, Backend: b.location, Err: err}
	var src *backends.SourceError
	if errors.As(err, &src) {
		return e // says nothing about this store
	}
	if b.root != nil && errors.Is(err, fs.ErrNotExist) {
		err = b.orGone(err)
	}
	e.Err = b.classify(op, err)
	e.Retryable = op == "put" && errors.Is(e.Err, fs.ErrNotExist) && !errors.Is(e.Err, backends.ErrContainerNotFound) || // directory tidied away
		isAny(err, passing...)
	return e
}

// passing are errors of a disk, a network or a FUSE program that may be well again later.
var passing = []syscall.Errno{
	syscall.EIO, syscall.ESTALE, syscall.ENOMEM, syscall.EAGAIN, syscall.EBUSY, syscall.ETIMEDOUT,
	syscall.EMFILE, syscall.ENFILE, syscall.EINTR, syscall.ENODEV, syscall.ENOTCONN,
	syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ENETUNREACH,
	syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.ECONNRESET,
}

func (b *Backend) classify(op string, err error) error {
	switch {
	case errors.Is(err, backends.ErrContainerNotFound), errors.Is(err, backends.ErrReadOnly):
		return err
	case platform.NoSpace(err):
		return backends.WithKind(backends.ErrNoSpace, fmt.Errorf("%w%s", err, b.freeText()))
	case isAny(err, syscall.EROFS):
		return backends.WithKind(backends.ErrReadOnly, err)
	case errors.Is(err, fs.ErrPermission):
		return backends.WithKind(backends.ErrPermission, err)
	case isAny(err, syscall.ENAMETOOLONG):
		return backends.WithKind(backends.ErrInvalidKey, err)
	case errors.Is(err, atomicfile.ErrNoExclusive):
		return backends.WithKind(backends.ErrUnsupported, err)
	case errors.Is(err, atomicfile.ErrSymlink):
		return backends.WithKind(backends.ErrUnsupported, err)
	case op == "open" && notObject(err):
		return backends.WithKind(backends.ErrConfig, err)
	case op == "open":
		return err
	case op == "put" && (notObject(err) || isAny(err, syscall.EISDIR, syscall.ENOTEMPTY, syscall.EEXIST)):
		return backends.WithKind(backends.ErrInvalidKey, err)
	case absent(err) && op != "put":
		return backends.WithKind(backends.ErrNotFound, err)
	}
	return err
}

// orGone is err, unless the store itself is gone, or whether it is cannot be told.
func (b *Backend) orGone(err error) error {
	alive, why := b.root.Alive()
	switch {
	case why != nil:
		return why
	case !alive && err == nil:
		return backends.ErrContainerNotFound
	case !alive:
		return backends.WithKind(backends.ErrContainerNotFound, err)
	}
	return err
}

// absent reports whether err says that there is no object of a name: nothing at all, or
// something that is not an object.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || notObject(err) || isAny(err, syscall.EISDIR)
}

// notObject recognises sockets (ENXIO), files where a directory should be, and all
// else that is not a regular file. Symlinks are not among them: what they point
// to may well be the object, so they are errors, never absence.
func notObject(err error) bool {
	return errors.Is(err, atomicfile.ErrNotRegular) || isAny(err, syscall.ENOTDIR, syscall.ENXIO)
}

func isAny(err error, list ...syscall.Errno) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	for _, e := range list {
		if errno == e {
			return true
		}
	}
	return false
}

// freeText tells how much is left, as far as that is known.
func (b *Backend) freeText() string {
	if b.root == nil {
		return ""
	}
	_, free, err := b.root.Space()
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (%s free in %s)", bytesText(free), b.root.Path())
}

// bytesText writes n with the unit that leaves at most four digits.
func bytesText(n int64) string {
	unit := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for n >= 10_000 && i < len(unit)-1 {
		n /= 1024
		i++
	}
	return fmt.Sprintf("%d %s", n, unit[i])
}
