package mirror

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/actors/verify"
	"vaultik/messages"
)

// Run brings what the snapshots need into another place, then their manifests.
// What the source does not give is in the report; the error says why the copy
// ended early. Wherever it ends, the target is a store that has the snapshots whose
// manifests it has, and the next copy goes on.
func Run(ctx context.Context, s *actors.System, spec *Spec) (*Report, error) {
	began := time.Now()
	run := newCopyRun(spec)
	defer run.survey.Cancel(nil)
	answer, err := s.Run(ctx, "copy", func() actor.Actor { return newCopyJob(run) },
		func(reason error) any { return &messages.Cancel{Reason: reason} })
	if err != nil {
		return nil, err
	}
	run.survey.Mem.Close()
	r := run.report
	r.Duration = time.Since(began)
	return &r, answer.(*copyEnded).err
}

type copyEnded struct{ err error }

// copyRun is what the actors of one copy share. The survey of the source is the
// same as that of a verify, with its buffers and credit.
type copyRun struct {
	spec   *Spec
	survey *verify.VerifyRun
	report Report // of the job until it has ended
}

func newCopyRun(spec *Spec) *copyRun {
	if spec.Progress == nil {
		spec.Progress = &messages.Progress{}
	}
	return &copyRun{spec: spec, survey: verify.NewVerifyRun(&verify.Spec{
		Store: spec.From, Opened: spec.Opened, Snapshots: spec.Snapshots, Parallel: spec.Parallel, Memory: spec.Memory,
		Progress: &messages.Progress{}, Faults: spec.Faults,
	})}
}

// copyJob is the root of one copy: it keeps the accounts.
type copyJob struct {
	actors.Job
	run      *copyRun
	problems verify.Problems
}

func newCopyJob(run *copyRun) actor.Actor {
	j := &copyJob{run: run}
	j.OnEnd = func() {
		run.report.Problems, run.report.Found = j.problems.Sorted(), j.problems.Found
		run.survey.Cancel(actors.ErrInterrupted)
	}
	j.Answer = func(err error) any { return &copyEnded{err} }
	return j
}

type (
	// copySurveyed says what the planner has found, before anything is copied.
	copySurveyed struct {
		objects, bytes, there int64
		snapshots             int // that the target has already
		spare, spareSize      int64
		saved                 map[string]bool
	}
	// copyHeadDone says that the planner has put a head.
	copyHeadDone struct{ bytes int64 }
	// copyPlanned says that the planner has submitted everything, and all of it has ended.
	copyPlanned struct{ err error }
)

func (j *copyJob) Receive(c actor.Context) {
	r := &j.run.report
	switch m := c.Message().(type) {
	case *actors.Start:
		j.start(c)
	case *verify.ProblemFound:
		j.problem(m.Problem)
	case *copySurveyed:
		r.Objects, r.Bytes, r.There, r.Snapshots = m.objects, m.bytes, m.there, m.snapshots
		r.Spare, r.SpareSize, r.Saved = m.spare, m.spareSize, m.saved
	case *copyHeadDone:
		r.Sent++
		r.SentBytes += m.bytes
	case *messages.Finished[copying, copyDone]:
		j.copied(c, m)
	case *copyPlanned:
		j.End(c, m.err)
	case *messages.Cancel:
		j.End(c, m.Reason)
	case *actor.Stopping:
		j.run.survey.Cancel(actors.ErrInterrupted)
	case *actor.Terminated:
		j.Terminated(c)
	}
}

func (j *copyJob) start(c actor.Context) {
	if !j.Begin(c) {
		return
	}
	run := j.run
	run.spec.Progress.SetPhase("list")
	copiers := j.Spawn(c, "copiers", func() actor.Actor {
		return &actors.Pool[copying, copyDone]{Name: "copier", Workers: run.survey.Parallel,
			OnRestart: func() { run.spec.Progress.Restarts.Add(1) },
			NewWork:   func() actors.Work[copying, copyDone] { return (&copier{run: run}).copy }}
	})
	c.Send(j.Spawn(c, "planner", func() actor.Actor {
		return &copyPlanner{run: run, copiers: copiers, Inspector: verify.Inspector{Run: run.survey}}
	}), &actors.Start{})
}

func (j *copyJob) problem(p verify.Problem) {
	if j.problems.Add(p) {
		j.run.spec.Progress.Errors.Add(1)
		if j.run.spec.OnProblem != nil {
			j.run.spec.OnProblem(p)
		}
	}
}

// copied takes the result of one transfer.
func (j *copyJob) copied(c actor.Context, m *messages.Finished[copying, copyDone]) {
	if j.Ended {
		return
	}
	defer j.run.survey.Jobs.Release()
	r, res, prog := &j.run.report, &m.Result, j.run.spec.Progress
	err := res.Err
	if m.Err != nil { // every worker that had it has panicked
		j.End(c, m.Err)
		return
	}
	r.Read += res.Read
	prog.BytesRead.Add(res.Read)
	prog.FilesDone.Add(1)
	prog.BytesDone.Add(m.Job.Size)
	switch {
	case err != nil && res.Fatal:
		j.End(c, err)
		return
	case err != nil:
		p := verify.Problem{Kind: verify.KindOf(err), Key: m.Job.Key, Reason: err.Error()}
		if m.Job.Manifest {
			p.Snapshots = []string{j.run.spec.Snapshots[m.Job.Index].ID()}
		} else {
			p.Snapshots = j.run.survey.Ids(m.Job.Index)
		}
		j.problem(p)
		return
	case m.Job.Manifest:
		r.Snapshots++
		if !res.Same {
			r.New++
		}
	}
	if !res.Same {
		r.Sent++
		r.SentBytes += res.Sent
		prog.Stored.Add(res.Sent)
		prog.Objects.Add(1)
	} else if !m.Job.Manifest {
		r.There++
	}
	if res.Replaced {
		r.Replaced++
		if j.run.spec.OnReplace != nil {
			j.run.spec.OnReplace(m.Job.Key)
		}
	}
}
