package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// RepairOptions say who writes the head of a store anew, and which hosts it trusts.
type RepairOptions struct {
	Kit     string   // file with the recovery kit
	Confirm []string // ids of hosts, fingerprints of keys and sums of recipients, the owner's own

	// Agree and AgreeTo ask whether a key is the owner's, and the recipients of its host;
	// nil: nobody is asked.
	Agree   func(events.Author) bool
	AgreeTo func(events.Recipients) bool
}

// RepairHead writes store.json and the trust list anew where they are damaged, from the
// recovery kit and the keys that have signed in the store, which the owner confirms. It tells
// of each [events.Author] first, and of the [events.Recipients] of its host.
func (e *Engine) RepairHead(ctx context.Context, o RepairOptions, sink events.Sink) (events.Totals,
	error) {
	j := e.begin("store repair-head", sink)
	return j.told(ctx, func() error { return j.repairHead(ctx, o) })
}

// headRepair is a store whose head is repaired.
type headRepair struct {
	*job
	o       RepairOptions
	url     string
	backend backends.Backend
	atomic  bool // create-if-absent works
	kit     *keys.Kit
	state   *snapshot.HeadState
}

func (j *job) repairHead(ctx context.Context, o RepairOptions) error {
	kit, err := readOwnersKit(o.Kit)
	if err != nil {
		return err
	}
	url, err := j.storeURL()
	if err != nil {
		return err
	}
	b, err := j.openBackend(ctx, url, backends.Options{})
	if err != nil {
		return err
	}
	defer b.Close()
	r := &headRepair{job: j, o: o, url: url, backend: b, kit: kit}
	info, err := b.Info(ctx)
	if err != nil {
		return err
	}
	r.atomic = info.ConditionalPut
	if err := r.read(ctx); err != nil {
		return err
	}
	if r.state.StoreGood && r.state.TrustGood {
		j.Note("nothing to repair: %s and trust list %d are whole", layout.StoreJSON,
			r.state.Trust.Seq)
		return nil
	}
	return r.repair(ctx)
}

// read finds out what is damaged. A trust list that this machine has seen and that is gone
// gets a successor with a higher number: others have seen it, too.
func (r *headRepair) read(ctx context.Context) (err error) {
	seen, err := r.job.state.LoadSeen()
	if err != nil {
		return err
	}
	p := seen.Trust(r.kit.StoreID)
	r.state, err = snapshot.ReadHead(ctx, backends.Objects(r.backend), r.kit.StoreID,
		r.kit.Owner.Public(), p.Seq)
	if errors.Is(err, snapshot.ErrOwnerChanged) {
		return fault.WithHint(err,
			"use the recovery kit whose \"# store:\" line has this store's id: --kit FILE")
	}
	if err != nil {
		return err
	}
	if p.Seq >= r.state.Next {
		sum, err := p.Hash()
		if err != nil {
			return r.badSeen()
		}
		r.state.TrustGood, r.state.Next, r.state.Prev = false, p.Seq+1, sum
	}
	return nil
}

func (r *headRepair) repair(ctx context.Context) error {
	found, weak, err := snapshot.FindAuthors(ctx, backends.Objects(r.backend), r.kit.StoreID,
		r.state.Trust)
	if err != nil {
		return err
	}
	if !r.state.TrustGood {
		hosts, err := r.hosts(found)
		if err != nil {
			return err
		}
		if err := r.writeTrust(ctx, hosts); err != nil {
			return err
		}
	}
	if !r.state.StoreGood { // last: until then the place is no store
		if err := r.writeStore(ctx, weak || !r.atomic); err != nil {
			return err
		}
	}
	st, err := snapshot.OpenStore(ctx, backends.Objects(r.backend),
		snapshot.Pin{Owner: r.kit.Owner.Public().Fingerprint()})
	if err != nil {
		return fmt.Errorf("read back the head of the store: %w", err)
	}
	r.Note("repaired: store %s trusts %s", st.Doc.Store,
		words.Plural(int64(len(st.Trust.Hosts)), "key", "keys"))
	return r.job.state.UpdateSeen(func(seen *config.Seen) error {
		seen.NoteTrust(st.Doc.Store, config.Point{Seq: st.TrustSeq, Sum: st.TrustSum})
		return nil
	})
}

// hosts are the entries of the new trust list.
func (r *headRepair) hosts(found []snapshot.Author) ([]snapshot.TrustHost, error) {
	forked := r.state.Forked
	if len(forked) == 0 {
		return r.confirmed(found)
	}
	open := &fault.UsageError{Command: "store repair-head", Msg: "say which trust list counts: " +
		"each was signed without knowing of the others, whose changes are to be made again"}
	for i := range forked {
		name := forked[i].Name()
		if slices.Contains(r.o.Confirm, name) {
			r.state.Continue(forked[i])
			continue
		}
		open.Ways = append(open.Ways, r.here("store repair-head --kit "+config.Quote(r.o.Kit)+
			" --confirm "+name))
	}
	if len(open.Ways) != len(forked)-1 {
		return nil, open
	}
	if r.state.Next == r.state.Trust.Seq+1 {
		return r.state.Trust.Hosts, nil
	}
	// Behind them may stand one that is damaged.
	r.o.Confirm = slices.DeleteFunc(slices.Clone(r.o.Confirm), func(c string) bool {
		return slices.ContainsFunc(forked,
			func(l snapshot.FoundTrust) bool { return c == l.Name() })
	})
	return r.confirmed(found)
}

