package snapshot

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"vaultik/vault/layout"
)

// weaken gives an object the name that it has in a weak store.
func (w *world) weaken(key string) (weak string, sum Sum) {
	w.t.Helper()
	b := w.m.objects[key]
	sum = sumOf(b)
	weak = layout.Weak(key, sum)
	delete(w.m.objects, key)
	w.m.objects[weak] = b
	return weak, sum
}

// weakGC stores a gc object under the name that it has in a weak store.
func (w *world) weakGC(g GC) (key string, sum Sum) {
	w.t.Helper()
	w.gc(g)
	return w.weaken(layout.GC(w.host, g.Seq))
}

// Two trust lists of one number are refused, and the owner goes on from one of them.
func TestOpenStore_trustFork(t *testing.T) {
	w := newWorld(t)
	_, first := w.weaken(layout.Trust(1))
	if s := w.open(); s.TrustSum != first.String() {
		t.Errorf("list %s, want %s", s.TrustSum, first)
	}
	w.trust.Seq, w.trust.Prev = 2, first
	w.putTrust()
	one, oneSum := w.weaken(layout.Trust(2))
	w.m.objects[layout.Trust(2)] = w.m.objects[one] // the same list under both names is one
	w.m.objects[layout.Weak(layout.Trust(2), Sum{7})] = w.m.objects[one]
	if s := w.open(); s.TrustSum != oneSum.String() || strays(s) != 1 {
		t.Errorf("list %s with %d strays, want %s and the one under another's name", s.TrustSum, strays(s), oneSum)
	}
	w.trust.Hosts = w.trust.Hosts[:1]
	w.putTrust()
	other, otherSum := w.weaken(layout.Trust(2))
	for _, pin := range []Pin{{}, {TrustSeq: 2, TrustSum: oneSum.String()}} {
		_, err := OpenStore(t.Context(), w.m, pin)
		if !errors.Is(err, ErrTrustFork) || !strings.Contains(fmt.Sprint(err), one) || !strings.Contains(fmt.Sprint(err), other) {
			t.Errorf("forked: %v", err)
		}
	}
	h, err := ReadHead(t.Context(), w.m, w.store, w.owner.Public(), 2)
	w.must(err)
	if h.TrustGood || h.Trust != nil || len(h.Forked) != 2 || h.Next != 3 {
		t.Fatalf("ReadHead: %+v", h)
	}
	for _, l := range h.Forked {
		if l.Sum == otherSum {
			h.Continue(l)
		}
	}
	w.trust.Seq, w.trust.Prev = h.Next, h.Prev
	w.putTrust()
	if s, err := OpenStore(t.Context(), w.m, Pin{TrustSeq: 2, TrustSum: oneSum.String()}); err != nil || s.TrustSeq != 3 ||
		h.Prev != otherSum || len(s.Trust.Hosts) != 1 {
		t.Errorf("after the owner has chosen: %v", err)
	}
}

