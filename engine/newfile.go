package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"vaultik/internal/platform"
)

// WriteNew makes a file of mode 0600 that must not exist yet, and has it on the
// disk when it returns. On an error nothing is left.
func WriteNew(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &fileExists{path}
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return platform.SyncPath(filepath.Dir(path))
}
