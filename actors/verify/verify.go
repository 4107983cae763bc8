package verify

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/messages"
)

// Run checks that all is in the store that the snapshots need. What is wrong
// with the store is in the report; the error says why the check ended early.
func Run(ctx context.Context, s *actors.System, spec *Spec) (*Report, error) {
	began := time.Now()
	run := NewVerifyRun(spec)
	defer run.Cancel(nil)
	answer, err := s.Run(ctx, "verify", func() actor.Actor { return newVerifyJob(run) },
		func(reason error) any { return &messages.Cancel{Reason: reason} })
	if err != nil {
		return nil, err
	}
	run.Mem.Close()
	r := run.report
	r.Snapshots, r.Read, r.Duration = len(spec.Snapshots), run.read.Load(), time.Since(began)
	return &r, answer.(*verifyDone).err
}

type verifyDone struct{ err error }

// verifyJob is the root of one verify: it keeps the accounts.
type verifyJob struct {
	actors.Job
	run      *VerifyRun
	problems Problems
}

func newVerifyJob(run *VerifyRun) actor.Actor {
	j := &verifyJob{run: run}
	j.OnEnd = func() {
		run.report.Problems, run.report.Found = j.problems.Sorted(), j.problems.Found
		run.Cancel(actors.ErrInterrupted)
	}
	j.Answer = func(err error) any { return &verifyDone{err} }
	return j
}

// inspected says that the inspector has seen everything, and every check has ended.
type inspected struct{ err error }

// tally adds to the report what the inspector has seen.
type tally struct {
	objects, bytes, checked, pages, entries int64
}

func (j *verifyJob) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actors.Start:
		j.start(c)
	case *ProblemFound:
		j.problem(m.Problem)
	case *pathAffected:
		j.problems.affects(m)
	case *tally:
		j.tally(m)
	case *messages.Finished[checking, checkDone]:
		j.checked(c, m)
	case *inspected:
		j.End(c, m.err)
	case *messages.Cancel:
		j.End(c, m.Reason)
	case *actor.Stopping:
		j.run.Cancel(actors.ErrInterrupted)
	case *actor.Terminated:
		j.Terminated(c)
	}
}

func (j *verifyJob) start(c actor.Context) {
	if !j.Begin(c) {
		return
	}
	run := j.run
	run.spec.Progress.SetPhase("verify")
	checkers := j.Spawn(c, "checkers", func() actor.Actor {
		return &actors.Pool[checking, checkDone]{Name: "checker", Workers: run.checkers,
			OnRestart: func() { run.spec.Progress.Restarts.Add(1) },
			NewWork:   func() actors.Work[checking, checkDone] { return newChecker(run) }}
	})
	c.Send(j.Spawn(c, "inspector", func() actor.Actor { return &Inspector{Run: run, checkers: checkers} }), &actors.Start{})
}

func (j *verifyJob) problem(p Problem) {
	if j.problems.Add(p) {
		j.run.spec.Progress.Errors.Add(1)
		if j.run.spec.OnProblem != nil {
			j.run.spec.OnProblem(p)
		}
	}
}

func (j *verifyJob) tally(m *tally) {
	r := &j.run.report
	r.Objects += m.objects
	r.Bytes += m.bytes
	r.Checked += m.checked
	r.Pages += m.pages
	r.Entries += m.entries
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
	prog := j.run.spec.Progress
	prog.BytesRead.Add(res.Bytes)
	if o := m.Job.Object; o != nil {
		prog.FilesDone.Add(1)
		prog.BytesDone.Add(o.Size)
		if err == nil {
			r.Checked++
			return
		}
		j.run.setBad(o.Index)
		j.problem(Problem{Kind: KindOf(err), Key: o.Key, Reason: err.Error(), Snapshots: j.run.Ids(o.Index)})
		return
	}
	if err == nil {
		return
	}
	p := Problem{Kind: KindOf(err), Key: m.Job.Refs.Key, Reason: err.Error(), Paths: res.Paths, MorePaths: res.More}
	p.Snapshots = []string{j.run.spec.Snapshots[m.Job.Refs.Snapshot].ID()}
	if i, ok := j.run.Inv.FindBlob(m.Job.Refs.Host, m.Job.Refs.Lease.Info.Name); ok {
		j.run.setBad(i)
		p.Snapshots = j.run.Ids(i)
	}
	j.problem(p)
}

// errNoKeyFits means that the identity opens none of the snapshots.
var errNoKeyFits = errors.New("the identity opens none of the snapshots")
