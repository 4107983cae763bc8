package main

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
	"vaultik/index"
	"vaultik/vault/blob"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/read"
	"vaultik/vault/snapshot"
)

type indexCmd struct {
	Rebuild indexRebuildCmd `cmd:"" help:"Make the index of a host anew, from its snapshots."`
}

type indexRebuildCmd struct {
	pick
	Out string `required:"" help:"Directory to make; it must not exist." placeholder:"DIR"`
}

// Help is shown by --help.
func (indexRebuildCmd) Help() string {
	return `For a host that has lost its index and whose upload is slow. Run it where
VAULTIK_AGE_SECRET_KEY may be, not on that host; then copy the directory there, to
the place that "vaultik config show" calls index_path. It is made from the newest
snapshot of each set of the host, or of the one named by --set.

The next backup then reads all files again, but uploads only what these
snapshots do not have. Without this it uploads everything once more.`
}

// Run makes the index.
func (c *indexRebuildCmd) Run(ctx context.Context, s *session) (err error) {
	key, err := s.needIdentity()
	if err != nil {
		return err
	}
	op, err := s.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer op.Close()
	dir, err := c.place(op)
	if err != nil {
		return err
	}
	cat, err := s.catalog(ctx, op)
	if err != nil {
		return err
	}
	chains, err := s.oneHost(ctx, cat, c.pick, key)
	if err != nil {
		return err
	}
	limitMemory(config.DefaultMemory)
	r := &rebuilding{s: s, cat: cat, key: key, said: map[string]bool{}}
	known, err := r.read(ctx, chains)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return &fileExists{dir}
	} else if err != nil {
		return fmt.Errorf("make index: %w", err)
	}
	done, err := r.write(ctx, dir, known)
	if err != nil {
		_ = os.RemoveAll(dir)
		return err
	}
	c.report(s, op, chains[0], indexEvent{Type: "index", Path: dir, Host: chains[0].host.String(),
		Sets: len(known), Blobs: done.Blobs, Chunks: done.Chunks})
	return r.damage()
}

// place is the directory to make.
func (c *indexRebuildCmd) place(op *opened) (string, error) {
	dir, err := filepath.Abs(c.Out)
	if err != nil {
		return "", err
	}
	if store := filePath(op.URL); store != "" && (dir == store || strings.HasPrefix(dir, store+"/")) {
		return "", &usageError{msg: fmt.Sprintf("--out: %s lies inside the store", dir), command: "index rebuild"}
	}
	if exists(dir) {
		return "", &fileExists{dir}
	}
	return dir, nil
}

// oneHost lists the sets that p leaves; they must be of one host.
func (s *session) oneHost(ctx context.Context, cat *catalog, p pick, key *keys.Identity) ([]named, error) {
	chains, err := cat.chains(ctx, p, key)
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, &noSnapshot{msg: "no snapshot of that set and host is in the store", err: cat.firstProblem()}
	}
	e := &usageError{msg: "the store has several hosts"}
	seen := map[layout.HostID]bool{}
	for _, n := range chains {
		if !seen[n.host] {
			seen[n.host] = true
			e.choices = append(e.choices, s.command("index rebuild --host "+config.Quote(n.hostName)+" --out DIR"))
		}
	}
	if len(seen) > 1 {
		return nil, e
	}
	return chains, nil
}

var errNothingKnown = &damage{"no snapshot of the host can be read: there is nothing to make an index from"}

// rebuilding is one rebuild under way.
type rebuilding struct {
	s      *session
	cat    *catalog
	key    *keys.Identity
	secret keys.HostSecret
	said   map[string]bool // damage that was reported
}

// read opens the newest snapshot of each set. Where that is damaged the newest one
// that can be read will do: an index of it is true as well, only less complete.
func (r *rebuilding) read(ctx context.Context, chains []named) ([]index.Known, error) {
	var known []index.Known
	for _, n := range chains {
		for _, p := range r.cat.problems {
			if p.Host == n.host && p.Set == n.set {
				r.lost(p.Error())
			}
		}
		if n.newest == nil {
			continue
		}
		k, err := r.snapshot(ctx, n)
		switch {
		case errors.Is(err, read.ErrEmptySnapshot):
		case err != nil && isDamage(err):
			r.lost(fmt.Sprintf("snapshot %s of set %s: %v", n.newest.short(), n.setName, err))
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
		return k, fmt.Errorf("%w: its host secret is not that of the other sets", snapshot.ErrDamaged)
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
		r.lost(fmt.Sprintf("snapshot %s of set %s: %v: what it says of %v is left out", n.newest.short(), n.setName, err,
			page.LostPaths{After: after, Last: last}))
		return nil
	}
	r.s.out.note("reading snapshot %s of set %q", n.newest.short(), n.setName)
	return k, nil
}

// isDamage tells what is wrong with single objects from a store that cannot be read at all.
func isDamage(err error) bool {
	for _, e := range []error{blob.ErrDamaged, blob.ErrNoIdentity, blob.ErrTooLarge, page.ErrDamaged, page.ErrNewerFormat, page.ErrTooLarge,
		snapshot.ErrDamaged, snapshot.ErrNewerFormat, fs.ErrNotExist} {
		if errors.Is(err, e) {
			return !errors.Is(err, backends.ErrContainerNotFound)
		}
	}
	return false
}

// lost warns of damage, once.
func (r *rebuilding) lost(what string) {
	if !r.said[what] {
		r.said[what] = true
		r.s.out.warn("", "%s", what)
		r.s.sum.Errors++
	}
}

func (r *rebuilding) damage() error {
	if len(r.said) == 0 {
		return nil
	}
	return &damage{fmt.Sprintf("the index is made, without what %s hid; the next backup uploads that again", plural(int64(len(r.said)), "problem", "problems"))}
}

func (r *rebuilding) write(ctx context.Context, dir string, known []index.Known) (done index.Rebuilt, err error) {
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

// report prints what was made, and how to put it in its place.
func (c *indexRebuildCmd) report(s *session, op *opened, n named, e indexEvent) {
	out := s.out.result
	out("index: %s", e.Path)
	out("host: %s", n.hostName)
	out("from: %s, %s, %s", plural(int64(e.Sets), "set", "sets"), plural(int64(e.Blobs), "blob", "blobs"), plural(e.Chunks, "chunk", "chunks"))
	from := config.Quote(e.Path)
	if op.Host != nil && op.Host.ID == n.host {
		conf, _ := s.config()
		place := s.places.IndexDir(conf)
		aside := ""
		if exists(place) {
			aside = "mv -T " + config.Quote(place) + " " + config.Quote(place+".old") + " && "
		}
		out("next: %scp -aT %s %s", aside, from, config.Quote(place))
	} else {
		out("next: scp -r %s %s:index.new", from, config.Quote(n.hostName))
		out("then there, with no backup running: vaultik config show; move its index_path away and index.new into its place")
	}
	if n.hostName != e.Host {
		e.Hostname, e.Hostname64 = twin(n.hostName)
	}
	s.out.event(e)
}

// indexEvent is an index that was rebuilt.
type indexEvent struct {
	Type       string `json:"type"` // index
	Path       string `json:"path"`
	Host       string `json:"host"` // id
	Hostname   string `json:"hostname,omitempty"`
	Hostname64 string `json:"hostname64,omitempty"`
	Sets       int    `json:"sets"`
	Blobs      int    `json:"blobs"`
	Chunks     int64  `json:"chunks"`
}