// Where two pruners have not seen each other, what either says counts, and the next gc object
// continues from both.
func TestStore_GC_fork(t *testing.T) {
	name := func(n uint32) []string { return []string{testName(n)} }
	type names = map[string]uint64
	for title, tt := range map[string]struct {
		seen   string // of the two gc objects of seq 2, those that are known to exist
		others string // of gc object 3 beside its prev, one; "-": there is none
		gone   string // of the two
		want   names  // that are condemned
		beside int
		err    error
	}{
		"both are the newest":        {"", "-", "", names{testName(0): 1, testName(1): 2, testName(2): 2}, 1, nil},
		"and both were seen":         {"one two", "-", "", names{testName(0): 1, testName(1): 2, testName(2): 2}, 1, nil},
		"one is gone that was seen":  {"one", "-", "one", nil, 0, ErrGCRollback},
		"one is gone that was not":   {"one", "-", "two", names{testName(0): 1, testName(1): 2}, 0, nil},
		"taken over":                 {"one two", "two", "", names{testName(3): 3}, 0, nil},
		"taken over, and gone":       {"one two", "two", "two", names{testName(3): 3}, 0, nil},
		"passed over":                {"two", "", "", names{testName(0): 1, testName(2): 2, testName(3): 3}, 1, nil},
		"passed over, nobody saw it": {"one", "", "", names{testName(3): 3}, 0, nil},
		"passed over, and gone":      {"two", "", "two", nil, 0, ErrGCRollback},
	} {
		t.Run(title, func(t *testing.T) {
			w := newWorld(t)
			_, first := w.weakGC(GC{Seq: 1})
			keys, sums := map[string]string{}, map[string]Sum{}
			keys["one"], sums["one"] = w.weakGC(GC{Seq: 2, Prev: first, Condemned: []Condemned{
				{First: 1, Names: name(0)}, {First: 2, Names: name(1)}}})
			keys["two"], sums["two"] = w.weakGC(GC{Seq: 2, Prev: first, Condemned: []Condemned{
				{First: 1, Deleted: 2, Names: name(0)}, {First: 2, Names: name(2)}}})
			if tt.others != "-" {
				g := GC{Seq: 3, Prev: sums["one"], Condemned: []Condemned{{First: 3, Names: name(3)}}}
				if tt.others != "" {
					g.Others = []Sum{sums[tt.others]}
				}
				w.weakGC(g)
			}
			delete(w.m.objects, keys[tt.gone])
			s := w.open()
			for _, n := range strings.Fields(tt.seen) {
				s.RequireGC(w.host, GCSeen{2, sums[n]})
			}
			g, err := s.GC(t.Context(), w.host)
			if !errors.Is(err, tt.err) || err == nil && len(g.Beside) != tt.beside {
				t.Fatalf("GC: %+v, %v, want %d beside, %v", g, err, tt.beside, tt.err)
			}
			if err != nil {
				return
			}
			got := names{}
			w.must(s.EachCondemned(t.Context(), g, func(c *Condemned, o layout.Object) error {
				if _, twice := got[o.Name()]; twice || c.Deleted > 0 && o.Name() != testName(0) {
					t.Errorf("%s of %d is said to be deleted, or twice", o.Name(), c.First)
				}
				got[o.Name()] = c.First
				return nil
			}))
			if !maps.Equal(got, tt.want) {
				t.Errorf("condemned %v, want %v", got, tt.want)
			}
			chain, err := s.GCChain(t.Context(), w.host)
			if err != nil || len(chain) != tt.beside+1 {
				t.Errorf("GCChain: %v, %v", chain, err)
			}
		})
	}
}

