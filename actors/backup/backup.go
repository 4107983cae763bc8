package backup

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/internal/clock"
	"vaultik/messages"
	"vaultik/vault/snapshot"
)

// maxRounds is how often a backup walks again because blobs went missing from
// the store while it ran.
const maxRounds = 3

// Run runs one backup of one set. When ctx ends the job ends at once; when
// soft ends it stops reading, stores what it has read and returns ErrInterrupted.
func Run(ctx, soft context.Context, s *actors.System, spec *Spec) (*Result, error) {
	began := time.Now()
	if len(spec.Tags) > snapshot.MaxTags {
		return nil, fmt.Errorf("backup: too many tags, %d: a snapshot has at most %d",
			len(spec.Tags), snapshot.MaxTags)
	}
	run := newBackupRun(spec)
	defer run.cancel(nil)
	defer keepCollector()()
	job := newBackupJob(soft, run)
	answer, abandoned, err := s.Run(ctx, &job.Job, job)
	run.cancel(actors.ErrInterrupted)
	if err != nil {
		return nil, err
	}
	done := answer.(*backupDone)
	r := done.result
	if r.Abandoned = abandoned; abandoned == "" { // else a call may still write there
		run.Mem.Close()
	}
	r.Kernel, r.NoAttrs = run.kernelMounts(), run.noAttrs()
	p := spec.Progress
	sums := run.tally.close()
	r.Counts, r.BlobsStored = sums.counts, run.blobsStored.Load()
	r.Errors, r.Denied = sums.failed, sums.denied
	r.BytesRead, r.BytesStored = p.BytesRead.Load(), p.Stored.Load()
	r.ObjectsStored, r.Restarts = p.Objects.Load(), p.Restarts.Load()
	if done.err == nil {
		r.Compacted = run.compaction.result()
	}
	r.Duration = time.Since(began)
	return &r, done.err
}

// keepCollector returns a function that restores the present settings of the collector.
func keepCollector() func() {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(-1)
	debug.SetGCPercent(percent)
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

type backupDone struct {
	result Result
	err    error
}

// backupJob is the root of one backup. It owns the order of the phases:
// prepare, walk, flush, tree, commit; and ends with the first error.
type backupJob struct {
	actors.Job
	run  *backupRun
	soft context.Context

	scanner, chunkers, packer, builder *actor.PID

	committer *committer
	round     int
	leaves    uint64 // of earlier rounds
	result    Result
	walked    bool // the walk of this round is over
	flushing  bool // and what it found has been read
	stored    bool // interrupted, and all that was read is stored
	stopSoft  func() bool
	stopTick  func()

	pinned struct { // the newest checkpoint
		at    time.Duration // clock.Boot
		bytes int64         // stored until then
		busy  int
	}
}

func newBackupJob(soft context.Context, run *backupRun) *backupJob {
	j := &backupJob{run: run, soft: soft}
	j.Name, j.Cancel, j.Watch = "backup", run.cancel, &run.watch
	j.Warn, j.Progress = run.spec.warn, run.spec.Progress
	j.HangAfter, j.HangTime = run.spec.HangAfter, run.faults.HangTime
	j.OnStuck = func(c actor.Context) bool {
		if !run.interrupted() || j.flushing {
			return false
		}
		j.readingEnded(c) // what was read before is stored
		return true
	}
	j.OnEnd = func() {
		if j.stopSoft != nil {
			j.stopSoft()
		}
		if j.stopTick != nil {
			j.stopTick()
		}
	}
	j.Answer = func(err error) any { return &backupDone{result: j.result, err: err} }
	return j
}

type (
	// interrupt says that the soft context has ended.
	interrupt struct{}
	// prepareEnded says what prepare has found.
	prepareEnded struct {
		committer *committer
		err       error
	}
	// commitEnded says what commit has written, or why it has not.
	commitEnded struct {
		commit commitResult
		err    error
	}
)

func (j *backupJob) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actors.Start:
		j.start(c)
	case *prepareEnded:
		j.prepared(c, m)
	case *scanDone:
		j.scanned(c, m)
	case *actors.Drained, *entriesComplete:
		j.readingEnded(c)
	case *flushed:
		j.flushed(c)
	case *rowsFlushed:
		j.stored = true
		j.checkpoint(c)
	case *checkpointTick:
		j.tick(c)
	case *checkpointEnded:
		j.checkpointed(c, m)
	case *treeWritten:
		j.commit(c, m)
	case *commitEnded:
		j.committed(c, m)
	case *interrupt:
		j.run.stop(actors.ErrInterrupted)
		j.AskToEnd()
		if j.walked {
			j.drain(c)
		}
	default:
		j.Handle(c)
	}
}

func (j *backupJob) start(c actor.Context) {
	if !j.Begin(c) {
		return
	}
	self, root := c.Self(), c.ActorSystem().Root
	j.stopSoft = context.AfterFunc(j.soft, func() { root.Send(self, &interrupt{}) })
	j.run.spec.Progress.SetPhase("prepare")
	j.Beside(c, func(actors.Aside) any {
		committer, err := prepare(j.run)
		return &prepareEnded{committer, err}
	})
}

