package rclone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"

	"vaultik/backends"
)

// open opens the store at remote, "name:path/". Errors are *[backends.OpError].
func open(ctx context.Context, remote, location string, o backends.Options) (*Backend, error) {
	b := &Backend{location: location, readOnly: o.ReadOnly, connections: o.Connections, log: o.Log}
	if b.connections <= 0 {
		b.connections = connections
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	} else {
		logger.Store(b.log)
	}
	if err := acquire(ctx, o.Rclone, b.log); err != nil {
		return nil, b.fail("open", "", err)
	}
	verify, err := verifyHash(o.Rclone.VerifyUpload)
	if err == nil {
		b.base = settings(b.connections)
		err = b.connect(ctx, remote)
	}
	if err == nil {
		b.staged = staged(b.f)
		b.check(verify)
	}
	if err != nil {
		release(&b.running)
		return nil, b.fail("open", "", err)
	}
	if err := b.look(ctx, remote, o.Create); err != nil {
		_ = b.Close() // nothing was written
		return nil, b.fail("open", "", err)
	}
	return b, nil
}

func verifyHash(setting string) (bool, error) {
	switch setting {
	case "", "hash":
		return true, nil
	case "size":
		return false, nil
	}
	return false, fmt.Errorf("%w: verify_upload %q is neither \"hash\" nor \"size\"", backends.ErrConfig, setting)
}

// check decides how uploads are checked: by a hash, if the remote need not read the
// object back for it.
func (b *Backend) check(verify bool) {
	if !verify || b.f.Features().SlowHash {
		return
	}
	b.verify = b.f.Hashes().GetOne()
	if b.staged {
		// Remotes that encrypt have no hash of what we sent. They check what they
		// have made of it, if they may, and delete it if it is not that.
		fs.GetConfig(b.base).IgnoreChecksum = false
	}
}

// connect makes the provider. It keeps the context it is made with for later, to
// renew its tokens, so that one must not end with this call.
func (b *Backend) connect(ctx context.Context, remote string) error {
	return b.await(ctx, func(call context.Context) error {
		var f fs.Fs
		err := guard(func() (err error) {
			f, err = fs.NewFs(context.WithoutCancel(call), remote)
			return err
		})
		switch {
		case errors.Is(err, fs.ErrorNotFoundInConfigFile):
			return unknownRemote(remote)
		case errors.Is(err, fs.ErrorIsFile):
			err = fmt.Errorf("%w: that is a file, not a directory", backends.ErrConfig)
		case err != nil && strings.Contains(err.Error(), "didn't find backend called"):
			err = backends.WithKind(backends.ErrConfig, fmt.Errorf("%w; this program has %s", err, providers()))
		case err != nil:
			err = unopened(err)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil && f != nil {
			shutdown(b.base, f)
		}
		if err == nil {
			b.f = f
		}
		return err
	})
}

// unopened says why a remote could not be opened, for the person who has to fix it.
func unopened(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "knownhosts: key is unknown"):
		err = fmt.Errorf("%w; verify the key of the server, then add it to known_hosts_file: ssh-keyscan HOST", err)
	case strings.Contains(text, "knownhosts: key mismatch"):
		err = fmt.Errorf("%w; the key of the server differs from the one in known_hosts_file: another server may be impersonating it", err)
	}
	return &rephrased{err, strings.TrimPrefix(err.Error(), "NewFs: ")}
}

// rephrased is an error in other words.
type rephrased struct {
	err  error
	text string
}

func (r *rephrased) Error() string { return r.text }
func (r *rephrased) Unwrap() error { return r.err }

// unknownRemote says which remotes there are instead.
func unknownRemote(remote string) error {
	name, _, _ := strings.Cut(remote, ":")
	names := config.GetRemoteNames()
	slices.Sort(names)
	have := "it has no remote"
	if len(names) > 0 {
		have = "it has: " + strings.Join(names, ", ")
	}
	return fmt.Errorf("%w: %q is not in %s; %s", backends.ErrRemoteNotFound, name, confName(config.GetConfigPath()), have)
}

