package jobtest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors/restore"
)

// Interrupted restores until the writers have done so much, and ends it there.
func (h *Host) Interrupted(s *restore.Spec, at int64) *restore.Result {
	h.T.Helper()
	ctx, cancel := context.WithCancelCause(h.T.Context())
	defer cancel(nil)
	why := errors.New("enough")
	var n atomic.Int64
	// From there on writers wait until the job has ended them, or what is left of it
	// might be done before.
	var once sync.Once
	ending := make(chan struct{})
	defer InjectReceive(h.T, func(_ string, m any) {
		if _, ok := m.(*actor.Stopping); ok && n.Load() >= at {
			once.Do(func() { close(ending) })
		}
	})()
	s.Faults.OnWrite = func() {
		if n.Add(1) >= at {
			cancel(why)
			<-ending
		}
	}
	r, err := restore.Run(ctx, h.System, s)
	if !errors.Is(err, why) || r == nil {
		h.T.Fatalf("interrupted at %d: %v", at, err)
	}
	return r
}
