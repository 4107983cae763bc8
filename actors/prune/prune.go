package prune

import (
	"context"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/messages"
)

// Run prunes one host's part of a store. The error says why it ended early; wherever that is,
// the store is as good as before, and the next prune goes on. The report is nil only if nothing
// was begun.
func Run(ctx context.Context, s *actors.System, spec *Spec) (*Report, error) {
	run := newPruneRun(spec)
	defer run.cancel(nil)
	job := newPruneJob(run)
	answer, _, err := s.Run(ctx, &job.Job, job)
	if err != nil {
		return nil, err
	}
	return run.report.Load(), answer.(*pruneEnded).err
}

type pruneEnded struct{ err error }

// pruneJob is the root of one prune.
type pruneJob struct {
	actors.Job
	run *pruneRun
}

func newPruneJob(run *pruneRun) *pruneJob {
	j := &pruneJob{run: run}
	j.Name, j.Cancel = "prune", run.cancel
	j.Warn, j.Progress, j.HangTime = run.spec.Warn, run.spec.Progress, run.spec.Faults.HangTime
	j.Answer = func(err error) any { return &pruneEnded{err} }
	return j
}

func (j *pruneJob) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actors.Start:
		j.start(c)
	case *messages.Finished[deleting, deleted]:
		j.deleted(c, m)
	case *pruned:
		j.End(c, m.err)
	default:
		j.Handle(c)
	}
}

func (j *pruneJob) start(c actor.Context) {
	if !j.Begin(c) {
		return
	}
	run := j.run
	deleters := actors.SpawnPool(&j.Job, c, actors.Pool[deleting, deleted]{
		Name: "deleter", Workers: run.spec.Parallel,
		NewWork: func() actors.Work[deleting, deleted] { return (&deleter{run: run}).remove },
	})
	j.Beside(c, func(a actors.Aside) any {
		p := &protocol{run: run, deleters: deleters, aside: a}
		return &pruned{p.prune(run.ctx)}
	})
}

// deleted takes the result of a deletion, for the protocol that waits for all of them.
func (j *pruneJob) deleted(c actor.Context, m *messages.Finished[deleting, deleted]) {
	if m.Err != nil { // every worker that had it has panicked
		j.End(c, m.Err)
		return
	}
	if m.Result.Err != nil {
		j.run.fail(m.Result.Err)
	}
	j.run.credit.Release()
}

// deleter removes objects.
type deleter struct{ run *pruneRun }

func (d *deleter) remove(_ int, job deleting) deleted {
	d.run.spec.Faults.Deleter()
	return deleted{backends.DeleteAll(job.Ctx, d.run.spec.Store, job.Keys)}
}
