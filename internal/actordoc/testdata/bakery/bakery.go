// Package bakery is a job for the tests of actordoc.
package bakery

import (
	"context"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/messages"
)

// bakery is the root: it ends with the last loaf.
type bakery struct {
	actors.Job
	ctx    context.Context
	mixer  *actor.PID
	bakers *actor.PID
}

func newBakery() *bakery {
	j := &bakery{}
	j.Name, j.Answer = "bakery", func(err error) any { return err }
	return j
}

// dough is mixed; its second sentence is not for the table.
type dough struct{}

// loaf is what comes of dough.
type loaf struct{}

type (
	// opened says that the day begins.
	opened struct{ err error }
	// tick says that time has passed.
	tick struct{}
)

// kneaded goes straight from a baker to the shelf.
type kneaded struct{}

// count asks how many there are.
type count struct{}

// counted answers count.
type counted struct{}

func (j *bakery) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actors.Start:
		j.begin(c)
	case *opened:
		j.End(c, m.err)
	case *tick, *counted:
	case *messages.Finished[dough, loaf]:
		c.Request(j.bakers, &actors.Drain{})
	case *actors.Drained:
	default:
		j.Handle(c)
	}
}

func (j *bakery) begin(c actor.Context) {
	root := c.ActorSystem().Root
	shelf := j.Spawn(c, "shelf", func() actor.Actor { return &shelf{} })
	j.bakers = actors.SpawnPool(&j.Job, c, actors.Pool[dough, loaf]{
		Name: "baker", Workers: 2,
		NewWork: func() actors.Work[dough, loaf] { return newBaker(func(m any) { root.Send(shelf, m) }) },
	})
	j.mixer = j.Spawn(c, "mixer", func() actor.Actor { return newMixer(j.bakers) })
	c.Send(j.mixer, &dough{})
	m := &count{}
	c.Request(shelf, m)
	actors.After(c, 1, &tick{})
	j.Beside(c, func(a actors.Aside) any { return &opened{open(a)} })
}

// open unlocks the door.
func open(a actors.Aside) error {
	a.Tell(&tick{})
	return nil
}

// mixer mixes: water and flour.
type mixer struct{ next *actor.PID }

func newMixer(next *actor.PID) actor.Actor {
	x := &mixer{next: next}
	return x
}

func (x *mixer) Receive(c actor.Context) {
	if m, ok := c.Message().(*dough); ok {
		c.RequestWithCustomSender(x.next, &messages.Submit[dough]{Job: *m}, c.Parent())
		fail(c)
	}
}

// fail is no actor's own.
func fail(c actor.Context) { c.Send(c.Parent(), &messages.StageFailed{}) }

// baker bakes.
type baker struct{ tell func(any) }

func newBaker(tell func(any)) actors.Work[dough, loaf] {
	b := &baker{tell}
	return b.bake
}

func (b *baker) bake(int, dough) loaf {
	b.tell(&kneaded{})
	return loaf{}
}

// shelf holds all there is.
type shelf struct{}

func (s *shelf) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *kneaded:
	case *count:
		c.Respond(&counted{})
	}
}
