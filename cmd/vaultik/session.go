package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kong"

	"vaultik/backends/limit"
	"vaultik/config"
	"vaultik/vault/keys"
)

// session is one run of the program: what every command shares.
type session struct {
	cli    cli
	parser *kong.Kong
	out    *output
	sum    summary // commands fill in what they counted
	began  time.Time

	places      config.Places
	state       config.State
	identity    *keys.Identity // nil: not given or malformed
	identityErr error          // why identity is nil

	conf  *config.Config // once loaded
	tuned *config.Config // instead of one that is broken

	bwlimit  limit.Schedule  // --bwlimit
	limits   *limit.Limiter  // of all stores, once needed
	patience context.Context // its end says that the program is to stop, and go on as long as it may; nil: none
	troubles *troubles
	dry      bool // nothing may be written, state files included

	within, target string // of SNAPSHOT:PATH, and of --target, as they were given
}

func newSession(stdout, stderr io.Writer) *session {
	out := &output{stdout: stdout, stderr: stderr}
	return &session{out: out, troubles: newTroubles(out), began: time.Now(), sum: summary{Type: "summary"}}
}

// prepare checks the global flags, before any command.
func (s *session) prepare() (err error) {
	if s.cli.Owner != "" && !keys.ValidFingerprint(s.cli.Owner) {
		return &usageError{msg: fmt.Sprintf("--owner: %q is not a fingerprint; it looks like SHA256:47DEQpj8...", s.cli.Owner)}
	}
	if s.cli.Store != nil && *s.cli.Store == "" {
		return &usageError{msg: "--store: the URL is empty"}
	}
	if err := s.limitsOnTheLine(); err != nil {
		return err
	}
	s.places, err = config.FindPlaces(s.cli.Config)
	s.state = config.NewState(s.places.Dir())
	return err
}

// finish says the last words and returns the exit code.
func (s *session) finish(err error) int {
	if err == nil && s.out.broken != nil {
		err = fmt.Errorf("write output: %w", s.out.broken)
	}
	if err != nil {
		e := s.explain(err)
		s.out.fail(e)
		s.sum.Exit = e.Exit
	}
	s.sum.Retries = s.troubles.sum()
	s.sum.Seconds = time.Since(s.began).Seconds()
	s.out.event(s.sum)
	return int(s.sum.Exit)
}

// config loads the configuration once and warns of what is wrong but works.
func (s *session) config() (*config.Config, error) {
	if s.conf != nil {
		return s.conf, nil
	}
	c, err := config.Load(s.places.Config)
	if err != nil {
		return nil, err
	}
	for _, w := range c.Warnings {
		s.out.warn("", "%s", w)
	}
	for _, f := range s.places.Exposed() {
		s.out.warn("chmod 600 "+config.Quote(f), "%s can be read or changed by other users", f)
	}
	s.conf = c
	return c, nil
}

// needIdentity is for commands that cannot do without: ErrNoIdentity or ErrBadIdentity.
func (s *session) needIdentity() (*keys.Identity, error) { return s.identity, s.identityErr }

// optionalIdentity is for commands that show more with it: nil where none is
// given, an error where one is given and malformed.
func (s *session) optionalIdentity() (*keys.Identity, error) {
	if errors.Is(s.identityErr, keys.ErrNoIdentity) {
		return nil, nil
	}
	return s.identity, s.identityErr
}

// storeURL is --store, else the configured one.
func (s *session) storeURL() (string, error) {
	if s.cli.Store != nil {
		url, err := config.StoreURL(*s.cli.Store)
		if err != nil {
			return "", &usageError{msg: "--store: " + err.Error()}
		}
		return url, nil
	}
	c, err := s.config()
	if errors.Is(err, config.ErrMissing) {
		return "", &noStoreNamed{err}
	}
	if err != nil {
		return "", err
	}
	return c.StorageURL, nil
}
