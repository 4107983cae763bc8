package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"vaultik/backends"
)

// Scheme is the scheme of this kind's URLs.
const Scheme = "s3"

// defaultRegion is where requests are signed for if nobody says another.
const defaultRegion = "us-east-1"

func init() {
	minio.DefaultRetryUnit = 0 // it waits after the last attempt, too, and there is only one
	backends.Register(Scheme, func(ctx context.Context, u *url.URL, o backends.Options) (backends.Backend, error) {
		b, err := open(ctx, u, o, parts{})
		if err != nil {
			return nil, err
		}
		return b, nil
	})
}

// Backend is a store in a bucket.
type Backend struct {
	settings    *settings
	location    string
	readOnly    bool
	connections int
	now         func() time.Time

	client    *minio.Core
	transport *http.Transport
	rounds    *roundTripper
	signer    *signer // nil: anonymous
	gate      backends.Gate

	probing chan struct{}             // holds a token while the store is asked what it can do
	can     atomic.Pointer[abilities] // nil: not asked yet

	picking sync.Mutex
	picked  map[string]string // versions that are read, by key: versionOf

	*quirks
}

// quirks are what was seen of a server that is not as others are, by all handles of a store.
type quirks struct {
	noRanges atomic.Bool // it answers a request for a part with all of an object
	unsorted atomic.Bool // it lists names in no order
	noBatch  atomic.Bool // it cannot delete several objects in one request
}

var seenQuirks sync.Map // location: *quirks

// parts are replaced in tests; the zero value is the real thing.
type parts struct {
	now  func() time.Time
	dial func(*http.Transport)
}

func open(ctx context.Context, u *url.URL, o backends.Options, p parts) (*Backend, error) {
	b := &Backend{location: location(u), readOnly: o.ReadOnly, now: p.now, connections: cmp.Or(o.Connections, defaultConnections), probing: make(chan struct{}, 1)}
	seen, _ := seenQuirks.LoadOrStore(u.String(), &quirks{})
	b.quirks = seen.(*quirks) //nolint:forcetypeassert // nothing else is stored
	if b.now == nil {
		b.now = time.Now
	}
	b.picked = map[string]string{}
	c := &call{}
	err := b.connect(u, o, p)
	if err == nil && b.settings.oldest && !o.ReadOnly {
		err = errVersions
	}
	if err != nil {
		return nil, b.fail(ctx, "open", "", nil, backends.WithKind(backends.ErrConfig, err))
	}
	ctx = withCall(ctx, c)
	if err = b.enterBucket(ctx, c, o.Create && !o.ReadOnly); err != nil {
		b.transport.CloseIdleConnections()
		return nil, b.fail(ctx, "open", "", c, err)
	}
	return b, nil
}

// connect makes the client. Nothing is asked yet.
func (b *Backend) connect(u *url.URL, o backends.Options, p parts) error {
	s, err := parseSettings(u, o.S3)
	if err != nil {
		return err
	}
	log := func(msg string, args ...any) {
		if o.Log != nil {
			o.Log.Warn(msg, append(args, "store", b.location)...)
		}
	}
	src, region, err := chooseSource(s.creds, log)
	if err != nil {
		return err
	}
	s.region = cmp.Or(s.region, region, defaultRegion)
	if err := plain("region", s.region); err != nil {
		return err
	}
	b.settings = s
	b.transport = newTransport(s.roots, b.connections)
	if p.dial != nil {
		p.dial(b.transport)
	}
	if src != nil {
		b.signer = newSigner(src, s.region, b.now, log)
	}
	b.rounds = &roundTripper{base: b.transport, signer: b.signer, now: b.now}
	b.client, err = minio.NewCore(s.endpoint.Host, &minio.Options{
		Creds:        credentials.NewStatic("", "", "", credentials.SignatureAnonymous),
		Secure:       s.endpoint.Scheme == "https",
		Transport:    b.rounds,
		Region:       s.region,
		BucketLookup: s.lookup,
		MaxRetries:   1, // the caller retries
	})
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	return nil
}

