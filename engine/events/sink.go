package events

import (
	"fmt"
	"slices"
	"time"

	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/messages"
)

// Event is one of the structs of this package.
type Event interface{ event() }

// Local is an event that no object of the schema stands for.
type Local interface {
	Event
	local()
}

// Sink hears what happens. It is called from several goroutines at once, and must not
// block for long: the job waits for it.
type Sink interface {
	// Tell takes one event, which it may keep.
	Tell(e Event)
	// Watch shows how a part of the job comes on until the function that it returns is
	// called.
	Watch(w Work) (done func())
}

// Work is a part of a job that is under way.
type Work struct {
	Progress *messages.Progress
	Waiting  func(now time.Time) time.Duration // how long a store has been failing; 0: none does
}

// Discard hears nothing.
var Discard Sink = discard{}

type discard struct{}

func (discard) Tell(Event)               {}
func (discard) Watch(Work) (done func()) { return func() {} }

// Loudness says who wants to hear a [Remark].
type Loudness int

// From what nobody may miss to what few want.
const (
	Always  Loudness = iota // also those who asked for quiet
	Usually                 // all but those
	Rarely                  // those who asked for more
)

// Remark is a sentence about what goes on.
type Remark struct {
	Loudness Loudness
	Text     string
}

// Voice says sentences to a sink.
type Voice struct{ Sink }

// Warn tells of something that did not stop the job. The hint, one command or edit, may
// be empty. Secrets are blacked out.
func (v Voice) Warn(hint, format string, args ...any) {
	v.Tell(WarningOf(hint, format, args...))
}

// WarningOf is a warning as every sink may show it.
func WarningOf(hint, format string, args ...any) Warning {
	args = slices.Clone(args)
	for i, a := range args {
		if err, is := a.(error); is {
			args[i] = fault.Text(err)
		}
	}
	return Warning{Type: "warning", Message: words.Cut(config.Scrub(fmt.Sprintf(format, args...))),
		Hint: hint}
}

// Note says something that is usually of interest.
func (v Voice) Note(format string, args ...any) {
	v.Tell(Remark{Usually, fmt.Sprintf(format, args...)})
}

// Detail says something that few want to know.
func (v Voice) Detail(format string, args ...any) {
	v.Tell(Remark{Rarely, fmt.Sprintf(format, args...)})
}
