package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/index"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/blob"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/read"
	"vaultik/vault/snapshot"
)

// RebuildOptions say of which host an index is made, and where.
type RebuildOptions struct {
	Pick Pick
	Out  string // directory to make; it must not exist
}

// RebuildIndex makes the index of a host anew from its snapshots, and tells of it:
// [events.Index].
func (e *Engine) RebuildIndex(ctx context.Context, o RebuildOptions,
	sink events.Sink) (events.Totals, error) {
	j := e.begin("index rebuild", sink)
	return j.told(ctx, func() error { return j.rebuildIndex(ctx, o) })
}

func (j *job) rebuildIndex(ctx context.Context, o RebuildOptions) error {
	key, err := j.needIdentity()
	if err != nil {
		return err
	}
	op, err := j.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer op.Close()
	dir, err := newIndexDir(o.Out, op)
	if err != nil {
		return err
	}
	cat, err := j.catalog(ctx, op)
	if err != nil {
		return err
	}
	chains, err := j.oneHost(ctx, cat, o.Pick, key)
	if err != nil {
		return err
	}
	j.limitMemory(config.DefaultMemory)
	r := &rebuilding{job: j, cat: cat, key: key, said: map[string]bool{}}
	known, err := r.read(ctx, chains)
	if err != nil {
		return err
	}
	done, err := r.make(ctx, dir, known)
	if err != nil {
		return err
	}
	j.Tell(j.indexEvent(op, chains[0], events.Index{Type: "index", PathText: events.PathOf(dir),
		Host: chains[0].host.String(),
		Sets: len(known), Blobs: done.Blobs, Chunks: done.Chunks}))
	return r.damage()
}

// newIndexDir is the directory to make.
func newIndexDir(out string, op *opened) (string, error) {
	dir, err := filepath.Abs(out)
	if err != nil {
		return "", err
	}
	if store := config.FilePath(op.URL); store != "" && (dir == store ||
		strings.HasPrefix(dir, store+"/")) {
		return "", fault.Misuse("index rebuild", fmt.Sprintf("--out: %s is inside the store",
			dir))
	}
	if exists(dir) {
		return "", &fileExists{dir}
	}
	return dir, nil
}

// oneHost lists the sets that p leaves; they must be of one host.
func (j *job) oneHost(ctx context.Context, cat *catalog, p Pick, key *keys.Identity) ([]named,
	error) {
	chains, err := cat.chains(ctx, p, key)
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, cat.noSnapshot("the store has no snapshot of that set and host")
	}
	e := &fault.UsageError{Msg: "the store has several hosts: choose one with --host"}
	seen := map[layout.HostID]bool{}
	for _, n := range chains {
		if !seen[n.host] {
			seen[n.host] = true
			e.Ways = append(e.Ways,
				j.vaultik("index rebuild --host "+config.Quote(n.hostName)+" --out DIR"))
		}
	}
	if len(seen) > 1 {
		return nil, e
	}
	return chains, nil
}

var errNothingKnown = fault.Damaged(
	"no snapshot of the host is readable: there is nothing to rebuild an index from")

// rebuilding is one rebuild under way.
type rebuilding struct {
	*job
	cat    *catalog
	key    *keys.Identity
	secret keys.HostSecret
	said   map[string]bool // damage that was reported
	unread []error         // of these, manifests that could not be read, and may be whole
}

// read opens the newest snapshot of each set. Where that is damaged the newest one
// that can be read will do: an index of it is true as well, only less complete.
func (r *rebuilding) read(ctx context.Context, chains []named) ([]index.Known, error) {
	var known []index.Known
	for _, n := range chains {
		for _, p := range r.cat.problems {
			if p.Host == n.host && p.Set == n.set {
				if manifestKind(p.Err) == "unreadable" {
					r.unread = append(r.unread, p)
				}
				r.lost(p.Error(), r.cat.op.strayInLine(p))
			}
		}
		if n.newest == nil {
			continue
		}
		k, err := r.snapshot(ctx, n)
		switch {
		case errors.Is(err, read.ErrEmptySnapshot):
		case err != nil && isDamage(err):
			r.lost(fmt.Sprintf("snapshot %s of set %s: %v", n.newest.short(), n.setName, err), "")
		case err != nil:
			return nil, err
		default:
			known = append(known, k)
		}
	}
	if len(known) == 0 {
		return nil, errNothingKnown
	}
	return known, nil
}

