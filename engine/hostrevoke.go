package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// RevokeOptions say whose key is revoked, and what stands of all that it has signed.
type RevokeOptions struct {
	OwnerOptions
	Host string // id or name
	// Until are ids of the last snapshots that stand, of which a set has one. Of all other sets
	// the newest stands that is there now.
	Until []string
}

// RevokeHost has the owner revoke the key of a host, by position: what it has signed up to the
// last snapshots that stand counts, and nothing else, whatever time it claims. It tells of
// [events.Revocation] first.
func (e *Engine) RevokeHost(ctx context.Context, o RevokeOptions, sink events.Sink) (events.Totals,
	error) {
	j := e.begin("host revoke", sink)
	return j.told(ctx, func() error { return j.revokeHost(ctx, o) })
}

func (j *job) revokeHost(ctx context.Context, o RevokeOptions) error {
	key, err := j.optionalIdentity()
	if err != nil {
		return err
	}
	op, err := j.openStore(ctx, backends.Options{})
	if err != nil {
		return err
	}
	defer op.Close()
	if op.Mirror {
		return mirrorAlone(op, "revoke a host")
	}
	kit, err := ownersKit(o.Kit, op)
	if err != nil {
		return err
	}
	cat, err := j.catalog(ctx, op)
	if err != nil {
		return err
	}
	if err := j.readNames(ctx, cat, key); err != nil {
		return err
	}
	h, err := hostNamed(cat, o.Host)
	if err != nil {
		return err
	}
	if !h.Revoked.IsZero() && len(o.Until) == 0 {
		return fault.WithHint(fmt.Errorf("the key of host %s was revoked before, on %s", h.Host,
			words.Day(h.Revoked)), "see what stands of it: vaultik host list; to let less stand, "+
			"name the last snapshot of a set: --until ID")
	}
	r := &revocation{job: j, cat: cat, host: h}
	until, err := r.until(ctx, o.Until)
	if err != nil {
		return err
	}
	h.Revoked, h.Until = time.Now(), until
	r.tell(h)
	if o.Agree != nil && !o.Agree() {
		return ErrNotAgreed
	}
	err = j.signTrust(ctx, op, kit, func(t *snapshot.Trust) error {
		if !t.Revoke(h.Host, h.Revoked, until) {
			return fmt.Errorf("%w: host %s", snapshot.ErrUntrusted, h.Host)
		}
		return nil
	})
	if err == nil {
		j.Note("revoked: what that key signs from now on does not count")
	}
	return err
}

// revocation is a host whose key is about to be revoked.
type revocation struct {
	*job
	cat  *catalog
	host snapshot.TrustHost
}

// until finds the last that stands of each set, and of each host that the key has pruned.
func (r *revocation) until(ctx context.Context, ids []string) (*snapshot.Until, error) {
	chosen := map[layout.SetID]*row{}
	for _, id := range ids {
		row, err := r.lastOf(id)
		if err != nil {
			return nil, err
		}
		if chosen[row.Set] != nil {
			return nil, fault.Misuse("host revoke", fmt.Sprintf(
				"--until: %s and %s are of one set, of which only one can be the last",
				chosen[row.Set].short(), row.short()))
		}
		chosen[row.Set] = row
	}
	u := &snapshot.Until{}
	for _, head := range newestOf(r.cat, r.host.Host) {
		last := chosen[head.Set]
		if last == nil {
			if err := r.oneHead(head); err != nil {
				return nil, err
			}
			last = head
		}
		u.Sets = append(u.Sets, snapshot.UntilSet{Set: last.Set, Seq: last.Seq, Sum: last.Sum})
	}
	return u, r.untilGC(ctx, u)
}

// lastOf finds a snapshot of the host by its id, or by the first digits.
func (r *revocation) lastOf(id string) (found *row, err error) {
	for _, row := range r.cat.rows {
		if row.Host != r.host.Host || len(id) < minID || !strings.HasPrefix(row.ID(), id) {
			continue
		}
		if found != nil {
			return nil, fault.Misuse("host revoke", "--until "+id+": several snapshots begin so")
		}
		found = row
	}
	if found == nil {
		return nil, fault.WithHint(fmt.Errorf("--until %s: there is no such snapshot of host %s",
			id, r.host.Host), "list the snapshots: "+r.here("snapshots"))
	}
	return found, nil
}

