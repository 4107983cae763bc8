package rclone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"before.vaultik/rcloneenv"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/fs/config/configfile"
	"github.com/rclone/rclone/lib/atexit"

	"vaultik/backends"
)

// process is what rclone keeps once for all its users. Only one rclone.conf can be
// in use at a time: another one waits until all stores of the first are closed.
var process struct {
	sync.Mutex
	ready    bool
	stores   int           // open, or about to be
	left     int           // closed, but a call that was left behind still runs
	ended    chan struct{} // closed when one of these has ended
	conf     string        // what they use; "" in memory only
	passed   string        // the password command they were opened with
	fallback string        // where rclone has its file if nobody says otherwise
	command  []string      // of RCLONE_PASSWORD_COMMAND
}

func init() {
	process.fallback = config.GetConfigPath()
	rcloneenv.Restore()
}

// acquire prepares rclone for one more store. After nil, release it.
func acquire(ctx context.Context, o backends.RcloneOptions, log *slog.Logger) error {
	process.Lock()
	defer process.Unlock()
	if !process.ready {
		// Otherwise the first upload installs a handler that ends the process.
		atexit.IgnoreSignals()
		fs.SetLogger(bridge{})
		if err := globalOptions(log); err != nil {
			return backends.WithKind(backends.ErrConfig, err)
		}
		process.command = fs.GetConfig(ctx).PasswordCommand
		process.ready = true
	}
	conf, command := confPath(o), strings.Join(o.PasswordCommand, "\x00")
	for process.stores+process.left > 0 && (conf != process.conf || command != process.passed) {
		if process.stores > 0 {
			return fmt.Errorf("%w: rclone has %s open for another store; only one rclone.conf can be in use at a time",
				backends.ErrConfig, confName(process.conf))
		}
		if err := waitLeft(ctx); err != nil {
			return err
		}
	}
	if process.stores+process.left == 0 {
		if err := loadConf(ctx, conf, o.PasswordCommand); err != nil {
			return backends.WithKind(backends.ErrConfig, err)
		}
		process.conf, process.passed = conf, command
	}
	process.stores++
	return nil
}

// waitLeft waits until a call that was left behind has ended, or ctx. It lets go of
// the process meanwhile.
func waitLeft(ctx context.Context) error {
	if process.ended == nil {
		process.ended = make(chan struct{})
	}
	ended := process.ended
	process.Unlock()
	defer process.Lock()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release ends the use of rclone by a store whose calls running counts; those that
// were left behind may still need what is there.
func release(running *sync.WaitGroup) {
	process.Lock()
	process.stores--
	process.left++
	process.Unlock()
	go func() {
		running.Wait()
		process.Lock()
		defer process.Unlock()
		process.left--
		if process.ended != nil {
			close(process.ended)
			process.ended = nil
		}
	}()
}

// confPath is where rclone.conf is meant to be: our setting, then rclone's own.
func confPath(o backends.RcloneOptions) string {
	path := o.Config
	if path == "" {
		path = os.Getenv("RCLONE_CONFIG")
	}
	if path == "" {
		path = process.fallback
	}
	if path == os.DevNull || filepath.Base(path) == "notfound" {
		return "" // rclone's own words for: none
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return path
}

func confName(path string) string {
	if path == "" {
		return "no rclone.conf"
	}
	return path
}

// loadConf reads rclone.conf. It does so before rclone would: rclone ends the
// process when it cannot, and reads it from several goroutines at once.
func loadConf(ctx context.Context, path string, passwordCommand []string) error {
	if err := config.SetConfigPath(path); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if path == "" {
		return nil
	}
	if len(passwordCommand) == 0 {
		passwordCommand = process.command
	}
	fs.GetConfig(ctx).PasswordCommand = passwordCommand
	config.ClearConfigPassword()
	err := (&configfile.Storage{}).Load()
	if err != nil && !errors.Is(err, config.ErrorConfigFileNotFound) {
		return fmt.Errorf("read %s: %w", path, confError(path, err))
	}
	configfile.Install()
	return guard(func() error {
		config.LoadedData()
		return nil
	})
}

// confError makes an error of reading rclone.conf fit to be shown.
func confError(path string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "could not parse line"):
		// rclone repeats the line, and with it maybe a password.
		if n := brokenLine(path); n > 0 {
			return fmt.Errorf("line %d is not a section, a \"key = value\" or a comment", n)
		}
		return errors.New("a line is not a section, a \"key = value\" or a comment")
	case strings.Contains(text, "not allowed to ask for password"):
		return errors.New("it is encrypted; set rclone: password_command: in the configuration, or RCLONE_CONFIG_PASS")
	case strings.Contains(text, "unable to decrypt configuration"):
		return errors.New("it is encrypted with a different password")
	}
	return err
}

// brokenLine finds the first line that rclone cannot read, from 1; 0 if none.
func brokenLine(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") &&
			!(strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]")) && strings.IndexAny(line, "=:") <= 0 {
			return i + 1
		}
	}
	return 0
}

// guard runs fn so that what would make rclone end the process becomes an error.
// rclone spares the jobs of its own remote control: it looks for the function
// (*Job).run among its callers, and then panics.
func guard(fn func() error) error { return new(Job).run(fn) }

// Job has the name that rclone looks for, see guard.
type Job struct{}

func (*Job) run(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			text, ok := p.(string)
			if !ok || !strings.HasPrefix(text, "fatal error: ") {
				panic(p)
			}
			err = backends.WithKind(backends.ErrConfig, errors.New(strings.TrimPrefix(text, "fatal error: ")))
		}
	}()
	return fn()
}
