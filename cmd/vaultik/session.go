package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"vaultik/config"
	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
)

// globals are the flags of every command.
type globals struct {
	Config      string  `help:"Configuration file (or $$VAULTIK_CONFIG)." placeholder:"FILE"`
	Store       *string `help:"Store to use instead of the configured one: a directory, s3://BUCKET/PREFIX or rclone://REMOTE/PATH." placeholder:"URL"`
	Owner       string  `help:"Fingerprint that the store's owner must have." placeholder:"SHA256:..."`
	BWLimit     *string `name:"bwlimit" help:"Bandwidth to stores, up or up:down, such as 2M, 512K:10M or off; or a timetable: '08:00,2M 18:00,off'." placeholder:"LIMIT"`
	Connections int     `help:"Concurrent transfers to and from the store, 1 to 64 (default: as configured, or 4)." placeholder:"N"`
	SlowStore   bool    `help:"Accept transfers to and from the store that hardly move, down to 16 bytes a second (default: 1 KiB a second)."`
	JSON        bool    `name:"json" help:"Print JSON, one object per line; the last one is a summary."`
	Verbose     bool    `short:"v" help:"Print more." xor:"loudness"`
	Quiet       bool    `short:"q" help:"Print only warnings and errors: no progress, no notes." xor:"loudness"`
}

// session is one run of the program: what every command shares.
type session struct {
	globals
	parser *kong.Kong
	out    *output
	sum    events.Summary // commands fill in what was counted
	began  time.Time
	engine *engine.Engine // once the global flags are checked

	identity    *keys.Identity // nil: not given or malformed
	identityErr error          // why identity is nil

	noCache bool // of the command

	item   func(events.Item) // how the command says what became of a path
	target string            // --target as it was given
}

func newSession(stdout, stderr io.Writer) *session {
	out := &output{stdout: stdout, stderr: stderr}
	return &session{out: out, began: time.Now(), sum: events.Summary{Type: "summary"},
		item: func(e events.Item) { out.event(e) }}
}

// prepare checks the global flags, before any command.
func (s *session) prepare() (err error) {
	s.engine, err = engine.Open(engine.Options{
		Config: s.Config, Store: s.Store, Owner: s.Owner, BWLimit: s.BWLimit,
		Connections: s.Connections, SlowStore: s.SlowStore, NoCache: s.noCache,
		Identity: s.identity, NoIdentity: s.identityErr, Tool: tool(), LimitMemory: limitMemory,
	})
	return err
}

// cacheFlag is for commands that look for snapshots.
type cacheFlag struct {
	NoCache bool `help:"Read everything from the store, and keep nothing of it in the cache of this machine."`
}

// cached takes the flag --no-cache of a command.
func (s *session) cached(f cacheFlag) error {
	if !f.NoCache {
		return nil
	}
	s.noCache = true
	return s.prepare()
}

// parallel takes the flag --parallel of a command, 0 for none, for --connections.
func (s *session) parallel(n int) error {
	if n == 0 {
		return nil
	}
	if err := config.CheckParallel(n); err != nil {
		return fault.Misuse(s.sum.Command, "--parallel: "+err.Error())
	}
	if s.Connections != 0 && s.Connections != n {
		return fault.Misuse(s.sum.Command,
			"--parallel and --connections are two names for one setting; use only --connections")
	}
	s.Connections = n
	return s.prepare()
}

// finish prints error and summary, and returns the exit code.
func (s *session) finish(err error) int {
	if err == nil {
		err = s.lostOutput()
	}
	if err != nil {
		e := s.explain(err)
		s.out.fail(e)
		s.sum.Exit = e.Exit
	}
	s.sum.Seconds = time.Since(s.began).Seconds()
	s.out.event(s.sum)
	return int(s.sum.Exit)
}

// lostOutput is the error of a command that has done its work but could not say so. It is
// not the work that has to be done again, and no error at all if the reader has left.
func (s *session) lostOutput() error {
	switch {
	case s.out.broken == nil:
		return nil
	case !changes(s.sum.Command):
		return fault.WithHint(fmt.Errorf("write output: %w", s.out.broken), "")
	case errors.Is(s.out.broken, syscall.EPIPE):
		return nil
	}
	done := map[string]string{
		"init": "the store is created", "backup": "the backup is saved",
		"restore": "the files are restored", "store copy": "the mirror is up to date",
	}[s.sum.Command]
	return fault.WithHint(fmt.Errorf("%s, but the output could not be written: %w",
		cmp.Or(done, s.sum.Command+" is done"), s.out.broken), "")
}

// explain turns any error into its exit code and hint.
func (s *session) explain(err error) engine.Explanation {
	if ie := (*internalError)(nil); errors.As(err, &ie) {
		s.out.say("this is a bug; please report the following")
		fmt.Fprintln(s.out.stderr, config.Scrub(ie.stack))
	}
	return engine.Explain(err)
}

// internalError is a panic: a bug of this program.
type internalError struct{ value, stack string }

func (e *internalError) Error() string { return "internal error: " + e.value }

// limitMemory tells the runtime what is left to the collector's heap: a good half
// of what the configuration allows. The buffers of a job, which are not in it,
// program text and mapped tables take the rest. Less makes the collector thrash,
// measured on 50,000 files.
func limitMemory(memory int64) {
	debug.SetMemoryLimit(memory * 55 / 100)
	debug.SetGCPercent(40)
}
