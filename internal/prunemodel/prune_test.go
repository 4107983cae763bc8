package prunemodel

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"vaultik/vault/gc"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// pruner adds a machine that prunes all hosts now and then.
func (w *world) pruner(name string) *machine {
	skew := w.skew()
	seen := map[*part]*memory{}
	return w.machine(name, skew, func(m *machine) {
		for _, p := range w.parts {
			if w.chance(100) || m.dead {
				continue
			}
			if seen[p] == nil {
				seen[p] = &memory{}
			}
			times := gc.Far
			if w.chance(500) {
				times = gc.Times{Grace: 20 * time.Minute}
			}
			if w.clients {
				times.Heeded = true
			}
			_, _ = w.pruneOne(m, p, times, seen[p])
		}
		m.wake = w.now + w.upTo([]time.Duration{time.Minute, time.Minute, 5 * time.Minute, 10 * time.Hour, 80 * time.Hour, 200 * time.Hour}[w.rng.IntN(6)])
	})
}

// gather has machines that wait prune while another backs up.
func (w *world) gather(with *machine) {
	for _, m := range w.machines {
		if m != with && m.idle && m.wake > w.now+time.Hour && w.chance(300) {
			m.wake = w.now + w.upTo(10*time.Minute)
		}
	}
}

// memory is what a weakened pruner relies on.
type memory struct {
	manifests []gc.Manifest
	filled    bool
}

func (w *world) pruneOne(m *machine, p *part, times gc.Times, seen *memory) (*gc.Result, error) {
	if w.weak.noGrace {
		times.Grace = 0
	}
	w.tell(m, "prunes, with %+v", times)
	s := &gcStore{machine: m, part: p, memory: seen}
	if seen == nil {
		s.memory = &memory{}
	}
	res, err := gc.Prune(context.Background(), s, p.host,
		gc.Options{Times: times, Now: m.wall(), Boot: m.boot, Choose: w.choose, Keep: !w.calm && w.chance(50)})
	if err != nil {
		w.tell(m, "ends: %v", err)
	} else {
		w.tell(m, "has pruned: condemned %d, deleted %d of %d, %d wait", res.Condemned.Objects,
			res.Deleted.Objects, res.Ripe.Objects, res.Waiting.Objects)
	}
	return res, err
}

// choose removes what retention could: a number of the newest whole snapshots of each set stays,
// and all that is between them may go or stay.
func (w *world) choose(all []*gc.Snapshot) (c gc.Choice, err error) {
	if w.retain != nil {
		return w.retain(all), nil
	}
	for len(all) > 0 && !w.sated {
		n := 1
		for n < len(all) && all[n].Place.Set == all[0].Place.Set {
			n++
		}
		of := all[:n]
		all = all[n:]
		if !w.calm && w.chance(5) {
			w.tell(nil, "set %s is to go", of[0].Place.Set.String()[:2])
			c.Removed = append(c.Removed, of[0].Place.Set)
			continue
		}
		keep := 1 + w.rng.IntN(3)
		for i := n - 1; i >= 0; i-- {
			s := of[i]
			if i < n-1 && (keep <= 0 || !w.whole(s) && w.chance(500)) && w.chance(700) {
				w.tell(nil, "seq %d of set %s is to go", s.Place.Seq, s.Place.Set.String()[:2])
				c.Expire = append(c.Expire, s.Sum)
			} else if w.whole(s) {
				keep--
			}
		}
	}
	return c, nil
}

// gcStore is a host's part of the store as a prune sees it.
type gcStore struct {
	*machine
	*part
	*memory
	own *gc.Head // what it has written
}

// Head implements gc.Store, as do the following. What a listing shows may be behind: the next
// ones are asked for by name.
func (s *gcStore) Head(context.Context) (*gc.Head, error) {
	if s.own != nil && s.part.lost() && s.w.chance(600) {
		s.w.call(s.w.mender.machine, time.Minute)
		s.hold(gc.Settled + s.w.upTo(5*time.Minute)) // while the mirror puts back
	}
	if err := s.read("read the newest gc object"); err != nil {
		return nil, err
	}
	if s.own != nil && s.w.weak.alone {
		return s.own, nil
	}
	h := &gc.Head{GC: s.head, Sum: s.headSum, Objects: map[uint64]time.Time{}}
	for _, x := range s.all {
		if x.Kind == layout.KindGC && x.there {
			h.Objects[x.Seq] = x.stored
		}
	}
	return h, nil
}

func (s *gcStore) EachCondemned(context.Context, snapshot.ListRef, func(layout.Object) error) error {
	panic("no history condemns that many objects")
}

func (s *gcStore) PutCondemned(context.Context, []string) (snapshot.ListRef, error) {
	panic("no history condemns that many objects")
}

// List lists in two pages.
func (s *gcStore) List(_ context.Context, fn func(gc.Object) error) (err error) {
	for _, blobs := range []bool{true, false} {
		if err := s.read("list"); err != nil {
			return err
		}
		s.part.list(func(x *object) {
			if err == nil && (x.Kind == layout.KindBlob) == blobs {
				err = fn(gc.Object{Object: x.Object, Size: x.size, Stored: x.stored})
			}
		})
	}
	return err
}

