package actors_test

import (
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
)

// lateJob has something run beside it after it has ended.
type lateJob struct {
	actors.Job
	ran atomic.Int64
}

func (j *lateJob) Receive(c actor.Context) {
	if _, ok := c.Message().(*actors.Start); !ok {
		j.Handle(c)
		return
	}
	run := func(actors.Aside) any {
		j.ran.Add(1)
		return nil
	}
	if j.Begin(c) {
		j.Beside(c, run)
		j.End(c, nil)
		j.Beside(c, run)
	}
}

// Nothing begins once a job has ended: its answer waits only for what ran before.
func TestJob_BesideAfterEnd(t *testing.T) {
	system := actors.NewSystem(nil)
	defer system.Close()
	j := &lateJob{}
	j.Name, j.Cancel = "late", func(error) {}
	j.Answer = func(err error) any { return j.ran.Load() }
	answer, abandoned, err := system.Run(t.Context(), &j.Job, j)
	if answer != int64(1) || abandoned != "" || err != nil {
		t.Errorf("%v ran, %q, %v", answer, abandoned, err)
	}
}
