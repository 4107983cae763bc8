package restore

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
)

// Run restores entries of a snapshot. The error says why it ended early;
// what was restored until then is kept, and the same restore resumes from there.
// The result is valid beside an error, unless it is nil: then nothing was begun.
// A target that cannot take it all is a SpaceError.
func Run(ctx context.Context, s *actors.System, spec *Spec) (*Result, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	if !spec.DryRun && !spec.NoSpaceCheck {
		if err := checkSpace(ctx, s, spec); err != nil {
			return nil, err
		}
	}
	return restoreTree(ctx, s, spec)
}

func restoreTree(ctx context.Context, s *actors.System, spec *Spec) (*Result, error) {
	began := time.Now()
	run := newRestoreRun(spec)
	defer run.cancel(nil)
	if err := run.Open(ctx); err != nil {
		return nil, err
	}
	job := newRestoreJob(run)
	answer, abandoned, err := s.Run(ctx, &job.Job, job)
	if err != nil {
		return nil, err // an actor still runs, and uses what Close would free
	}
	failed := answer.(*restoreDone).err
	if abandoned != "" { // likewise; what became of the last entries is not known
		if failed == nil {
			failed = fmt.Errorf("%q does not respond: what was restored may not be on the disk; "+
				"the same command compares what is there", abandoned)
		}
		return &Result{Abandoned: abandoned}, failed
	}
	if err := run.settle(failed == nil); failed == nil {
		failed = err
	}
	run.Close()
	if n := run.odd.Load(); n > 1 {
		spec.warn(fmt.Sprintf(
			"%d blobs in total arrived damaged, but were intact when read again", n))
	}
	r := run.result
	r.BytesRead = run.read.Load() + run.pages.Fetched()
	r.Restarts, r.Duration = spec.Progress.Restarts.Load(), time.Since(began)
	return &r, failed
}

type restoreDone struct{ err error }

// restoreJob is the root of one restore. It ends with the first error, or when
// the planner has nothing left to do.
type restoreJob struct {
	actors.Job
	run *restoreRun
}

func newRestoreJob(run *restoreRun) *restoreJob {
	j := &restoreJob{run: run}
	j.Name, j.Cancel, j.Watch = "restore", run.cancel, &run.watch
	j.Warn, j.Progress = run.spec.warn, run.spec.Progress
	j.HangAfter, j.HangTime = run.spec.HangAfter, run.faults.HangTime
	j.Answer = func(err error) any { return &restoreDone{err} }
	return j
}

func (j *restoreJob) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actors.Start:
		j.start(c)
	case *restoreComplete:
		j.End(c, nil)
	default:
		j.Handle(c)
	}
}

func (j *restoreJob) start(c actor.Context) {
	if !j.Begin(c) {
		return
	}
	run := j.run
	run.spec.Progress.SetPhase("restore")
	if run.dry {
		run.spec.Progress.SetPhase("plan")
	}
	root := c.ActorSystem().Root
	var planner *actor.PID
	writers := actors.SpawnPool(&j.Job, c, actors.Pool[writing, writingDone]{
		Name: "writer", Workers: run.limits.writers, Split: splitWriting,
		NewWork: func() actors.Work[writing, writingDone] { return newRestoreWriter(run) },
	})
	downloaders := actors.SpawnPool(&j.Job, c, actors.Pool[fetchBlob, blobFetched]{
		Name: "downloader", Workers: run.limits.parallel, Split: splitFetch,
		NewWork: func() actors.Work[fetchBlob, blobFetched] {
			return newDownloader(run, func(m any) { root.Send(planner, m) })
		},
	})
	planner = j.Spawn(c, "planner",
		func() actor.Actor { return newRestorePlanner(run, downloaders, writers) })
	walker := j.Spawn(c, "walker", func() actor.Actor { return newWalker(run, planner) })
	c.Send(walker, &actors.Start{})
}
