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

// Badger flattens most errors of the system to text; these are told apart by it. One that
// something is missing, or in the way, is none of these: that is damage.
var systemErrors = []syscall.Errno{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EMFILE,
	syscall.ENFILE, syscall.ENOMEM, syscall.EIO, syscall.EFBIG, syscall.EINVAL, syscall.EINTR,
	syscall.EAGAIN, syscall.EBUSY, syscall.ENODEV, syscall.ENXIO, syscall.ESTALE,
	syscall.ETIMEDOUT, syscall.ENOTSUP, syscall.ENOSYS, syscall.EOVERFLOW,
}

// classify returns the sentinel (or errno) behind an error of Badger, or nil. What the system
// answers may pass, and says nothing about what the index holds: it is never damage.
func classify(err error) error {
	for _, errno := range systemErrors {
		if !errors.Is(err, errno) && !strings.Contains(err.Error(), errno.Error()) {
			continue
		}
		if errno == syscall.ENOSPC || errno == syscall.EDQUOT {
			return ErrNoSpace
		}
		return errno
	}
	errno := syscall.Errno(0)
	if errors.As(err, &errno) && errno != syscall.ENOENT && errno != syscall.EEXIST {
		return errno
	}
	return nil
}

// unreadable is the error of reading a file of the index: damage, unless the system refused.
func unreadable(err error, what string) error {
	if classify(err) != nil {
		return fmt.Errorf("read index: %s: %w", what, typed(err))
	}
	return fmt.Errorf("%w: %s: %w", ErrDamaged, what, err)
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
