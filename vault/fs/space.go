package fs

import (
	"errors"
	iofs "io/fs"
	"path/filepath"
)

// Space is how much a file system can take.
type Space struct {
	Free   int64 // bytes that this user may still write; below 0: not known
	Inodes int64 // files that can still be made; below 0: not known, or without bound
	Dev    uint64

	// ReadOnly says that nothing there can be changed, through this mount of it.
	ReadOnly bool

	// Unsure says that this file system may store more than Free: it compresses,
	// or is another machine's.
	Unsure bool
}

// SpaceAt describes the file system on which the absolute path is, or would be created.
func SpaceAt(path string) (Space, error) {
	for {
		st, err := Lstat(path)
		if errors.Is(err, iofs.ErrNotExist) && filepath.Dir(path) != path {
			path = filepath.Dir(path)
			continue
		}
		if err != nil {
			return Space{}, err
		}
		s, err := spaceOf(path)
		s.Dev = st.Dev
		return s, pathError("statfs", path, err)
	}
}
