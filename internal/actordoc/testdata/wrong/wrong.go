// Package wrong is a job of the tests of actordoc, with everything that it is to find.
package wrong

import (
	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/messages"
)

// job is the root.
type job struct {
	actors.Job
}

func newJob() *job {
	j := &job{}
	j.Name = "wrong"
	return j
}

// nameless is another root.
type nameless struct{ actors.Job } // wrong: nameless embeds actors.Job, and nothing sets its Name

func (j *nameless) Receive(actor.Context) {}

// unsent is received, and nobody sends it.
type unsent struct{}

// unread is sent, and nobody receives it.
type unread struct{}

type unsaid struct{} // wrong: nothing is said of the message unsaid

// idle is what a pool waits for.
type idle struct{}

func (j *job) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *unsent: // wrong: wrong receives unsent, which nobody sends to it
	case *unsaid:
		j.begin(c, nil)
	default:
		j.Handle(c)
	}
}

func (j *job) begin(c actor.Context, p actor.Producer) {
	c.Send(c.Self(), &unsaid{})
	c.Send(c.Self(), &unread{})                          // wrong: wrong sends unread to wrong, which does not receive it
	c.Spawn(nil)                                         // wrong: an actor that the job does not know of: use Job.Spawn
	j.Spawn(c, "any", p)                                 // wrong: nothing is said of the stage any, or of what it is made
	c.Send(actor.NewPID("", "somebody"), &unread{})      // wrong: cannot tell to whom wrong sends unread
	actors.SpawnPool(&j.Job, c, actors.Pool[idle, idle]{ // wrong: idlers receives idle, which nobody submits
		Name:    "idler",
		NewWork: func() actors.Work[idle, idle] { return newIdler() },
	})
	j.Beside(c, func(a actors.Aside) any { // wrong: nothing is said of the beside ?, or of what it is made
		return nil
	})
	other := &nameless{}
	other.Beside(c, func(actors.Aside) any { return said() }) // wrong: cannot tell which job spawns said
}

// said is what runs beside the job without a name.
func said() any { return nil }

func tell(c actor.Context, m any) { c.Send(c.Self(), m) } // wrong: cannot tell who sends this, or what it is

func lost(c actor.Context) { c.Send(c.Parent(), &messages.StageFailed{}) } // wrong: cannot tell who sends this, or what it is

// newIdler does nothing.
func newIdler() actors.Work[idle, idle] { return nil }