// What two gc objects say of manifests is so, whichever says it.
func TestUnite(t *testing.T) {
	set, other := layout.SetID{1}, layout.SetID{2}
	at := func(n int) Sum { return Sum{byte(n)} }
	run := func(set layout.SetID, from, to int) Pruned {
		p := Pruned{Set: set, From: uint64(from), To: uint64(to), Sum: at(to)}
		if from > 1 {
			p.Prev = at(from - 1)
		}
		return p
	}
	list := ListRef{Sum{9}, 9, 2}
	g := unite([]*LoadedGC{
		{Sum: Sum{2}, GC: &GC{Seq: 7, Pruned: []Pruned{run(set, 1, 3), run(set, 6, 6)},
			Dropped:   []Dropped{{set, 4, at(40), DroppedFork}},
			Removed:   []Removed{{set, 2, at(2)}},
			Condemned: []Condemned{{First: 3, Names: []string{testName(1)}, Lists: []ListRef{list}}, {First: 5, Names: []string{testName(2)}}}}},
		{Sum: Sum{1}, GC: &GC{Seq: 7, Pruned: []Pruned{run(set, 2, 5), run(other, 1, 2)},
			Dropped:   []Dropped{{set, 4, at(40), DroppedFork}, {other, 1, at(41), DroppedDamaged}},
			Removed:   []Removed{{set, 3, at(3)}, {other, 2, at(2)}},
			Condemned: []Condemned{{First: 3, Deleted: 6, Names: []string{testName(1)}, Lists: []ListRef{list}}, {First: 4, Names: []string{testName(2), testName(3)}}}}},
	})
	if g.Sum != (Sum{1}) || !slices.Equal(g.Beside, []Sum{{2}}) {
		t.Errorf("%v beside %v", g.Sum, g.Beside)
	}
	if want := []Pruned{run(set, 1, 6), run(other, 1, 2)}; !slices.Equal(g.Pruned, want) {
		t.Errorf("pruned %+v, want %+v", g.Pruned, want)
	}
	if want := []Dropped{{set, 4, at(40), DroppedFork}, {other, 1, at(41), DroppedDamaged}}; !slices.Equal(g.Dropped, want) {
		t.Errorf("dropped %+v", g.Dropped)
	}
	if want := []Removed{{set, 3, at(3)}, {other, 2, at(2)}}; !slices.Equal(g.Removed, want) {
		t.Errorf("removed %+v", g.Removed)
	}
	// A name counts as of the youngest group, and is not deleted where one says that it is not.
	g.Store, g.Host, g.Prev = layout.StoreID{1}, layout.HostID{1}, Sum{8}
	if err := g.check(); err != nil {
		t.Errorf("what is united may not stand in the next one: %v", err)
	}
	var got []string
	for _, c := range g.Condemned {
		got = append(got, fmt.Sprint(c.First, c.Deleted, len(c.Names), len(c.Lists)))
	}
	if want := []string{"3 0 1 1", "4 0 1 0", "5 0 1 0"}; !slices.Equal(got, want) {
		t.Errorf("condemned %q, want %q", got, want)
	}
}

// Who remembers a gc object of long ago finds that what is there continues from it, as far as
// prune leaves what it continues from. What a snapshot names must be there, and all after it.
func TestStore_GC_removed(t *testing.T) {
	for name, tt := range map[string]struct {
		newest  uint64
		left    uint64 // the lowest that is there
		group   uint64 // that condemned something
		named   bool   // by a snapshot; otherwise only seen
		another bool   // was seen
		ok      bool
	}{
		"all are there":                   {9, 1, 9, true, false, true},
		"removed by rule":                 {9, 7, 7, false, false, true},
		"a snapshot names it":             {9, 7, 7, true, false, false},
		"a group needs it":                {9, 7, 5, false, false, false},
		"one of the last three":           {9, 8, 9, false, false, false},
		"one in the middle":               {9, 0, 9, false, false, false},
		"another was seen, that is there": {9, 3, 9, false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var sums []Sum
			for seq := uint64(1); seq <= tt.newest; seq++ {
				g := GC{Seq: seq}
				if seq > 1 {
					g.Prev = sums[seq-2]
				}
				if seq == tt.newest {
					g.Condemned = []Condemned{{First: tt.group, Names: []string{testName(1)}}}
				}
				w.gc(g)
				sums = append(sums, sumOf(w.m.objects[layout.GC(w.host, seq)]))
			}
			for seq := uint64(1); seq < tt.left; seq++ {
				delete(w.m.objects, layout.GC(w.host, seq))
			}
			if tt.left == 0 {
				w.m.objects[layout.GC(w.host, 5)][50] ^= 1
			}
			s := w.open()
			seen := GCSeen{3, sums[2]}
			if tt.another {
				seen.SHA256 = Sum{7}
			}
			s.RememberGC(w.host, seen)
			if tt.named {
				s.RequireGC(w.host, seen)
			}
			if _, err := s.GC(t.Context(), w.host); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrGCRollback) {
				t.Errorf("%v, want ok: %v", err, tt.ok)
			}
		})
	}
}
