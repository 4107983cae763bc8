package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"

	"vaultik/engine"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
)

func main() {
	keys.HardenProcess()
	code := make(chan int)
	go func() { code <- run(os.Args[1:], os.Stdout, os.Stderr) }()
	os.Exit(<-code)
}

// The kernel gives a signal to the first thread if it can. One that waits in a system call for
// a file system which hangs would keep it for ever, so that thread does nothing else.
func init() { runtime.LockOSThread() }

// run is the whole program: it parses, runs one command and returns the exit
// code. The identity leaves the environment before anything else happens.
func run(args []string, stdout, stderr io.Writer) int {
	identity, identityErr := keys.TakeIdentity()
	s := newSession(stdout, stderr)
	s.identity, s.identityErr = identity, identityErr

	helped := false
	var line cli
	s.parser = newParser(&line, stdout, stderr, func(int) { helped = true })
	cmd, err := s.parser.Parse(args)
	if helped {
		return int(fault.Done)
	}
	s.globals = line.globals
	s.out.json = s.JSON || slices.Contains(beforeDashes(args), "--json")
	s.out.quiet, s.out.verbose = s.Quiet, s.Verbose
	log.SetFlags(0)
	log.SetOutput(remarks{s.out})
	if err != nil {
		return s.finish(fault.Misuse(commandOf(err), err.Error()))
	}
	s.sum.Command = cmd.Selected().FullPath()[len("vaultik "):]

	if changes(s.sum.Command) {
		outliveReaders()
	}
	ctx, stop := interruptible()
	defer stop()
	return s.finish(protect(ctx, func() error {
		if err := s.prepare(); err != nil {
			return err
		}
		cmd.BindTo(ctx, (*context.Context)(nil))
		return cmd.Run(s)
	}))
}

// newParser knows the command line. helped is called after --help.
func newParser(c *cli, stdout, stderr io.Writer, helped func(int)) *kong.Kong {
	parser, err := kong.New(c,
		kong.Name("vaultik"),
		kong.Description(description),
		bytesAreBytes(),
		kong.Writers(stdout, stderr),
		kong.Exit(helped), // only --help exits by itself
		kong.ConfigureHelp(kong.HelpOptions{
			Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100,
		}),
	)
	if err != nil {
		panic(err) // the tree in cli.go is wrong: every test would see it
	}
	return parser
}

// protect turns a panic into an error, so that even then error and summary are printed.
func protect(ctx context.Context, fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			stack := string(debug.Stack())
			if t, ok := p.(interface{ Trace() string }); ok { // in another goroutine
				stack = t.Trace()
			}
			err = &internalError{value: fmt.Sprint(p), stack: stack}
		}
	}()
	err = fn()
	switch {
	case err == nil || ctx.Err() == nil || !errors.Is(context.Cause(ctx), engine.ErrInterrupted):
		return err
	case errors.Is(err, engine.ErrInterrupted), errors.Is(err, context.Canceled):
		return engine.ErrInterrupted
	}
	return fmt.Errorf("%w: %w", engine.ErrInterrupted, err)
}

// changes says of a command whether it stores or restores something. What it prints is
// then about its work, and not the work itself.
func changes(command string) bool {
	return !slices.Contains([]string{"snapshots", "ls", "verify", "drill", "index check",
		"store info", "store check", "keygen", "host list", "fleet status", "recipient list",
		"config path", "config show", "config check", "version", "help"}, command)
}

// outliveReaders keeps SIGPIPE from ending the process when nobody reads what it prints any
// more: the work comes first. The signal is caught, not ignored: programs that are started
// would inherit that.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// interruptible gives a context that the first SIGINT, SIGTERM or SIGHUP
// cancels; the second ends the process at once. A signal that was ignored from the
// start stays so: by nohup, or by a shell for its jobs in the background.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	done := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-signals:
				if n > 0 {
					os.Exit(int(fault.Interrupted))
				}
				cancel(engine.ErrInterrupted)
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// beforeDashes are the arguments that may be flags.
func beforeDashes(args []string) []string {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i]
	}
	return args
}

// commandOf is the command a usage error is about, "" for none.
func commandOf(err error) string {
	var pe *kong.ParseError
	if !errors.As(err, &pe) || pe.Context == nil {
		return ""
	}
	if n := pe.Context.Selected(); n != nil && n.Type == kong.CommandNode {
		return n.Path()
	}
	return ""
}
