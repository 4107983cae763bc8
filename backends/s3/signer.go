package s3

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"vaultik/backends"
)

// source is where an access key comes from.
type source interface {
	// load reads the key and derives a grant from it, at least for the day of n.now.
	load(ctx context.Context, n need) (*grant, error)
	// name says where, for messages.
	name() string
}

// credentialError says that there is no key to sign with.
type credentialError struct {
	err   error
	retry bool
}

func (e *credentialError) Error() string { return e.err.Error() }
func (e *credentialError) Unwrap() error { return e.err }

const (
	// renewBefore is how long before its end a temporary key is replaced.
	renewBefore = 5 * time.Minute
	// renewPause is the time between two attempts when no replacement is available and
	// the old key is still valid.
	renewPause = time.Minute
)

// signer has the key to sign with, and asks the source again when it expires.
type signer struct {
	source source
	region string
	now    func() time.Time
	log    func(msg string, args ...any)

	held atomic.Pointer[held]
	sem  chan struct{} // one at a time asks the source
}

// held is a key in use.
type held struct {
	*signing
	grant *grant
	day   string
	renew time.Time // when to ask the source; zero: when the day ends
}

func newSigner(src source, region string, now func() time.Time, log func(string, ...any)) *signer {
	return &signer{source: src, region: region, now: now, log: log, sem: make(chan struct{}, 1)}
}

// get returns a key that is good now.
func (s *signer) get(ctx context.Context) (*held, time.Time, error) {
	now := s.now()
	if h := s.held.Load(); s.good(h, now) {
		return h, now, nil
	}
	if err := s.enter(ctx); err != nil {
		return nil, now, err
	}
	defer s.leave()
	h := s.held.Load()
	if s.good(h, now) {
		return h, now, nil
	}
	if next := s.nextDay(h, now); next != nil {
		s.held.Store(next)
		return next, now, nil
	}
	next, err := s.load(ctx, now)
	if err == nil {
		return next, now, nil
	}
	if h != nil && ctx.Err() == nil && h.day == now.UTC().Format(dayForm) && now.Before(h.grant.expires) {
		s.log("credentials could not be renewed; the old ones still serve", "from", s.source.name(), "until", h.grant.expires, "error", err)
		later := *h
		later.renew = now.Add(renewPause)
		s.held.Store(&later)
		return &later, now, nil
	}
	return nil, now, err
}

func (s *signer) enter(ctx context.Context) error {
	select {
	case s.sem <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *signer) leave() { <-s.sem }

func (s *signer) good(h *held, now time.Time) bool {
	return h != nil && h.day == now.UTC().Format(dayForm) && (h.renew.IsZero() || now.Before(h.renew))
}

// nextDay returns the key of another day of a grant that has several, nil if that
// does not help.
func (s *signer) nextDay(h *held, now time.Time) *held {
	if h == nil || !h.renew.IsZero() && !now.Before(h.renew) {
		return nil
	}
	return s.hold(h.grant, now, h.renew)
}

func (s *signer) hold(g *grant, now, renew time.Time) *held {
	day, key, ok := g.on(now)
	if !ok {
		return nil
	}
	return &held{signing: &signing{id: g.id, token: g.token, scope: scopeOf(day, s.region), key: key}, grant: g, day: day, renew: renew}
}

// load asks the source.
func (s *signer) load(ctx context.Context, now time.Time) (*held, error) {
	g, err := s.source.load(ctx, need{now, s.region})
	if err != nil {
		if cause := ctx.Err(); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	if !g.expires.IsZero() && !now.Before(g.expires) {
		return nil, &credentialError{err: backends.WithKind(backends.ErrAuth, fmt.Errorf(
			"the credentials from %s ended at %s", s.source.name(), g.expires.Format(time.RFC3339))), retry: g.again}
	}
	h := s.hold(g, now, renewAt(now, g.expires))
	if h == nil {
		return nil, &credentialError{err: backends.WithKind(backends.ErrAuth, fmt.Errorf(
			"the key from %s served until %s and cannot be read again; start the program anew, or name a source that can (credentials=file)",
			s.source.name(), g.until().Format(time.DateOnly)))}
	}
	s.held.Store(h)
	return h, nil
}

// renewAt is a while before the end, or half way for what ends sooner.
func renewAt(now, end time.Time) time.Time {
	if end.IsZero() {
		return end
	}
	left := end.Sub(now)
	return end.Add(-min(renewBefore, left/2))
}

// changed asks the source whether it now has another key than the one that the
// server has just refused.
func (s *signer) changed(ctx context.Context, refused *held) bool {
	if s.enter(ctx) != nil {
		return false
	}
	defer s.leave()
	h := s.held.Load()
	if h == nil || h.signing != refused.signing {
		return true // replaced meanwhile
	}
	if !h.grant.again {
		return false
	}
	next, err := s.load(ctx, s.now())
	return err == nil && (next.id != refused.id || next.token != refused.token || next.key != refused.key)
}

var errNoCredentials = errors.New("no credentials for S3")
