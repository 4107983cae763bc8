package platform_test

import (
	"errors"
	"syscall"
	"testing"

	"vaultik/internal/platform"
)

// Again gives in only to what stays so.
func TestAgain(t *testing.T) {
	for _, passing := range []syscall.Errno{syscall.EINTR, syscall.EMFILE, syscall.ENFILE} {
		calls := 0
		err := platform.Again(func() error {
			if calls++; calls < 4 {
				return passing
			}
			return syscall.EIO
		})
		if !errors.Is(err, syscall.EIO) || calls != 4 {
			t.Errorf("%v three times: %v after %d calls, want EIO after 4", passing, err, calls)
		}
	}
	if err := platform.Again(func() error { return syscall.EMFILE }); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("no file for ever: %v, want EMFILE", err)
	}
}
