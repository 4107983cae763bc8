package engine

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/engine/placecheck"
	"vaultik/internal/fault"
	"vaultik/internal/words"
)

// CheckPlace tries out a place, whether or not there is a store yet: see
// [placecheck.Check]. It needs no key, and with Options.Store no configuration.
func (e *Engine) CheckPlace(ctx context.Context, full bool, sink events.Sink) (events.Totals,
	error) {
	j := e.begin("store check", sink)
	return j.told(ctx, func() error { return j.checkPlace(ctx, full) })
}

func (j *job) checkPlace(ctx context.Context, full bool) error {
	url, err := j.storeURL()
	if err != nil {
		return err
	}
	p := placecheck.Place{URL: url, Again: j.here("store check")}
	if p.Lock, err = j.tryLock(ctx, url); err != nil {
		return err
	}
	conf, err := j.tuning()
	if err != nil {
		return err
	}
	p.Connections = j.transfers(conf)
	j.limiter(conf) // one for all that are opened
	silent := *j
	silent.Voice = events.Voice{Sink: events.Discard}
	silent.troubles = newTroubles(silent.Voice)
	p.Open = func(ctx context.Context, o backends.Options, quiet bool) (backends.Backend, error) {
		if quiet {
			return silent.openPlace(ctx, url, o)
		}
		return j.openPlace(ctx, url, o)
	}
	return placecheck.Check(ctx, p, full, j.Sink)
}

// tryLock opens the place as a backup would where objects are to be locked: that
// fails if they cannot be. It returns what is asked for.
func (j *job) tryLock(ctx context.Context, url string) (string, error) {
	conf, err := j.tuning()
	if err != nil {
		return "", err
	}
	mode, days := conf.S3.LockMode, int64(conf.S3.LockDays)
	bare, own := withoutLock(url)
	switch {
	case bare == "":
		return "not available here", nil
	case own.Get("lock") != "":
		mode = own.Get("lock")
		if n, err := strconv.ParseInt(own.Get("lock_days"), 10, 64); err == nil {
			days = n
		}
	}
	if mode == "" {
		return "not requested: lock=governance&lock_days=N in the URL, or s3: in the configuration",
			nil
	}
	b, err := j.openUncounted(ctx, url, backends.Options{})
	if err != nil {
		return "", placeError(url, err)
	}
	return mode + ", " + words.Plural(days, "day", "days") +
		"; what this check writes is not locked", b.Close()
}

// withoutLock is a URL of S3 without what locks objects, and its parameters; "" for
// URLs of other kinds.
func withoutLock(location string) (string, url.Values) {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "s3" {
		return "", nil
	}
	all := u.Query()
	q := u.Query()
	q.Del("lock")
	q.Del("lock_days")
	u.RawQuery = q.Encode()
	return u.String(), all
}

// checkPatience is how long a check waits for a place that fails: whether it does
// is what it is to find out.
const checkPatience = 2 * time.Minute

// openPlace opens a place that need not be a store, to try things out: nothing that
// is put there is locked, whatever the configuration says.
func (j *job) openPlace(ctx context.Context, url string, o backends.Options) (backends.Backend,
	error) {
	tuning, err := j.tuning()
	if err != nil {
		return nil, err
	}
	conf := *tuning
	conf.S3.LockMode, conf.S3.LockDays = "", 0
	if conf.Retry.Elapsed < 0 || conf.Retry.Elapsed > checkPatience {
		conf.Retry.Elapsed = checkPatience
	}
	o.Connections = j.transfers(&conf)
	bare, _ := withoutLock(url)
	b, err := j.open(ctx, cmp.Or(bare, url), o, &conf, 0)
	return b, placeError(url, err)
}

// placeError gives a missing place a hint that fits it.
func placeError(url string, err error) error {
	if errors.Is(err, backends.ErrContainerNotFound) {
		hint := "choose one that exists"
		if dir := config.FilePath(url); dir != "" {
			hint = "is it mounted? to create it: mkdir " + config.Quote(dir)
		}
		return fault.WithHint(err, hint)
	}
	return err
}
