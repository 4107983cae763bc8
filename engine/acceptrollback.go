package engine

import (
	"context"
	"errors"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// AcceptRollback has the owner accept that a store was put back from an older copy: what it
// has lost is listed, and is no longer damage. It tells of [events.Rollback] first.
func (e *Engine) AcceptRollback(ctx context.Context, o OwnerOptions,
	sink events.Sink) (events.Totals, error) {
	j := e.begin("store accept-rollback", sink)
	return j.told(ctx, func() error { return j.acceptRollback(ctx, o) })
}

func (j *job) acceptRollback(ctx context.Context, o OwnerOptions) error {
	j.older = true
	op, err := j.openStore(ctx, backends.Options{})
	if err != nil {
		return err
	}
	defer op.Close()
	if op.Mirror {
		return &fault.UsageError{
			Msg:    backends.Redact(op.URL) + " is a mirror: what is lost is for its store to say",
			Advice: "update the mirror: " + j.vaultik("store copy --to "+config.Quote(op.URL)),
		}
	}
	kit, err := ownersKit(o.Kit, op)
	if err != nil {
		return err
	}
	lost, gcs, cat, err := j.lost(ctx, op)
	if err == nil {
		err = j.allRead(ctx, op, cat, lost)
	}
	if err != nil {
		return err
	}
	ev := rollbackOf(op, cat, lost)
	for _, l := range gcs {
		ev.GC = append(ev.GC, events.LostGC{Host: l.Host.String(), Seq: l.Seq})
	}
	if len(ev.Sets)+len(ev.GC) == 0 && ev.TrustFrom == 0 {
		j.Note("nothing to accept: no snapshot and no trust list is missing")
		return nil
	}
	j.Tell(ev)
	if o.Agree != nil && !o.Agree() {
		return ErrNotAgreed
	}
	err = j.signTrust(ctx, op, kit, func(t *snapshot.Trust) (err error) {
		for _, l := range gcs {
			t.AcceptGC(l)
		}
		t.Lost, err = snapshot.MergeLost(append(t.Lost, lost...))
		return err
	})
	if err == nil {
		j.Note("accepted: verify no longer reports it, and backups go on")
	}
	return err
}

// lost are the manifests and gc objects that are gone, as far as this machine can know.
func (j *job) lost(ctx context.Context, op *opened) (lost []snapshot.Lost, gcs []snapshot.LostGC,
	cat *catalog, err error) {
	loaded, bad, err := op.Store.Manifests(ctx, snapshot.Filter{})
	if err == nil {
		err = unreachable(bad)
	}
	if err == nil {
		gcs, err = j.lostGC(ctx, op, loaded)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	var heads []snapshot.Head
	for k, p := range op.Seen.Manifests(op.Store.Doc.Store) {
		sum, err := p.Hash()
		if err != nil {
			return nil, nil, nil, j.badSeen()
		}
		heads = append(heads, snapshot.Head{Host: k.Host, Set: k.Set, Seq: p.Seq, Sum: sum})
	}
	if lost, err = op.Store.Missing(ctx, loaded, bad, heads); err == nil {
		cat, err = j.catalogOf(ctx, op, loaded, bad)
	}
	return lost, gcs, cat, err
}

// allRead fails if something that would be given up is there after all, and cannot be read.
func (j *job) allRead(ctx context.Context, op *opened, cat *catalog, lost []snapshot.Lost) error {
	refuse := func(err error) error {
		return notRead("what would be accepted as lost", err,
			j.here("store accept-rollback --kit FILE"))
	}
	for _, p := range cat.problems {
		if manifestKind(p.Err) == "unreadable" {
			return refuse(p)
		}
	}
	var keys []string
	var sums []snapshot.Sum // those that are known
	for _, l := range lost {
		sums = append(sums, l.Sum)
		for seq := l.From; seq <= l.To; seq++ {
			keys = append(keys, layout.Manifest(l.Host, l.Set, seq))
		}
	}
	last := newestTrust(op)
	for seq := op.Store.TrustSeq + 1; seq <= last.Seq; seq++ {
		keys = append(keys, layout.Trust(seq))
	}
	if sum, err := last.Hash(); err == nil {
		sums = append(sums, sum)
	}
	for _, key := range keys {
		if err := op.Store.Unlisted(ctx, key, sums...); err != nil {
			return refuse(err)
		}
	}
	return nil
}

// lostGC are the newest gc objects that this machine has seen, or that a snapshot names, where
// the store has only older ones. From then on op reads it without them.
func (j *job) lostGC(ctx context.Context, op *opened,
	loaded []*snapshot.Loaded) (out []snapshot.LostGC, err error) {
	newest := map[layout.HostID]snapshot.GCSeen{}
	for host, p := range op.Seen.GCs(op.Store.Doc.Store) {
		sum, err := p.Hash()
		if err != nil {
			return nil, j.badSeen()
		}
		newest[host] = snapshot.GCSeen{Seq: p.Seq, SHA256: sum}
	}
	for _, l := range loaded {
		if l.GC != nil && l.GC.Seq > newest[l.Host].Seq {
			newest[l.Host] = *l.GC
		}
	}
	for host, seen := range newest {
		gc, err := op.Store.GC(ctx, host)
		switch {
		case errors.Is(err, snapshot.ErrGCRollback):
		case err != nil:
			return nil, err
		case gc != nil && gc.Seq >= seen.Seq:
			continue
		}
		l := snapshot.LostGC{Host: host, GCSeen: seen}
		op.Store.Trust.AcceptGC(l)
		out = append(out, l)
	}
	return out, nil
}

// rollbackOf is what was lost, for people.
func rollbackOf(op *opened, cat *catalog, lost []snapshot.Lost) events.Rollback {
	ev := events.Rollback{Type: "rollback", Store: op.Store.Doc.Store.String()}
	for _, l := range lost {
		k := chain{l.Host, l.Set}
		one := events.LostSnapshots{Host: l.Host.String(), Set: l.Set.String(), From: l.From,
			To: l.To}
		one.Hostname, one.Hostname64 = events.Twin(cat.hostName(k, nil))
		one.SetName, one.SetName64 = events.Twin(cat.setName(k, nil))
		ev.Sets = append(ev.Sets, one)
		ev.Snapshots += l.To - l.From + 1
	}
	if last := newestTrust(op); last.Seq > op.Store.TrustSeq {
		ev.TrustFrom, ev.TrustTo = op.Store.TrustSeq+1, last.Seq
	}
	for _, h := range op.Store.Trust.Hosts {
		ev.Hosts = append(ev.Hosts, storeHost(op, h))
	}
	return ev
}

// acceptHint is what to do about snapshots or trust lists that are gone.
func (j *job) acceptHint(op *opened) string {
	if op.Mirror {
		return "update the mirror: " + j.vaultik("store copy --to "+config.Quote(op.URL))
	}
	return "use a complete copy of the store: vaultik repair --from URL; only if there is none: " +
		j.here("store accept-rollback --kit FILE")
}
