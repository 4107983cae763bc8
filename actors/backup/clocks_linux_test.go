package backup_test

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/actors/jobtest"
	"vaultik/internal/testfuse"
)

// A file of a file system that counts in whole seconds, and whose clock is not this
// machine's, changes again in the second of its first change, after it was read.
func TestBackup_ChangeInTheSameSecond(t *testing.T) {
	for _, skew := range []time.Duration{-20 * time.Second, 20 * time.Second, -3 * time.Hour} {
		h := jobtest.New(t)
		dir := filepath.Join(t.TempDir(), "m")
		var content atomic.Pointer[string]
		one, two := "first content", "other content"
		content.Store(&one)
		now := time.Now()
		testfuse.New(t, dir, map[string]testfuse.File{"f": {
			Size: int64(len(one)), Changed: uint64(now.Add(skew).Unix()), //nolint:gosec // after 1970
			Read: func(off int64, n int) ([]byte, error) {
				b := []byte(*content.Load())
				off = min(off, int64(len(b)))
				return b[off:min(off+int64(n), int64(len(b)))], nil
			},
		}})
		h.Backup(dir)
		before := h.ReadBack()[dir[1:]+"/f"].Sum
		content.Store(&two)
		h.Now = func() time.Time { return now.Add(time.Minute) }
		h.Backup(dir)
		if got := h.ReadBack()[dir[1:]+"/f"].Sum; before == "" || got == before {
			t.Errorf("clock off by %v: the second change is not saved", skew)
		}
		h.VerifyClean()
	}
}
