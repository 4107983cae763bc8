package s3

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"vaultik/backends"
	"vaultik/internal/platform"
)

const (
	envID     = "AWS_ACCESS_KEY_ID"
	envSecret = "AWS_SECRET_ACCESS_KEY"
	envToken  = "AWS_SESSION_TOKEN"

	// envDays is for how many days keys are derived from the environment, which
	// can be read once only: longer than any process runs without an update.
	envDays = 400
)

// envSource is the environment. The secret is removed from it when it is first
// read; the process remembers the keys of the days to come, for all its stores.
type envSource struct{}

func (envSource) name() string { return "the environment" }

var fromEnv = struct {
	sync.Mutex
	grant *grant
}{}

func (envSource) load(_ context.Context, now time.Time) (*grant, error) {
	fromEnv.Lock()
	defer fromEnv.Unlock()
	id, token := os.Getenv(envID), os.Getenv(envToken)
	secret := os.Getenv(envSecret)
	switch {
	case id == "":
		return nil, missingVariable(envID)
	case secret == "" && fromEnv.grant != nil && fromEnv.grant.id == id && fromEnv.grant.token == token:
		return fromEnv.grant, nil
	case secret == "":
		return nil, missingVariable(envSecret)
	}
	if err := checkID(id); err != nil {
		return nil, &credentialError{err: backends.WithKind(backends.ErrAuth, fmt.Errorf("%s: %w", envID, err))}
	}
	var g *grant
	err := withScratch(func(page []byte) error {
		n := copy(page[hmacScratch:], secret)
		g = newGrant(page[hmacScratch:hmacScratch+n], page, now, envDays)
		return nil
	})
	secret = "" // what it pointed to is overwritten now
	if err != nil {
		return nil, &credentialError{err: err}
	}
	platform.ForgetEnv(envSecret)
	g.id, g.token = id, token
	fromEnv.grant = g
	return g, nil
}

func missingVariable(name string) error {
	return &credentialError{err: backends.WithKind(backends.ErrAuth, fmt.Errorf("%w: %s is not set", errNoCredentials, name))}
}
