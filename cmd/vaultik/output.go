package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"vaultik/config"
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
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // events are plain structs
	}
	o.write(b.String())
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

// warn tells of something that did not stop the command. The hint, one command
// or edit, may be empty.
func (o *output) warn(hint, format string, args ...any) {
	msg := cut(config.Scrub(fmt.Sprintf(format, args...)))
	o.say("warning: " + msg)
	if hint != "" {
		o.say("hint: " + hint)
	}
	o.event(warningEvent{"warning", msg, hint})
}

// fail prints the error that ends the command.
func (o *output) fail(e explanation) {
	o.say("error: " + e.Message)
	if e.Hint != "" {
		o.say("hint: " + e.Hint)
	}
	for _, c := range e.Choices {
		o.say("choose: " + c)
	}
	o.event(errorEvent{"error", e.Message, e.Hint, e.Choices, e.Exit})
}

func (o *output) say(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clear()
	fmt.Fprintln(o.stderr, "vaultik: "+printable(cut(line)))
}

// maxLine is how long a message may be: two paths of the greatest length that
// Linux opens fit in. A store can name paths of 64 KiB, and say so for each entry.
const maxLine = 10 << 10

// cut shortens what is too long in its middle.
func cut(s string) string {
	if len(s) <= maxLine {
		return s
	}
	const end = 2 << 10
	return s[:maxLine-end] + fmt.Sprintf("[%d bytes more]", len(s)-maxLine) + s[len(s)-end:]
}

// clear takes the progress line off the terminal; the next tick draws it again.
func (o *output) clear() {
	if o.drawn != "" {
		fmt.Fprint(o.stderr, "\r\x1b[K")
		o.drawn = ""
	}
}

// printable replaces what would act on a terminal, line ends included, by Go escapes.
func printable(s string) string {
	odd := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if strings.IndexFunc(s, odd) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		_, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case odd(r):
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
