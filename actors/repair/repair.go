package repair

import (
	"context"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/messages"
)

// Run puts back what it can, and tells of each object what became of it. The error says why it
// ended early. Wherever that is, nothing was replaced but by its right bytes.
func Run(ctx context.Context, s *actors.System, spec *Spec) error {
	run := newRun(spec)
	defer run.Cancel(nil)
	job := newRepairJob(run)
	answer, abandoned, err := s.Run(ctx, &job.Job, job)
	if err != nil {
		return err
	}
	if abandoned == "" { // else a buffer is still in use
		run.Close()
	}
	return answer.(*repairEnded).err
}

type repairEnded struct{ err error }

// repairJob is the root of one repair.
type repairJob struct {
	actors.Job
	run *run
}

func newRepairJob(run *run) *repairJob {
	j := &repairJob{run: run}
	j.Name, j.Cancel = "repair", run.Cancel
	j.Warn, j.Progress, j.HangTime = run.spec.Warn, run.spec.Progress, run.spec.Faults.HangTime
	j.Answer = func(err error) any { return &repairEnded{err} }
	return j
}

// healing is one job of a healer: the number of an object.
type healing struct{ Index int }

// dispatched says that all objects were asked for, and all of it has ended.
type dispatched struct{ err error }

func (j *repairJob) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actors.Start:
		j.start(c)
	case *messages.Finished[healing, Outcome]:
		j.healed(c, m)
	case *dispatched:
		j.End(c, m.err)
	default:
		j.Handle(c)
	}
}

func (j *repairJob) start(c actor.Context) {
	if !j.Begin(c) {
		return
	}
	run := j.run
	prog := run.spec.Progress
	prog.SetPhase("repair")
	prog.SetUnit("objects")
	prog.FilesTotal.Store(int64(len(run.spec.Objects)))
	prog.TotalKnown.Store(true)
	healers := actors.SpawnPool(&j.Job, c, actors.Pool[healing, Outcome]{
		Name: "healer", Workers: run.Workers,
		NewWork: func() actors.Work[healing, Outcome] { return (&healer{run: run}).heal },
	})
	j.Beside(c, func(a actors.Aside) any {
		d := &dispatcher{run: run, healers: healers, aside: a}
		return &dispatched{d.dispatch()}
	})
}

// healed takes what became of one object.
func (j *repairJob) healed(c actor.Context, m *messages.Finished[healing, Outcome]) {
	if j.Ended {
		return
	}
	defer j.run.Jobs.Release()
	res := &m.Result
	if m.Err != nil { // every worker that had it has panicked
		j.End(c, m.Err)
		return
	}
	if res.fatal {
		j.End(c, res.Err)
		return
	}
	prog := j.run.spec.Progress
	prog.FilesDone.Add(1)
	if res.Err != nil {
		prog.Errors.Add(1)
	} else if !j.run.spec.Dry {
		prog.Stored.Add(res.Bytes)
		prog.Objects.Add(1)
	}
	if j.run.spec.OnDone != nil {
		j.run.spec.OnDone(m.Job.Index, *res)
	}
}

// dispatcher asks for all objects, one after the other. It runs beside the job and blocks,
// under the credit of the healers.
type dispatcher struct {
	run     *run
	healers *actor.PID
	aside   actors.Aside
}

func (d *dispatcher) dispatch() error {
	for i := range d.run.spec.Objects {
		if err := d.run.Jobs.Acquire(d.run.Ctx); err != nil {
			return err
		}
		d.aside.Submit(d.healers, &messages.Submit[healing]{Job: healing{i}})
	}
	return d.run.Jobs.Drain(d.run.Ctx)
}
