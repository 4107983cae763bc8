package jobtest

import (
	"context"
	"errors"
	"sync/atomic"

	"vaultik/actors/restore"
)

// Interrupted restores until the writers have done so much, and ends it there.
func (h *Host) Interrupted(s *restore.Spec, at int64) *restore.Result {
	h.T.Helper()
	ctx, cancel := context.WithCancelCause(h.T.Context())
	defer cancel(nil)
	why := errors.New("enough")
	var n atomic.Int64
	s.Faults.OnWrite = func() {
		if n.Add(1) == at {
			cancel(why)
		}
	}
	r, err := restore.Run(ctx, h.System, s)
	if !errors.Is(err, why) || r == nil {
		h.T.Fatalf("interrupted at %d: %v", at, err)
	}
	return r
}
