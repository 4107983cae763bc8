package snapshot

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"vaultik/vault/layout"
)

// What prune has dropped is left out, whether or not it is deleted already; nothing else is.
func TestStore_dropped(t *testing.T) {
	type made struct{ sum Sum }
	fork := func(w *world, l *Loaded) made {
		m := *l.Manifest
		m.Complete = false
		b, err := EncodeManifest(&m, w.signer)
		w.must(err)
		w.m.objects[layout.Weak(layout.Manifest(w.host, w.set, m.Seq), sumOf(b))] = b
		return made{sumOf(b)}
	}
	damage := func(w *world, l *Loaded) made {
		b := slices.Clone(w.m.objects[l.Key])
		b[40] ^= 1
		w.m.objects[l.Key] = b
		return made{sumOf(b)}
	}
	for name, tt := range map[string]struct {
		seq    int
		harm   func(*world, *Loaded) made
		reason string
		wrong  error
		left   int // manifests
	}{
		"a fork in the middle":    {3, fork, DroppedFork, ErrFork, 5},
		"a fork at the head":      {5, fork, DroppedFork, ErrFork, 5},
		"damaged in the middle":   {3, damage, DroppedDamaged, ErrDamaged, 4},
		"damaged as the first":    {1, damage, DroppedDamaged, ErrDamaged, 4},
		"damaged, and the newest": {5, damage, DroppedDamaged, ErrDamaged, 4},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var all []*Loaded
			for range 5 {
				all = append(all, w.snapshot(w.set))
			}
			victim := all[tt.seq-1]
			harmed := tt.harm(w, victim)
			read := func() []Problem {
				loaded, problems, err := w.open().Manifests(t.Context(), Filter{})
				w.must(err)
				if len(problems) == 0 && len(loaded) != tt.left {
					t.Errorf("%d manifests, want %d", len(loaded), tt.left)
				}
				return problems
			}
			if p := read(); len(p) != 1 || !errors.Is(p[0], tt.wrong) {
				t.Fatalf("before: %v, want %v", p, tt.wrong)
			}
			there, wrong, err := w.open().Manifests(t.Context(), Filter{}) // as in a mirror
			w.must(err)
			w.gc(GC{Seq: 1, Dropped: []Dropped{{w.set, victim.Seq, Sum{7}, DroppedFork}}})
			if p := read(); len(p) != 1 {
				t.Errorf("another was dropped: %v", p)
			}
			w.gc(GC{Seq: 1, Dropped: []Dropped{{w.set, victim.Seq, harmed.sum, tt.reason}}})
			if p := read(); len(p) != 0 {
				t.Errorf("dropped: %v", p)
			}
			if l, p := w.open().WithoutDropped(t.Context(), there, wrong); len(l) != tt.left || len(p) != 0 {
				t.Errorf("in a mirror: %d, %v", len(l), p)
			}
			if _, p, err := w.open().Heads(t.Context(), nil); err != nil || len(p) > 0 {
				t.Errorf("Heads: %v, %v", p, err)
			}
			// Who has seen what was dropped, or the good one that was there, misses nothing.
			s := w.open()
			loaded, _, err := s.Manifests(t.Context(), Filter{})
			w.must(err)
			for _, sum := range []Sum{harmed.sum, victim.Sum} {
				if err := s.CheckSeen(t.Context(), loaded, Place{w.host, w.set, victim.Seq}, sum); err != nil {
					t.Errorf("CheckSeen: %v", err)
				}
			}
			lacks := func() []Lost {
				lost, _ := w.missing(Head{w.host, w.set, victim.Seq, harmed.sum}, headOf(all[4]))
				return lost
			}
			if lost := lacks(); len(lost) != 0 {
				t.Errorf("Missing: %+v", lost)
			}
			for key, b := range w.m.objects {
				if sumOf(b) == harmed.sum {
					delete(w.m.objects, key)
				}
			}
			if p := read(); len(p) != 0 {
				t.Errorf("deleted: %v", p)
			}
			if lost := lacks(); len(lost) != 0 {
				t.Errorf("Missing, deleted: %+v", lost)
			}
			if !w.open().Explained(t.Context(), Place{w.host, w.set, victim.Seq}, harmed.sum) {
				t.Error("the host that wrote it misses it")
			}
			tt.left++
			w.snapshot(w.set)
			if p := read(); len(p) != 0 {
				t.Errorf("after the next: %v", p)
			}
			if l, p, err := w.open().Head(t.Context(), w.host, w.set); err != nil || len(p) > 0 || len(l) != 1 || l[0].Seq != 6 {
				t.Errorf("Head: %v, %v, %v", l, p, err)
			}
		})
	}
}

// A set that was removed as a whole is missed no more; one that goes on is.
func TestStore_removed(t *testing.T) {
	w := newWorld(t)
	var all []*Loaded
	for range 3 {
		all = append(all, w.snapshot(w.set))
	}
	pruned := []Pruned{{Set: w.set, From: 1, To: 2, Sum: all[1].Sum}}
	seen := func(loaded []*Loaded, l *Loaded) error {
		return w.open().CheckSeen(t.Context(), loaded, Place{w.host, w.set, l.Seq}, l.Sum)
	}
	w.gc(GC{Seq: 1, Pruned: pruned})
	if err := seen(nil, all[1]); !errors.Is(err, ErrRollback) {
		t.Errorf("pruned, but not removed: %v", err)
	}
	w.gc(GC{Seq: 1, Pruned: pruned, Removed: []Removed{{w.set, 2, all[1].Sum}}})
	for _, l := range all[:2] {
		if err := seen(nil, l); err != nil {
			t.Errorf("removed up to 2, and %d was seen: %v", l.Seq, err)
		}
	}
	if err := seen(all[:1], all[1]); err != nil {
		t.Errorf("while it is being removed: %v", err)
	}
	// The host goes on behind it.
	third := w.lose(all, 1, 3)
	w.gc(GC{Seq: 1, Pruned: []Pruned{third.Pruned}, Removed: []Removed{{w.set, 3, all[2].Sum}}})
	for _, l := range all {
		if lost, bad := w.missing(headOf(l)); len(lost)+len(bad) > 0 || !w.open().Explained(t.Context(), Place{w.host, w.set, l.Seq}, l.Sum) {
			t.Errorf("removed, and %d was seen: %+v, %v", l.Seq, lost, bad)
		}
	}
	kept := maps.Clone(w.m.objects)
	w.snapshot(w.set)
	if lost, bad := w.missing(headOf(all[2])); len(lost)+len(bad) > 0 {
		t.Errorf("after the next: %+v, %v", lost, bad)
	}
	if _, bad, err := w.open().Heads(t.Context(), []Place{{w.host, w.set, 3}}); err != nil || len(bad) > 0 {
		t.Errorf("Heads after the next: %v, %v", bad, err)
	}
	w.m.objects = kept
	w.gc(GC{Seq: 1, Pruned: pruned, Removed: []Removed{{w.set, 2, all[1].Sum}}})
	if err := seen(nil, all[2]); !errors.Is(err, ErrRollback) {
		t.Errorf("one after it was seen: %v", err)
	}
	w.gc(GC{Seq: 1, Pruned: []Pruned{{Set: w.set, From: 1, To: 2, Sum: Sum{7}}},
		Removed: []Removed{{w.set, 2, Sum{7}}}})
	if err := seen(nil, all[1]); !errors.Is(err, ErrRollback) {
		t.Errorf("another was removed in its place: %v", err)
	}
}
