package jobtest

import (
	"context"
	"errors"
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
		s.Faults.Fresh = time.Nanosecond
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
