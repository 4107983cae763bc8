package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/objectcache"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// opened is a store whose owner was checked. Close it.
type opened struct {
	URL     string
	Backend backends.Backend
	Objects backends.ObjectReader
	Store   *snapshot.Store
	Seen    *config.Seen // what was seen of stores before now
	Known   *config.Known
	Sets    *config.Sets // of this host; empty if Host is nil
	Host    *config.Host // nil if this machine is no host of this store
	noHost  notHost      // what to say then
	Mirror  bool         // a place that store copy made, named by --store: it may be behind

	cache *objectcache.Cache // nil: none
}

// Close releases the backend. It cannot lose anything: whatever was put was acknowledged.
func (o *opened) Close() error {
	if o.cache != nil {
		o.cache.Close()
	}
	return o.Backend.Close()
}

// looksUp prepares a store for those who look for snapshots: blobs of manifests are of no use
// to them, and what never changes may come from the cache of this machine. A check of the
// store reads the store. A store that is a directory needs no other directory.
func (j *job) looksUp(op *opened) {
	op.Store.WithoutBlobs = true
	if j.o.NoCache || j.dry || config.FilePath(op.URL) != "" {
		return
	}
	op.cache = objectcache.Open(j.places.Cache, op.Store.Doc.Store.String())
	if op.cache != nil { // a nil *Cache is no nil snapshot.Cache
		op.Store.Cache = op.cache
	} else {
		j.Detail("no cache below %s: everything is read from the store", j.places.Cache)
	}
}

// takesBackups refuses a store that this machine is no host of, and a mirror: its store
// would lack for ever what is saved only there.
func (o *opened) takesBackups() error {
	switch {
	case o.Host == nil:
		return &o.noHost
	case !o.Host.BacksUp():
		return fault.WithHint(errors.New("this machine only prunes: it has no keys to save "+
			"snapshots with, and needs none"),
			"back up on a machine that was added without --role prune: vaultik help host add")
	case o.Mirror:
		return &fault.UsageError{
			Msg: backends.Redact(o.URL) +
				" is a mirror: its store would lack anything saved only here",
			Advice: "back up to the store, then update the mirror with vaultik store copy; " +
				"if the store is lost, set storage_url to the mirror",
		}
	}
	return o.trusted()
}

// trusted refuses to back up as a host that the owner does not trust.
func (o *opened) trusted() error { return o.trustedTo(snapshot.RoleWrite) }

// trustedTo refuses to sign anything with a key that has not this role: it would count for
// nothing.
func (o *opened) trustedTo(role string) error {
	h, ok := o.Store.Trust.Host(o.Host.ID)
	var why string
	switch {
	case !ok && len(o.Host.Roles) > 0:
		return fault.WithHint(errors.New("the owner of the store has not accepted this "+
			"machine yet"),
			"to see its request again: vaultik host add; on a machine with the recovery kit: "+
				"vaultik host accept --kit FILE REQUEST")
	case !ok || h.Key != o.Host.Signer.Public() || !h.Has(role):
		why = "the owner of the store does not trust the key of this host"
	case !h.Revoked.IsZero():
		why = "the owner of the store has revoked the key of this host on " + words.Day(h.Revoked)
	default:
		return nil
	}
	return fault.WithHint(errors.New(why+", so what it signs would not count"),
		"see which hosts are trusted: vaultik host list")
}

// openStore opens the store that is meant for reading and writing, after the
// rules of known_stores.json: this host's own store must have the owner and id
// of host.json; a store met before must have the owner it had; --owner decides
// over both; a new one is remembered, and its owner said.
func (j *job) openStore(ctx context.Context, o backends.Options) (*opened, error) {
	url, err := j.storeURL()
	if err != nil {
		return nil, err
	}
	known, err := j.state.LoadKnown()
	if err != nil {
		return nil, err
	}
	seen, err := j.state.LoadSeen()
	if err != nil {
		return nil, err
	}
	host, err := j.ownHost()
	if err != nil {
		return nil, err
	}
	b, err := j.openBackend(ctx, url, o)
	if errors.Is(err, backends.ErrContainerNotFound) && j.o.Store != nil &&
		config.FilePath(url) != "" {
		return nil, fault.WithHint(err, "is it mounted? check the URL that --store gives")
	}
	if err != nil {
		return nil, err
	}
	op := &opened{URL: url, Backend: b, Objects: backends.Objects(b), Seen: seen, Known: known,
		Sets: &config.Sets{}, noHost: notHost{url: url}}
	if host == nil && j.o.Store == nil {
		op.noHost.file, op.noHost.anew = j.state.HostFile(), j.becomeNewHost(storeOfItsOwn)
	}
	if err := j.pinned(ctx, op, host, known); err != nil {
		_ = b.Close()
		return nil, err
	}
	if host != nil && host.Store == op.Store.Doc.Store {
		op.Host = host
		if op.Sets, err = j.state.LoadSets(); err != nil {
			_ = b.Close()
			return nil, err
		}
	}
	return op, nil
}

