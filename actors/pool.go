package actors

import (
	"fmt"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/messages"
)

// MaxAttempts is how often a job is leased before its panics count as its own fault.
const MaxAttempts = 5

// Work is what a worker does with a job. It may block, under the job's context.
// Failures that can be expected are part of R; a panic is a bug, and the job is
// leased again to a fresh worker.
type Work[J, R any] func(attempt int, job J) R

// Pool leases jobs to workers and supervises them. It never blocks. Its queue is
// bounded by the credit of those who submit.
type Pool[J, R any] struct {
	Name    string
	Workers int
	NewWork func() Work[J, R] // once an incarnation
	Split   func(J) []J       // of a job whose worker panicked; nil: as it is

	progress *messages.Progress

	idle     []idleWorker
	queue    []*lease[J]
	leases   map[string]*lease[J] // by worker
	reasons  map[string]error
	seq      uint64
	drainer  *actor.PID // waits for the pool to be empty
	stopping bool
}

type idleWorker struct {
	pid         *actor.PID
	incarnation uint64
}

type lease[J any] struct {
	client      *actor.PID
	job         J
	seq         uint64
	attempt     int
	incarnation uint64
}

// Drain asks a pool to answer Drained when it holds no job any more.
type Drain struct{}

// Drained answers Drain.
type Drained struct{}

// workerGone is sent to the pool itself when a worker has terminated, so that it
// is handled after the worker's own messages: Terminated overtakes them.
type workerGone struct{ pid *actor.PID }

// HandleFailure restarts the worker. It overtakes results that the worker has
// sent already, so the lease is not touched here.
func (p *Pool[J, R]) HandleFailure(
	_ *actor.ActorSystem,
	sup actor.Supervisor,
	child *actor.PID,
	_ *actor.RestartStatistics,
	reason, _ any,
) {
	p.reasons[child.Id] = asError(reason)
	if p.progress != nil {
		p.progress.Restarts.Add(1)
	}
	sup.RestartChildren(child)
}

// Receive implements actor.Actor.
func (p *Pool[J, R]) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		p.leases, p.reasons = map[string]*lease[J]{}, map[string]error{}
		for range p.Workers {
			p.spawn(c)
		}
	case *actor.Stopping:
		p.stopping = true
	case *actor.Terminated:
		c.Send(c.Self(), &workerGone{m.Who})
	case *workerGone:
		p.dropIdle(m.pid)
		p.lost(c, m.pid)
		if !p.stopping {
			p.spawn(c)
		}
	case *messages.WorkerReady:
		p.lost(c, c.Sender())
		p.dropIdle(c.Sender())
		p.idle = append(p.idle, idleWorker{c.Sender(), m.Incarnation})
	case *messages.Submit[J]:
		p.enqueue(c.Sender(), m.Job, 0)
	case *messages.Worked[R]:
		p.worked(c, m)
	case *Drain:
		p.drainer = c.Sender()
	}
	p.dispatch(c)
	if p.drainer != nil && len(p.queue) == 0 && len(p.leases) == 0 {
		c.Send(p.drainer, &Drained{})
		p.drainer = nil
	}
}

func (p *Pool[J, R]) spawn(c actor.Context) {
	c.SpawnPrefix(props(func() actor.Actor {
		return &worker[J, R]{incarnation: incarnations.Add(1), do: p.NewWork()}
	}), p.Name)
}

func (p *Pool[J, R]) enqueue(client *actor.PID, job J, attempt int) {
	p.seq++
	p.queue = append(p.queue, &lease[J]{client: client, job: job, seq: p.seq, attempt: attempt})
}

func (p *Pool[J, R]) worked(c actor.Context, m *messages.Worked[R]) {
	l := p.leases[c.Sender().Id]
	if l == nil || l.seq != m.Seq || l.incarnation != m.Incarnation {
		return // the result of a lease that was given to another worker
	}
	delete(p.leases, c.Sender().Id)
	p.idle = append(p.idle, idleWorker{c.Sender(), m.Incarnation})
	c.Send(l.client, &messages.Finished[J, R]{Job: l.job, Result: m.Result})
}

// lost leases the job of a lost worker again, in parts where that isolates the cause.
func (p *Pool[J, R]) lost(c actor.Context, pid *actor.PID) {
	l := p.leases[pid.Id]
	if l == nil {
		return
	}
	delete(p.leases, pid.Id)
	if l.attempt >= MaxAttempts {
		err := fmt.Errorf("%s stopped %d times: %w", p.Name, l.attempt, p.reasons[pid.Id])
		c.Send(l.client, &messages.Finished[J, R]{Job: l.job, Err: err})
		return
	}
	jobs := []J{l.job}
	if p.Split != nil {
		jobs = p.Split(l.job)
	}
	for _, j := range jobs {
		p.enqueue(l.client, j, l.attempt)
	}
}

func (p *Pool[J, R]) dropIdle(pid *actor.PID) {
	for i, w := range p.idle {
		if w.pid.Equal(pid) {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return
		}
	}
}

func (p *Pool[J, R]) dispatch(c actor.Context) {
	if p.stopping {
		return
	}
	for len(p.queue) > 0 && len(p.idle) > 0 {
		w := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		l := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		l.incarnation = w.incarnation
		l.attempt++
		p.leases[w.pid.Id] = l
		c.Send(w.pid, &messages.Leased[J]{
			Incarnation: w.incarnation, Seq: l.seq, Attempt: l.attempt, Job: l.job,
		})
	}
}

var incarnations atomic.Uint64

// worker is a leaf: it blocks in Receive while it works.
type worker[J, R any] struct {
	incarnation uint64
	do          Work[J, R]
}

func (w *worker[J, R]) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		c.Request(c.Parent(), &messages.WorkerReady{Incarnation: w.incarnation})
	case *messages.Leased[J]:
		if m.Incarnation != w.incarnation {
			return
		}
		r := w.do(m.Attempt, m.Job)
		c.Request(c.Parent(),
			&messages.Worked[R]{Incarnation: w.incarnation, Seq: m.Seq, Result: r})
	}
}
