package engine

import (
	"context"
	"slices"

	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/vault/snapshot"
)

// AcceptOptions say who accepts that a store was put back, and who is asked.
type AcceptOptions struct {
	Kit   string      // file with the recovery kit
	Agree func() bool // whether what was told is right; nil: nobody is asked
}

// AcceptRollback has the owner accept that a store was put back from an older copy: what it
// has lost is listed, and is no longer damage. It tells of [events.Rollback] first.
func (e *Engine) AcceptRollback(ctx context.Context, o AcceptOptions,
	sink events.Sink) (events.Totals, error) {
	j := e.begin("store accept-rollback", sink)
	err := j.acceptRollback(ctx, o)
	return j.totals(), err
}

func (j *job) acceptRollback(ctx context.Context, o AcceptOptions) error {
	j.older = true
	op, err := j.openStore(ctx, backends.Options{})
	if err != nil {
		return err
	}
	defer op.Close()
	kit, err := ownersKit(o.Kit, op)
	if err != nil {
		return err
	}
	lost, cat, err := j.lostManifests(ctx, op)
	if err != nil {
		return err
	}
	lostGC, err := lostGCs(ctx, op)
	if err != nil {
		return err
	}
	ev := rollbackOf(op, cat, lost)
	if len(ev.Sets) == 0 && ev.TrustFrom == 0 && len(lostGC) == 0 {
		j.Note("nothing to accept: no snapshot, trust list or gc object is missing")
		return nil
	}
	j.Tell(ev)
	if o.Agree != nil && !o.Agree() {
		return ErrNotAgreed
	}
	err = j.signTrust(ctx, op, kit, func(t *snapshot.Trust) (err error) {
		t.LostGC = append(slices.Clone(t.LostGC), lostGC...)
		t.Lost, err = snapshot.MergeLost(append(t.Lost, lost...))
		return err
	})
	if err == nil {
		j.Note("accepted: verify no longer reports it, and backups go on")
	}
	return err
}

// lostManifests are those that are gone, as far as this machine can know.
func (j *job) lostManifests(ctx context.Context, op *opened) ([]snapshot.Lost, *catalog, error) {
	loaded, bad, err := op.Store.Manifests(ctx, snapshot.Filter{})
	if err == nil {
		err = unreachable(bad)
	}
	if err != nil {
		return nil, nil, err
	}
	var heads []snapshot.Head
	for k, p := range op.Seen.Manifests(op.Store.Doc.Store) {
		sum, err := p.Hash()
		if err != nil {
			return nil, nil, j.badSeen()
		}
		heads = append(heads, snapshot.Head{Host: k.Host, Set: k.Set, Seq: p.Seq, Sum: sum})
	}
	lost, err := op.Store.Missing(ctx, loaded, bad, heads)
	if err != nil {
		return nil, nil, err
	}
	cat, err := j.catalogOf(ctx, op, loaded, bad)
	return lost, cat, err
}

// lostGCs are gc objects that this machine has seen and that are gone.
func lostGCs(ctx context.Context, op *opened) (out []snapshot.LostGC, err error) {
	for host, p := range op.Seen.GCs(op.Store.Doc.Store) {
		gc, err := op.Store.GC(ctx, host)
		if err != nil {
			return nil, err
		}
		l := snapshot.LostGC{Host: host, From: 1, To: p.Seq}
		if gc != nil {
			l.From = gc.Seq + 1
		}
		if l.From <= l.To && !op.Store.Trust.AcceptsGC(host, p.Seq) {
			out = append(out, l)
		}
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

// acceptHint is what to do about snapshots that are gone.
func (j *job) acceptHint() string {
	return "use a complete copy of the store; only if there is none: " +
		j.vaultik("store accept-rollback --kit FILE")
}
