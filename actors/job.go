package actors

import (
	"errors"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// Job is what the roots of all jobs share: their children are stateful stages and
// pools; the first error ends the job; the answer goes out when every child is gone.
type Job struct {
	Requester *actor.PID
	children  []*actor.PID
	Left      int // children that are not gone yet
	err       error
	Ended     bool
	Aside     sync.WaitGroup      // what runs beside the job's actors
	OnEnd     func()              // once, when the end is decided: cancels what blocks
	Answer    func(err error) any // once, when every child is gone
}

// HandleFailure ends the job: a panic in a stage is a bug. What is stored, or
// restored, stays so.
func (j *Job) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	sup.StopChildren(child)
	j.End(sup.(actor.Context), internalError(child, reason))
}

// Begin notes who waits for the answer; false if the job was cancelled before it began.
func (j *Job) Begin(c actor.Context) bool {
	j.Requester = c.Sender()
	j.Reply(c)
	return !j.Ended
}

func (j *Job) Spawn(c actor.Context, name string, p actor.Producer) *actor.PID {
	pid := c.SpawnPrefix(props(p), name)
	j.children = append(j.children, pid)
	j.Left++
	return pid
}

// End stops the job. The first reason counts.
func (j *Job) End(c actor.Context, err error) {
	if j.Ended {
		return
	}
	j.Ended, j.err = true, err
	j.OnEnd()
	for _, p := range j.children {
		c.Stop(p)
	}
	j.Reply(c)
}

// Beside runs fn beside the actors of the job, and sends the job what it returns.
// Whoever runs the job waits for aside, when the job has ended and cancelled it.
func (j *Job) Beside(c actor.Context, fn func() any) {
	j.Aside.Add(1)
	goSafe(c, func() any {
		defer j.Aside.Done()
		return fn()
	})
}

// Terminated hears that a child is gone.
func (j *Job) Terminated(c actor.Context) {
	j.Left--
	j.Reply(c)
}

func (j *Job) Reply(c actor.Context) {
	if !j.Ended || j.Left > 0 || j.Requester == nil {
		return
	}
	c.Send(j.Requester, j.Answer(j.err))
	j.Requester = nil
}

// ErrInterrupted ends a job that was asked to stop. What a backup has read until then
// is stored, and the next run finds it.
var ErrInterrupted = errors.New("interrupted")
