package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// ListHosts tells of each machine that a store trusts or has trusted, an [events.Host]. It needs
// no key; with one it reads the names of all hosts and remembers them.
func (e *Engine) ListHosts(ctx context.Context, sink events.Sink) (events.Totals, error) {
	j := e.begin("host list", sink)
	return j.told(ctx, func() error { return j.listHosts(ctx) })
}

func (j *job) listHosts(ctx context.Context) error {
	key, err := j.optionalIdentity()
	if err != nil {
		return err
	}
	op, err := j.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer op.Close()
	j.looksUp(op)
	cat, err := j.look(ctx, op, latest)
	if err != nil {
		return err
	}
	if err := j.readNames(ctx, cat, key); err != nil {
		return err
	}
	heads, _ := cat.heads()
	for _, h := range op.Store.Trust.Hosts {
		j.Tell(hostEvent(cat, h, heads))
	}
	j.sayOtherProblems(cat, &row{Loaded: &snapshot.Loaded{Manifest: &snapshot.Manifest{}}})
	return nil
}

// hostEvent is an entry of the trust list for people. heads are the newest snapshots.
func hostEvent(cat *catalog, h snapshot.TrustHost, heads map[chain]*row) events.Host {
	op := cat.op
	ev := events.Host{Type: "host", Host: h.Host.String(), Key: h.Key.Fingerprint(),
		Roles: h.Roles, Here: op.Host != nil && op.Host.ID == h.Host}
	if !h.Since.IsZero() {
		ev.Since = &h.Since
	}
	if sum, ok := h.SignedFor(); ok {
		ev.Recipients = sum.String()
	}
	if name := cat.hostName(chain{host: h.Host}, cat.anyRoot(h.Host)); name != ev.Host {
		ev.Hostname, ev.Hostname64 = events.Twin(name)
	}
	for k, r := range heads {
		if k.host == h.Host && r != nil && (ev.Last == nil || r.Time.After(*ev.Last)) {
			ev.Snapshot, ev.Last = r.ID(), &r.Time
		}
	}
	if !h.Revoked.IsZero() {
		ev.Revoked = &h.Revoked
		ev.Stands, ev.StandsGC = standing(cat, h)
	}
	return ev
}

// standing is what stands of a revoked key, for people.
func standing(cat *catalog, h snapshot.TrustHost) (sets []events.Standing,
	gcs []events.StandingGC) {
	if h.Until == nil {
		return nil, nil
	}
	for _, u := range h.Until.Sets {
		k := chain{h.Host, u.Set}
		s := events.Standing{Set: u.Set.String(), Seq: u.Seq, Snapshot: u.Sum.String()}
		var root *snapshot.Root
		for _, r := range cat.rows {
			if r.chain() == k && r.Sum == u.Sum {
				s.Time, root = &r.Time, r.Root
			}
		}
		if name := cat.setName(k, root); name != s.Set {
			s.SetName, s.SetName64 = events.Twin(name)
		}
		sets = append(sets, s)
	}
	for _, u := range h.Until.GC {
		gcs = append(gcs, events.StandingGC{Host: u.Host.String(), Seq: u.Seq})
	}
	return sets, gcs
}

// anyRoot is a root of a host that was opened, nil if none was.
func (c *catalog) anyRoot(host layout.HostID) *snapshot.Root {
	for _, r := range c.rows {
		if r.Host == host && r.Root != nil {
			return r.Root
		}
	}
	return nil
}

// readNames opens the root of the newest snapshot of each set, if there is a key, and remembers
// the names of the hosts: this machine shows them from then on without it. What the key does not
// open has no name.
func (j *job) readNames(ctx context.Context, c *catalog, key *keys.Identity) error {
	if key == nil {
		return nil
	}
	heads, order := c.heads()
	names := map[layout.HostID]string{}
	for _, k := range order {
		r := heads[k]
		if r == nil {
			continue
		}
		root, err := c.openRoot(ctx, r, key)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, keys.ErrPlugin):
			return err
		case err != nil:
			j.Detail("the name of host %s cannot be read: %v", k.host, err)
		case root.Hostname != "":
			names[k.host] = string(root.Hostname)
		}
	}
	j.nameHosts(c.op, names)
	return nil
}

// nameHosts remembers the names of hosts, as far as this machine can remember anything.
func (j *job) nameHosts(op *opened, names map[layout.HostID]string) {
	note := func(known *config.Known) (changed bool) {
		for id, name := range names {
			changed = known.NoteHost(id, name) || changed
		}
		return changed
	}
	if !note(op.Known) || j.dry {
		return
	}
	err := j.state.UpdateKnown(func(known *config.Known) error { note(known); return nil })
	if err != nil {
		j.Detail("the names of hosts cannot be remembered: %v", err)
	}
}

// hostNamed finds a host of the trust list by its id, or by a name that one of them has.
func hostNamed(cat *catalog, name string) (h snapshot.TrustHost, err error) {
	var named []snapshot.TrustHost
	for _, h := range cat.op.Store.Trust.Hosts {
		if h.Host.String() == name {
			return h, nil
		}
		if cat.hostName(chain{host: h.Host}, cat.anyRoot(h.Host)) == name {
			named = append(named, h)
		}
	}
	switch len(named) {
	case 0:
		return h, &hostUnknown{name: name}
	case 1:
		return named[0], nil
	}
	return h, &hostUnknown{name: name, many: len(named)}
}

// newestOf are the newest snapshots of a host's sets, by set.
func newestOf(cat *catalog, host layout.HostID) []*row {
	heads, _ := cat.heads()
	maps.DeleteFunc(heads, func(k chain, r *row) bool { return k.host != host || r == nil })
	return slices.SortedFunc(maps.Values(heads), func(a, b *row) int {
		return cmp.Or(bytes.Compare(a.Set[:], b.Set[:]), cmp.Compare(a.Seq, b.Seq))
	})
}

// since is how long ago something was, never less than nothing.
func since(t, now time.Time) time.Duration { return max(0, now.Sub(t)) }
