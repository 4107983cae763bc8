//go:build !linux || portable

package fs

import "os"

// OpenOwn is OpenRead: without descriptors of directories their modes are left alone here.
func (t *Target) OpenOwn(path string) (*os.File, Stat, error) { return t.OpenRead(path) }
