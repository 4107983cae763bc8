package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"vaultik/backends"
	"vaultik/backends/aside"
	"vaultik/backends/limit"
	"vaultik/backends/pace"
	"vaultik/backends/retry"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/platform"
	"vaultik/vault/layout"
)

// openBackend opens the store at url as every job does: failed calls are retried,
// transfers are counted, all stores share one bandwidth.
func (j *job) openBackend(ctx context.Context, url string, o backends.Options) (backends.Backend,
	error) {
	conf, err := j.tuning()
	if err != nil {
		return nil, err
	}
	o.Connections = j.transfers(conf)
	return j.open(ctx, url, o, conf, o.Connections)
}

// openUncounted is openBackend without a limit on transfers, for callers that hold more of
// them open than there are connections, and would deadlock.
func (j *job) openUncounted(ctx context.Context, url string, o backends.Options) (backends.Backend,
	error) {
	conf, err := j.tuning()
	if err != nil {
		return nil, err
	}
	o.Connections = j.transfers(conf)
	return j.open(ctx, url, o, conf, 0)
}

func (j *job) open(ctx context.Context, url string, o backends.Options, conf *config.Config,
	connections int) (backends.Backend, error) {
	o.Log, o.Holds = slog.New(logs{j.Voice}), layout.Holds
	o.S3, o.Rclone = s3Options(conf.S3), backends.RcloneOptions(conf.Rclone)
	o.ReadOnly = o.ReadOnly || j.dry // or the place may be tried with a file
	l, trouble := j.limiter(conf), j.troubles.of(backends.Redact(url))
	b, err := retry.Open(ctx, func(ctx context.Context) (backends.Backend, error) {
		b, err := openKind(ctx, url, o)
		if err != nil {
			return nil, err
		}
		return limit.Wrap(pace.Wrap(b, j.pace(conf, l)), l), nil
	}, retry.Options{
		Connections: connections, Elapsed: conf.Retry.Elapsed, Stall: conf.Retry.Stall,
		Patience: j.patience, OnRetry: trouble.retried, OnOver: trouble.over,
	})
	if err != nil {
		return nil, err // a nil *retry.Backend is no nil Backend
	}
	return b, nil
}

// openKind opens a store. System calls on a directory may never return: they are made aside.
func openKind(ctx context.Context, url string, o backends.Options) (backends.Backend, error) {
	if config.FilePath(url) == "" {
		return backends.Open(ctx, url, o)
	}
	b, err := aside.Open(ctx, func(ctx context.Context) (backends.Backend, error) {
		return backends.Open(ctx, url, o)
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// pace is what transfers are too slow.
func (j *job) pace(conf *config.Config, l *limit.Limiter) pace.Options {
	o := pace.Options{Floor: pace.Floor, Up: !l.Limits()}
	if j.o.SlowStore || conf.Retry.SlowStore {
		o.Floor = pace.SlowFloor
	}
	return o
}

func s3Options(c config.S3) backends.S3Options {
	return backends.S3Options{
		Endpoint: c.Endpoint, Region: c.Region, Lookup: c.Lookup, CAFile: c.CAFile,
		StorageClass: c.StorageClass,
		LockMode:     c.LockMode, LockDays: c.LockDays,
		Credentials: backends.S3Credentials(c.Credentials),
	}
}

// limiter is the one of the job.
func (j *job) limiter(conf *config.Config) *limit.Limiter {
	if j.limits == nil {
		schedule := conf.BWLimit
		if j.schedule != nil {
			schedule = *j.schedule
		}
		j.limits = limit.New(schedule)
	}
	return j.limits
}

// tuning is the configuration as far as it says how to work: the defaults on a
// machine without one. With --store one that is broken is no obstacle.
func (j *job) tuning() (*config.Config, error) {
	if j.tuned != nil {
		return j.tuned, nil
	}
	c, err := j.config()
	switch {
	case err == nil:
		return c, nil // not kept in tuned: a first backup creates it later
	case errors.Is(err, config.ErrMissing):
		return config.Default(), nil
	case j.o.Store != nil:
		j.Warn("", "%v; continuing without it", err)
		j.tuned = config.Default()
		return j.tuned, nil
	}
	return nil, err
}

// transfers is how many run at once: each has a file or a connection open.
func (j *job) transfers(conf *config.Config) int {
	n := conf.Parallel
	if j.o.Connections != 0 {
		n = j.o.Connections
	}
	return platform.OpenShare(n, 8)
}

// logs takes what backends log: warnings are shown as those of the job, the rest with -v.
// The attribute "hint" is what to do.
type logs struct{ events.Voice }

func (l logs) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

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
		l.Warn(hint, "%s", b.String())
	} else {
		l.Detail("%s", config.Scrub(b.String()))
	}
	return nil
}

// WithAttrs and WithGroup are for loggers that are handed on; what they add is of no
// use to people.
func (l logs) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l logs) WithGroup(string) slog.Handler      { return l }
