package snapshot

import (
	"errors"
	"slices"
	"testing"

	"vaultik/vault/layout"
)

// lose deletes manifests of a set, and returns their records as the owner would sign them.
func (w *world) lose(all []*Loaded, from, to int) Lost {
	for _, l := range all[from-1 : to] {
		delete(w.m.objects, l.Key)
	}
	return Lost{w.host, Pruned{all[0].Set, uint64(from), uint64(to), all[from-1].Prev, all[to-1].Sum}}
}

func (w *world) missing(heads ...Head) ([]Lost, []Problem) {
	w.t.Helper()
	s := w.open()
	loaded, bad, err := s.Manifests(w.t.Context(), Filter{})
	w.must(err)
	out, err := s.Missing(w.t.Context(), loaded, bad, heads)
	w.must(err)
	return out, bad
}

func headOf(l *Loaded) Head { return Head{l.Host, l.Set, l.Seq, l.Sum} }

// TestStore_Missing: whatever is gone is found, and a record that the owner signs of it
// closes the chain.
func TestStore_Missing(t *testing.T) {
	w := newWorld(t)
	var all, other []*Loaded
	for range 9 {
		all = append(all, w.snapshot(w.set))
	}
	set := layout.NewSetID()
	other = append(other, w.snapshot(set))
	if out, bad := w.missing(headOf(all[8]), headOf(other[0])); len(out)+len(bad) > 0 {
		t.Fatalf("nothing is missing: %v %v", out, bad)
	}
	// At the beginning, between, at the end, and all of a set; one pruned in between.
	want := []Lost{w.lose(all, 1, 1), w.lose(all, 4, 5), w.lose(all, 8, 9), w.lose(other, 1, 1)}
	pruned := w.lose(all, 6, 6)
	w.gc(GC{Seq: 1, Pruned: []Pruned{pruned.Pruned}})
	want, err := MergeLost(want)
	w.must(err)
	got, bad := w.missing(headOf(all[8]), headOf(other[0]), headOf(all[6]))
	if !slices.Equal(got, want) || len(bad) == 0 {
		t.Errorf("missing\n%v, want\n%v; %v", got, want, bad)
	}
	w.trust.Seq, w.trust.Prev, w.trust.Lost = 2, Sum{1}, want
	w.putTrust()
	if got, bad := w.missing(headOf(all[8]), headOf(other[0])); len(got)+len(bad) > 0 {
		t.Errorf("with the record of the owner: %v %v", got, bad)
	}
	// The next of the set follows the one that is lost.
	w.snapshot(w.set)
	if got, bad := w.missing(headOf(all[8])); len(got)+len(bad) > 0 {
		t.Errorf("after the next: %v %v", got, bad)
	}
	s := w.open()
	for seq, accepted := range map[uint64]bool{1: true, 2: false, 4: true, 5: true, 6: false, 9: true, 10: false} {
		if s.Trust.Accepts(w.host, w.set, seq) != accepted {
			t.Errorf("seq %d: accepted %v", seq, !accepted)
		}
	}
	// What does not follow from what the record says is a fork, as with prune.
	w.trust.Seq, w.trust.Prev, w.trust.Lost = 3, Sum{1}, slices.Clone(want)
	i := slices.IndexFunc(w.trust.Lost, func(l Lost) bool { return l.Set == w.set && l.From == 8 })
	w.trust.Lost[i].Sum = Sum{7}
	w.putTrust()
	if _, bad := w.missing(); len(bad) != 1 || !errors.Is(bad[0], ErrFork) {
		t.Errorf("with another sum: %v", bad)
	}
}

// TestStore_Missing_replaced: a host that was put back with its store has written another manifest
// in the place of one that was seen. The owner can accept that, and prune the other one later.
func TestStore_Missing_replaced(t *testing.T) {
	w := newWorld(t)
	var all []*Loaded
	for range 4 {
		all = append(all, w.snapshot(w.set))
	}
	seen := headOf(all[1])
	seen.Sum = Sum{7}
	got, bad := w.missing(seen)
	if want := []Lost{{w.host, Pruned{w.set, 2, 2, all[0].Sum, Sum{7}}}}; !slices.Equal(got, want) ||
		len(bad) > 0 {
		t.Fatalf("missing %v, want %v; %v", got, want, bad)
	}
	w.trust.Seq, w.trust.Prev, w.trust.Lost = 2, Sum{1}, got
	w.putTrust()
	if got, bad := w.missing(seen); len(got)+len(bad) > 0 {
		t.Errorf("accepted: %v %v", got, bad)
	}
	pruned := w.lose(all, 2, 2)
	w.gc(GC{Seq: 1, Pruned: []Pruned{pruned.Pruned}})
	if got, bad := w.missing(seen); len(got)+len(bad) > 0 {
		t.Errorf("accepted, then pruned: %v %v", got, bad)
	}
}

