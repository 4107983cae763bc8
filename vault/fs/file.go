package fs

import (
	"fmt"
	"os"
	"syscall"
)

// WriteAt writes p at off; it refuses to write beyond the size of the file.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > f.size || int64(len(p)) > f.size-off {
		return 0, f.t.error("write", f.path, fmt.Errorf("%d bytes at %d of %d: %w", len(p), off, f.size, syscall.EFBIG))
	}
	if err := f.mark(); err != nil {
		return 0, err
	}
	return f.f.WriteAt(p, off)
}

// ReadAt reads what was written so far, or what was there before.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Handle is the open file, for looking at its holes. It belongs to the File.
func (f *File) Handle() *os.File { return f.f }