// maxAuthors is how many keys are shown: anybody who may write to the store can sign with any
// number of them.
const maxAuthors = 20

// confirmed are the entries of those whom the owner trusts.
func (r *headRepair) confirmed(found []snapshot.Author) (hosts []snapshot.TrustHost, err error) {
	open := &fault.UsageError{Command: "store repair-head",
		Msg: "say which of these keys are yours: nobody else can tell"}
	byHost := map[layout.HostID]int{}
	for _, a := range found {
		byHost[a.Host]++
	}
	used := map[string]bool{}
	for i := range found {
		a := &found[i]
		if a.Entry != nil && !a.Entry.Revoked.IsZero() { // it stays as it is
			hosts = append(hosts, *a.Entry)
			continue
		}
		yes, by := r.said(a, byHost[a.Host] == 1)
		used[by] = true
		ev := authorOf(a)
		var sums []hostRecipients
		if i < maxAuthors || yes {
			r.Tell(ev)
			sums = r.recipients(a)
		}
		if !yes && r.o.Agree != nil && len(r.o.Confirm) == 0 && i < maxAuthors {
			yes = r.o.Agree(ev)
		}
		if yes {
			hosts = append(hosts, r.entry(a, sums))
		} else if i < maxAuthors {
			open.Ways = append(open.Ways, r.way(ev.Key, sums))
		}
	}
	for _, c := range r.o.Confirm {
		if !used[c] && !anySum(found, c) {
			return nil, fault.Misuse("store repair-head", fmt.Sprintf(
				"--confirm %s: no host or key of this kind has signed anything here, and no "+
					"recipients of this sum; or several keys of that host have: give the key's "+
					"fingerprint", c))
		}
	}
	switch asked := r.o.Agree != nil || len(r.o.Confirm) > 0; {
	case len(found) == 0:
		return nil, fault.Damaged("nothing in the store is signed by any key: " +
			"there is no host to trust, and no snapshot to read")
	case !slices.ContainsFunc(hosts, func(h snapshot.TrustHost) bool { return h.Revoked.IsZero() }):
		if asked {
			return nil, ErrNotAgreed
		}
		return nil, open
	}
	return hosts, nil
}

// said reports whether the owner has named a key, and how.
func (r *headRepair) said(a *snapshot.Author, alone bool) (yes bool, by string) {
	for _, c := range r.o.Confirm {
		if c == a.Key.Fingerprint() || alone && !a.Host.IsZero() && c == a.Host.String() {
			return true, c
		}
	}
	return false, ""
}

// entryOf trusts a key with what it has done, or what it was trusted with before.
func entryOf(a *snapshot.Author) snapshot.TrustHost {
	if a.Entry != nil {
		return *a.Entry
	}
	h := snapshot.TrustHost{Host: a.Host, Key: a.Key}
	if h.Host.IsZero() { // of a pruner that is no host, nothing says which id it had
		h.Host = layout.NewHostID()
	}
	if a.Manifests > 0 {
		h.Roles = append(h.Roles, snapshot.RoleWrite)
	}
	if a.GCs > 0 {
		h.Roles = append(h.Roles, snapshot.RolePrune)
	}
	return h
}

func authorOf(a *snapshot.Author) events.Author {
	ev := events.Author{Type: "author", Key: a.Key.Fingerprint(), Snapshots: a.Manifests,
		GCs: a.GCs, Known: a.Entry != nil}
	if !a.Host.IsZero() {
		ev.Host = a.Host.String()
	}
	if !a.Last.IsZero() {
		ev.Last = &a.Last
	}
	return ev
}

// writeTrust writes a trust list behind the last that is there.
func (r *headRepair) writeTrust(ctx context.Context, hosts []snapshot.TrustHost) error {
	t := snapshot.Trust{Store: r.kit.StoreID, Seq: r.state.Next, Prev: r.state.Prev,
		Time: time.Now(), Hosts: hosts}
	if old := r.state.Trust; old != nil {
		t.Lost, t.LostGC = old.Lost, old.LostGC
	}
	b, err := snapshot.EncodeTrust(t, r.kit.Owner)
	if err != nil {
		return err
	}
	key := layout.Trust(t.Seq)
	if !r.atomic {
		key = layout.Weak(key, sha256.Sum256(b))
	}
	return r.put(ctx, key, b, r.atomic)
}

// writeStore writes store.json as init did: the kit has all that is in it.
func (r *headRepair) writeStore(ctx context.Context, weak bool) error {
	doc := snapshot.StoreDoc{Store: r.kit.StoreID, Owner: r.kit.Owner.Public(),
		Created: r.kit.Created}
	if weak {
		doc.Safety = snapshot.SafetyWeak
	}
	b, err := snapshot.EncodeStore(doc, r.kit.Owner)
	if err != nil {
		return err
	}
	return r.put(ctx, layout.StoreJSON, b, false)
}

func (r *headRepair) put(ctx context.Context, key string, b []byte, absent bool) error {
	sum := sha256.Sum256(b)
	if _, err := r.backend.Put(ctx, key, backends.Bytes(b, &sum),
		backends.PutOptions{IfAbsent: absent}); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	r.Note("wrote %s", key)
	return nil
}