// TestStore_Missing_damaged: where a damaged manifest hides what stood beside it no record can
// be made; the rest is found.
func TestStore_Missing_damaged(t *testing.T) {
	w := newWorld(t)
	var all []*Loaded
	for range 9 {
		all = append(all, w.snapshot(w.set))
	}
	w.m.objects[all[4].Key][40] ^= 1
	want := []Lost{w.lose(all, 2, 2)}
	w.lose(all, 4, 4)
	w.lose(all, 6, 6)
	got, _ := w.missing(headOf(all[8]))
	if !slices.Equal(got, want) {
		t.Errorf("missing %v, want %v", got, want)
	}
}

func TestTrust_check(t *testing.T) {
	w := newWorld(t)
	p := Pruned{w.set, 2, 3, Sum{1}, Sum{2}}
	for name, lost := range map[string][]Lost{
		"no host":  {{Pruned: p}},
		"no sum":   {{w.host, Pruned{w.set, 2, 3, Sum{1}, Sum{}}}},
		"overlap":  {{w.host, p}, {w.host, Pruned{w.set, 3, 4, Sum{1}, Sum{2}}}},
		"unsorted": {{w.host, Pruned{w.set, 7, 8, Sum{1}, Sum{2}}}, {w.host, p}},
		"unjoined": {{w.host, p}, {w.host, Pruned{w.set, 4, 4, Sum{2}, Sum{3}}}},
	} {
		w.trust.Lost = lost
		if _, err := EncodeTrust(w.trust, w.owner); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.trust.Lost = nil
	for name, lost := range map[string][]LostGC{
		"no host": {{GCSeen: GCSeen{1, Sum{1}}}}, "no seq": {{w.host, GCSeen{0, Sum{1}}}},
		"no sum": {{w.host, GCSeen{1, Sum{}}}},
		"twice":  {{w.host, GCSeen{1, Sum{1}}}, {w.host, GCSeen{2, Sum{1}}}},
	} {
		w.trust.LostGC = lost
		if _, err := EncodeTrust(w.trust, w.owner); !errors.Is(err, ErrInvalid) {
			t.Errorf("gc objects, %s: %v", name, err)
		}
	}
}

// TestTrust_CheckRecipients: what the owner has not signed is found, but not what is older
// than the first signature, nor anything where there is none.
func TestTrust_CheckRecipients(t *testing.T) {
	w := newWorld(t)
	right, before, wrong := Sum{1}, Sum{2}, Sum{3}
	for _, sum := range []Sum{{}, before, right, wrong, {}, right} {
		m := w.manifest(w.set, nil)
		m.Recipients = sum
		w.commit(m)
	}
	found := func() (seqs []uint64) {
		s := w.open()
		loaded, bad, err := s.Manifests(t.Context(), Filter{})
		w.must(err)
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		for _, p := range s.Trust.CheckRecipients(loaded) {
			if !errors.Is(p, ErrRecipients) {
				t.Error(p)
			}
			seqs = append(seqs, p.Seq)
		}
		return seqs
	}
	if seqs := found(); len(seqs) > 0 {
		t.Errorf("nothing is signed: %v", seqs)
	}
	if !w.trust.Sign(w.host, right) || !w.trust.Sign(w.host, before) || !w.trust.Sign(w.host, right) ||
		w.trust.Sign(layout.NewHostID(), right) {
		t.Error("signed for a host that is not there, or not for one that is")
	}
	if h, _ := w.trust.Host(w.host); !slices.Equal(h.Recipients, []Sum{before, right}) {
		t.Errorf("signed: %v", h.Recipients)
	}
	w.putTrust()
	if seqs := found(); !slices.Equal(seqs, []uint64{4, 5}) {
		t.Errorf("found %v", seqs)
	}
}
