package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"vaultik/actors"
	"vaultik/engine/events"
)

// attention is what a request knows of itself while it runs.
type attention struct {
	calls     actors.Watch // to file systems, that no job of actors makes
	hangAfter atomic.Int64 // after how many ns one is named; 0: a minute

	mu      sync.Mutex
	showing func()    // stops showing the job of actors that is under way; nil: none is
	alone   time.Time // since when none is
}

// told runs a request whose whole answer is what it tells its sink.
func (j *job) told(ctx context.Context, fn func() error) (events.Totals, error) {
	_, err := attended(ctx, j, func() (struct{}, error) { return struct{}{}, fn() })
	return j.totals(), err
}

// attended runs a request. When its context ends while it is in a call to a file system
// that is not responding, the request ends without that call, which nothing can end.
func attended[T any](ctx context.Context, j *job, fn func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	got := make(chan answer, 1)
	j.alone = time.Now()
	a := actors.Attendance{
		Name: "command", Watch: &j.calls, Alone: j.aloneSince,
		HangAfter: func() time.Duration { return time.Duration(j.hangAfter.Load()) },
		Warn:      func(text string) { j.Warn("", "%s", text) },
	}
	err := a.Do(ctx, func() {
		var a answer
		if a.err = enoughFiles(); a.err == nil {
			a.err = j.locate()
		}
		if a.err == nil {
			a.value, a.err = fn()
		}
		got <- a
	})
	if err != nil {
		j.stopShowing()
		return *new(T), ErrInterrupted
	}
	r := <-got
	return r.value, r.err
}

// touch says that calls to the file system for a path begin, until done is called.
func (a *attention) touch(path string) (done func()) {
	t := a.calls.Touch()
	t.Enter(path)
	return func() { a.calls.Done(t) }
}

// hangsAfter is how long a call to a file system may take before it is named, in words of the
// configuration, which says how long a transfer may stall. 0: a minute.
func hangsAfter(stall time.Duration) time.Duration {
	if stall <= 0 || stall > time.Minute {
		return 0
	}
	return stall
}

// aloneSince is since when the request has no job of actors under way; zero: it has.
func (a *attention) aloneSince() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.showing != nil {
		return time.Time{}
	}
	return a.alone
}

// shows notes that a job of actors is under way, and is shown, until stop is called.
func (a *attention) shows(hide func()) (stop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.showing = hide
	return func() { a.stopShowing() }
}

func (a *attention) stopShowing() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.showing != nil {
		a.showing()
		a.showing, a.alone = nil, time.Now()
	}
}
