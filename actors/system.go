package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/messages"
)

// System runs jobs as trees of actors. One a process.
type System struct {
	sys *actor.ActorSystem
	log *slog.Logger
}

// NewSystem starts an actor system that logs to log at debug level only: what
// actors have to tell a user travels in messages.
func NewSystem(log *slog.Logger) *System {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	quiet := slog.New(demote{log.Handler()})
	sys := actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }),
		// The library's throttle goroutine lives for one interval after each dead letter.
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
	)
	return &System{sys: sys, log: log}
}

// Close releases the system. Jobs must have ended: the library's shutdown stops no actor.
func (s *System) Close() {
	if !s.sys.IsStopped() {
		s.sys.Shutdown()
	}
}

// demote turns the library's records into debug records: it reports ordinary
// shutdown and every caught panic at Info.
type demote struct{ h slog.Handler }

func (d demote) Enabled(ctx context.Context, _ slog.Level) bool {
	return d.h.Enabled(ctx, slog.LevelDebug)
}

func (d demote) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return d.h.Handle(ctx, r)
}

func (d demote) WithAttrs(as []slog.Attr) slog.Handler { return demote{d.h.WithAttrs(as)} }

func (d demote) WithGroup(n string) slog.Handler { return demote{d.h.WithGroup(n)} }

var jobNumber atomic.Uint64

// jobStopTimeout bounds how long a job that was told to stop may take: its
// leaves return when their context ends, which a system call may delay.
const jobStopTimeout = time.Minute

// Start asks a job, or a stage of one, to begin. A job answers when it has ended.
type Start struct{}

// Run spawns a job's root actor, which embeds the job, and sends it Start; when ctx ends it
// sends Cancel. It returns when every actor of the job has stopped. If one is stuck in a
// call, the job has ended without it: abandoned says in which, and the memory that the
// job's actors share must not be freed. With an error there is no answer.
func (s *System) Run(
	ctx context.Context,
	job *Job,
	root actor.Actor,
) (answer any, abandoned string, err error) {
	id := fmt.Sprintf("%s-%d", job.Name, jobNumber.Add(1))
	pid, err := s.sys.Root.SpawnNamed(rootProps(job, func() actor.Actor { return root }), id)
	if err != nil {
		return nil, "", fmt.Errorf("start job %s: %w", id, err)
	}
	ended := s.sys.Root.RequestFuture(pid, &Start{}, -1)
	stopWatching := context.AfterFunc(ctx,
		func() { s.sys.Root.Send(pid, &messages.Cancel{Reason: context.Cause(ctx)}) })
	defer stopWatching()
	res, err := ended.Result()
	if err != nil {
		return nil, "", fmt.Errorf("run job %s: %w", id, err)
	}
	a := res.(*jobAnswer)
	if a.abandoned != "" {
		s.sys.Root.Stop(pid)
		return a.answer, a.abandoned, nil
	}
	if err := stopAndWait(s.sys, pid, jobStopTimeout); err != nil {
		return nil, "", fmt.Errorf("stop job %s: %w", id, err)
	}
	return a.answer, "", nil
}

// rootProps are the properties of the root of a job.
func rootProps(j *Job, p actor.Producer) *actor.Props {
	return actor.PropsFromProducer(p, actor.WithReceiverMiddleware(endOnPanic(j), capturePanic))
}

// endOnPanic ends a job whose root panics. The library would restart it without its
// state, so that nobody would ever get an answer.
func endOnPanic(j *Job) actor.ReceiverMiddleware {
	return func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(c actor.ReceiverContext, env *actor.MessageEnvelope) {
			defer func() {
				if v := recover(); v != nil {
					j.End(c.(actor.Context), internalError(c.Self(), v))
				}
			}()
			next(c, env)
		}
	}
}

// stopAndWait is the library's StopFuture with a timeout of the caller's choice.
func stopAndWait(sys *actor.ActorSystem, pid *actor.PID, d time.Duration) error {
	proc, ok := sys.ProcessRegistry.Get(pid)
	if !ok {
		return nil
	}
	gone := actor.NewFuture(sys, d)
	proc.SendSystemMessage(pid, &actor.Watch{Watcher: gone.PID()})
	sys.Root.Stop(pid)
	if err := gone.Wait(); err != nil && !errors.Is(err, actor.ErrDeadLetter) {
		return err
	}
	return nil
}
