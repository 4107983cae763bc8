package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"vaultik/config"
	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/words"
)

// output is the only way to stdout and stderr. Results go to stdout: lines, or
// with --json one object a line. Everything else goes to stderr; with --json
// warnings and errors are objects as well. Safe for many goroutines.
type output struct {
	mu                   sync.Mutex
	stdout, stderr       io.Writer
	json, quiet, verbose bool
	drawn                string // progress line that stands on the terminal now
	broken               error  // the first failure to write stdout
}

// result prints one line of the answer; with --json events carry it instead.
func (o *output) result(format string, args ...any) {
	if !o.json {
		o.raw(fmt.Sprintf(format, args...) + "\n")
	}
}

// raw prints text as it is; with --json nothing.
func (o *output) raw(text string) {
	if o.json {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clear()
	o.write(text)
}

// event prints one object; without --json nothing.
func (o *output) event(v any) {
	if !o.json {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writeEvent(v)
}

func (o *output) writeEvent(v any) {
	o.write(events.Line(v))
}

func (o *output) write(text string) {
	if _, err := io.WriteString(o.stdout, text); err != nil && o.broken == nil {
		o.broken = err
	}
}

// note says something on stderr that -q leaves out.
func (o *output) note(format string, args ...any) {
	if !o.quiet {
		o.say(fmt.Sprintf(format, args...))
	}
}

// detail says something on stderr that only -v wants.
func (o *output) detail(format string, args ...any) {
	if o.verbose {
		o.say(fmt.Sprintf(format, args...))
	}
}

// remark says a sentence of a job to those who want it.
func (o *output) remark(r events.Remark) {
	switch r.Loudness {
	case events.Always:
		o.say(r.Text)
	case events.Usually:
		o.note("%s", r.Text)
	case events.Rarely:
		o.detail("%s", r.Text)
	}
}

// warn tells of something that did not stop the command. The hint, one command
// or edit, may be empty.
func (o *output) warn(hint, format string, args ...any) {
	o.warning(events.WarningOf(hint, format, args...))
}

func (o *output) warning(w events.Warning) {
	o.say("warning: " + w.Message)
	if w.Hint != "" {
		o.say("hint: " + w.Hint)
	}
	o.event(w)
}

// fail prints the error that ends the command.
func (o *output) fail(e engine.Explanation) {
	o.say("error: " + e.Message)
	if e.Hint != "" {
		o.say("hint: " + e.Hint)
	}
	for _, c := range e.Choices {
		o.say("choose: " + c)
	}
	o.event(events.Error{Type: "error", Message: e.Message, Hint: e.Hint, Choices: e.Choices,
		Exit: e.Exit})
}

func (o *output) say(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clear()
	fmt.Fprintln(o.stderr, "vaultik: "+words.Printable(words.Cut(line)))
}

// clear takes the progress line off the terminal; the next tick draws it again.
func (o *output) clear() {
	if o.drawn != "" {
		fmt.Fprint(o.stderr, "\r\x1b[K")
		o.drawn = ""
	}
}

// remarks takes what libraries write to package log, such as net/http about unsolicited
// responses of servers. It is shown only with -v.
type remarks struct{ out *output }

func (r remarks) Write(p []byte) (int, error) {
	r.out.detail("%s", config.Scrub(strings.TrimSuffix(string(p), "\n")))
	return len(p), nil
}
