package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/gc"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// RemoveOptions say what is removed.
type RemoveOptions struct {
	// Snapshots are ids, with Damaged also names of objects; none: all of the set in Pick.
	Snapshots []string
	Pick      Pick        // of which set and host they are
	Damaged   bool        // drop what stands in the place of a snapshot and is none
	Agree     func() bool // whether what was told is right; nil: nobody is asked
}

// Remove removes snapshots that are named. It tells of each [events.Snapshot], or of each
// [events.Problem] that is dropped, before it asks. The newest snapshot of a set stays, and the
// last that is whole, and what is pinned, unless the whole set is removed.
func (e *Engine) Remove(ctx context.Context, o RemoveOptions,
	sink events.Sink) (events.Totals, error) {
	j := e.begin("snapshot remove", sink)
	return j.told(ctx, func() error { return j.remove(ctx, o) })
}

func (j *job) remove(ctx context.Context, o RemoveOptions) error {
	if len(o.Snapshots) == 0 && o.Pick.Set == "" || len(o.Snapshots) == 0 && o.Damaged {
		return fault.Misuse("snapshot remove",
			"name the snapshots by their ids, or a set with --set")
	}
	key, err := j.optionalIdentity()
	if err != nil {
		return err
	}
	op, err := j.openStore(ctx, backends.Options{})
	if err != nil {
		return err
	}
	defer op.Close()
	if _, _, err := op.pruner(); err != nil {
		return err
	}
	cat, err := j.marked(ctx, op)
	if err != nil {
		return err
	}
	r := &removing{job: j, cat: cat, o: o, damagedKeys: map[string]snapshot.Sum{}}
	var p pruning
	switch {
	case o.Damaged:
		p, err = r.damaged(ctx)
	case len(o.Snapshots) == 0:
		p, err = r.set(ctx, key)
	default:
		p, err = r.snapshots(ctx, key)
	}
	if err != nil {
		return err
	}
	if o.Agree != nil && !o.Agree() {
		return ErrNotAgreed
	}
	p.keep = true
	done, err := j.prune(ctx, op, p)
	if err != nil {
		return err
	}
	removed := 0
	for _, h := range done.Hosts {
		removed += len(h.Result.Expired)
	}
	for _, list := range p.drop {
		removed += len(list)
	}
	if err := r.deleteDropped(ctx); err != nil {
		return err
	}
	j.Note("removed %d; the space of what nothing needs any more comes back with: %s", removed,
		j.here("prune"))
	return nil
}

// removing is a removal on its way.
type removing struct {
	*job
	cat *catalog
	o   RemoveOptions

	damagedKeys map[string]snapshot.Sum // of what is dropped as damaged
}

// snapshots is the removal of single snapshots.
func (r *removing) snapshots(ctx context.Context, key *keys.Identity) (p pruning, err error) {
	wanted := map[snapshot.Sum]string{}
	var rows []*row
	for _, id := range r.o.Snapshots {
		row, err := r.find(ctx, r.cat, id, r.o.Pick, key)
		if err != nil {
			return p, err
		}
		wanted[row.Sum] = row.short()
		if host := row.Host.String(); !slices.Contains(p.Hosts, host) {
			p.Hosts = append(p.Hosts, host)
		}
		rows = append(rows, row)
	}
	p.choose = func(_ layout.HostID, all []*gc.Snapshot) (gc.Choice, error) {
		return chosen(all, wanted)
	}
	if _, err = chosen(r.cat.asListed(), wanted); err != nil { // before anybody is asked
		return p, err
	}
	return p, r.show(ctx, rows, key)
}

// show tells what is to be removed.
func (r *removing) show(ctx context.Context, rows []*row, key *keys.Identity) error {
	err := r.nameTags(ctx, r.cat, rows, key)
	for _, row := range rows {
		r.Tell(r.cat.event(row))
	}
	return err
}

// asListed are the snapshots as prune will see them, as far as is known before it has listed
// the store.
func (c *catalog) asListed() (out []*gc.Snapshot) {
	for _, r := range c.rows {
		out = append(out, &gc.Snapshot{Place: snapshot.Place{Host: r.Host, Set: r.Set, Seq: r.Seq},
			Sum: r.Sum, Whole: true, Pins: c.mark(r).Pins})
	}
	return out
}

