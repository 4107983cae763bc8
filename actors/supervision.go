package actors

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

func internalError(child *actor.PID, reason any) error {
	return fmt.Errorf("internal error in %s: %w", child.Id, asError(reason))
}

// PanicError is a panic inside an actor: a bug, with the stack the library would lose.
type PanicError struct {
	Value any
	Stack []byte
}

func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Trace is where the panic was.
func (p *PanicError) Trace() string { return string(p.Stack) }

// capturePanic keeps the stack of a panic on its way to the supervisor.
func capturePanic(next actor.ReceiverFunc) actor.ReceiverFunc {
	return func(c actor.ReceiverContext, env *actor.MessageEnvelope) {
		defer func() {
			if v := recover(); v != nil {
				if _, ok := v.(*PanicError); ok {
					panic(v)
				}
				panic(&PanicError{Value: v, Stack: debug.Stack()})
			}
		}()
		if f := OnReceive.Load(); f != nil {
			(*f)(c.Self().Id, env.Message)
		}
		next(c, env)
	}
}

// props are the properties of every actor of this package.
func props(p actor.Producer) *actor.Props {
	return actor.PropsFromProducer(p, actor.WithReceiverMiddleware(capturePanic))
}

// asError turns the reason of a failure into an error.
func asError(reason any) error {
	if err, ok := reason.(error); ok {
		return err
	}
	return fmt.Errorf("panic: %v", reason)
}

// After sends m to the actor itself when d has passed, unless stopped.
func After(c actor.Context, d time.Duration, m any) (stop func()) {
	self, root := c.Self(), c.ActorSystem().Root
	t := time.AfterFunc(d, func() { root.Send(self, m) })
	return func() { t.Stop() }
}

// tick sends m to the actor itself every d until it is stopped. One that is lost in a
// panic is followed by another.
func tick(c actor.Context, d time.Duration, m any) (stop func()) {
	self, root := c.Self(), c.ActorSystem().Root
	t, done := time.NewTicker(d), make(chan struct{})
	go func() {
		defer t.Stop()
		for {
			select {
			case <-t.C:
				root.Send(self, m)
			case <-done:
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}