// ownHost is this machine's host.json, nil where there is none. One that is
// broken is only an error where the configured store is meant: a restore from a
// store named on the command line goes on without.
func (j *job) ownHost() (*config.Host, error) {
	h, err := j.state.LoadHost()
	switch {
	case err == nil:
		return h, nil
	case errors.Is(err, config.ErrMissing):
		return nil, nil
	case j.o.Store != nil:
		j.Warn("", "%v", err)
		return nil, nil
	}
	return nil, err
}

// pinned opens op.Store and checks whose it is.
func (j *job) pinned(ctx context.Context, op *opened, host *config.Host,
	known *config.Known) (err error) {
	pin := j.pinFor(op, host, known)
	if j.older {
		pin.TrustSeq, pin.TrustSum = 0, ""
	}
	op.Store, err = snapshot.OpenStore(ctx, op.Objects, pin)
	if err == nil {
		var conf *config.Config
		if conf, err = j.tuning(); err == nil {
			op.Store.Parallel = j.transfers(conf)
		}
	}
	if errors.Is(err, snapshot.ErrOwnerChanged) {
		return &ownerDiffers{url: backends.Redact(op.URL), want: pin.Owner, asked: j.o.Owner != "",
			err: err}
	}
	if err != nil {
		if op.Mirror { // without store.json it is one that has hardly begun
			return fault.WithHint(err,
				"complete the mirror: "+j.vaultik("store copy --to "+config.Quote(op.URL)))
		}
		return j.unreadable(ctx, op, pin.TrustSeq, err)
	}
	id, owner := op.Store.Doc.Store, op.Store.Doc.Owner.Fingerprint()
	if host != nil && j.o.Store == nil && host.Store != id {
		return &otherStore{backends.Redact(op.URL), id.String(), host.Store.String()}
	}
	if k, ok := known.ByID(id); ok && k.Owner != owner && j.o.Owner == "" {
		return &ownerDiffers{url: backends.Redact(op.URL), want: k.Owner,
			err: snapshot.ErrOwnerChanged}
	}
	if p := op.Seen.Trust(id); j.older {
		j.Detail("trust list %d, %d was seen", op.Store.TrustSeq, p.Seq)
	} else if op.Mirror && op.Store.TrustSeq < p.Seq {
		j.Warn(j.vaultik("store copy --to "+config.Quote(op.URL)),
			"the mirror %s is behind its store: it has trust list %d, the store has had list %d",
			backends.Redact(op.URL), op.Store.TrustSeq, p.Seq)
	} else if op.Store.TrustSeq < p.Seq || op.Store.TrustSeq == p.Seq &&
		op.Store.TrustSum != p.Sum {
		sum, err := p.Hash()
		if err != nil {
			return j.badSeen()
		}
		if err := op.Store.Unlisted(ctx, layout.Trust(p.Seq), sum); err != nil {
			return fmt.Errorf("open store: %w", err)
		}
		return fault.WithHint(&staleTrust{url: backends.Redact(op.URL), got: op.Store.TrustSeq,
			want: p.Seq}, j.acceptHint(op))
	}
	if !j.older {
		op.requireSeen()
	}
	j.remember(op, known, owner)
	j.sayStrays(op)
	return nil
}

// putBack is what to do about an object that is damaged.
const putBack = "put that object back from another copy of the store: vaultik repair --from URL"

