package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"vaultik/internal/platform"
)

// lockDir takes the index for this process, until the file is closed or the
// process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open index lock: %w", err)
	}
	if err := lockFile(f, false, dir); err != nil {
		_ = f.Close()
		return nil, err
	}
	// Noting who holds it is a courtesy: a full disk does not prevent the lock.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d %d\n", os.Getpid(), time.Now().Unix()), 0)
	}
	return f, nil
}

// shareLock keeps writers out of the index until f, its lock file, is closed.
func shareLock(f *os.File, dir string) error { return lockFile(f, true, dir) }

// lockFile locks f, which is dir's lock file, or says who has it.
func lockFile(f *os.File, shared bool, dir string) error {
	err := platform.Lock(f, shared, false)
	if err == nil {
		return nil
	}
	if !errors.Is(err, platform.ErrLocked) {
		return fmt.Errorf("lock index %q: %w", dir, err)
	}
	busy := &BusyError{Dir: dir}
	var since int64
	if n, err := fmt.Fscanf(f, "%d %d\n", &busy.PID, &since); err == nil && n == 2 {
		busy.Since = time.Unix(since, 0)
	}
	return busy
}
