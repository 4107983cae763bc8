package s3

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
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
	id, token string
	regions   map[string]*grant
	// For stores in further regions, on the day on which the secret was read only.
	day time.Time
	key [sha256.Size]byte
}{}

func (envSource) load(_ context.Context, n need) (*grant, error) {
	fromEnv.Lock()
	defer fromEnv.Unlock()
	// A line that was read from a file may have kept its end.
	id, token := strings.TrimSpace(os.Getenv(envID)), strings.TrimSpace(os.Getenv(envToken))
	secret := strings.TrimSpace(os.Getenv(envSecret)) // no copy
	switch {
	case id == "":
		return nil, missingVariable(envID)
	case secret == "" && fromEnv.regions != nil && fromEnv.id == id && fromEnv.token == token:
		return remembered(n.region), nil
	case secret == "":
		return nil, missingVariable(envSecret)
	}
	if err := checkID(id); err != nil {
		return nil, &credentialError{err: backends.WithKind(backends.ErrAuth, fmt.Errorf("%s: %w", envID, err))}
	}
	err := withScratch(func(page []byte) error {
		end := hmacScratch + copy(page[hmacScratch:], secret)
		g := newGrant(page[hmacScratch:end], page, n, envDays)
		g.id, g.token = id, token
		fromEnv.id, fromEnv.token, fromEnv.regions = id, token, map[string]*grant{n.region: g}
		fromEnv.day = dayOf(n.now)
		fromEnv.key = dayKey(page[hmacScratch:end], fromEnv.day.Format(dayForm), page)
		platform.ForgetEnv(envSecret) // and so what secret points to
		return nil
	})
	if err != nil {
		return nil, &credentialError{err: err}
	}
	return fromEnv.regions[n.region], nil
}

// remembered is the grant of a region. One that is new has a key of one day.
func remembered(region string) *grant {
	if g := fromEnv.regions[region]; g != nil {
		return g
	}
	g := &grant{id: fromEnv.id, token: fromEnv.token, from: fromEnv.day, keys: [][sha256.Size]byte{signingKey(fromEnv.key, region)}}
	fromEnv.regions[region] = g
	return g
}

func missingVariable(name string) error {
	return &credentialError{err: backends.WithKind(backends.ErrAuth, fmt.Errorf("%w: %s is not set", errNoCredentials, name))}
}
