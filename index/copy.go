package index

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Copy copies the index in dir into the empty directory to, where Open takes it.
// Nothing in dir is changed, so that it can be inspected and tried out without a trace.
// Errors: fs.ErrNotExist if there is none, ErrBusy, ErrForeign, ErrNewerFormat,
// ErrDamaged, ErrNoSpace (in to), or one of the system.
func Copy(dir, to string) error {
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return fmt.Errorf("open index lock: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := shareLock(f, dir); err != nil {
		return err
	}
	_, fresh, err := inspect(dir)
	if err != nil {
		return err
	}
	if fresh {
		return fmt.Errorf("copy index %q: %w", dir, os.ErrNotExist)
	}
	if err := os.Mkdir(filepath.Join(to, dbName), 0o700); err != nil {
		return fmt.Errorf("copy index: %w", typed(err))
	}
	names, err := os.ReadDir(filepath.Join(dir, dbName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("copy index: %w", err)
	}
	for _, e := range names {
		if filepath.Ext(e.Name()) == valueLogExt || e.Name() == discardName {
			continue // they carry nothing
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%w: %q does not belong there", ErrDamaged, e.Name())
		}
		if err := copyFile(filepath.Join(dir, dbName, e.Name()), filepath.Join(to, dbName, e.Name())); err != nil {
			return err
		}
	}
	return copyFile(filepath.Join(dir, formatName), filepath.Join(to, formatName))
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy index: %w", err)
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("copy index: %w", typed(err))
	}
	_, err = io.Copy(dst, src)
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("copy index: %w", typed(err))
	}
	return nil
}
