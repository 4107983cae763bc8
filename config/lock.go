package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"vaultik/internal/platform"
)

const lockFile = "host.lock"

// ErrBusy means that another process writes to the store as this host. Wait for
// it. The error is a *BusyError.
var ErrBusy = errors.New("another backup or prune of this host is running")

// BusyError says who writes. It is an ErrBusy.
type BusyError struct {
	PID   int       // 0: not known
	Since time.Time // when it took the lock; zero: not known
}

func (e *BusyError) Error() string {
	if e.PID == 0 {
		return ErrBusy.Error()
	}
	return fmt.Sprintf("%v: process %d since %s", ErrBusy, e.PID, e.Since.Format(time.DateTime))
}

// Is makes a BusyError an ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// HostLock makes this process the only one that writes to the store as this host. The
// lock is released when the process ends, however it ends.
type HostLock struct {
	f *os.File
	// Crashed: the process that had it before ended without releasing it.
	Crashed bool
}

// LockHost takes the lock without waiting: a *BusyError if another process has it.
// Reading needs no lock. Where the state cannot be written the error says what to do.
func (s State) LockHost() (*HostLock, error) {
	f, err := s.openLock(lockFile)
	if err != nil {
		return nil, err
	}
	if err := platform.Lock(f, false, false); err != nil {
		defer f.Close()
		if !errors.Is(err, platform.ErrLocked) {
			return nil, s.unwritable(fmt.Errorf("lock %s: %w", f.Name(), err))
		}
		return nil, busy(f)
	}
	st, err := f.Stat()
	l := &HostLock{f: f, Crashed: err != nil || st.Size() > 0}
	// Noting who holds it is a courtesy: a full disk does not prevent the lock.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d %d\n", os.Getpid(), time.Now().Unix()), 0)
	}
	return l, nil
}

// LookAtHost is LockHost for who changes nothing, be it this lock: it says how it would end.
// The lock, if there is no error, is none.
func (s State) LookAtHost() (*HostLock, error) {
	f, err := os.Open(s.Path(lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &HostLock{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := platform.Lock(f, true, false); errors.Is(err, platform.ErrLocked) {
		return nil, busy(f)
	} else if err != nil {
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	st, err := f.Stat()
	return &HostLock{Crashed: err != nil || st.Size() > 0}, nil
}

// openLock opens a file to lock.
func (s State) openLock(name string) (*os.File, error) {
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.Path(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, s.unwritable(err)
	}
	return f, nil
}

// busy reads who holds the lock.
func busy(f *os.File) *BusyError {
	var e BusyError
	var since int64
	if n, err := fmt.Fscanf(f, "%d %d\n", &e.PID, &since); err != nil || n != 2 {
		return &BusyError{}
	}
	e.Since = time.Unix(since, 0)
	return &e
}

// Release gives up the lock, and says so in the file, which stays: if it were removed, two
// processes could hold locks on two files of that name.
func (l *HostLock) Release() {
	if l.f != nil {
		_ = l.f.Truncate(0)
		_ = l.f.Close()
	}
}