// chosen is the choice of snapshots that were named, if they may go.
func chosen(all []*gc.Snapshot, wanted map[snapshot.Sum]string) (c gc.Choice, err error) {
	type left struct {
		newest     uint64
		had, whole bool // any that is whole; one that stays
	}
	sets := map[chain]*left{}
	for _, s := range all {
		k := chain{s.Place.Host, s.Place.Set}
		l := sets[k]
		if l == nil {
			l = &left{}
			sets[k] = l
		}
		name, goes := wanted[s.Sum]
		l.newest, l.had = max(l.newest, s.Place.Seq), l.had || s.Whole
		l.whole = l.whole || s.Whole && !goes
		if goes && len(s.Pins) > 0 {
			return c, fault.WithHint(fmt.Errorf("snapshot %s is pinned", name),
				"unpin it first: vaultik snapshot unpin "+name)
		}
	}
	for _, s := range all {
		l := sets[chain{s.Place.Host, s.Place.Set}]
		if name, goes := wanted[s.Sum]; goes && s.Place.Seq == l.newest {
			return c, fault.WithHint(
				fmt.Errorf("snapshot %s is the newest of its set, which stays", name),
				"make another first: vaultik backup; or remove the whole set: "+
					"vaultik snapshot remove --set NAME")
		}
	}
	for _, s := range all {
		name, goes := wanted[s.Sum]
		l := sets[chain{s.Place.Host, s.Place.Set}]
		switch {
		case !goes:
			continue
		case l.had && !l.whole:
			return c, fault.WithHint(fmt.Errorf("of the set of snapshot %s no other would be "+
				"left that is whole", name), "see what the others lack: vaultik verify")
		}
		c.Expire = append(c.Expire, s.Sum)
	}
	return c, nil
}

// set is the removal of a whole set.
func (r *removing) set(ctx context.Context, key *keys.Identity) (p pruning, err error) {
	chains, err := r.cat.chains(ctx, r.o.Pick, key)
	if err != nil {
		return p, err
	}
	if len(chains) == 0 {
		return p, nonePicked(key)
	}
	if len(chains) > 1 {
		e := &fault.UsageError{Msg: fmt.Sprintf("%d sets match", len(chains))}
		for _, n := range chains {
			e.Ways = append(e.Ways, r.here("snapshot remove --set "+n.set.String()+" --host "+
				n.host.String()))
		}
		return p, e
	}
	n := chains[0]
	var rows []*row
	for _, row := range r.cat.rows {
		if row.chain() != n.chain {
			continue
		}
		if len(r.cat.mark(row).Pins) > 0 {
			return p, fault.WithHint(fmt.Errorf("snapshot %s of this set is pinned", row.short()),
				"unpin it first: "+r.here("snapshot unpin "+row.short()))
		}
		rows = append(rows, row)
	}
	p.Hosts = []string{n.host.String()}
	p.choose = func(_ layout.HostID, all []*gc.Snapshot) (c gc.Choice, err error) {
		for _, s := range all {
			if s.Place.Set == n.set && len(s.Pins) > 0 {
				return c, fault.WithHint(fmt.Errorf("snapshot %.8s of this set is pinned", s.Sum),
					"unpin it first: "+r.here("snapshot unpin "+s.Sum.String()[:8]))
			}
			if s.Place.Set == n.set {
				c.Removed = []layout.SetID{n.set}
			}
		}
		return c, nil
	}
	return p, r.show(ctx, rows, key)
}

// damaged is the removal of what stands in places of snapshots and is none.
func (r *removing) damaged(ctx context.Context) (p pruning, err error) {
	p.drop = map[layout.HostID][]snapshot.Dropped{}
	for _, name := range r.o.Snapshots {
		pr, d, err := r.dropped(ctx, name)
		if err != nil {
			return p, err
		}
		r.Tell(events.Problem{Type: "problem", Kind: manifestKind(pr.Err), Key: pr.Key,
			Host: pr.Host.String(), Set: pr.Set.String(), Seq: pr.Seq, Reason: pr.Err.Error()})
		p.drop[pr.Host] = append(p.drop[pr.Host], d)
		if host := pr.Host.String(); !slices.Contains(p.Hosts, host) {
			p.Hosts = append(p.Hosts, host)
		}
	}
	return p, nil
}

