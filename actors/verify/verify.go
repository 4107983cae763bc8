package verify

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/messages"
)

// Run checks that all is in the store that the snapshots need. What is wrong
// with the store is in the report; the error says why the check ended early.
func Run(ctx context.Context, s *actors.System, spec *Spec) (*Report, error) {
	began := time.Now()
	run := newVerifyRun(spec)
	defer run.Cancel(nil)
	job := newVerifyJob(run)
	answer, abandoned, err := s.Run(ctx, &job.Job, job)
	if err != nil {
		return nil, err
	}
	if abandoned == "" { // else a buffer is still in use
		run.Close()
	}
	r := run.report
	r.Snapshots, r.Read = len(spec.Snapshots), run.survey.Fetched.Load()
	r.Duration = time.Since(began)
	return &r, answer.(*verifyDone).err
}

type verifyDone struct{ err error }

// verifyJob is the root of one verify: it keeps the accounts.
type verifyJob struct {
	actors.Job
	run      *verifyRun
	problems survey.Problems
}

func newVerifyJob(run *verifyRun) *verifyJob {
	j := &verifyJob{run: run}
	j.Name, j.Cancel = "verify", run.Cancel
	j.Warn, j.Progress, j.HangTime = run.spec.warn, run.spec.Progress, run.faults.HangTime
	j.OnEnd = func() {
		run.report.Problems, run.report.Found = j.problems.Sorted(), j.problems.Found
	}
	j.Answer = func(err error) any { return &verifyDone{err} }
	return j
}

func (j *verifyJob) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actors.Start:
		j.start(c)
	case *problemFound:
		j.problem(m.Problem)
	case *pathAffected:
		j.problems.Affects(m.key, m.path, m.lost)
	case *tally:
		j.tally(m)
	case *messages.Finished[checking, checkDone]:
		j.checked(c, m)
	case *inspectionEnded:
		j.End(c, m.err)
	default:
		j.Handle(c)
	}
}

func (j *verifyJob) start(c actor.Context) {
	if !j.Begin(c) {
		return
	}
	run := j.run
	run.spec.Progress.SetPhase("verify")
	workers := run.Parallel
	if run.spec.ReadData {
		workers = run.Workers // each has a buffer all the time
	}
	checkers := actors.SpawnPool(&j.Job, c, actors.Pool[checking, checkDone]{
		Name: "checker", Workers: workers,
		NewWork: func() actors.Work[checking, checkDone] { return newChecker(run) },
	})
	j.Beside(c, func(a actors.Aside) any {
		run.survey.Tell = func(p survey.Problem) { a.Tell(&problemFound{p}) }
		n := &inspector{run: run, checkers: checkers, aside: a}
		return &inspectionEnded{n.inspect(run.Ctx)}
	})
}

func (j *verifyJob) problem(p survey.Problem) {
	j.problems.Note(p, j.run.spec.Progress, j.run.spec.OnProblem)
}

func (j *verifyJob) tally(m *tally) {
	r := &j.run.report
	r.Objects += m.objects
	r.Bytes += m.bytes
	r.Checked += m.checked
	r.Pages += m.pages
	r.Entries += m.entries
	r.Parity += m.parity
	r.ParityBytes += m.parityBytes
}

// checked takes the result of a check.
func (j *verifyJob) checked(c actor.Context, m *messages.Finished[checking, checkDone]) {
	if j.Ended {
		return
	}
	defer j.run.Jobs.Release()
	r, res := &j.run.report, &m.Result
	err := res.Err
	if m.Err != nil {
		err = m.Err
	}
	if res.Fatal {
		j.End(c, err)
		return
	}
	r.Chunks += res.Chunks
	j.run.spec.Progress.BytesRead.Store(j.run.survey.Fetched.Load())
	switch job := m.Job; {
	case job.Object != nil:
		if err := j.objectChecked(job.Object, res, err); err != nil {
			j.End(c, err)
		}
	case job.Key != nil: // the inspector looks at it
		r.Drilled.Keys++
	case job.File != nil:
		j.fileDrilled(job.File, res, err)
	case err != nil:
		j.refsWrong(job.Refs, res, err)
	}
}

// objectChecked takes what became of an object. The error ends the check.
func (j *verifyJob) objectChecked(o *objectCheck, res *checkDone, err error) error {
	prog, r := j.run.spec.Progress, &j.run.report
	prog.FilesDone.Add(1)
	prog.BytesDone.Add(o.Size)
	if o.Way == byParity {
		if err != nil { // no snapshot needs it
			j.problem(survey.Of(err, o.Key))
		} else {
			r.ParityChecked++
		}
		return nil
	}
	switch {
	case errors.Is(err, survey.ErrSealed) && !j.run.binding(o.Index):
		r.Drilled.Older++
		return nil
	case err != nil:
		j.run.survey.SetBad(o.Index)
		j.problem(survey.Of(err, o.Key, j.run.survey.IDs(o.Index)...))
		return nil
	case res.Unvouched:
		r.Unvouched++
		return nil
	case o.Way == byAsking:
		r.Vouched++
		return nil
	case res.ByEpoch:
		r.Drilled.ByEpoch++
	case o.Way == byDrill:
		r.Drilled.Blobs++
	default:
		r.Checked++
	}
	return j.run.tellChecked(o.Index)
}

// refsWrong reports a blob that does not have what pages refer to.
func (j *verifyJob) refsWrong(refs *refsCheck, res *checkDone, err error) {
	p := survey.Of(err, refs.Key)
	p.Paths, p.MorePaths = res.Paths, res.More
	if i, ok := j.run.survey.Inventory.FindBlob(refs.From.host, refs.Lease.Info.Name); ok {
		j.run.survey.SetBad(i)
		p.Snapshots = j.run.survey.IDs(i)
	} else {
		for _, n := range res.Snapshots {
			p.Snapshots = append(p.Snapshots, j.run.spec.Snapshots[n].ID())
		}
	}
	j.problem(p)
}

// errNoKeyFits means that the identity opens none of the snapshots.
var errNoKeyFits = errors.New("the identity opens none of the snapshots")
