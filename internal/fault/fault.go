// Package fault is what an error tells beside its text: how a program that met it
// ends, and the one thing to do next. Errors carry both from where they are made.
package fault

import (
	"errors"
)

// Code is how a program ends: its exit code, which scripts rely on.
type Code int

// The codes; there are no others.
const (
	Done        Code = 0
	Failed      Code = 1
	Partial     Code = 3  // done, but some files could not be read or written; they are listed
	NoStore     Code = 10 // no store there
	Busy        Code = 11
	NoIdentity  Code = 12 // no identity fits
	Damage      Code = 13
	Usage       Code = 64
	Interrupted Code = 130
)

// Exiter is an error that knows how the program ends.
type Exiter interface {
	error
	Exit() Code
}

// Hinter is an error that knows what to do next: a command or an edit, "" if nothing
// better can be said than the error itself.
type Hinter interface {
	error
	Hint() string
}

// Chooser is an error that leaves several ways on: commands, one of which is meant.
// They stand in the place of a hint.
type Chooser interface {
	error
	Choices() []string
}

// CodeOf is the first code that an error or its causes carry. A Partial is less than
// what else is joined with it. ok is false if none has a code.
func CodeOf(err error) (code Code, by Exiter, ok bool) {
	visit(err, func(e error) bool {
		x, is := e.(Exiter) //nolint:errorlint // e is each cause, one by one
		if is && (!ok || code == Partial && x.Exit() != Partial) {
			code, by, ok = x.Exit(), x, true
		}
		return ok && code != Partial
	})
	return code, by, ok
}

// visit shows an error and its causes to fn, from the outside in, until fn returns true.
func visit(err error, fn func(error) bool) bool {
	if err == nil {
		return false
	}
	if fn(err) {
		return true
	}
	switch e := err.(type) { //nolint:errorlint // this is a walk through the causes itself
	case interface{ Unwrap() error }:
		return visit(e.Unwrap(), fn)
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			if visit(cause, fn) {
				return true
			}
		}
	}
	return false
}

// Hinted is an error with a hint of its own, instead of that of its cause. The code
// is that of the cause.
type Hinted struct {
	Err  error
	Text string
}

// WithHint gives an error a hint.
func WithHint(err error, hint string) error { return &Hinted{err, hint} }

func (e *Hinted) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e *Hinted) Unwrap() error { return e.Err }

// HintOf is the hint that was put around an error or one of its causes.
func HintOf(err error) (hint string, ok bool) {
	var h *Hinted
	if !errors.As(err, &h) {
		return "", false
	}
	return h.Text, true
}

// ended is an error with a code.
type ended struct {
	msg  string
	code Code
}

func (e *ended) Error() string { return e.msg }
func (e *ended) Exit() Code    { return e.code }

// Incomplete is an error after which all is done but what was named before.
func Incomplete(msg string) error { return &ended{msg, Partial} }

// Damaged is an error after which damage was named.
func Damaged(msg string) error { return &ended{msg, Damage} }

// IsIncomplete reports whether an error is one of [Incomplete].
func IsIncomplete(err error) bool {
	var e *ended
	return errors.As(err, &e) && e.code == Partial
}

// UsageError is a request that cannot be meant so.
type UsageError struct {
	Msg     string
	Command string   // that it is about, "" for none in particular
	Advice  string   // a hint instead of the usual one
	Ways    []string // commands that say what was left open
}

// Misuse is a [UsageError] about a command, "" for none in particular.
func Misuse(command, msg string) error { return &UsageError{Msg: msg, Command: command} }

func (e *UsageError) Error() string { return e.Msg }

// Exit implements [Exiter].
func (e *UsageError) Exit() Code { return Usage }

// Choices implements [Chooser].
func (e *UsageError) Choices() []string { return e.Ways }

// Hint implements [Hinter].
func (e *UsageError) Hint() string {
	switch {
	case len(e.Ways) > 0:
		return ""
	case e.Advice != "":
		return e.Advice
	case e.Command != "":
		return "see: vaultik help " + e.Command
	}
	return "see: vaultik --help"
}
