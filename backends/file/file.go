package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"vaultik/backends"
	"vaultik/internal/atomicfile"
	"vaultik/internal/platform"
)

// Scheme is the scheme of this kind's URLs.
const Scheme = "file"

func init() {
	backends.Register(Scheme, func(_ context.Context, u *url.URL, o backends.Options) (backends.Backend, error) {
		root, err := pathOf(u)
		if err != nil {
			return nil, &backends.OpError{Op: "open", Backend: backends.Redact(u.String()), Err: backends.WithKind(backends.ErrConfig, err)}
		}
		b, err := open(root, o, nil)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
}

func pathOf(u *url.URL) (string, error) {
	switch {
	case u.Host != "" && u.Host != "localhost":
		return "", fmt.Errorf("file URL names the host %q; for a path write file:///path", u.Host)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("file URL with user, query or fragment; write ? as %3F and # as %23")
	case !strings.HasPrefix(u.Path, "/"):
		return "", errors.New("file URL without an absolute path; write file:///path")
	}
	return platform.FilePath(u.Path), nil
}

// Backend is a store in a directory.
type Backend struct {
	root     *atomicfile.Dir
	location string
	readOnly bool
	holds    func(path string) bool // see backends.Options
	gate     backends.Gate

	measure     sync.Once
	conditional bool // names can be created only if they are absent

	making sync.Mutex      // held while directories are made
	made   map[string]bool // directories whose names are known to be durable

	// Commits of one key go one after the other, see atomicfile.Temp.Commit.
	// Keys share 64 locks; they are held for a rename and an fsync only.
	committing [64]sync.Mutex
}

// Open opens the store in the directory root. Errors are *[backends.OpError].
func Open(root string, o backends.Options) (*Backend, error) { return open(root, o, nil) }

func open(root string, o backends.Options, hook atomicfile.Hook) (*Backend, error) {
	b := &Backend{readOnly: o.ReadOnly, holds: o.Holds, made: map[string]bool{}}
	root, err := filepath.Abs(root)
	if err == nil {
		b.location = (&url.URL{Scheme: Scheme, Path: platform.URLPath(root)}).String()
		b.root, err = openRoot(root, o, hook)
	}
	if err != nil {
		return nil, b.fail("open", "", err)
	}
	return b, nil
}

func openRoot(root string, o backends.Options, hook atomicfile.Hook) (*atomicfile.Dir, error) {
	st, err := os.Stat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.Create && !o.ReadOnly:
		if err := atomicfile.MkdirAll(root); err != nil {
			return nil, err
		}
	case errors.Is(err, fs.ErrNotExist):
		return nil, backends.WithKind(backends.ErrContainerNotFound, err)
	case err != nil:
		return nil, err
	case !st.IsDir():
		return nil, fmt.Errorf("%w: %s is not a directory", backends.ErrConfig, root)
	}
	return atomicfile.OpenDir(root, hook)
}

// Info describes the store and asks the file system for its space.
func (b *Backend) Info(ctx context.Context) (backends.Info, error) {
	if err := b.enter(ctx, ""); err != nil {
		return backends.Info{}, b.fail("info", "", err)
	}
	defer b.gate.Leave()
	total, free, err := b.root.Space()
	if err != nil {
		return backends.Info{}, b.fail("info", "", err)
	}
	b.measure.Do(func() {
		// Where it cannot be tried, because nothing can be written, the first Put says so.
		can, err := true, error(nil)
		if !b.readOnly {
			can, err = b.root.Exclusive()
		}
		b.conditional = can || err != nil
	})
	return backends.Info{
		Kind: Scheme, Location: b.location, Total: total, Free: free,
		Capabilities: backends.Capabilities{
			ConditionalPut: b.conditional, RangeNative: true, EmptyObjects: true,
			// What can neither link nor rename to a free name may also rename in two steps.
			AtomicReplace: b.conditional && b.root.Replaces(),
			Connections:   2, // one waits for the disk while the other fills memory
			OwnTimes:      true,
		},
	}, nil
}

// Close waits for running calls and releases the directory.
func (b *Backend) Close() error {
	if !b.gate.Close() {
		return nil
	}
	if err := b.root.Close(); err != nil {
		return b.fail("close", "", err)
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
