package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/internal/clock"
	"vaultik/messages"
	"vaultik/vault/snapshot"
)

// maxRounds is how often a backup walks again because blobs went missing from
// the store while it ran.
const maxRounds = 3

// Backup runs one backup of one set. When ctx ends the job ends at once; when
// soft ends it stops reading, stores what it has read and returns ErrInterrupted.
func (s *System) Backup(ctx, soft context.Context, spec *BackupSpec) (*BackupResult, error) {
	began := time.Now()
	if len(spec.Tags) > snapshot.MaxTags {
		return nil, fmt.Errorf("backup: %d tags are too many: a snapshot has at most %d", len(spec.Tags), snapshot.MaxTags)
	}
	run := newBackupRun(spec)
	defer run.cancel(nil)
	job := newBackupJob(soft, run)
	answer, err := s.run(ctx, "backup", func() actor.Actor { return job },
		func(reason error) any { return &messages.Cancel{Reason: reason} })
	run.cancel(errInterrupted)
	job.aside.Wait()
	if err != nil {
		return nil, err
	}
	done := answer.(*backupDone)
	r := done.result
	if r.Abandoned == "" { // else somebody may still write there
		run.mem.Close()
	}
	r.Kernel = run.kernelMounts()
	p := spec.Progress
	r.Counts, r.Errors, r.BlobsStored = run.counts, run.failed, int64(len(run.stored))
	r.BytesRead, r.BytesStored, r.ObjectsStored = p.BytesRead.Load(), p.Stored.Load(), p.Objects.Load()
	r.Restarts, r.Duration = p.Restarts.Load(), time.Since(began)
	return &r, done.err
}

type backupDone struct {
	result BackupResult
	err    error
}

// leftBehind reports whether an actor of the job may never end.
func (d *backupDone) leftBehind() bool { return d.result.Abandoned != "" }

// backupJob is the root of one backup. It owns the order of the phases:
// prepare, walk, flush, tree, commit; and ends with the first error.
type backupJob struct {
	job
	run  *backupRun
	soft context.Context

	scanner, chunkers, packer, committer *actor.PID

	state    *storeState
	round    int
	leaves   uint64 // of the rounds before
	result   BackupResult
	walked   bool // the walk of this round is over
	flushing bool // and what it found has been read
	stored   bool // interrupted, and all that was read is stored
	stopSoft func() bool
	stopTick func()

	stopHangs func()
	hung      time.Time // since when the call hangs that was named last
	leave     string    // the path of a call that is left alone
	asked     time.Time // when the job was to end, first gently, then at once

	pinned struct { // the newest checkpoint
		at    time.Duration // clock.Boot
		bytes int64         // stored until then
		busy  int
	}
}

func newBackupJob(soft context.Context, run *backupRun) *backupJob {
	j := &backupJob{run: run, soft: soft}
	j.onEnd = func() {
		if j.stopSoft != nil {
			j.stopSoft()
		}
		if j.stopTick != nil {
			j.stopTick()
		}
		run.cancel(errInterrupted)
		j.asked = time.Now()
	}
	j.answer = func(err error) any { return &backupDone{result: j.result, err: err} }
	return j
}

type (
	interrupt    struct{}
	prepareEnded struct {
		state *storeState
		err   error
	}
	commitEnded struct {
		commit commitResult
		err    error
	}
	flushRows   struct{}
	rowsFlushed struct{}
)

func internalError(child *actor.PID, reason any) error {
	return fmt.Errorf("internal error in %s: %w", child.Id, asError(reason))
}

func (j *backupJob) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *start:
		j.start(c)
	case *prepareEnded:
		j.prepared(c, m)
	case *messages.ScanDone:
		j.scanned(c, m)
	case *drained, *entriesComplete:
		j.readingEnded(c)
	case *messages.Flushed:
		j.flushed(c)
	case *rowsFlushed:
		j.stored = true
		j.checkpoint(c)
	case *checkpointTick:
		j.tick(c)
	case *hangTick:
		j.lookForHangs(c)
	case *checkpointEnded:
		j.checkpointed(c, m)
	case *treeWritten:
		j.commit(c, m)
	case *commitEnded:
		j.committed(c, m)
	case *messages.StageFailed:
		j.end(c, m.Err)
	case *messages.Cancel:
		j.end(c, m.Reason)
	case *interrupt:
		j.run.stop(errInterrupted)
		j.asked = time.Now()
		if j.walked {
			j.drain(c)
		}
	case *goroutinePanicked:
		panic(m.err)
	case *actor.Stopping:
		j.run.cancel(errInterrupted)
	case *actor.Terminated:
		j.terminated(c)
	}
}

func (j *backupJob) start(c actor.Context) {
	if !j.begin(c) {
		return
	}
	self, root := c.Self(), c.ActorSystem().Root
	j.stopSoft = context.AfterFunc(j.soft, func() { root.Send(self, &interrupt{}) })
	j.run.spec.Progress.SetPhase("prepare")
	j.beside(c, func() any {
		st, err := prepare(j.run)
		return &prepareEnded{st, err}
	})
}

