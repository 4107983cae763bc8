package rclone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"

	"vaultik/backends"
)

// Scheme is the scheme of this kind's URLs.
const Scheme = "rclone"

// connections is how many calls at once a store takes if nobody says otherwise:
// what most providers bear, see docs/measurements.md.
const connections = 4

func init() {
	backends.Register(Scheme, func(ctx context.Context, u *url.URL, o backends.Options) (backends.Backend, error) {
		remote, err := remoteOf(u)
		if err != nil {
			return nil, &backends.OpError{Op: "open", Backend: Scheme + " store", Err: backends.WithKind(backends.ErrConfig, err)}
		}
		b, err := open(ctx, remote, backends.Redact(u.String()), o)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
}

// remoteName is what rclone config accepts as the name of a remote, as far as it
// can stand in a URL. It keeps out remotes that are made up on the fly: they hold
// secrets, and settings for the whole process.
var remoteName = regexp.MustCompile(`^[\p{L}\p{N}_][\p{L}\p{N}_.+-]*$`)

// remoteOf is rclone's name of the place that u means, "remote:path/".
func remoteOf(u *url.URL) (string, error) {
	switch {
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("rclone URL with user, query or fragment; all settings of a remote are in rclone.conf; write rclone://remote/path")
	case !remoteName.MatchString(u.Host):
		// What is there instead may be a secret.
		return "", errors.New("the URL names no remote; write rclone://remote/path with a name that \"rclone listremotes\" shows")
	}
	// One slash parts remote and path; a second makes the path an absolute one.
	p := strings.TrimPrefix(u.Path, "/")
	for part := range strings.SplitSeq(p, "/") {
		if part == "." || part == ".." {
			return "", fmt.Errorf("path %q of the rclone URL contains %q", p, part)
		}
	}
	if p == "" {
		return u.Host + ":", nil
	}
	// Without the last slash rclone may take "cannot look" for "is a file", and
	// then give us the directory above.
	return u.Host + ":" + strings.TrimSuffix(path.Clean(p), "/") + "/", nil
}

// Backend is a store behind rclone.
type Backend struct {
	f           fs.Fs
	base        context.Context // with rclone's settings for this store
	location    string
	kind        string    // of the provider at the bottom, "sftp"
	staged      bool      // Put writes to a temporary name first
	verify      hash.Type // compared after an upload; hash.None: only the size
	readOnly    bool
	connections int
	log         *slog.Logger

	gate    backends.Gate
	running sync.WaitGroup // calls in rclone, also those that were left behind

	shut sync.Once // the provider's own Shutdown
	mu   sync.Mutex
	// readers are those that are open; they keep the provider awake after Close.
	readers int
	closed  bool

	// virtual: directories exist only as parts of names, so that a store which was
	// just made cannot be told from one that is missing.
	virtual bool
}

// Info describes the remote and asks it for its space, where it tells.
func (b *Backend) Info(ctx context.Context) (backends.Info, error) {
	if err := b.enter(ctx); err != nil {
		return backends.Info{}, b.fail("info", "", err)
	}
	defer b.gate.Leave()
	info := backends.Info{Kind: Scheme, Location: b.location, Total: -1, Free: -1, Capabilities: b.capabilities()}
	err := b.await(ctx, func(ctx context.Context) error {
		b.space(ctx, &info)
		return nil
	})
	if err != nil {
		return backends.Info{}, b.fail("info", "", err)
	}
	return info, nil
}

// space fills in what the remote says of its space. Many say nothing, or need more
// rights for that than for objects; a store is as good without.
func (b *Backend) space(ctx context.Context, info *backends.Info) {
	about := b.f.Features().About
	if about == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	u, err := about(ctx)
	if err != nil || u == nil || u.Free == nil {
		return
	}
	total := int64(-1)
	switch {
	case u.Total != nil:
		total = *u.Total
	case u.Used != nil:
		total = *u.Used + *u.Free
	}
	if *u.Free >= 0 && *u.Free <= total {
		info.Total, info.Free = total, *u.Free
	}
}

func (b *Backend) capabilities() backends.Capabilities {
	return backends.Capabilities{
		// ConditionalPut: rclone knows no such thing.
		// AtomicReplace: Stat and Get are two requests, see read.go.
		// EmptyObjects: several providers refuse them; we never need one.
		RangeNative:     true,
		CaseInsensitive: b.f.Features().CaseInsensitive,
		Connections:     b.connections,
	}
}

// Close waits for running calls and releases the provider's connections.
func (b *Backend) Close() error {
	if !b.gate.Close() {
		return nil
	}
	idle := make(chan struct{})
	go func() {
		b.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-time.After(closeGrace):
		b.log.Info("rclone: calls that were cancelled have not ended yet")
	}
	b.mu.Lock()
	b.closed = true
	last := b.readers == 0
	b.mu.Unlock()
	if last {
		b.shutdown()
	}
	release(&b.running)
	return nil
}

// shutdown lets the provider close its connections, once nobody reads any more.
// Those of HTTP that are idle close by themselves within a minute.
func (b *Backend) shutdown() {
	b.shut.Do(func() { shutdown(b.base, b.f) })
}

func shutdown(ctx context.Context, f fs.Fs) {
	ctx, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	if fn := f.Features().Shutdown; fn != nil {
		_ = fn(ctx) // nothing is written by then
	}
}

func (b *Backend) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.gate.Enter()
}

// enterKey begins a call about one object. After nil the caller must leave the gate.
func (b *Backend) enterKey(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := backends.CheckKey(key); err != nil {
		return err
	}
	return b.gate.Enter()
}

func (b *Backend) enterWrite(ctx context.Context, key string) error {
	if b.readOnly {
		return backends.ErrReadOnly
	}
	return b.enterKey(ctx, key)
}