// Read reads manifests and checkpoints. A place before another manifest where nothing is listed
// is asked for by name, and is a problem if nothing explains it.
func (s *gcStore) Read(_ context.Context, v gc.Visitor) (problems []error, err error) {
	if err := s.read("list manifests"); err != nil {
		return nil, err
	}
	if s.memory.filled && s.w.weak.stale {
		for _, m := range s.memory.manifests {
			if !v.Known(m.Key) {
				if err := v.Manifest(m); err != nil {
					return nil, err
				}
			}
		}
		return nil, nil
	}
	var found []*object
	last := map[layout.SetID]uint64{}
	s.part.list(func(x *object) {
		switch x.Kind {
		case layout.KindManifest:
			last[x.Set] = max(last[x.Set], x.Seq)
		case layout.KindCheckpoint:
			found = append(found, x)
		}
	})
	if err := s.read("get manifests"); err != nil {
		return nil, err
	}
	for _, x := range s.all { // those made before the last one that is listed
		if x.Kind == layout.KindManifest && x.Seq <= last[x.Set] {
			found = append(found, x)
		}
	}
	s.memory.filled = true
	for _, x := range found {
		if !x.there {
			if x.Kind == layout.KindManifest && !s.explained(x) {
				problems = append(problems, fmt.Errorf("%s is missing", x))
			}
			continue
		}
		if v.Known(x.key) {
			continue
		}
		if c, ok := x.what.(*snapshot.Checkpoint); ok {
			err = v.Checkpoint(gc.Checkpoint{Checkpoint: c, Stored: x.stored})
		} else {
			m := gc.Manifest{Loaded: x.what.(*made).Loaded, Stored: x.stored}
			s.memory.manifests = append(s.memory.manifests, m)
			err = v.Manifest(m)
		}
		if err != nil {
			return nil, err
		}
	}
	return problems, nil
}

// explained reports whether something says why there is no manifest in a place.
func (s *gcStore) explained(x *object) bool {
	return s.accepted[x.key] || s.head != nil && slices.ContainsFunc(s.head.Pruned, func(r snapshot.Pruned) bool {
		return r.Set == x.Set && r.From <= x.Seq && x.Seq <= r.To
	})
}

func (s *gcStore) BlobList(_ context.Context, ref snapshot.ListRef) ([]snapshot.BlobSize, error) {
	x := s.object(layout.Object{Kind: layout.KindBlobList, Sum: ref.Name})
	if !x.there {
		return nil, fmt.Errorf("%s is missing: %w", x, fs.ErrNotExist)
	}
	return x.what.([]snapshot.BlobSize), nil
}

func (s *gcStore) Put(_ context.Context, g *snapshot.GC) (snapshot.Sum, time.Time, error) {
	x, sum, taken := s.object(layout.Object{Kind: layout.KindGC, Seq: g.Seq}), snapshot.Sum(s.w.id()), false
	err := s.send("put "+x.String(), func() {
		if taken = x.there && !s.w.weak.overwrites; taken {
			return
		}
		if s.w.weak.forgotten {
			g.Condemned = slices.DeleteFunc(g.Condemned, func(c snapshot.Condemned) bool { return c.Deleted > 0 })
		}
		s.headSum = sum
		s.part.put(s.machine, x, 600, g)
	})
	if err == nil && taken {
		err = gc.ErrConflict
	}
	if err != nil {
		return sum, time.Time{}, err
	}
	if !s.w.calm {
		s.w.gather(s.machine)
	}
	at := x.stored
	if s.w.weak.wallClock {
		at = s.wall()
	}
	objects := map[uint64]time.Time{}
	for _, x := range s.all {
		if x.Kind == layout.KindGC && x.there {
			objects[x.Seq] = x.stored
		}
	}
	objects[g.Seq] = at
	s.own = &gc.Head{GC: g, Sum: sum, Objects: maps.Clone(objects)}
	return sum, at, nil
}

// Delete deletes one after the other. What the server has not answered when the time is over, it
// may still do.
func (s *gcStore) Delete(ctx context.Context, keys []string) error {
	start, left := s.boot(), time.Duration(1<<62)
	if t, ok := ctx.Deadline(); ok {
		left = time.Until(t).Round(time.Minute)
	}
	for _, key := range keys {
		x := s.byKey[key]
		if x == nil {
			s.w.broke("%s is to be deleted, which was never there", key)
			return nil
		}
		if x.Kind != layout.KindManifest && s.part.lost() && s.w.chance(300) {
			s.w.call(s.w.mender.machine, time.Second)
			s.hold(s.w.upTo(4 * time.Minute))
		}
		if err := s.send("delete "+x.String(), func() { s.remove(x) }); err != nil {
			return err
		}
		if s.boot()-start > left {
			return context.DeadlineExceeded
		}
	}
	return nil
}

// whole is what retention takes for a whole snapshot.
func (w *world) whole(s *gc.Snapshot) bool { return s.Whole || w.weak.blind }
