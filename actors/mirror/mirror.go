package mirror

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/messages"
)

// Run brings what the snapshots need into another place, then their manifests.
// What the source does not give is in the report; the error says why the copy
// ended early. Wherever it ends, the target is a store that has the snapshots whose
// manifests it has, and the next copy resumes.
func Run(ctx context.Context, s *actors.System, spec *Spec) (*Report, error) {
	began := time.Now()
	run := newCopyRun(spec)
	defer run.Cancel(nil)
	job := newCopyJob(run)
	answer, abandoned, err := s.Run(ctx, &job.Job, job)
	if err != nil {
		return nil, err
	}
	if abandoned == "" { // else a buffer is still in use
		run.Close()
	}
	r := run.report
	r.Duration = time.Since(began)
	return &r, answer.(*copyEnded).err
}

type copyEnded struct{ err error }

// copyJob is the root of one copy: it keeps the accounts.
type copyJob struct {
	actors.Job
	run      *copyRun
	problems survey.Problems
}

func newCopyJob(run *copyRun) *copyJob {
	j := &copyJob{run: run}
	j.Name, j.Cancel = "copy", run.Cancel
	j.Warn, j.Progress, j.HangTime = run.spec.Warn, run.spec.Progress, run.spec.Faults.HangTime
	j.OnEnd = func() {
		run.report.Problems, run.report.Found = j.problems.Sorted(), j.problems.Found
	}
	j.Answer = func(err error) any { return &copyEnded{err} }
	return j
}

func (j *copyJob) Receive(c actor.Context) {
	r := &j.run.report
	switch m := c.Message().(type) {
	case *actors.Start:
		j.start(c)
	case *problemFound:
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
	default:
		j.Handle(c)
	}
}

func (j *copyJob) start(c actor.Context) {
	if !j.Begin(c) {
		return
	}
	run := j.run
	run.spec.Progress.SetPhase("list")
	copiers := actors.SpawnPool(&j.Job, c, actors.Pool[copying, copyDone]{
		Name: "copier", Workers: run.Parallel,
		NewWork: func() actors.Work[copying, copyDone] { return (&copier{run: run}).copy },
	})
	j.Beside(c, func(a actors.Aside) any {
		run.survey.Tell = func(p survey.Problem) { a.Tell(&problemFound{p}) }
		p := &planner{run: run, copiers: copiers, aside: a}
		return &copyPlanned{p.plan(run.Ctx)}
	})
}

func (j *copyJob) problem(p survey.Problem) {
	j.problems.Note(p, j.run.spec.Progress, j.run.spec.OnProblem)
}

// copied takes the result of one transfer.
func (j *copyJob) copied(c actor.Context, m *messages.Finished[copying, copyDone]) {
	if j.Ended {
		return
	}
	defer j.run.Jobs.Release()
	res, prog := &m.Result, j.run.spec.Progress
	if m.Err != nil { // every worker that had it has panicked
		j.End(c, m.Err)
		return
	}
	j.run.report.Read += res.Read
	prog.BytesRead.Add(res.Read)
	prog.FilesDone.Add(1)
	prog.BytesDone.Add(m.Job.Size)
	switch {
	case res.Err == nil:
		j.account(&m.Job, res)
	case res.Fatal:
		j.End(c, res.Err)
	default:
		p := survey.Of(res.Err, m.Job.Key)
		switch {
		case m.Job.Manifest:
			p.Snapshots = []string{j.run.spec.Snapshots[m.Job.Index].ID()}
		case !m.Job.Parity: // which no snapshot needs
			p.Snapshots = j.run.survey.IDs(m.Job.Index)
		}
		j.problem(p)
	}
}

// account counts an object that the mirror has now.
func (j *copyJob) account(job *copying, res *copyDone) {
	r, prog := &j.run.report, j.run.spec.Progress
	if job.Manifest {
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
	} else if !job.Manifest && !job.Parity {
		r.There++
	}
	if res.Replaced {
		r.Replaced++
		if j.run.spec.OnReplace != nil {
			j.run.spec.OnReplace(job.Key)
		}
	}
}
