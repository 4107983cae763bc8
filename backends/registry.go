package backends

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"vaultik/internal/platform"
)

// Options says how a store is opened.
type Options struct {
	// Create makes the directory or bucket if it is missing. Otherwise a
	// missing one is ErrContainerNotFound.
	Create bool
	// ReadOnly refuses Put and Delete with ErrReadOnly and changes nothing in
	// the store, not even leftovers of writers that died.
	ReadOnly bool
	// Holds reports whether a path is that of a directory in which there may be keys that
	// the caller knows. A list leaves out any other that is a link, or may not be read; nil:
	// none is left out.
	Holds func(path string) bool
	// Connections is how many calls that carry data will run at once, for pools
	// of connections; 0: the backend's own choice, Capabilities.Connections.
	Connections int
	// Log gets what a backend reports that is not an error of a call (such as a warning
	// of a library); nil: it is dropped. Never a secret.
	Log *slog.Logger

	S3     S3Options
	Rclone RcloneOptions
}

// Opener opens the store that u names. It returns *[OpError].
type Opener func(ctx context.Context, u *url.URL, o Options) (Backend, error)

var registry = struct {
	sync.Mutex
	openers map[string]Opener
}{openers: map[string]Opener{}}

// Register makes a kind of store known by the scheme of its URLs. A package of a
// backend calls it from init; a second one of the same scheme panics.
func Register(scheme string, open Opener) {
	registry.Lock()
	defer registry.Unlock()
	if registry.openers[scheme] != nil {
		panic("backends: scheme registered twice: " + scheme)
	}
	registry.openers[scheme] = open
}

// Open opens the store at location: a URL of a registered scheme or a plain path,
// which means the same as the file URL of its absolute form. Errors are
// *[OpError]: ErrConfig for a location that cannot work, else what the kind of
// store returns. They never contain user information or query of the URL.
func Open(ctx context.Context, location string, o Options) (Backend, error) {
	u, err := parse(location)
	if err != nil {
		return nil, &OpError{Op: "open", Backend: Redact(location), Err: WithKind(ErrConfig, err)}
	}
	registry.Lock()
	open := registry.openers[u.Scheme]
	known := slices.Sorted(maps.Keys(registry.openers))
	registry.Unlock()
	if open == nil {
		return nil, &OpError{Op: "open", Backend: Redact(location), Err: fmt.Errorf(
			"%w: unknown scheme %q (known: %s)", ErrConfig, u.Scheme, strings.Join(known, ", "))}
	}
	if err := ctx.Err(); err != nil {
		return nil, &OpError{Op: "open", Backend: Redact(location), Err: err}
	}
	return open(ctx, u, o)
}

func parse(location string) (*url.URL, error) {
	if location == "" {
		return nil, errors.New("no store URL given")
	}
	if strings.IndexByte(location, 0) >= 0 {
		return nil, errors.New("the store URL contains a zero byte")
	}
	if !isURL(location) {
		if head, _, ok := strings.Cut(location, ":"); ok && !strings.Contains(head, "/") && filepath.VolumeName(location) == "" {
			return nil, fmt.Errorf("%q is neither a URL nor clearly a path; for a path write ./%s", location, location)
		}
		abs, err := filepath.Abs(location)
		if err != nil {
			return nil, fmt.Errorf("make path absolute: %w", err)
		}
		return &url.URL{Scheme: "file", Path: platform.URLPath(abs)}, nil
	}
	u, err := url.Parse(location)
	if err != nil {
		// The text of a url.Error repeats the URL and with it any secret.
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = errors.New("malformed URL")
		}
		return nil, err
	}
	return u, nil
}

// isURL reports whether s starts with a scheme and "//" or is "file:" by itself.
func isURL(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || strings.ContainsAny(scheme, "/.") {
		return false
	}
	return strings.HasPrefix(rest, "//") || scheme == "file"
}

// Redact returns location without user information, query and fragment, fit for
// messages and logs.
func Redact(location string) string {
	if !isURL(location) {
		return location
	}
	u, err := url.Parse(location)
	if err != nil {
		scheme, _, _ := strings.Cut(location, ":")
		return scheme + "://..."
	}
	if strings.Contains(u.Host, ",") {
		return u.Scheme + "://..." // settings of rclone in place of a remote's name: passwords
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
