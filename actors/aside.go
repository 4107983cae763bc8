package actors

import (
	"runtime/debug"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// Aside lets code that runs beside a job, in a goroutine of its own, send messages to actors.
type Aside struct {
	root *actor.RootContext
	job  *actor.PID
}

// Tell sends the job a message.
func (a Aside) Tell(m any) { a.root.Send(a.job, m) }

// Submit gives a pool a job; the job of the actors receives the Finished.
func (a Aside) Submit(pool *actor.PID, m any) { a.root.RequestWithCustomSender(pool, m, a.job) }

// goroutinePanicked carries a panic of a goroutine of ours to the job that started
// it, which panics with it in turn: a bare panic would end the process.
type goroutinePanicked struct{ err *PanicError }

// goroutineEnded is the last message of a goroutine beside a job.
type goroutineEnded struct{}

// goSafe runs fn beside a job, counts it, and tells the job when it has ended.
func goSafe(a Aside, count *atomic.Int64, fn func()) {
	count.Add(1)
	go func() {
		defer a.Tell(&goroutineEnded{})
		defer count.Add(-1)
		defer func() {
			if v := recover(); v != nil {
				a.Tell(&goroutinePanicked{&PanicError{Value: v, Stack: debug.Stack()}})
			}
		}()
		fn()
	}()
}