// minID is how many digits of a snapshot's id have to be given.
const minID = 4

// oneHead fails where two snapshots are the newest of a set: only the owner knows which of them
// is the thief's.
func (r *revocation) oneHead(head *row) error {
	var ways []string
	for _, o := range r.cat.rows {
		if o.chain() == head.chain() && o.Seq == head.Seq {
			ways = append(ways, r.here("host revoke "+r.host.Host.String()+" --until "+o.short()+
				" --kit FILE"))
		}
	}
	if len(ways) < 2 {
		return nil
	}
	return &fault.UsageError{Ways: ways, Msg: fmt.Sprintf(
		"set %s has two newest snapshots: say which is the last that stands",
		r.cat.setName(head.chain(), head.Root))}
}

// untilGC finds the newest gc objects that the key has signed: they stand.
func (r *revocation) untilGC(ctx context.Context, u *snapshot.Until) error {
	if !r.host.Has(snapshot.RolePrune) {
		return nil
	}
	op := r.cat.op
	for _, h := range op.Store.Trust.Hosts {
		g, err := op.Store.GC(ctx, h.Host)
		if err != nil {
			return fmt.Errorf("find out what host %s has pruned: %w", r.host.Host, err)
		}
		if g == nil {
			continue
		}
		b, err := op.Objects.Head(ctx, g.Key, snapshot.MaxGC+1)
		if err != nil {
			return err
		}
		_, err = snapshot.DecodeGC(b, []keys.PublicKey{r.host.Key})
		switch {
		case err == nil:
			u.GC = append(u.GC, snapshot.UntilGC{Host: h.Host, Seq: g.Seq, Sum: g.Sum})
		case !errors.Is(err, snapshot.ErrSignature):
			return err
		}
	}
	slices.SortFunc(u.GC, func(a, b snapshot.UntilGC) int {
		return bytes.Compare(a.Host[:], b.Host[:])
	})
	return nil
}

// tell tells what is about to be signed, and what follows.
func (r *revocation) tell(h snapshot.TrustHost) {
	ev := events.Revocation{Type: "revocation", Host: h.Host.String(), Key: h.Key.Fingerprint(),
		Roles: h.Roles, Stands: []events.Standing{}, StandsGC: []events.StandingGC{}}
	if name := r.cat.hostName(chain{host: h.Host}, r.cat.anyRoot(h.Host)); name != ev.Host {
		ev.Hostname, ev.Hostname64 = events.Twin(name)
	}
	sets, gcs := standing(r.cat, h)
	ev.Stands, ev.StandsGC = append(ev.Stands, sets...), append(ev.StandsGC, gcs...)
	for _, row := range r.cat.rows {
		if row.Host == h.Host && !slices.ContainsFunc(h.Until.Sets, func(u snapshot.UntilSet) bool {
			return u.Set == row.Set && (row.Seq < u.Seq || row.Sum == u.Sum)
		}) {
			ev.Dropped++
		}
	}
	r.Tell(ev)
	for _, p := range r.cat.problems {
		if p.Host == h.Host {
			r.Warn("see every problem: "+r.here("verify"), "%v", p)
		}
	}
	others := slices.ContainsFunc(r.cat.op.Store.Trust.Hosts, func(o snapshot.TrustHost) bool {
		return o.Host != h.Host && o.Has(snapshot.RolePrune) && o.Revoked.IsZero()
	})
	if h.Has(snapshot.RolePrune) && !others {
		r.Warn("add one: vaultik host add --role prune",
			"it is the only machine that may prune: from then on nobody may")
	}
}

// hostUnknown: no host of the store, or more than one, has this name.
type hostUnknown struct {
	name string
	many int
}

func (e *hostUnknown) Error() string {
	if e.many > 0 {
		return fmt.Sprintf("%d hosts of the store are called %q", e.many, e.name)
	}
	return fmt.Sprintf("no host of the store has the id %q, and none is known by that name here",
		e.name)
}

func (*hostUnknown) Exit() fault.Code { return fault.Failed }
func (*hostUnknown) Hint() string     { return "give its id: vaultik host list" }
