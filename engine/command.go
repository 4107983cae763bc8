package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"vaultik/internal/fault"
	"vaultik/vault/keys"
)

const (
	// commandGrace is how long a program that is told to end may take for it.
	commandGrace = 5 * time.Second
	// stderrGrace is how long others may hold its standard error after it ended.
	stderrGrace = time.Second
	// lastLines is how much of a program's standard error goes into the error.
	lastLines = 5
	// longestLine bounds a line of a program's standard error, in bytes.
	longestLine = 4 << 10
)

// command is a program whose output is read. Its Read ends with io.EOF only if
// the program has ended well; otherwise with a *commandFailed.
type command struct {
	cmd    *exec.Cmd
	out    io.ReadCloser
	errors *lineWriter
	once   sync.Once
	err    error // of Start or Wait
	began  bool
	mu     sync.Mutex
}

// newCommand prepares a program, which begins with the first Read. say hears each
// line of its standard error.
func newCommand(args []string, stdin io.Reader,
	say func(format string, args ...any)) (*command, error) {
	c := &command{cmd: exec.Command(args[0], args[1:]...)} //nolint:gosec // that is what it is for
	name := filepath.Base(args[0])
	c.errors = &lineWriter{say: func(line string) { say("%s: %s", name, line) }}
	c.cmd.Stdin, c.cmd.Stderr = stdin, c.errors
	c.cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, keys.EnvIdentity+"=")
	})
	c.cmd.WaitDelay = stderrGrace
	out, err := c.cmd.StdoutPipe()
	c.out = out
	return c, err
}

// Read implements io.Reader.
func (c *command) Read(p []byte) (int, error) {
	if err := c.start(); err != nil {
		return 0, err
	}
	n, err := c.out.Read(p)
	if n > 0 || err == nil {
		return n, nil
	}
	return 0, c.wait(err)
}

// start begins the program, unless it was ended before.
func (c *command) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.began {
		c.began = true
		if err := c.cmd.Start(); err != nil {
			what := "could not be started: " + err.Error()
			c.once.Do(func() { c.err = &commandFailed{c.cmd.Path, what, nil} })
		}
	}
	if c.cmd.Process == nil {
		c.once.Do(func() { c.err = io.ErrClosedPipe })
		return c.err
	}
	return nil
}

// wait is called when nothing more can be read: what says whether that is the end.
func (c *command) wait(what error) error {
	c.once.Do(func() {
		err := c.cmd.Wait()
		c.errors.flush()
		switch {
		// ErrWaitDelay: it ended well, but left others behind that hold its output.
		case err == nil, errors.Is(err, exec.ErrWaitDelay):
			c.err = what
		case c.cmd.ProcessState != nil:
			c.err = &commandFailed{c.cmd.Path, c.cmd.ProcessState.String(), c.errors.last}
		default:
			c.err = &commandFailed{c.cmd.Path, err.Error(), c.errors.last}
		}
	})
	return c.err
}

// end ends the program if it still runs: first it is asked to.
func (c *command) end() {
	c.mu.Lock()
	began := c.began
	c.began = true // it will not begin any more
	c.mu.Unlock()
	if !began || c.cmd.Process == nil {
		return
	}
	_ = c.out.Close() // it, and others that write there, can notice too
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(commandGrace, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_ = c.wait(io.ErrClosedPipe)
}

// commandFailed: a program did not end well.
type commandFailed struct {
	path   string
	status string // exit status or signal
	last   []string
}

func (*commandFailed) Exit() fault.Code { return fault.Failed }
func (*commandFailed) Hint() string {
	return "run it alone, and check its exit status: echo $?"
}

func (e *commandFailed) Error() string {
	msg := fmt.Sprintf("the command %s failed: %s; no snapshot made", filepath.Base(e.path),
		e.status)
	if len(e.last) > 0 {
		msg += "; its last output: " + strings.Join(e.last, " | ")
	}
	return msg
}

// lineWriter gives lines to say, and keeps the last ones. One goroutine writes.
type lineWriter struct {
	say  func(line string)
	part []byte
	last []string
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		room := max(0, longestLine-len(w.part))
		w.part = append(w.part, line[:min(len(line), room)]...)
		if !found {
			break
		}
		w.flush()
		rest = after
	}
	return len(p), nil
}

// flush ends the line.
func (w *lineWriter) flush() {
	line := strings.TrimRight(string(w.part), " \r")
	w.part = w.part[:0]
	if line == "" {
		return
	}
	w.say(line)
	w.last = append(w.last, line)
	w.last = w.last[max(0, len(w.last)-lastLines):]
}
