package backup

import (
	"context"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"vaultik/actors"
	"vaultik/internal/arena"
	"vaultik/internal/clock"
	"vaultik/messages"
	vfs "vaultik/vault/fs"
	"vaultik/vault/keys"
	"vaultik/vault/page"
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
	// conditional: the store can create an object only if it is absent. Set before the first
	// actor needs it.
	conditional bool
	systems     *vfs.FileSystems
	hlKey       [32]byte
	clocks      vfs.Clocks  // of the file systems of sources
	links       linkedFiles // that were read in this round

	tally       tally
	blobs       *blobTable
	compaction  compaction
	blobsStored atomic.Int64 // by this run

	mu      sync.Mutex
	lacking map[string]*NoAttrs // by what they say
	// crossed are mounts that were excluded, by absolute path; see fs.WalkItem.Kernel.
	crossed map[string]string
}

func newBackupRun(spec *Spec) *backupRun {
	r := &backupRun{
		spec: spec, began: spec.now(), faults: &spec.Faults, systems: vfs.NewFileSystems(),
	}
	r.tally.onItem, r.tally.progress = spec.OnItem, spec.Progress
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	r.reading, r.stop = context.WithCancelCause(r.ctx)
	r.leaves = actors.NewCredit(maxLeaves)
	r.hlKey = spec.Host.Secret.HardLink()
	r.blobs, r.crossed = newBlobTable(spec.Index), map[string]string{}
	r.compaction.run = r
	r.lacking = map[string]*NoAttrs{}
	return r
}

func (r *backupRun) now() time.Time { return r.spec.now() }

// moment is now, for an entry of a device.
func (r *backupRun) moment(dev uint64) vfs.Moment { return r.clocks.Moment(dev, r.now()) }

// divide bounds the job when it is known what is in the store, and holds the collector
// to its part, which it may use; in a process without any limit it need not be held.
func (r *backupRun) divide() {
	_, blobs := r.blobs.count()
	r.Limits = limitsFor(r.spec, blobs)
	r.Bufs = actors.NewBudget(&r.Mem, r.Limits.bufs, r.spec.Chunks.Max)
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		debug.SetMemoryLimit(r.Limits.heap)
		debug.SetGCPercent(heapGrowth)
	}
}

// boot is clock.Boot, or what a test has in its place.
func (r *backupRun) boot() time.Duration {
	if r.faults.Boot != nil {
		return r.faults.Boot()
	}
	return clock.Boot()
}

// interrupted reports whether the job was asked to stop.
func (r *backupRun) interrupted() bool { return r.reading.Err() != nil && r.ctx.Err() == nil }

// accepted counts an object that the store has acknowledged.
func (r *backupRun) accepted(bytes int64) {
	p := r.spec.Progress
	p.Stored.Add(bytes)
	p.Objects.Add(1)
}

// acceptedBlob counts a blob that the store has acknowledged, and its parity.
func (r *backupRun) acceptedBlob(m *messages.Finished[storeObject, objectStored]) {
	r.accepted(int64(len(m.Job.Bytes)))
	if m.Result.Parity > 0 {
		r.accepted(int64(m.Result.Parity))
	}
	r.blobs.uploaded(m.Job.Sum)
	r.blobsStored.Add(1)
}

// hardLink is equal for all names of the file at path, and says nothing else; "" if it has
// one name only.
func (r *backupRun) hardLink(st *vfs.Stat, path string) string {
	if st.Nlink < 2 || st.Type == page.Dir {
		return ""
	}
	return vfs.HardLink(r.hlKey, r.systems.Of(st, absolute(path)), st)
}

// absolute is the path that an entry has in the file system.
func absolute(path string) string {
	if path == "." {
		return "/"
	}
	return "/" + path
}