// providers lists what was linked in.
func providers() string {
	var names []string
	for _, r := range fs.Registry {
		if !r.Hide {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// look checks that the remote can hold a store, and that the store is there or can
// be made.
func (b *Backend) look(ctx context.Context, remote string, create bool) error {
	bottom := bottomOf(b.f)
	b.kind = fs.Type(bottom)
	if err := b.sound(bottom, remote); err != nil {
		return fmt.Errorf("%w: %w", backends.ErrConfig, err)
	}
	features := b.f.Features()
	if err := b.await(ctx, b.notFile); err != nil {
		return err
	}
	err := b.await(ctx, b.rootExists)
	if errors.Is(err, backends.ErrContainerNotFound) && create && !b.readOnly {
		err = b.await(ctx, func(ctx context.Context) error { return b.f.Mkdir(ctx, "") })
		b.virtual = err == nil && !features.CanHaveEmptyDirectories && !features.BucketBased
	}
	if err == nil && !b.readOnly {
		b.sweep()
	}
	return err
}

// sound refuses remotes that cannot keep what Put promises, and warns of those
// that anybody could stand in for.
func (b *Backend) sound(bottom fs.Fs, remote string) error {
	name, root, _ := strings.Cut(remote, ":")
	get := settingsOf(bottom)
	switch {
	case b.f.Features().BucketBased && bottom.Root() == "":
		return errors.New("the path must begin with the name of a bucket: rclone://remote/bucket")
	case fs.Type(b.f) == "local" && nameOf(b.f) == name && !strings.HasPrefix(root, "/"):
		return errors.New("the path of a local remote would depend on the directory that the program runs in; write rclone://remote//absolute/path")
	case get("batch_mode") == "async":
		return errors.New("batch_mode = async acknowledges objects before they are stored; set batch_mode = sync in rclone.conf")
	case through(b.f, "cache"):
		return errors.New("a remote of type cache may show what is no longer there; name the remote that it wraps")
	}
	if b.kind == "sftp" && get("known_hosts_file") == "" && get("ssh") == "" && get("host_keys") == "" && get("pin_host_key") != "true" {
		if _, said := warned.LoadOrStore(config.GetConfigPath()+"\x00"+nameOf(bottom), true); !said {
			b.log.Warn("rclone: nobody checks that "+get("host")+" is the server it claims to be",
				"hint", "add to the section ["+nameOf(bottom)+"] of rclone.conf: known_hosts_file = ~/.ssh/known_hosts")
		}
	}
	return nil
}

// warned has the remotes that were warned of: once in a process is enough.
var warned sync.Map

// wrapped is the one remote that f wraps, nil if none.
func wrapped(f fs.Fs) fs.Fs {
	if unwrap := f.Features().UnWrap; unwrap != nil {
		return unwrap()
	}
	return nil
}

// bottomOf is the remote below those that wrap one other.
func bottomOf(f fs.Fs) fs.Fs {
	for next := wrapped(f); next != nil; next = wrapped(f) {
		f = next
	}
	return f
}

// through reports whether f is of a kind, or wraps one.
func through(f fs.Fs, kind string) bool {
	for ; f != nil; f = wrapped(f) {
		if fs.Type(f) == kind {
			return true
		}
	}
	return false
}

// nameOf is the name of a remote in rclone.conf: rclone adds "{...}" to one that
// has settings from elsewhere.
func nameOf(f fs.Fs) string {
	name, _, _ := strings.Cut(f.Name(), "{")
	return name
}

// settingsOf returns a function that looks up a setting of a remote, wherever
// rclone has it from.
func settingsOf(f fs.Fs) func(key string) string {
	_, _, _, m, err := fs.ConfigFs(nameOf(f) + ":")
	return func(key string) string {
		if err != nil {
			return ""
		}
		value, _ := m.Get(key)
		return value
	}
}

// notFile fails if the store's path is a file, where files and directories differ:
// of a path that ends with a slash rclone does not ask, and several servers list a
// file as a directory that holds nothing but itself.
func (b *Backend) notFile(ctx context.Context) error {
	if !slices.Contains(replacing, fs.Type(b.f)) || b.f.Root() == "" {
		return nil
	}
	if obj, err := b.f.NewObject(ctx, ""); err == nil && obj != nil {
		return fmt.Errorf("%w: that is a file, not a directory", backends.ErrConfig)
	}
	return nil // what else is wrong the next question will tell
}

// rootExists returns nil if the store's own directory can be listed.
func (b *Backend) rootExists(ctx context.Context) error {
	_, err := b.f.List(ctx, "")
	if errors.Is(err, fs.ErrorDirNotFound) && !b.virtual {
		return fmt.Errorf("%w: %w", backends.ErrContainerNotFound, err)
	}
	if errors.Is(err, fs.ErrorDirNotFound) {
		return nil
	}
	return err
}
