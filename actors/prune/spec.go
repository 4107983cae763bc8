package prune

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/internal/clock"
	"vaultik/messages"
	"vaultik/vault/gc"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// Spec is one prune of one host's part of a store.
type Spec struct {
	Store  backends.Backend
	Opened *snapshot.Store // of Store
	Host   layout.HostID
	Signer *keys.Signer // of a key that may prune

	Seen    []snapshot.Head // of all hosts: what must be there, or have been removed
	Options gc.Options      // Boot and Done are the job's
	// Release, if set, says which names are taken off what is condemned, as [gc.Release] does:
	// that is all then.
	Release func(layout.Object) bool

	Parallel int // deletions at once; 0: 4

	// Each of these may be nil.
	Progress *messages.Progress
	Warn     func(text string) // from any goroutine; of calls that do not return

	Faults actors.Faults
}

// weak reports whether the store cannot create an object only if it is absent.
func (s *Spec) weak() bool { return s.Opened.Doc.Safety != "" }

// Report is what became of a prune, also of one that ended early.
type Report struct {
	*gc.Result
	Manifests []*snapshot.Loaded // that were read last, without what they need
}

// pruneRun is what the parts of one prune share.
type pruneRun struct {
	spec    *Spec
	ctx     context.Context // ends with the job
	cancel  context.CancelCauseFunc
	credit  *actors.Credit // deletions submitted, and not finished
	reading *snapshot.HostReading
	report  atomic.Pointer[Report] // once the protocol has ended

	mu     sync.Mutex
	failed error    // the first of the deletions that failed
	kept   []string // what the store did not let go
}

func newPruneRun(spec *Spec) *pruneRun {
	if spec.Parallel <= 0 {
		spec.Parallel = actors.DefaultParallel
	}
	if spec.Progress == nil {
		spec.Progress = &messages.Progress{}
	}
	if spec.Options.Boot = spec.Faults.Boot; spec.Options.Boot == nil {
		spec.Options.Boot = clock.Boot
	}
	r := &pruneRun{spec: spec, credit: actors.NewCredit(spec.Parallel)}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	r.reading = spec.Opened.ReadHost(spec.Host)
	r.reading.Seen = spec.Seen
	return r
}

// fail notes that a deletion failed, or that the store keeps some of it.
func (r *pruneRun) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	failed := backends.FailedOf(err)
	if len(failed) == 0 || slices.ContainsFunc(failed, func(f *backends.OpError) bool {
		return !errors.Is(f, backends.ErrLocked)
	}) {
		r.failed = cmp.Or(r.failed, err)
		return
	}
	for _, f := range failed {
		r.kept = append(r.kept, f.Key)
	}
}

// failure returns the first error since it was asked for last, as [gc.Store] has it.
func (r *pruneRun) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err, kept := r.failed, r.kept
	r.failed, r.kept = nil, nil
	if err == nil && len(kept) > 0 {
		return &gc.KeptError{Keys: kept}
	}
	return err
}
