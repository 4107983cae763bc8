package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockDir takes the index for this process, until the file is closed or the
// process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open index lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock index %q: %w", dir, err)
		}
		busy := &BusyError{Dir: dir}
		var since int64
		if n, err := fmt.Fscanf(f, "%d %d\n", &busy.PID, &since); err == nil && n == 2 {
			busy.Since = time.Unix(since, 0)
		}
		return nil, busy
	}
	// Who holds it is a courtesy: a full disk does not stop the lock.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d %d\n", os.Getpid(), time.Now().Unix()), 0)
	}
	return f, nil
}
