package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// FleetOptions say what a look at all hosts of a store asks for.
type FleetOptions struct {
	Pick   Pick
	MaxAge time.Duration // of the newest snapshot of each set; 0: any
}

// FleetResult is how a store's hosts are doing.
type FleetResult struct {
	events.Totals
	Hosts []events.FleetHost
	Sets  []events.FleetSet
}

// Fleet tells how each host of a store and each of its sets is doing: how old the newest snapshot
// is, whether it is complete and the store has all that it needs, how much is stored and how fast
// that grows, and what is wrong. It needs no key; with one it reads names. It tells of each
// problem, an [events.Problem]. With problems, or with snapshots that are too old, there is an
// error as well.
func (e *Engine) Fleet(ctx context.Context, o FleetOptions, sink events.Sink) (FleetResult, error) {
	j := e.begin("fleet status", sink)
	res, err := attended(ctx, j, func() (FleetResult, error) { return j.fleet(ctx, o) })
	res.Totals = j.totals()
	return res, err
}

// fleet is a look at the hosts of a store.
type fleet struct {
	*job
	o        FleetOptions
	cat      *catalog
	now      time.Time
	res      FleetResult
	problems int // of those that were picked
	stale    int // sets, and hosts without any
	partial  int // newest snapshots of which the store lacks something
}

func (j *job) fleet(ctx context.Context, o FleetOptions) (res FleetResult, err error) {
	key, err := j.optionalIdentity()
	if err != nil {
		return res, err
	}
	if _, _, err := j.effort(); err != nil {
		return res, err
	}
	op, err := j.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return res, err
	}
	defer op.Close()
	j.looksUp(op)
	f := &fleet{job: j, o: o, now: time.Now()}
	if f.cat, err = j.catalog(ctx, op); err != nil {
		return res, err
	}
	if err := j.readNames(ctx, f.cat, key); err != nil {
		return res, err
	}
	op.Store.WithoutBlobs = false // those of the newest snapshots count
	for _, h := range op.Store.Trust.Hosts {
		if err := f.host(ctx, h); err != nil {
			return f.res, err
		}
	}
	return f.res, f.verdict()
}

// host looks at one host. What it needs memory for is 16 bytes for each object that the newest
// snapshots of its sets need.
func (f *fleet) host(ctx context.Context, h snapshot.TrustHost) error {
	ev := events.FleetHost{Type: "fleet-host", Host: h.Host.String(), Roles: h.Roles}
	name := f.cat.hostName(chain{host: h.Host}, f.cat.anyRoot(h.Host))
	if !fits(f.o.Pick.Host, name, ev.Host) {
		return nil
	}
	if name != ev.Host {
		ev.Hostname, ev.Hostname64 = events.Twin(name)
	}
	if !h.Revoked.IsZero() {
		ev.Revoked = &h.Revoked
	}
	sets, err := f.sets(ctx, h, name)
	if err != nil {
		return err
	}
	inventory, err := f.list(ctx, h, sets)
	if err != nil {
		return err
	}
	ev.Objects, ev.Bytes = inventory.objects, inventory.bytes
	if inventory.timed {
		ev.Week, ev.Month = &inventory.week, &inventory.month
	}
	ev.Problems = f.tellProblems(h.Host) + f.tellUsed(h, inventory)
	for _, s := range sets {
		f.judge(h, s)
		ev.Stale = ev.Stale || s.ev.Stale
		if s.ev.Age != nil && (ev.Age == nil || *s.ev.Age < *ev.Age) {
			ev.Age = s.ev.Age
		}
		f.res.Sets = append(f.res.Sets, s.ev)
	}
	if len(sets) == 0 && f.o.Pick.Set == "" && h.Revoked.IsZero() && h.Has(snapshot.RoleWrite) &&
		f.old(since(h.Since, f.now)) {
		ev.Stale = true
		f.stale++
	}
	f.res.Hosts = append(f.res.Hosts, ev)
	return nil
}

// old reports whether a snapshot of this age is too old.
func (f *fleet) old(age time.Duration) bool { return f.o.MaxAge > 0 && age > f.o.MaxAge }

