package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/messages"
)

// Restore brings entries of a snapshot back. The error says why it ended early;
// what was restored until then stays, and the same restore goes on from there.
// The result is valid beside an error, unless it is nil: then nothing was begun.
// A target that cannot take it all is a SpaceError.
func (s *System) Restore(ctx context.Context, spec *RestoreSpec) (*RestoreResult, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	if !spec.DryRun && !spec.NoSpaceCheck {
		if err := s.checkSpace(ctx, spec); err != nil {
			return nil, err
		}
	}
	return s.restore(ctx, spec)
}

func (s *System) restore(ctx context.Context, spec *RestoreSpec) (*RestoreResult, error) {
	began := time.Now()
	run := newRestoreRun(spec)
	defer run.cancel(nil)
	if err := run.open(ctx); err != nil {
		return nil, err
	}
	answer, err := s.run(ctx, "restore", func() actor.Actor { return newRestoreJob(run) },
		func(reason error) any { return &messages.Cancel{Reason: reason} })
	if err != nil {
		return nil, err // an actor is still there, and uses what close would take away
	}
	failed := answer.(*restoreDone).err
	if err := run.settle(failed == nil); failed == nil {
		failed = err
	}
	run.close()
	if n := run.odd.Load(); n > 1 {
		spec.warn(fmt.Sprintf("%d blobs in all arrived damaged, and were whole when they were read again", n))
	}
	r := run.result
	r.BytesRead = run.read.Load() + run.pages.bytes.Load()
	r.Restarts, r.Duration = spec.Progress.Restarts.Load(), time.Since(began)
	return &r, failed
}

type restoreDone struct{ err error }

// restoreJob is the root of one restore. It ends with the first error, or when
// the planner has nothing left to do.
type restoreJob struct {
	job
	run *restoreRun
}

func newRestoreJob(run *restoreRun) actor.Actor {
	j := &restoreJob{run: run}
	j.onEnd = func() { run.cancel(errInterrupted) }
	j.answer = func(err error) any { return &restoreDone{err} }
	return j
}

func (j *restoreJob) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *start:
		j.start(c)
	case *restoreComplete:
		j.end(c, nil)
	case *messages.StageFailed:
		j.end(c, m.Err)
	case *messages.Cancel:
		j.end(c, m.Reason)
	case *actor.Stopping:
		j.run.cancel(errInterrupted)
	case *actor.Terminated:
		j.terminated(c)
	}
}

func (j *restoreJob) start(c actor.Context) {
	if !j.begin(c) {
		return
	}
	run := j.run
	run.spec.Progress.SetPhase("restore")
	if run.dry {
		run.spec.Progress.SetPhase("plan")
	}
	restarted := func() { run.spec.Progress.Restarts.Add(1) }
	root := c.ActorSystem().Root
	var planner *actor.PID
	writers := j.spawn(c, "writers", func() actor.Actor {
		return &pool[messages.Writing, messages.WritingDone]{name: "writer", workers: run.limits.writers, onRestart: restarted,
			newWork: func() work[messages.Writing, messages.WritingDone] { return newRestoreWriter(run) }, split: splitWriting}
	})
	downloaders := j.spawn(c, "downloaders", func() actor.Actor {
		return &pool[messages.FetchBlob, messages.BlobFetched]{name: "downloader", workers: run.limits.parallel, onRestart: restarted,
			newWork: func() work[messages.FetchBlob, messages.BlobFetched] {
				return newDownloader(run, func(m any) { root.Send(planner, m) })
			}, split: splitFetch}
	})
	planner = j.spawn(c, "planner", func() actor.Actor { return newRestorePlanner(run, downloaders, writers) })
	walker := j.spawn(c, "walker", func() actor.Actor { return newWalker(run, planner) })
	c.Send(walker, &startWalk{})
}
