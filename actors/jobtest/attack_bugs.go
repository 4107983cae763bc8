package jobtest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"vaultik/actors/backup"
)

// BackupWithin fails the test instead of hanging.
func (h *Host) BackupWithin(d time.Duration, paths ...string) *backup.Result {
	h.T.Helper()
	ctx, cancel := context.WithTimeoutCause(h.T.Context(), d, errors.New("the backup hangs"))
	defer cancel()
	r, err := backup.Run(ctx, context.Background(), h.System, h.Spec(paths...))
	Must(h.T, err)
	return r
}

// Vanishing deletes all blobs before the commit of the first rounds.
func (h *Host) Vanishing(rounds int) {
	h.Edit = func(s *backup.Spec) {
		s.Faults.Boot = Late()
		s.Warn = func(string) {}
		s.Faults.OnCommitStart = func() {
			if rounds--; rounds < 0 {
				return
			}
			for _, k := range h.Keys("b/") {
				Must(h.T, h.Store.Delete(context.Background(), k))
			}
		}
	}
}

// Late is a clock by which each look comes three minutes after the one before: no listing
// is new enough to commit, and none is too old for what comes next.
func Late() func() time.Duration {
	var now atomic.Int64
	return func() time.Duration { return time.Duration(now.Add(int64(3 * time.Minute))) }
}
