package actors

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/messages"
)

// Copy brings what the snapshots need into another place, then their manifests.
// What the source does not give is in the report; the error says why the copy
// ended early. Wherever it ends, the target is a store that has the snapshots whose
// manifests it has, and the next copy goes on.
func (s *System) Copy(ctx context.Context, spec *CopySpec) (*CopyReport, error) {
	began := time.Now()
	run := newCopyRun(spec)
	defer run.survey.cancel(nil)
	answer, err := s.run(ctx, "copy", func() actor.Actor { return newCopyJob(run) },
		func(reason error) any { return &messages.Cancel{Reason: reason} })
	if err != nil {
		return nil, err
	}
	run.survey.mem.Close()
	r := run.report
	r.Duration = time.Since(began)
	return &r, answer.(*copyEnded).err
}

type copyEnded struct{ err error }

// copyRun is what the actors of one copy share. The survey of the source is the
// same as that of a verify, with its buffers and credit.
type copyRun struct {
	spec   *CopySpec
	survey *verifyRun
	report CopyReport // of the job until it has ended
}

func newCopyRun(spec *CopySpec) *copyRun {
	if spec.Progress == nil {
		spec.Progress = &messages.Progress{}
	}
	return &copyRun{spec: spec, survey: newVerifyRun(&VerifySpec{
		Store: spec.From, Opened: spec.Opened, Snapshots: spec.Snapshots, Parallel: spec.Parallel, Memory: spec.Memory,
		Progress: &messages.Progress{}, faults: spec.faults,
	})}
}

// copyJob is the root of one copy: it keeps the accounts.
type copyJob struct {
	job
	run      *copyRun
	problems problems
}

func newCopyJob(run *copyRun) actor.Actor {
	j := &copyJob{run: run}
	j.onEnd = func() {
		run.report.Problems, run.report.Found = j.problems.sorted(), j.problems.found
		run.survey.cancel(errInterrupted)
	}
	j.answer = func(err error) any { return &copyEnded{err} }
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
	case *start:
		j.start(c)
	case *problemFound:
		j.problem(m.VerifyProblem)
	case *copySurveyed:
		r.Objects, r.Bytes, r.There, r.Snapshots = m.objects, m.bytes, m.there, m.snapshots
		r.Spare, r.SpareSize, r.Saved = m.spare, m.spareSize, m.saved
	case *copyHeadDone:
		r.Sent++
		r.SentBytes += m.bytes
	case *messages.Finished[messages.Copying, messages.CopyDone]:
		j.copied(c, m)
	case *copyPlanned:
		j.end(c, m.err)
	case *messages.Cancel:
		j.end(c, m.Reason)
	case *actor.Stopping:
		j.run.survey.cancel(errInterrupted)
	case *actor.Terminated:
		j.terminated(c)
	}
}

func (j *copyJob) start(c actor.Context) {
	if !j.begin(c) {
		return
	}
	run := j.run
	run.spec.Progress.SetPhase("list")
	copiers := j.spawn(c, "copiers", func() actor.Actor {
		return &pool[messages.Copying, messages.CopyDone]{name: "copier", workers: run.survey.parallel,
			onRestart: func() { run.spec.Progress.Restarts.Add(1) },
			newWork:   func() work[messages.Copying, messages.CopyDone] { return (&copier{run: run}).copy }}
	})
	c.Send(j.spawn(c, "planner", func() actor.Actor {
		return &copyPlanner{run: run, copiers: copiers, inspector: inspector{run: run.survey}}
	}), &startWalk{})
}

func (j *copyJob) problem(p VerifyProblem) {
	if j.problems.add(p) {
		j.run.spec.Progress.Errors.Add(1)
		if j.run.spec.OnProblem != nil {
			j.run.spec.OnProblem(p)
		}
	}
}

// copied takes the result of one transfer.
func (j *copyJob) copied(c actor.Context, m *messages.Finished[messages.Copying, messages.CopyDone]) {
	if j.ended {
		return
	}
	defer j.run.survey.jobs.release()
	r, res, prog := &j.run.report, &m.Result, j.run.spec.Progress
	err := res.Err
	if m.Err != nil { // every worker that had it has panicked
		j.end(c, m.Err)
		return
	}
	r.Read += res.Read
	prog.BytesRead.Add(res.Read)
	prog.FilesDone.Add(1)
	prog.BytesDone.Add(m.Job.Size)
	switch {
	case err != nil && res.Fatal:
		j.end(c, err)
		return
	case err != nil:
		p := VerifyProblem{Kind: kindOf(err), Key: m.Job.Key, Reason: err.Error()}
		if m.Job.Manifest {
			p.Snapshots = []string{j.run.spec.Snapshots[m.Job.Index].ID()}
		} else {
			p.Snapshots = j.run.survey.ids(m.Job.Index)
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