func (j *backupJob) prepared(c actor.Context, m *prepareEnded) {
	if j.ended {
		return
	}
	if m.err != nil {
		j.end(c, m.err)
		return
	}
	if j.run.interrupted() {
		j.end(c, errInterrupted)
		return
	}
	j.state = m.state
	run := j.run
	restarted := func() { run.spec.Progress.Restarts.Add(1) }
	uploaders := j.spawn(c, "uploaders", func() actor.Actor {
		return &pool[messages.PutObject, messages.Stored]{name: "uploader", workers: run.spec.Parallel, onRestart: restarted,
			newWork: func() work[messages.PutObject, messages.Stored] { return newUploader(run) }}
	})
	sealers := j.spawn(c, "sealers", func() actor.Actor {
		return &pool[messages.Sealing, messages.SealingDone]{name: "sealer", workers: run.limits.sealers, onRestart: restarted,
			newWork: func() work[messages.Sealing, messages.SealingDone] { return newSealer(run) }}
	})
	store := j.spawn(c, "store", func() actor.Actor { return &storeActor{run} })
	j.committer = j.spawn(c, "committer", func() actor.Actor { return newCommitter(run, sealers, uploaders, store) })
	j.packer = j.spawn(c, "packer", func() actor.Actor { return newPacker(run, sealers, uploaders, store, j.committer) })
	c.Send(j.committer, &packerIs{j.packer})
	root, packer := c.ActorSystem().Root, j.packer
	j.chunkers = j.spawn(c, "chunkers", func() actor.Actor {
		return &pool[messages.ReadEntries, batchRead]{name: "chunker", workers: run.limits.chunkers, onRestart: restarted,
			newWork: func() work[messages.ReadEntries, batchRead] {
				return newChunker(run, func(m any) { root.Send(packer, m) })
			}, split: splitBatch}
	})
	j.scanner = j.spawn(c, "scanner", func() actor.Actor { return newScanner(run, j.chunkers, j.committer) })
	j.pinned.at = clock.Boot()
	j.watchClock(c)
	j.watchHangs(c)
	j.walk(c)
}

// walk begins a round.
func (j *backupJob) walk(c actor.Context) {
	j.round++
	j.walked, j.flushing = false, false
	j.result.Rounds = j.round
	j.run.counts, j.run.problems, j.run.failed = messages.Counts{}, nil, 0
	p := j.run.spec.Progress
	p.SetPhase("backup")
	for _, n := range []interface{ Store(int64) }{&p.FilesTotal, &p.BytesTotal, &p.FilesDone, &p.BytesDone} {
		n.Store(0)
	}
	m := &messages.ScanRoots{Round: j.round, First: j.leaves}
	c.Send(j.committer, m)
	c.Send(j.scanner, m)
}

func (j *backupJob) scanned(c actor.Context, m *messages.ScanDone) {
	j.leaves += uint64(m.Leaves)
	switch {
	case j.ended:
	case j.run.interrupted():
		j.drain(c)
	case m.Err != nil:
		j.end(c, m.Err)
	default:
		j.walked = true
		c.Send(j.committer, m)
	}
}

// drain waits for the chunkers to give up what they hold, after an interruption.
func (j *backupJob) drain(c actor.Context) {
	if !j.ended && !j.flushing {
		c.Request(j.chunkers, &drain{})
	}
}

// readingEnded brings everything that was read into the store, once a round.
func (j *backupJob) readingEnded(c actor.Context) {
	if !j.ended && !j.flushing {
		j.flushing = true
		c.Send(j.packer, &messages.Flush{})
	}
}

func (j *backupJob) flushed(c actor.Context) {
	switch {
	case j.ended:
	case j.run.interrupted():
		c.Send(j.committer, &flushRows{})
	default:
		j.run.spec.Progress.SetPhase("write tree")
		c.Send(j.committer, &messages.FinishTree{})
	}
}

func (j *backupJob) commit(c actor.Context, m *treeWritten) {
	if j.ended {
		return
	}
	j.run.spec.Progress.SetPhase("commit")
	top, needed := m.top, m.needed
	j.beside(c, func() any {
		r, err := j.state.commit(top, needed)
		return &commitEnded{r, err}
	})
}

func (j *backupJob) committed(c actor.Context, m *commitEnded) {
	if m.commit.sum != [32]byte{} {
		j.result.Snapshot, j.result.Seq, j.result.Complete = m.commit.sum, m.commit.seq, m.commit.complete
	}
	switch {
	case j.ended:
	case m.err != nil:
		j.end(c, m.err)
	case m.commit.missing > 0 && j.round >= maxRounds:
		j.end(c, fmt.Errorf("%d blobs went missing from the store while the backup ran, in each of %d rounds: something else deletes them", m.commit.missing, maxRounds))
	case m.commit.missing > 0:
		j.run.spec.warn(fmt.Sprintf("blobs missing from the store: %d; their files are stored again", m.commit.missing))
		j.walk(c)
	default:
		j.end(c, nil)
	}
}