// unreadable says what follows if store.json or the trust list is damaged, or gone while the
// rest of the store is there. seen is the number of the newest trust list seen before.
func (j *job) unreadable(ctx context.Context, op *opened, seen uint64, err error) error {
	if errors.Is(err, snapshot.ErrNoStore) {
		if !holdsAny(ctx, op.Objects, layout.TrustPrefix, layout.HostsPrefix) {
			if j.o.Store != nil {
				return fault.WithHint(err, "check the URL that --store gives")
			}
			return err
		}
		err = fmt.Errorf("open store: %w: %s is missing", snapshot.ErrDamaged, layout.StoreJSON)
	}
	if errors.Is(err, snapshot.ErrTrustFork) {
		return fault.WithHint(err,
			"say which one counts: "+j.here("store repair-head --kit FILE"))
	}
	if errors.Is(err, snapshot.ErrTrustRollback) {
		return fault.WithHint(err, j.acceptHint(op))
	}
	if !errors.Is(err, snapshot.ErrDamaged) {
		return err
	}
	hint := putBack
	var p snapshot.Problem
	if errors.As(err, &p) && p.Next && p.Seq > seen {
		hint += "; " + removeStray(op.URL, p.Key)
	}
	return fault.WithHint(
		fmt.Errorf("%w; the snapshots are not affected, but cannot be authenticated",
			err),
		hint+"; only if there is none: "+j.here("store repair-head --kit FILE"),
	)
}

// errFound ends a listing that has shown enough.
var errFound = errors.New("found")

// holdsAny reports whether there is an object below one of the prefixes, as far as can be known.
func holdsAny(ctx context.Context, o backends.ObjectReader, prefixes ...string) bool {
	for _, p := range prefixes {
		err := o.List(ctx, p, func(string, int64, time.Time) error { return errFound })
		if errors.Is(err, errFound) {
			return true
		}
	}
	return false
}

// pinFor is what must hold of the store at op.URL, as far as is known before it is read.
func (j *job) pinFor(op *opened, host *config.Host, known *config.Known) snapshot.Pin {
	var pin snapshot.Pin
	if k, ok := known.ByURL(op.URL); ok {
		t := op.Seen.Trust(k.Store)
		if op.Mirror = k.Mirror && j.o.Store != nil && !j.home(op.URL); op.Mirror {
			t = op.Seen.Mirror(op.URL).Trust
		}
		pin = snapshot.Pin{Owner: k.Owner, TrustSeq: t.Seq, TrustSum: t.Sum}
	}
	if host != nil && j.o.Store == nil {
		t := op.Seen.Trust(host.Store)
		pin = snapshot.Pin{Owner: host.Owner.Fingerprint(), TrustSeq: t.Seq, TrustSum: t.Sum}
	}
	if j.o.Owner != "" && j.o.Owner != pin.Owner {
		pin = snapshot.Pin{Owner: j.o.Owner}
	}
	return pin
}

// home reports whether a place is this machine's own store, be it that it was made as a mirror.
func (j *job) home(url string) bool {
	c, err := j.config()
	return err == nil && c.StorageURL == url
}

// remember pins a store met for the first time and the newest trust list. Where
// that cannot be written (a rescue system, say) the command goes on.
func (j *job) remember(op *opened, known *config.Known, owner string) {
	if j.dry {
		return
	}
	id := op.Store.Doc.Store
	k, ok := known.ByURL(op.URL)
	var err error
	if met := ok && k.Store == id && k.Owner == owner; !met {
		err = j.state.UpdateKnown(func(k *config.Known) error {
			k.Pin(config.KnownStore{Store: id, URL: op.URL, Owner: owner,
				Since: time.Now().UTC().Truncate(time.Second)})
			return nil
		})
		j.sayOwner(op, known, owner, err == nil)
	}
	now := config.Point{Seq: op.Store.TrustSeq, Sum: op.Store.TrustSum}
	if err == nil && op.Seen.Trust(id) != now {
		err = j.state.UpdateSeen(func(seen *config.Seen) error {
			seen.NoteTrust(id, now)
			return nil
		})
		op.Seen.NoteTrust(id, now)
	}
	j.sayForgetful(err)
}

// sayOwner says whose a store is that was not met at this place before.
func (j *job) sayOwner(op *opened, known *config.Known, owner string, remembered bool) {
	id, url := op.Store.Doc.Store, backends.Redact(op.URL)
	old, before := known.ByID(id)
	if before && old.Owner == owner || j.o.Owner == owner {
		j.Detail("store %s at %s belongs to %s", id, url, owner)
		return
	}
	also := ""
	if remembered {
		also = ", remembered from now on"
	}
	j.Warn("compare it with the line \"# owner:\" in the recovery kit",
		"store %s at %s is new to this machine; its owner is %s%s", id, url, owner, also)
}
