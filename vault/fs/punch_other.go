//go:build !linux

package fs

import (
	"errors"
	"os"
)

// punchHole reports that holes can only be made by not writing; zeros are written
// instead.
func punchHole(*os.File, int64, int64) error { return errors.ErrUnsupported }
