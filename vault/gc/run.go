package gc

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// run is one attempt of prune.
type run struct {
	store Store
	host  layout.HostID
	o     Options

	head      *Head
	next      *snapshot.GC // nil: there is nothing to write
	inventory *inventory
	reader    *reader
	marks     *marks
	groups    []uint64 // of entry.group: the seq of the gc object that condemned them
	dead      []string // keys of manifests that are removed
	looked    time.Duration
	write     bool
	blobs     Amount // that the store lists
	orphans   Amount // of these, needed by no snapshot that is there
	result    Result
}

// plan finds out what the next gc object says. It writes only condemned lists.
func (r *run) plan(ctx context.Context) (err error) {
	if r.head, err = r.store.Head(ctx); err != nil {
		return err
	}
	if n := len(r.head.Others); n > 0 && !r.o.TakeOver {
		return fmt.Errorf("%w: there are %d newest gc objects", ErrOvertaken, n+1)
	}
	r.inventory = &inventory{}
	if err := r.store.List(ctx, func(o Object) error { r.inventory.add(o); return nil }); err != nil {
		return err
	}
	r.inventory.sort()
	r.reader = newReader(r.store, r.host, r.inventory)
	if err := r.reader.read(ctx); err != nil {
		return err
	}
	r.next = &snapshot.GC{Host: r.host, Seq: 1, Time: r.o.Now}
	if old := r.head.GC; old != nil {
		r.next.Seq, r.next.Prev, r.next.Others = old.Seq+1, r.head.Sum, r.head.Others
		r.next.Pruned, r.next.Dropped, r.next.Removed = old.Pruned, old.Dropped, old.Removed
	}
	led, err := r.carryOver(ctx)
	if err != nil {
		return err
	}
	if err := r.choose(); err != nil {
		return err
	}
	if r.o.Keep && !r.write {
		return nil
	}
	return r.condemn(ctx, led)
}

// choose removes snapshots, and marks what the others need.
func (r *run) choose() (err error) {
	all := slices.SortedFunc(slices.Values(r.reader.manifests), func(a, b *Snapshot) int {
		return cmp.Or(bytes.Compare(a.Place.Set[:], b.Place.Set[:]), cmp.Compare(a.Place.Seq, b.Place.Seq))
	})
	for _, s := range all {
		s.Whole = s.whole(r.condemnedBy, func(seq uint64) bool { return r.late(s, seq) })
	}
	there := slices.DeleteFunc(slices.Clone(all), r.removed)
	r.unexplained()
	if r.o.Choose != nil {
		for _, s := range there {
			m := r.reader.said.Of(s.Place, s.Sum, s.Tags)
			s.Tags, s.Pins = m.Tags, m.Pins
		}
		choice, err := r.o.Choose(there)
		if err == nil {
			err = r.record(there, choice)
		}
		if err != nil {
			return err
		}
		r.write = len(choice.Dropped) > 0 || len(choice.Removed) > 0
	}
	for _, s := range all {
		if r.removed(s) {
			r.dead = append(r.dead, s.key)
		} else {
			r.result.Snapshots = append(r.result.Snapshots, s)
		}
	}
	r.write = r.write || len(r.dead) > 0 || len(r.next.Others) > 0
	return r.mark()
}

// record adds what is removed to the next gc object. The newest snapshot of a set stays, unless
// the whole set is removed.
func (r *run) record(there []*Snapshot, c Choice) error {
	expire := make(map[snapshot.Sum]bool, len(c.Expire))
	for _, sum := range c.Expire {
		expire[sum] = true
	}
	records := slices.Clone(r.next.Pruned)
	for i, s := range there {
		newest := i+1 == len(there) || there[i+1].Place.Set != s.Place.Set
		whole := slices.Contains(c.Removed, s.Place.Set)
		switch {
		case whole && newest:
			r.next.Removed = append(slices.DeleteFunc(slices.Clone(r.next.Removed), func(old snapshot.Removed) bool {
				return old.Set == s.Place.Set
			}), snapshot.Removed{Set: s.Place.Set, Seq: s.Place.Seq, Sum: s.Sum})
		case whole:
		case !expire[s.Sum]:
			continue
		case newest:
			return fmt.Errorf("%w: %s", ErrNewest, s.Sum.String()[:8])
		}
		records = append(records, snapshot.Pruned{Set: s.Place.Set, From: s.Place.Seq, To: s.Place.Seq,
			Prev: s.prev, Sum: s.Sum})
		r.result.Expired = append(r.result.Expired, s)
	}
	slices.SortFunc(r.next.Removed, func(a, b snapshot.Removed) int { return bytes.Compare(a.Set[:], b.Set[:]) })
	r.next.Dropped = slices.Clone(r.next.Dropped)
	for _, d := range c.Dropped {
		if !slices.ContainsFunc(r.next.Dropped, func(old snapshot.Dropped) bool {
			return old.Set == d.Set && old.Seq == d.Seq && old.Sum == d.Sum
		}) {
			r.next.Dropped = append(r.next.Dropped, d)
		}
	}
	slices.SortFunc(r.next.Dropped, snapshot.Dropped.Compare)
	var err error
	r.next.Pruned, err = snapshot.MergePruned(records)
	return err
}

