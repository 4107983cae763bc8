package actors

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/messages"
)

// Verify checks that all is in the store that the snapshots need. What is wrong
// with the store is in the report; the error says why the check ended early.
func (s *System) Verify(ctx context.Context, spec *VerifySpec) (*VerifyReport, error) {
	began := time.Now()
	run := newVerifyRun(spec)
	defer run.cancel(nil)
	answer, err := s.run(ctx, "verify", func() actor.Actor { return newVerifyJob(run) },
		func(reason error) any { return &messages.Cancel{Reason: reason} })
	if err != nil {
		return nil, err
	}
	run.mem.Close()
	r := run.report
	r.Snapshots, r.Read, r.Duration = len(spec.Snapshots), run.read.Load(), time.Since(began)
	return &r, answer.(*verifyDone).err
}

type verifyDone struct{ err error }

// verifyJob is the root of one verify: it keeps the accounts.
type verifyJob struct {
	job
	run      *verifyRun
	problems problems
}

func newVerifyJob(run *verifyRun) actor.Actor {
	j := &verifyJob{run: run}
	j.onEnd = func() {
		run.report.Problems, run.report.Found = j.problems.sorted(), j.problems.found
		run.cancel(errInterrupted)
	}
	j.answer = func(err error) any { return &verifyDone{err} }
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
	case *start:
		j.start(c)
	case *problemFound:
		j.problem(m.VerifyProblem)
	case *pathAffected:
		j.problems.affects(m)
	case *tally:
		j.tally(m)
	case *messages.Finished[messages.Checking, messages.CheckDone]:
		j.checked(c, m)
	case *inspected:
		j.end(c, m.err)
	case *messages.Cancel:
		j.end(c, m.Reason)
	case *actor.Stopping:
		j.run.cancel(errInterrupted)
	case *actor.Terminated:
		j.terminated(c)
	}
}

func (j *verifyJob) start(c actor.Context) {
	if !j.begin(c) {
		return
	}
	run := j.run
	run.spec.Progress.SetPhase("verify")
	checkers := j.spawn(c, "checkers", func() actor.Actor {
		return &pool[messages.Checking, messages.CheckDone]{name: "checker", workers: run.parallel,
			onRestart: func() { run.spec.Progress.Restarts.Add(1) },
			newWork:   func() work[messages.Checking, messages.CheckDone] { return newChecker(run) }}
	})
	c.Send(j.spawn(c, "inspector", func() actor.Actor { return &inspector{run: run, checkers: checkers} }), &startWalk{})
}

func (j *verifyJob) problem(p VerifyProblem) {
	if j.problems.add(p) {
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
func (j *verifyJob) checked(c actor.Context, m *messages.Finished[messages.Checking, messages.CheckDone]) {
	if j.ended {
		return
	}
	defer j.run.jobs.release()
	r, res := &j.run.report, &m.Result
	err := res.Err
	if m.Err != nil {
		err = m.Err
	}
	if res.Fatal {
		j.end(c, err)
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
		j.problem(VerifyProblem{Kind: kindOf(err), Key: o.Key, Reason: err.Error(), Snapshots: j.run.ids(o.Index)})
		return
	}
	if err == nil {
		return
	}
	p := VerifyProblem{Kind: kindOf(err), Key: m.Job.Refs.Key, Reason: err.Error(), Paths: res.Paths, MorePaths: res.More}
	p.Snapshots = []string{j.run.spec.Snapshots[m.Job.Refs.Snapshot].ID()}
	if i, ok := j.run.inv.FindBlob(m.Job.Refs.Host, m.Job.Refs.Lease.Info.Name); ok {
		j.run.setBad(i)
		p.Snapshots = j.run.ids(i)
	}
	j.problem(p)
}

// errNoKeyFits means that the identity opens none of the snapshots.
var errNoKeyFits = errors.New("the identity opens none of the snapshots")
