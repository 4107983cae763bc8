package actors

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// job is what the roots of all jobs share: their children are stateful stages and
// pools; the first error ends the job; the answer goes out when every child is gone.
type job struct {
	requester *actor.PID
	children  []*actor.PID
	left      int // children that are not gone yet
	err       error
	ended     bool
	aside     sync.WaitGroup      // what runs beside the job's actors
	onEnd     func()              // once, when the end is decided: cancels what blocks
	answer    func(err error) any // once, when every child is gone
}

// HandleFailure ends the job: a panic in a stage is a bug. What is stored, or
// restored, stays so.
func (j *job) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	sup.StopChildren(child)
	j.end(sup.(actor.Context), internalError(child, reason))
}

// begin notes who waits for the answer; false if the job was cancelled before it began.
func (j *job) begin(c actor.Context) bool {
	j.requester = c.Sender()
	j.reply(c)
	return !j.ended
}

func (j *job) spawn(c actor.Context, name string, p actor.Producer) *actor.PID {
	pid := c.SpawnPrefix(props(p), name)
	j.children = append(j.children, pid)
	j.left++
	return pid
}

// end stops the job. The first reason counts.
func (j *job) end(c actor.Context, err error) {
	if j.ended {
		return
	}
	j.ended, j.err = true, err
	j.onEnd()
	for _, p := range j.children {
		c.Stop(p)
	}
	j.reply(c)
}

// beside runs fn beside the actors of the job, and sends the job what it returns.
// Whoever runs the job waits for aside, when the job has ended and cancelled it.
func (j *job) beside(c actor.Context, fn func() any) {
	j.aside.Add(1)
	goSafe(c, func() any {
		defer j.aside.Done()
		return fn()
	})
}

// terminated hears that a child is gone.
func (j *job) terminated(c actor.Context) {
	j.left--
	j.reply(c)
}

func (j *job) reply(c actor.Context) {
	if !j.ended || j.left > 0 || j.requester == nil {
		return
	}
	c.Send(j.requester, j.answer(j.err))
	j.requester = nil
}