// condemnedBy returns the seq of the gc object that condemned an object first; 0: none has.
func (r *run) condemnedBy(at int32) uint64 {
	if group := r.inventory.all[at].group; group > 0 {
		return r.groups[group-1]
	}
	return 0
}

// late reports whether a snapshot that needs what a gc object has condemned may have been stored
// after that: another prune may be deleting it, which has not seen the snapshot. Those stored
// before are seen by all that delete.
func (r *run) late(s *Snapshot, seq uint64) bool {
	if seq == 0 {
		return false
	}
	if r.o.Heeded { // the times of hosts and pruners are not compared
		return slices.ContainsFunc(r.reader.manifests, func(o *Snapshot) bool {
			return o.gc >= seq && !o.Stored.After(s.Stored)
		})
	}
	at, ok := r.stored(seq)
	return !ok || !s.Stored.Before(at)
}

// unexplained counts what no snapshot needs that is there, those to be removed included, and no
// earlier run has condemned.
func (r *run) unexplained() {
	r.marks = r.newMarks()
	for _, s := range r.reader.manifests {
		_ = r.marks.mark(&s.needs) // what it needs beside a list that is lost
	}
	for _, c := range r.reader.checkpoints {
		_ = r.marks.mark(&c.needs)
	}
	for _, e := range r.inventory.of(layout.KindBlob) {
		r.blobs.add(int64(e.size))
		if !e.needs && e.group == 0 {
			r.orphans.add(int64(e.size))
		}
	}
	for i := range r.inventory.all {
		e := &r.inventory.all[i]
		e.meant, e.needs = e.needs, false
	}
	for _, l := range r.reader.lists {
		l.live = false
	}
	r.marks = r.newMarks()
}

func (r *run) newMarks() *marks {
	return &marks{v: r.inventory, epochs: map[layout.Epoch]bool{}, missing: map[[32]byte]bool{},
		sums: map[snapshot.Sum]bool{}}
}

// mark marks what is needed, as far as it is known now.
func (r *run) mark() error {
	return r.reader.needed(r.marks, func(s *Snapshot) bool { return !r.removed(s) }, r.valid)
}

// removed reports whether the gc object says that a snapshot is none any more.
func (r *run) removed(s *Snapshot) bool {
	return slices.ContainsFunc(r.next.Pruned, func(p snapshot.Pruned) bool {
		return p.Set == s.Place.Set && p.From <= s.Place.Seq && s.Place.Seq <= p.To
	}) || slices.ContainsFunc(r.next.Dropped, func(d snapshot.Dropped) bool {
		return d.Set == s.Place.Set && d.Seq == s.Place.Seq && d.Sum == s.Sum
	})
}

// valid reports whether a checkpoint pins anything: the snapshot that it leads to is not there
// yet, and never was.
func (r *run) valid(c *checkpoint) bool {
	return r.now().Sub(c.stored) < snapshot.CheckpointLife &&
		!slices.ContainsFunc(r.reader.manifests, func(s *Snapshot) bool {
			return s.Place.Set == c.set && s.Place.Seq >= c.seq
		}) &&
		!slices.ContainsFunc(r.next.Pruned, func(p snapshot.Pruned) bool { return p.Set == c.set && p.To >= c.seq })
}

// now is the time of the store, or a little before: when the newest of what was read was stored.
func (r *run) now() time.Time {
	now := r.inventory.newest
	if r.reader.newest.After(now) {
		now = r.reader.newest
	}
	for _, t := range r.head.Objects {
		if t.After(now) {
			now = t
		}
	}
	return now
}

// stored is when a gc object was, or the first one after it that is there; false: none is.
func (r *run) stored(seq uint64) (at time.Time, ok bool) {
	best := uint64(0)
	for n, t := range r.head.Objects {
		if n >= seq && (best == 0 || n < best) {
			best, at = n, t
		}
	}
	return at, best != 0 && !at.IsZero()
}

// older reports whether a gc object is older than the newest by this much, by the times that
// the store has for them.
func (r *run) older(seq uint64, than time.Duration) bool {
	if than <= 0 {
		return true // whatever the clock has done between the two
	}
	now, ok := r.head.Objects[r.head.GC.Seq]
	at, known := r.stored(seq)
	return ok && known && now.Sub(at) >= than
}

// publish stores the next gc object: from there on it is the newest.
func (r *run) publish(ctx context.Context) error {
	sum, at, err := r.store.Put(ctx, r.next)
	if err != nil {
		return err
	}
	r.advance(sum, at)
	r.result.Seq = r.next.Seq
	return nil
}

// advance makes the next gc object the newest.
func (r *run) advance(sum snapshot.Sum, at time.Time) {
	objects := maps.Clone(r.head.Objects)
	if objects == nil {
		objects = map[uint64]time.Time{}
	}
	objects[r.next.Seq] = at
	r.head = &Head{GC: r.next, Sum: sum, Objects: objects, Weak: r.head.Weak, Lists: r.head.Lists}
}