// fleetSet is a set that is looked at.
type fleetSet struct {
	ev     events.FleetSet
	newest *row   // nil: none can be read
	needs  []mark // sorted
	known  bool   // all that the newest needs is in needs
	listed int    // of needs
	stored time.Time
}

// mark stands for an object of a size: half of a SHA-256.
type mark [16]byte

func markOf(key string, size int64) (m mark) {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(key), uint64(size)))
	return mark(sum[:len(m)])
}

// compare sorts marks, which are as random as sums are.
func (m mark) compare(o mark) int { return slices.Compare(m[:], o[:]) }

// sets are the sets of a host that were asked for.
func (f *fleet) sets(ctx context.Context, h snapshot.TrustHost, hostName string) (out []*fleetSet,
	err error) {
	heads, order := f.cat.heads()
	count := map[chain]int{}
	for _, r := range f.cat.rows {
		count[r.chain()]++
	}
	for _, k := range order {
		if k.host != h.Host {
			continue
		}
		s := &fleetSet{newest: heads[k]}
		s.ev = events.FleetSet{Type: "fleet-set", Host: k.host.String(), Set: k.set.String(),
			Snapshots: count[k]}
		var root *snapshot.Root
		if s.newest != nil {
			root = s.newest.Root
		}
		name := f.cat.setName(k, root)
		if !fits(f.o.Pick.Set, name, s.ev.Set) {
			continue
		}
		if name != s.ev.Set {
			s.ev.SetName, s.ev.SetName64 = events.Twin(name)
		}
		if hostName != s.ev.Host {
			s.ev.Hostname, s.ev.Hostname64 = events.Twin(hostName)
		}
		for _, p := range f.cat.problems {
			if p.Host == k.host && p.Set == k.set {
				s.ev.Problems++
			}
		}
		if s.newest != nil {
			if err := f.needed(ctx, s); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// needed gathers what the newest snapshot of a set needs.
func (f *fleet) needed(ctx context.Context, s *fleetSet) error {
	r := s.newest
	s.ev.Snapshot, s.ev.Time, s.ev.Complete, s.ev.Bytes = r.ID(), &r.Time, r.Complete, r.Bytes
	store := f.cat.op.Store
	loaded, problems, err := store.At(ctx, snapshot.Place{Host: r.Host, Set: r.Set, Seq: r.Seq})
	if err == nil {
		err = unreachable(problems)
	}
	i := slices.IndexFunc(loaded, func(l *snapshot.Loaded) bool { return l.Sum == r.Sum })
	if err != nil || i < 0 {
		return err // what is wrong with it, the catalog has said
	}
	m := loaded[i].Manifest
	blobs, err := store.Blobs(ctx, m)
	switch {
	case ctx.Err() != nil, errors.Is(err, backends.ErrUnreachable):
		return err
	case err != nil:
		f.Warn("see every problem: "+f.here("verify"), "snapshot %s: %v", r.short(), err)
		return nil
	}
	add := func(key string, size int64) { s.needs = append(s.needs, markOf(key, size)) }
	add(layout.Root(m.Host, m.Root.Name), m.Root.Size)
	for _, k := range m.Keys {
		add(layout.EpochKey(m.Host, k.Epoch, k.N), k.Size)
	}
	for _, l := range m.Lists {
		add(layout.BlobList(m.Host, l.Name), l.Size)
	}
	for _, b := range blobs {
		add(layout.Blob(m.Host, b.Name), b.Size)
	}
	slices.SortFunc(s.needs, mark.compare)
	s.known = true
	return nil
}

// inventory is what a store lists below a host.
type inventory struct {
	objects, bytes int64
	week, month    int64    // bytes that were added in that time
	timed          bool     // the store tells when
	used           []string // manifests that do not count, stored since the key was revoked
}

const (
	week  = 7 * 24 * time.Hour
	month = 30 * 24 * time.Hour
)

// meanwhile is how long after a key was revoked its host may not know, or the clocks of owner
// and store may differ.
const meanwhile = time.Hour

// list goes once through all objects of a host.
func (f *fleet) list(ctx context.Context, h snapshot.TrustHost, sets []*fleetSet) (n inventory,
	err error) {
	counts := map[string]bool{}
	for _, r := range f.cat.rows {
		if r.Host == h.Host && !h.Revoked.IsZero() {
			counts[r.Key] = true
		}
	}
	used := func(o backends.ObjectInfo) bool {
		if h.Revoked.IsZero() || f.cat.op.Mirror || counts[o.Key] ||
			!o.ModTime.After(h.Revoked.Add(meanwhile)) {
			return false
		}
		name, err := layout.Parse(o.Key)
		return err == nil && name.Kind == layout.KindManifest
	}
	prefix := layout.HostPrefix(h.Host)
	err = f.cat.op.Backend.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		n.objects++
		if used(o) && len(n.used) < maxNamed {
			n.used = append(n.used, o.Key)
		}
		n.bytes += o.Size
		if !o.ModTime.IsZero() {
			n.timed = true
			if age := since(o.ModTime, f.now); age < month {
				n.month += o.Size
				if age < week {
					n.week += o.Size
				}
			}
		}
		m := markOf(o.Key, o.Size)
		for _, s := range sets {
			if s.newest != nil && s.newest.Key == o.Key {
				s.stored = o.ModTime
			}
			if _, ok := slices.BinarySearchFunc(s.needs, m, mark.compare); ok {
				s.listed++
			}
		}
		return nil
	})
	return n, err
}

// judge says how a set is doing, once the store was listed. How old a snapshot is tells the
// earlier of two clocks: that of its host may be wrong, and a mirror's store has it later.
func (f *fleet) judge(h snapshot.TrustHost, s *fleetSet) {
	ev := &s.ev
	f.problems += ev.Problems
	if s.newest == nil {
		return
	}
	at := s.newest.Time
	if !s.stored.IsZero() && s.stored.Before(at) {
		at = s.stored
	}
	age := since(at, f.now)
	seconds := age.Seconds()
	ev.Age = &seconds
	ev.Whole = s.known && s.listed == len(s.needs)
	if !ev.Whole {
		f.partial++
	}
	if h.Revoked.IsZero() && f.old(age) {
		ev.Stale = true
		f.stale++
	}
}

// tellProblems tells of what is wrong with a host's manifests and gc objects, and counts it.
func (f *fleet) tellProblems(host layout.HostID) int {
	v := &verification{job: f.job, cat: f.cat, rows: f.cat.rows}
	n := 0
	for _, p := range f.cat.problems {
		if p.Host != host {
			continue
		}
		v.tellProblem(v.ofManifest(p))
		n++
		if p.Set.IsZero() {
			f.problems++
		}
	}
	f.sum.Errors += int64(n)
	return n
}

// tellUsed tells of snapshots that were stored with a key after it was revoked: whoever made
// them still has it, and may write to the store.
func (f *fleet) tellUsed(h snapshot.TrustHost, n inventory) int {
	v := &verification{job: f.job, cat: f.cat, rows: f.cat.rows}
	for _, key := range n.used {
		v.tellProblem(events.Problem{Kind: "untrusted", Key: key, Host: h.Host.String(),
			Reason: "stored since the key of its host was revoked: somebody still uses that key"})
	}
	f.problems += len(n.used)
	f.sum.Errors += int64(len(n.used))
	return len(n.used)
}

// verdict is the error of what is wrong, damage first.
func (f *fleet) verdict() error {
	switch {
	case f.problems > 0:
		return fault.WithHint(fault.Damaged(words.Plural(int64(f.problems), "problem", "problems")+
			" in the store"), "see every problem: "+f.here("verify"))
	case f.partial > 0:
		return fault.WithHint(fault.Damaged(words.Plural(int64(f.partial),
			"newest snapshot needs", "newest snapshots need")+" what the store does not have"),
			"see what is missing: "+f.here("verify"))
	case f.stale > 0:
		return &tooOld{f.stale, f.o.MaxAge}
	}
	return nil
}

// tooOld: sets have no snapshot that is new enough.
type tooOld struct {
	n   int
	max time.Duration
}

func (e *tooOld) Error() string {
	return fmt.Sprintf("%s no snapshot of the last %s",
		words.Plural(int64(e.n), "set has", "sets have"), words.Lasting(e.max))
}

func (*tooOld) Exit() fault.Code { return fault.Failed }
func (*tooOld) Hint() string     { return "on that host, back up: vaultik backup" }