func (r *rebuilding) snapshot(ctx context.Context, n named) (k index.Known, err error) {
	root, ids, err := r.cat.wholeRoot(ctx, n.newest, r.key)
	if err != nil {
		return k, err
	}
	if !r.secret.IsZero() && r.secret != root.Secret {
		return k, fmt.Errorf("%w: its host secret differs from that of the other sets",
			snapshot.ErrDamaged)
	}
	r.secret = root.Secret
	store := r.cat.op.Store
	blobs, err := store.Blobs(ctx, n.newest.Manifest)
	if err != nil {
		return k, err
	}
	for _, b := range blobs {
		k.Blobs = append(k.Blobs, b.Name)
	}
	if k.Tree, err = actors.OpenTree(r.cat.op.Backend, root, ids); err != nil {
		return k, err
	}
	k.Tree.Lost = func(after, last string, err error) error {
		if !isDamage(err) {
			return err
		}
		r.lost(fmt.Sprintf("snapshot %s of set %s: %v; skipped: %v",
			n.newest.short(), n.setName, err,
			page.LostPaths{After: after, Last: last}), "")
		return nil
	}
	r.Note("reading snapshot %s of set %q", n.newest.short(), n.setName)
	return k, nil
}

// isDamage tells what is wrong with single objects from a store that cannot be read at all.
func isDamage(err error) bool {
	for _, e := range []error{blob.ErrDamaged, blob.ErrNoIdentity, blob.ErrTooLarge,
		page.ErrDamaged, page.ErrNewerFormat, page.ErrTooLarge,
		snapshot.ErrDamaged, snapshot.ErrNewerFormat, fs.ErrNotExist} {
		if errors.Is(err, e) {
			return !errors.Is(err, backends.ErrContainerNotFound)
		}
	}
	return false
}

// lost warns of damage, once.
func (r *rebuilding) lost(what, hint string) {
	if !r.said[what] {
		r.said[what] = true
		r.Warn(hint, "%s", what)
		r.sum.Errors++
	}
}

func (r *rebuilding) damage() error {
	if len(r.said) == 0 {
		return nil
	}
	if n := len(r.unread); n == len(r.said) {
		return notRead(words.Plural(int64(n), "object", "objects"), r.unread[0],
			r.here("index rebuild --out DIR"))
	}
	return fault.Damaged(
		fmt.Sprintf("the index is incomplete because of %s; the next backup uploads the rest again",
			words.Plural(int64(len(r.said)), "problem", "problems")),
	)
}

// make makes the directory, and nothing if that fails.
func (r *rebuilding) make(ctx context.Context, dir string, known []index.Known) (done index.Rebuilt,
	err error) {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return done, &fileExists{dir}
	} else if err != nil {
		return done, fmt.Errorf("create index: %w", err)
	}
	if done, err = r.write(ctx, dir, known); err != nil {
		_ = os.RemoveAll(dir)
	}
	return done, err
}

func (r *rebuilding) write(ctx context.Context, dir string,
	known []index.Known) (done index.Rebuilt, err error) {
	ix, err := index.Open(dir, index.Options{Key: r.secret.IndexPath()})
	if err != nil {
		return done, err
	}
	if done, err = ix.Rebuild(ctx, known); err == nil && done.Chunks == 0 {
		err = errNothingKnown
	}
	if err == nil {
		err = ix.Sync()
	}
	return done, errors.Join(err, ix.Close())
}

// indexEvent adds to what was made whose it is, and where that host has its index.
func (j *job) indexEvent(op *opened, n named, e events.Index) events.Index {
	if op.Host != nil && op.Host.ID == n.host {
		conf, _ := j.config() // nil: the usual place
		e.Place = j.places.IndexDir(conf)
	}
	if n.hostName != e.Host {
		e.Hostname, e.Hostname64 = events.Twin(n.hostName)
	}
	return e
}
