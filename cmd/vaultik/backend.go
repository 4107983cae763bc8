package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"vaultik/backends"
	"vaultik/backends/limit"
	"vaultik/backends/retry"
	"vaultik/config"
)

// openBackend opens the store at url as every command does: calls are made again
// while it fails, transfers are counted, all stores share one bandwidth.
func (s *session) openBackend(ctx context.Context, url string, o backends.Options) (backends.Backend, error) {
	conf, err := s.tuning()
	if err != nil {
		return nil, err
	}
	o.Connections = s.transfers(conf)
	return s.open(ctx, url, o, conf, o.Connections)
}

// openUncounted is openBackend for those who hold more transfers open than there are
// connections, and would wait for themselves.
func (s *session) openUncounted(ctx context.Context, url string, o backends.Options) (backends.Backend, error) {
	conf, err := s.tuning()
	if err != nil {
		return nil, err
	}
	o.Connections = s.transfers(conf)
	return s.open(ctx, url, o, conf, 0)
}

func (s *session) open(ctx context.Context, url string, o backends.Options, conf *config.Config, connections int) (backends.Backend, error) {
	o.Log = slog.New(logs{s.out})
	o.S3, o.Rclone = s3Options(conf.S3), backends.RcloneOptions(conf.Rclone)
	l, trouble := s.limiter(conf), s.troubles.of(backends.Redact(url))
	b, err := retry.Open(ctx, func(ctx context.Context) (backends.Backend, error) {
		b, err := backends.Open(ctx, url, o)
		if err != nil {
			return nil, err
		}
		return limit.Wrap(b, l), nil
	}, retry.Options{
		Connections: connections, Elapsed: conf.Retry.Elapsed, Stall: conf.Retry.Stall,
		Patience: s.patience, OnRetry: trouble.retried, OnOver: trouble.over,
	})
	if err != nil {
		return nil, err // a nil *retry.Backend is no nil Backend
	}
	return b, nil
}

func s3Options(c config.S3) backends.S3Options {
	return backends.S3Options{
		Endpoint: c.Endpoint, Region: c.Region, Lookup: c.Lookup, CAFile: c.CAFile, StorageClass: c.StorageClass,
		LockMode: c.LockMode, LockDays: c.LockDays, Credentials: backends.S3Credentials(c.Credentials),
	}
}

// limiter is the one of the process.
func (s *session) limiter(conf *config.Config) *limit.Limiter {
	if s.limits == nil {
		schedule := conf.BWLimit
		if s.cli.BWLimit != nil {
			schedule = s.bwlimit
		}
		s.limits = limit.New(schedule)
	}
	return s.limits
}

// tuning is the configuration as far as it says how to work: the defaults on a
// machine without one. With --store one that is broken is no obstacle.
func (s *session) tuning() (*config.Config, error) {
	if s.tuned != nil {
		return s.tuned, nil
	}
	c, err := s.config()
	switch {
	case err == nil:
		return c, nil // again each time: a first backup makes it
	case errors.Is(err, config.ErrMissing):
		return config.Default(), nil
	case s.cli.Store != nil:
		s.out.warn("", "%v; going on without it", err)
		s.tuned = config.Default()
		return s.tuned, nil
	}
	return nil, err
}

// transfers is how many run at once.
func (s *session) transfers(conf *config.Config) int {
	if s.cli.Connections != 0 {
		return s.cli.Connections
	}
	return conf.Parallel
}

// parallel takes the flag --parallel of a command, 0 for none, for --connections.
func (s *session) parallel(n int) error {
	if n == 0 {
		return nil
	}
	if err := config.CheckParallel(n); err != nil {
		return &usageError{msg: "--parallel: " + err.Error(), command: s.sum.Command}
	}
	if s.cli.Connections != 0 && s.cli.Connections != n {
		return &usageError{msg: "--parallel and --connections are two names of one thing; give one", command: s.sum.Command}
	}
	s.cli.Connections = n
	return nil
}

// limitsOnTheLine checks --connections and --bwlimit.
func (s *session) limitsOnTheLine() (err error) {
	if n := s.cli.Connections; n != 0 {
		if err := config.CheckParallel(n); err != nil {
			return &usageError{msg: "--connections: " + err.Error()}
		}
	}
	if s.cli.BWLimit != nil {
		if s.bwlimit, err = limit.Parse(*s.cli.BWLimit); err != nil {
			return &usageError{msg: "--bwlimit: " + err.Error()}
		}
	}
	return nil
}

// logs takes what backends log: warnings are the program's, the rest is said with -v.
// The attribute "hint" is what to do.
type logs struct{ out *output }

func (l logs) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || l.out.verbose && level >= slog.LevelInfo
}

func (l logs) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	hint := ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "hint" {
			hint = a.Value.String()
			return true
		}
		fmt.Fprintf(&b, ", %s %v", a.Key, a.Value.Resolve())
		return true
	})
	if r.Level >= slog.LevelWarn {
		l.out.warn(hint, "%s", b.String())
	} else {
		l.out.detail("%s", config.Scrub(b.String()))
	}
	return nil
}

// WithAttrs and WithGroup are for loggers that are handed on; what they add is of no
// use to people.
func (l logs) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l logs) WithGroup(string) slog.Handler      { return l }

// remarks takes what libraries say through package log, such as net/http of servers
// that speak unasked: only those who want to know all want to know.
type remarks struct{ out *output }

func (r remarks) Write(p []byte) (int, error) {
	r.out.detail("%s", config.Scrub(strings.TrimSuffix(string(p), "\n")))
	return len(p), nil
}