// dropped finds the object that is meant: a problem by the name of its object, or by its
// SHA-256, one side of a fork by its id or object.
func (r *removing) dropped(ctx context.Context, name string) (pr snapshot.Problem,
	d snapshot.Dropped, err error) {
	name = strings.TrimPrefix(name, "/")
	for _, row := range r.cat.rows {
		if row.Key != name && (!strings.HasPrefix(row.ID(), name) || len(name) < 4) {
			continue
		}
		i := slices.IndexFunc(r.cat.problems, func(p snapshot.Problem) bool {
			return errors.Is(p.Err, snapshot.ErrFork) && p.Seq == row.Seq &&
				p.Host == row.Host && p.Set == row.Set
		})
		if i < 0 {
			return pr, d, fault.WithHint(fmt.Errorf("snapshot %s is not damaged", row.short()),
				"to remove it as a snapshot: "+r.here("snapshot remove "+row.short()))
		}
		if r.continued(row) {
			return pr, d, fault.WithHint(fmt.Errorf("later snapshots continue from %s: it is the "+
				"other side of the fork that can go", row.short()), "see both: "+r.here("verify"))
		}
		pr = r.cat.problems[i]
		pr.Key = row.Key
		return pr, snapshot.Dropped{Set: row.Set, Seq: row.Seq, Sum: row.Sum,
			Reason: snapshot.DroppedFork}, nil
	}
	for _, p := range r.cat.problems {
		o, perr := layout.Parse(p.Key)
		switch {
		case perr != nil || o.Kind != layout.KindManifest:
			continue
		case p.Key != name && (len(name) < 4 || p.Sum.IsZero() ||
			!strings.HasPrefix(p.Sum.String(), name)):
			continue
		case !snapshot.Unproven(p.Err):
			return p, d, fault.WithHint(
				fmt.Errorf("%s could not be read, and may be a snapshot: %w", p.Key, p.Err),
				"try again when the store can be read, or with a newer version")
		}
		if p.Sum.IsZero() {
			if p.Sum, err = r.sumOf(ctx, p.Key); err != nil {
				return p, d, err
			}
		}
		r.damagedKeys[p.Key] = p.Sum
		return p, snapshot.Dropped{Set: p.Set, Seq: p.Seq, Sum: p.Sum,
			Reason: snapshot.DroppedDamaged}, nil
	}
	return pr, d, &fault.UsageError{Msg: fmt.Sprintf("no damaged manifest is called %q", name),
		Advice: "see what is damaged: " + r.here("verify")}
}

// continued reports whether a snapshot follows from this one.
func (r *removing) continued(s *row) bool {
	return slices.ContainsFunc(r.cat.rows, func(o *row) bool {
		return o.chain() == s.chain() && o.Prev == s.Sum
	})
}

// sumOf is the SHA-256 of an object, however large.
func (r *removing) sumOf(ctx context.Context, key string) (sum snapshot.Sum, err error) {
	from, _, err := r.cat.op.Backend.Get(ctx, key, 0, -1)
	if err != nil {
		return sum, err
	}
	defer from.Close()
	h := sha256.New()
	if _, err := io.Copy(h, from); err != nil {
		return sum, fmt.Errorf("read %s: %w", key, err)
	}
	return snapshot.Sum(h.Sum(nil)), nil
}

// deleteDropped deletes damaged objects that are dropped by now, so that their places are free.
// What was put back meanwhile stays.
func (r *removing) deleteDropped(ctx context.Context) error {
	for key, sum := range r.damagedKeys {
		now, err := r.sumOf(ctx, key)
		switch {
		case errors.Is(err, backends.ErrNotFound) || err == nil && now != sum:
			continue
		case err == nil:
			err = r.cat.op.Backend.Delete(ctx, key)
		}
		if err != nil {
			return fmt.Errorf("delete what was dropped: %w", err)
		}
	}
	return nil
}
