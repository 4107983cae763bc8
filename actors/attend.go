package actors

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// Attendance looks after work that is no job of actors, or not yet or no longer one, and may
// be in a call that never returns.
type Attendance struct {
	Name  string // of the work, for people
	Watch *Watch // of its calls
	Warn  func(text string)
	// After how long a call is named; 0: a minute. It may be nil, and change.
	HangAfter func() time.Duration
	// Alone says since when no job is part of the work, which looks after its own calls and may
	// take its time to end; zero: one is. Work that is alone is also left behind in a call that
	// Watch does not know of.
	Alone    func() time.Time
	HangTime time.Duration // of tests: instead of all limits
}

// Do runs the work. When ctx has ended and the work has not some seconds later, Do returns
// without it, with the cause: it may then go on in its goroutine for ever, so nothing that it
// uses may be closed. Its calls are named when they do not return.
func (a *Attendance) Do(ctx context.Context, work func()) error {
	done := make(chan any, 1)
	go func() {
		defer func() {
			v := recover()
			if _, ours := v.(*PanicError); v != nil && !ours {
				v = &PanicError{Value: v, Stack: debug.Stack()}
			}
			done <- v
		}()
		work()
	}()
	look := time.NewTicker(limitsOf(0, a.HangTime).look)
	defer look.Stop()
	var asked time.Time
	var named hangNamer
	for {
		select {
		case p := <-done:
			if p != nil {
				panic(p) // as without Do
			}
			return nil
		case <-look.C:
		}
		if asked.IsZero() && ctx.Err() != nil {
			asked = time.Now()
		}
		path, since := a.Watch.Longest()
		limits := limitsOf(a.hangAfter(), a.HangTime)
		switch {
		case !asked.IsZero():
			if path, stuck := a.stuck(path, since, asked, limits); stuck {
				a.Warn(fmt.Sprintf("%s is not responding; ending the %s without it", path, a.Name))
				return context.Cause(ctx)
			}
		case named.due(since, limits):
			a.Warn(notResponding(path, since, a.Name))
		}
	}
}

func (a *Attendance) hangAfter() time.Duration {
	if a.HangAfter == nil {
		return 0
	}
	return a.HangAfter()
}

// stuck reports whether the work is to be left behind, and in what.
func (a *Attendance) stuck(path string, since, asked time.Time, l hangLimits) (string, bool) {
	if !since.IsZero() && min(time.Since(since), time.Since(asked)) >= l.grace {
		return fmt.Sprintf("%q", path), true
	}
	alone := a.Alone()
	return "a system call", !alone.IsZero() && min(time.Since(alone), time.Since(asked)) >= l.last
}

// hangLimits are how long calls may take.
type hangLimits struct {
	look  time.Duration // between two looks
	after time.Duration // until a call is named
	again time.Duration // until it is named once more
	grace time.Duration // when the work is to end: until it goes on without a known call
	last  time.Duration // likewise, without any
}

func limitsOf(after, hangTime time.Duration) hangLimits {
	if hangTime > 0 {
		return hangLimits{hangTime / 4, hangTime, 20 * hangTime, hangTime, 3 * hangTime}
	}
	if after <= 0 {
		after = hangAfter
	}
	return hangLimits{hangLook, after, max(after, hangAgain), hangGrace, lastGrace}
}

// hangNamer knows which call was named last.
type hangNamer struct{ since, said time.Time }

// due reports whether the call that has been under way since then, zero for none, is to be
// named now: once, and once more from time to time.
func (h *hangNamer) due(since time.Time, l hangLimits) bool {
	if since.IsZero() || time.Since(since) < l.after ||
		h.since.Equal(since) && time.Since(h.said) < l.again {
		return false
	}
	h.since, h.said = since, time.Now()
	return true
}

func notResponding(path string, since time.Time, name string) string {
	return fmt.Sprintf("%q not responding for %v; the %s is waiting for it (Ctrl-C ends the %s)",
		path, time.Since(since).Round(time.Second), name, name)
}
