package index

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

var (
	// ErrBusy means that another process, or another part of this one, has the index open.
	// Wait for it. The error is a *BusyError.
	ErrBusy = errors.New("index is in use")
	// ErrDamaged means that the index is unreadable. Recreate it; nothing in the store is affected.
	ErrDamaged = errors.New("index is damaged")
	// ErrForeign means that the directory holds something else, or another host's index.
	// Choose another directory.
	ErrForeign = errors.New("not an index of this host")
	// ErrNewerFormat means that a newer Vaultik wrote the index. Use that, or another directory.
	ErrNewerFormat = errors.New("index was written by a newer version")
	// ErrNoSpace means that the disk is full or nearly so. Nothing is damaged; make space and
	// go on.
	ErrNoSpace = errors.New("no space left for the index")
	// ErrClosed means that the index was used after Close.
	ErrClosed = errors.New("index is closed")
)

// BusyError says who uses the index. It is an ErrBusy.
type BusyError struct {
	Dir   string
	PID   int       // 0: unknown
	Since time.Time // when that process opened it; zero: unknown
}

func (e *BusyError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("index %q is in use", e.Dir)
	}
	return fmt.Sprintf("index %q is in use by process %d since %s", e.Dir, e.PID, e.Since.Format(time.DateTime))
}

// Is makes a BusyError an ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// Badger flattens most errors of the system to text; these are told apart by it.
var systemErrors = []struct {
	errno syscall.Errno
	as    error // nil: passed on as the errno
}{
	{syscall.ENOSPC, ErrNoSpace},
	{syscall.EDQUOT, ErrNoSpace},
	{syscall.EACCES, nil},
	{syscall.EPERM, nil},
	{syscall.EROFS, nil},
	{syscall.EMFILE, nil},
	{syscall.ENFILE, nil},
	{syscall.ENOMEM, nil},
}

// classify returns the sentinel (or errno) behind an error of Badger, or nil.
func classify(err error) error {
	for _, s := range systemErrors {
		if errors.Is(err, s.errno) || strings.Contains(err.Error(), s.errno.Error()) {
			if s.as != nil {
				return s.as
			}
			return s.errno
		}
	}
	return nil
}

// typed wraps an error of Badger so that errors.Is finds ErrNoSpace or the errno.
func typed(err error) error {
	if err == nil {
		return nil
	}
	if as := classify(err); as != nil && !errors.Is(err, as) {
		return fmt.Errorf("%w: %w", as, err)
	}
	return err
}
