package faulty

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vaultik/backends"
)

// Op is a method of a backend. Get stands for ReadRange too.
type Op string

// The methods that can be made to fail.
const (
	Put    Op = "put"
	Get    Op = "get"
	Stat   Op = "stat"
	Delete Op = "delete"
	List   Op = "list"
	Info   Op = "info"
)

// Rule says what happens to which calls.
type Rule struct {
	Op    Op     // "": every method
	Key   string // prefix of the key, or of the listed prefix; "": all
	Nth   int    // only the nth call, from 1, of those with this Op and Key; 0: from the first on
	Times int    // how many calls from Nth on; 0: one if Nth is set, else all
	Do    Action
}

func (r Rule) matches(op Op, key string) bool {
	return (r.Op == "" || r.Op == op) && strings.HasPrefix(key, r.Key)
}

// covers reports whether the nth matching call is meant.
func (r Rule) covers(n int) bool {
	first, times := max(r.Nth, 1), r.Times
	if times == 0 && r.Nth > 0 {
		times = 1
	}
	return n >= first && (times == 0 || n < first+times)
}

// Action is what happens to a call. Those before the call (Wait, Panic, Fail) run
// in the order of the rules; the others change the call that is then made.
type Action struct {
	before func(ctx context.Context, op Op, key string) error
	after  func(op Op, key string) error
	short  int64 // bytes of a reader, objects of a list; -1: all
	flip   int64 // offset; -1: none
}

func plain() Action { return Action{short: -1, flip: -1} }

func before(f func(ctx context.Context, op Op, key string) error) Action {
	a := plain()
	a.before = f
	return a
}

// Fail returns err instead of making the call. The error is an *OpError, as any
// backend's is; err itself may be one.
func Fail(err error) Action {
	return before(func(_ context.Context, op Op, key string) error { return opError(op, key, err) })
}

// FailRetryable is Fail with an error that says that retrying may help.
func FailRetryable(err error) Action {
	return Fail(&backends.OpError{Op: "faulty", Retryable: true, Err: err})
}

// NoSpace fails as a full store does.
func NoSpace() Action { return Fail(fmt.Errorf("%w: 0 bytes free", backends.ErrNoSpace)) }

// FailAfter makes the call, and returns err although it has succeeded: a reply
// that was lost. A reader is closed.
func FailAfter(err error) Action {
	a := plain()
	a.after = func(op Op, key string) error { return opError(op, key, err) }
	return a
}

// Wait holds the call until release is closed or its context is done.
func Wait(release <-chan struct{}) Action {
	return before(func(ctx context.Context, op Op, key string) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return opError(op, key, ctx.Err())
		}
	})
}

// When does what do would do before the call (Fail, Wait, Panic, Tell), but only
// while on says so.
func When(on func() bool, do Action) Action {
	return before(func(ctx context.Context, op Op, key string) error {
		if !on() {
			return nil
		}
		return do.before(ctx, op, key)
	})
}

// Tell calls f with the key before the call proceeds, in the same goroutine.
func Tell(f func(op Op, key string)) Action {
	return before(func(_ context.Context, op Op, key string) error {
		f(op, key)
		return nil
	})
}

// Panic panics with v.
func Panic(v any) Action {
	return before(func(context.Context, Op, string) error { panic(v) })
}

// Short ends what a call reads after n: bytes of a Get, bytes of the Source that a
// Put takes, objects of a List. The error is io.ErrUnexpectedEOF.
func Short(n int64) Action {
	a := plain()
	a.short = n
	return a
}

// Flip inverts the lowest bit of the byte at offset off of the object, on the way
// to the caller (Get) or into the store (Put).
func Flip(off int64) Action {
	a := plain()
	a.flip = off
	return a
}

func opError(op Op, key string, err error) error {
	e := &backends.OpError{Op: string(op), Key: key, Backend: "faulty", Err: err}
	var inner *backends.OpError
	if errors.As(err, &inner) {
		e.Retryable, e.RetryAfter, e.Err = inner.Retryable, inner.RetryAfter, inner.Err
	}
	return e
}