func (j *backupJob) prepared(c actor.Context, m *prepareEnded) {
	if j.Ended {
		return
	}
	if m.err != nil {
		j.End(c, m.err)
		return
	}
	if j.run.interrupted() {
		j.End(c, actors.ErrInterrupted)
		return
	}
	j.committer = m.committer
	j.run.divide()
	j.spawn(c)
	j.pinned.at = clock.Boot()
	j.watchClock(c)
	j.walk(c)
}

// spawn starts the stages, and tells each which others it sends to.
func (j *backupJob) spawn(c actor.Context) {
	run := j.run
	uploaders := actors.SpawnPool(&j.Job, c, actors.Pool[storeObject, objectStored]{
		Name: "uploader", Workers: run.spec.Parallel,
		NewWork: func() actors.Work[storeObject, objectStored] { return newUploader(run) },
	})
	sealers := actors.SpawnPool(&j.Job, c, actors.Pool[sealing, sealingDone]{
		Name: "sealer", Workers: run.Limits.sealers,
		NewWork: func() actors.Work[sealing, sealingDone] { return newSealer(run) },
	})
	indexer := j.Spawn(c, "indexer", func() actor.Actor { return &indexer{run} })
	j.builder = j.Spawn(c, "treebuilder", func() actor.Actor {
		return newTreeBuilder(run, sealers, uploaders, indexer)
	})
	j.packer = j.Spawn(c, "packer", func() actor.Actor {
		return newPacker(run, sealers, uploaders, indexer, j.builder)
	})
	c.Send(j.builder, &packerIs{j.packer})
	root, packer, builder := c.ActorSystem().Root, j.packer, j.builder
	j.chunkers = actors.SpawnPool(&j.Job, c, actors.Pool[readEntries, batchRead]{
		Name: "chunker", Workers: run.Limits.chunkers, Split: splitBatch,
		NewWork: func() actors.Work[readEntries, batchRead] {
			return newChunker(run, func(m any) { root.Send(packer, m) }, func(names readEntries) {
				root.RequestWithCustomSender(j.chunkers,
					&messages.Submit[readEntries]{Job: names}, builder)
			})
		},
	})
	j.scanner = j.Spawn(c, "scanner", func() actor.Actor {
		return newScanner(run, j.chunkers, j.builder)
	})
}

// walk begins a round.
func (j *backupJob) walk(c actor.Context) {
	j.round++
	j.walked, j.flushing = false, false
	j.result.Rounds = j.round
	j.run.tally.reset()
	p := j.run.spec.Progress
	p.SetPhase("backup")
	for _, n := range []*atomic.Int64{&p.FilesTotal, &p.BytesTotal, &p.FilesDone, &p.BytesDone} {
		n.Store(0)
	}
	m := &scanRoots{Round: j.round, First: j.leaves}
	c.Send(j.builder, m)
	c.Send(j.scanner, m)
}

func (j *backupJob) scanned(c actor.Context, m *scanDone) {
	j.leaves += uint64(m.Leaves)
	switch {
	case j.Ended:
	case j.run.interrupted():
		j.drain(c)
	case m.Err != nil:
		j.End(c, m.Err)
	default:
		j.walked = true
		c.Send(j.builder, m)
	}
}

// drain waits for the chunkers to finish their batches, after an interruption.
func (j *backupJob) drain(c actor.Context) {
	if !j.Ended && !j.flushing {
		c.Request(j.chunkers, &actors.Drain{})
	}
}

// readingEnded brings everything that was read into the store, once a round.
func (j *backupJob) readingEnded(c actor.Context) {
	if !j.Ended && !j.flushing {
		j.flushing = true
		c.Send(j.packer, &flush{})
	}
}

func (j *backupJob) flushed(c actor.Context) {
	switch {
	case j.Ended:
	case j.run.interrupted():
		c.Send(j.builder, &flushRows{})
	default:
		j.run.spec.Progress.SetPhase("write tree")
		c.Send(j.builder, &finishTree{})
	}
}

func (j *backupJob) commit(c actor.Context, m *treeWritten) {
	if j.Ended {
		return
	}
	j.run.spec.Progress.SetPhase("write snapshot")
	top := m.top
	j.Beside(c, func(actors.Aside) any {
		r, err := j.committer.commit(top)
		return &commitEnded{r, err}
	})
}

func (j *backupJob) committed(c actor.Context, m *commitEnded) {
	if r := &m.commit; r.sum != [32]byte{} {
		j.result.Snapshot, j.result.Seq, j.result.Complete = r.sum, r.seq, r.complete
	}
	switch {
	case j.Ended:
	case m.err != nil:
		j.End(c, m.err)
	case m.commit.missing > 0 && j.round >= maxRounds:
		j.End(c, fmt.Errorf("%d blobs went missing from the store while the backup ran, in each "+
			"of %d rounds: something else deletes them", m.commit.missing, maxRounds))
	case m.commit.missing > 0:
		j.run.spec.warn(fmt.Sprintf(
			"%d blobs are missing from the store; their files are stored again", m.commit.missing))
		j.walk(c)
	default:
		j.End(c, nil)
	}
}
