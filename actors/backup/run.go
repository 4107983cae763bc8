package backup

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"vaultik/actors"
	"vaultik/internal/arena"
	"vaultik/vault/blob"
	vfs "vaultik/vault/fs"
	"vaultik/vault/keys"
)

// backupRun is what the actors of one backup share: what was asked for, which
// never changes, and the bounds of the job.
type backupRun struct {
	spec    *Spec
	began   time.Time
	Limits  limits          // of this and Bufs: divide
	ctx     context.Context // ends with the job
	cancel  context.CancelCauseFunc
	reading context.Context // ends earlier when the job is asked to stop
	stop    context.CancelCauseFunc
	leaves  *actors.Credit
	watch   actors.Watch
	Bufs    *actors.Budget
	faults  *actors.Faults
	Mem     arena.Arena   // of all large buffers
	epoch   keys.EpochKey // set before the first actor needs it
	mounts  vfs.Mounts
	hlKey   [32]byte

	tally       tally
	blobs       *blobTable
	blobsStored atomic.Int64 // by this run

	mu      sync.Mutex
	crossed map[string]string // by absolute path: mounts that were left out, and what of the kernel they are
}

func newBackupRun(spec *Spec) *backupRun {
	r := &backupRun{spec: spec, began: spec.now(), faults: &spec.Faults, mounts: vfs.ReadMounts()}
	r.tally.onItem, r.tally.progress = spec.OnItem, spec.Progress
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	r.reading, r.stop = context.WithCancelCause(r.ctx)
	r.leaves = actors.NewCredit(maxLeaves)
	r.hlKey = spec.Host.Secret.HardLink()
	r.blobs, r.crossed = newBlobTable(spec.Index), map[string]string{}
	return r
}

func (r *backupRun) now() time.Time { return r.spec.now() }

// freshListing is how old a listing may be when the manifest is acknowledged.
func (r *backupRun) freshListing() time.Duration {
	if r.faults.Fresh != 0 {
		return r.faults.Fresh
	}
	return freshListing
}

// interrupted reports whether the job was asked to stop.
func (r *backupRun) interrupted() bool { return r.reading.Err() != nil && r.ctx.Err() == nil }

// accepted counts an object that the store has acknowledged.
func (r *backupRun) accepted(bytes int64, name *blob.Name) {
	p := r.spec.Progress
	p.Stored.Add(bytes)
	p.Objects.Add(1)
	if name != nil {
		r.blobs.stored(*name)
		r.blobsStored.Add(1)
	}
}

// hardLink is equal for all names of one file, and says nothing else.
func (r *backupRun) hardLink(st *vfs.Stat) string {
	return vfs.HardLink(r.hlKey, r.mounts.Of(st.Dev), st.Ino)
}
