package actors

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/messages"
)

// ErrInterrupted ends a job that was asked to stop. What a backup has read until then
// is stored, and the next run finds it.
var ErrInterrupted = errors.New("interrupted")

// Job is what the roots of all jobs share, which embed it: their children are
// stages and pools; the first error ends the job; the answer goes out when every
// child has stopped, or has been abandoned in a call that does not return.
type Job struct {
	Name     string              // for people: backup, restore ...
	Cancel   func(cause error)   // ends the context under which the job's leaves block
	Answer   func(err error) any // once, when every child has stopped
	OnEnd    func()              // once, when the end is decided; may be nil
	Warn     func(text string)   // may be nil
	Progress *messages.Progress  // may be nil
	Watch    *Watch              // calls that may not return; nil: made by Begin
	// After how long a call that does not return is named; 0: a minute.
	HangAfter time.Duration
	HangTime  time.Duration // of tests: instead of all limits
	Ended     bool          // nothing new is begun

	// OnStuck, if set, is called when the job was asked to end and a call does not
	// return. It reports whether the job goes on without that call.
	OnStuck func(actor.Context) bool

	requester *actor.PID
	children  []*actor.PID
	left      int          // children that are not gone yet
	beside    atomic.Int64 // goroutines beside them; a message could be lost in a panic
	stopTicks func()
	err       error
	asked     time.Time // when the job was to end, gently or at once
	named     hangNamer
	alone     string // the call that the job carries on without
	abandoned string // the call that it has ended without
}

// HandleFailure ends the job: a panic in a stage is a bug. What is stored, or
// restored, stays so.
func (j *Job) HandleFailure(
	_ *actor.ActorSystem,
	sup actor.Supervisor,
	child *actor.PID,
	_ *actor.RestartStatistics,
	reason, _ any,
) {
	sup.StopChildren(child)
	j.End(sup.(actor.Context), internalError(child, reason))
}

// Begin notes who waits for the answer; false if the job was cancelled before it began.
func (j *Job) Begin(c actor.Context) bool {
	j.requester = c.Sender()
	if j.Watch == nil {
		j.Watch = &Watch{}
	}
	j.reply(c)
	if !j.Ended {
		j.stopTicks = tick(c, limitsOf(j.HangAfter, j.HangTime).look, &hangTick{})
	}
	return !j.Ended
}

// Handle deals with the messages that all jobs have, and reports whether this was one.
func (j *Job) Handle(c actor.Context) bool {
	switch m := c.Message().(type) {
	case *messages.Cancel:
		j.End(c, m.Reason)
	case *messages.StageFailed:
		j.End(c, m.Err)
	case *goroutinePanicked:
		panic(m.err)
	case *hangTick:
		j.lookForHangs(c)
	case *actor.Stopping:
		j.Cancel(ErrInterrupted)
		j.stopTicking()
	case *actor.Terminated:
		j.left--
		j.reply(c)
	case *goroutineEnded:
		j.reply(c)
	default:
		return false
	}
	return true
}

// Spawn starts a stage.
func (j *Job) Spawn(c actor.Context, name string, p actor.Producer) *actor.PID {
	pid := c.SpawnPrefix(props(p), name)
	j.children = append(j.children, pid)
	j.left++
	return pid
}

// SpawnPool starts a pool of workers.
func SpawnPool[J, R any](j *Job, c actor.Context, p Pool[J, R]) *actor.PID {
	p.progress = j.Progress
	return j.Spawn(c, p.Name+"s", func() actor.Actor {
		fresh := p
		return &fresh
	})
}

// End stops the job. The first reason counts.
func (j *Job) End(c actor.Context, err error) {
	if j.Ended {
		return
	}
	j.Ended, j.err, j.asked = true, err, time.Now()
	if j.OnEnd != nil {
		j.OnEnd()
	}
	j.Cancel(ErrInterrupted)
	for _, p := range j.children {
		c.Stop(p)
	}
	j.reply(c)
}

// AskToEnd notes that the job is to end soon, so that it waits no longer for calls
// that do not return.
func (j *Job) AskToEnd() { j.asked = time.Now() }

// Beside runs fn, which may block, beside the actors of the job, and sends the job
// what it returns unless that is nil. The job's answer waits for it. It does nothing
// once the job has ended: the answer may be out, and what fn uses closed.
func (j *Job) Beside(c actor.Context, fn func(Aside) any) {
	if j.Ended {
		return
	}
	a := Aside{c.ActorSystem().Root, c.Self()}
	goSafe(a, &j.beside, func() {
		if m := fn(a); m != nil {
			a.Tell(m)
		}
	})
}

func (j *Job) reply(c actor.Context) {
	waits := j.left > 0 || j.beside.Load() > 0
	if !j.Ended || waits && j.abandoned == "" || j.requester == nil {
		return
	}
	j.stopTicking()
	c.Send(j.requester, &jobAnswer{j.Answer(j.err), j.abandoned})
	j.requester = nil
}

// jobAnswer ends a job.
type jobAnswer struct {
	answer    any
	abandoned string
}

// A system call to a file system that is not responding, most often a network one, may
// never return, and nothing in this process can end it. A job looks for such calls this
// often and names them after hangAfter, and again every hangAgain. When it is to end, it
// abandons a call that it knows of after hangGrace, and whatever else has not returned after
// lastGrace.
const (
	hangLook  = time.Second
	hangAfter = time.Minute
	hangAgain = 30 * time.Minute
	hangGrace = 5 * time.Second
	lastGrace = 15 * time.Second
)

type hangTick struct{}

func (j *Job) stopTicking() {
	if j.stopTicks != nil {
		j.stopTicks()
		j.stopTicks = nil
	}
}

// lookForHangs names a call that does not return. If the job is to end, it ends without
// that call.
func (j *Job) lookForHangs(c actor.Context) {
	if j.reply(c); j.requester == nil {
		return // answered
	}
	limits := limitsOf(j.HangAfter, j.HangTime)
	grace := limits.grace
	path, since := j.Watch.Longest()
	known := !since.IsZero()
	if known && j.alone == path {
		grace = min(grace, hangLook) // it was waited for before
	}
	toEnd := known && !j.asked.IsZero() && min(time.Since(since), time.Since(j.asked)) >= grace
	switch {
	case j.Ended && toEnd:
		j.abandon(c, path)
	case j.Ended && time.Since(j.asked) >= limits.last:
		j.abandon(c, "a system call")
	case j.Ended:
	case toEnd && j.OnStuck != nil && j.OnStuck(c):
		j.alone = path
		j.warn(fmt.Sprintf("%q is not responding; continuing without it", path))
	case known && time.Since(since) >= limits.after:
		if j.Progress != nil {
			j.Progress.SetCurrent(path)
		}
		if j.named.due(since, limits) {
			j.warn(notResponding(path, since, j.Name))
		}
	}
}

// abandon ends the job without the actors that are stuck in a call.
func (j *Job) abandon(c actor.Context, what string) {
	j.abandoned = what
	if j.alone != what {
		j.warn(fmt.Sprintf("%q is not responding; ending the %s without it", what, j.Name))
	}
	j.reply(c)
}

func (j *Job) warn(text string) {
	if j.Warn != nil {
		j.Warn(text)
	}
}