// enterBucket looks into the bucket, which is made if it is missing and create.
func (b *Backend) enterBucket(ctx context.Context, c *call, create bool) error {
	err := b.look(ctx, b.settings.prefix)
	made := false
	if create && minio.ToErrorResponse(err).Code == minio.NoSuchBucket {
		made = true
		err = b.client.MakeBucket(ctx, b.settings.bucket, minio.MakeBucketOptions{
			Region: b.settings.region, ObjectLocking: b.settings.lock != "",
		})
		switch answer := minio.ToErrorResponse(err); {
		case answer.Code == "BucketAlreadyOwnedByYou":
			err = nil // somebody else was faster
		case answer.StatusCode == http.StatusNotImplemented && b.settings.lock != "":
			return errNoLock
		}
	}
	if err != nil || b.settings.lock == "" || b.readOnly {
		return err
	}
	return b.checkLock(ctx, c, made)
}

// checkLock fails where a bucket cannot keep objects from being deleted: without,
// a server ignores what each Put says of it, or fails at the first.
func (b *Backend) checkLock(ctx context.Context, c *call, made bool) error {
	state, _, _, _, err := b.client.GetObjectLockConfig(ctx, b.settings.bucket)
	code := minio.ToErrorResponse(err).Code
	switch {
	case err == nil && state == "Enabled":
		return nil
	case code == minio.AccessDenied:
		return nil // may not be looked at; the first Put will tell
	case c.err != nil:
		return err
	case made:
		return errNoLock
	case err == nil || c.status < 500 || c.status == http.StatusNotImplemented:
		return backends.WithKind(backends.ErrConfig, fmt.Errorf("bucket %s was created without object lock; name a new bucket (init creates it), or remove lock=", b.settings.bucket))
	}
	return err
}

var errNoLock = backends.WithKind(backends.ErrConfig, errors.New("the server has no object lock; remove lock="))

// errEnough stops a listing.
var errEnough = errors.New("enough")

// look asks for the first name under prefix, to learn whether the bucket exists: unlike
// HEAD this gets an answer with a reason.
func (b *Backend) look(ctx context.Context, prefix string) error {
	err := b.page(ctx, prefix, 1, func(minio.ObjectInfo) error { return errEnough })
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Info describes the store. What it can do is found out by asking it, once. A store
// opened for reading is not written to: it can do what another handle has seen.
func (b *Backend) Info(ctx context.Context) (backends.Info, error) {
	if err := b.enter(ctx, ""); err != nil {
		return backends.Info{}, b.fail(ctx, "info", "", nil, err)
	}
	defer b.gate.Leave()
	can, err := b.abilities(ctx)
	if err != nil {
		return backends.Info{}, err
	}
	return backends.Info{
		Kind: Scheme, Location: b.location, Total: -1, Free: -1,
		Capabilities: backends.Capabilities{
			ConditionalPut: can.conditional, ServerChecksum: can.checksum,
			AtomicReplace: true, Sorted: b.Sorted(), RangeNative: !b.noRanges.Load(), EmptyObjects: true,
			MaxObjectSize: maxObject, Connections: b.connections, OwnTimes: true,
		},
	}, nil
}

// Sorted implements backends.Sorter: each list shows it, and sorts where it must.
func (b *Backend) Sorted() bool { return !b.unsorted.Load() }

// ClockDifference is this machine's clock less the server's, as the last answer had
// it, to the second; false if there was none.
func (b *Backend) ClockDifference() (time.Duration, bool) {
	d := b.rounds.skew.Load()
	if d == nil {
		return 0, false
	}
	return d.Truncate(time.Second), true
}

// Close waits for running calls and closes idle connections.
func (b *Backend) Close() error {
	if b.gate.Close() {
		b.transport.CloseIdleConnections()
	}
	return nil
}

// enter begins a call about key, or about the whole store if key is empty.
// After nil the caller must leave the gate.
func (b *Backend) enter(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if key != "" {
		if err := backends.CheckKey(key); err != nil {
			return err
		}
	}
	return b.gate.Enter()
}

// enterKey is enter for a call that cannot be about the whole store.
func (b *Backend) enterKey(ctx context.Context, key string) error {
	if key == "" {
		return fmt.Errorf("%w: empty", backends.ErrInvalidKey)
	}
	return b.enter(ctx, key)
}

// object is the name of key in the bucket.
func (b *Backend) object(key string) string { return b.settings.prefix + key }
