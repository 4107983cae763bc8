package snapshot

import (
	"errors"
	"slices"
	"testing"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// Of a revoked key stands what leads up to where the owner says, whatever times the
// signer claims, and nothing else.
func TestStore_Manifests_revoked(t *testing.T) {
	type thief struct {
		do    func(w *world, all []*Loaded)
		until int // seq; 0: no set stands
		want  []uint64
		wrong error // of the one problem
	}
	sign := func(w *world, m Manifest, key func(Sum) string) {
		b, err := EncodeManifest(&m, w.signer)
		w.must(err)
		w.m.objects[key(sumOf(b))] = b
	}
	plain := func(w *world, seq uint64) func(Sum) string {
		return func(Sum) string { return layout.Manifest(w.host, w.set, seq) }
	}
	weak := func(w *world, seq uint64) func(Sum) string {
		return func(sum Sum) string { return layout.Weak(layout.Manifest(w.host, w.set, seq), sum) }
	}
	gone := func(w *world, all []*Loaded, seqs ...int) {
		for _, seq := range seqs {
			delete(w.m.objects, all[seq-1].Key)
		}
	}
	for name, tt := range map[string]thief{
		"all stands":     {func(*world, []*Loaded) {}, 5, []uint64{1, 2, 3, 4, 5}, nil},
		"a part stands":  {func(*world, []*Loaded) {}, 3, []uint64{1, 2, 3}, nil},
		"nothing stands": {func(*world, []*Loaded) {}, 0, nil, nil},
		"the next, dated back": {func(w *world, all []*Loaded) {
			m := *all[4].Manifest
			m.Seq, m.Prev, m.Time = 6, all[4].Sum, testTime.AddDate(-1, 0, 0)
			sign(w, m, plain(w, 6))
		}, 5, []uint64{1, 2, 3, 4, 5}, nil},
		"another in a place that stands": {func(w *world, all []*Loaded) {
			m := *all[1].Manifest
			m.Complete = false
			sign(w, m, weak(w, 2))
		}, 5, []uint64{1, 2, 3, 4, 5}, nil},
		"another as the last": {func(w *world, all []*Loaded) {
			m := *all[4].Manifest
			m.Complete = false
			sign(w, m, plain(w, 5))
		}, 5, nil, ErrFork},
		"another set": {func(w *world, all []*Loaded) {
			m := *all[0].Manifest
			m.Set = layout.NewSetID()
			sign(w, m, func(Sum) string { return layout.Manifest(w.host, m.Set, 1) })
		}, 5, []uint64{1, 2, 3, 4, 5}, nil},
		"in a place that was pruned": {func(w *world, all []*Loaded) {
			gone(w, all, 2, 3)
			w.gc(GC{Seq: 1, Pruned: []Pruned{{w.set, 2, 3, all[0].Sum, all[2].Sum}}})
			m := *all[2].Manifest
			m.Complete = false
			sign(w, m, plain(w, 3))
		}, 5, []uint64{1, 4, 5}, nil},
		"pruned": {func(w *world, all []*Loaded) {
			gone(w, all, 1, 3)
			w.gc(GC{Seq: 1, Pruned: []Pruned{{w.set, 1, 1, Sum{}, all[0].Sum}, {w.set, 3, 3, all[1].Sum, all[2].Sum}}})
		}, 5, []uint64{2, 4, 5}, nil},
		"below a gap that nobody explains": {func(w *world, all []*Loaded) { gone(w, all, 3) },
			5, []uint64{4, 5}, nil},
		"the last is gone": {func(w *world, all []*Loaded) { gone(w, all, 5) }, 5, nil, ErrRollback},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var all []*Loaded
			for range 5 {
				all = append(all, w.snapshot(w.set))
			}
			h := &w.trust.Hosts[0]
			h.Revoked, h.Until = testTime.AddDate(1, 0, 0), &Until{}
			if tt.until > 0 {
				h.Until.Sets = []UntilSet{{w.set, uint64(tt.until), all[tt.until-1].Sum}}
			}
			w.putTrust()
			tt.do(w, all)
			for what, read := range map[string]func(*Store) ([]*Loaded, []Problem, error){
				"Manifests": func(s *Store) ([]*Loaded, []Problem, error) { return s.Manifests(t.Context(), Filter{}) },
				"Heads":     func(s *Store) ([]*Loaded, []Problem, error) { return s.Heads(t.Context(), nil) },
			} {
				loaded, problems, err := read(w.open())
				w.must(err)
				var seqs []uint64
				for _, l := range loaded {
					seqs = append(seqs, l.Seq)
					if l.Set != w.set || l.Sum != all[l.Seq-1].Sum {
						t.Errorf("%s: seq %d of set %s is not the host's", what, l.Seq, l.Set)
					}
				}
				if !slices.Equal(seqs, tt.want) {
					t.Errorf("%s: %v, want %v", what, seqs, tt.want)
				}
				problems = slices.DeleteFunc(problems, func(p Problem) bool { return errors.Is(p, ErrGap) })
				if tt.wrong == nil && len(problems) > 0 ||
					tt.wrong != nil && (len(problems) != 1 || !errors.Is(problems[0], ErrRollback)) {
					t.Errorf("%s: %v, want %v", what, problems, tt.wrong)
				}
			}
		})
	}
}

func TestStore_Checkpoints_revoked(t *testing.T) {
	w := newWorld(t)
	c := &Checkpoint{Store: w.store, Host: w.host, Set: w.set, Seq: 1, ID: layout.NewULID(testTime), Time: testTime, Needs: w.needs(nil)}
	b, err := EncodeCheckpoint(c, w.signer)
	w.must(err)
	w.m.objects[layout.Checkpoint(w.host, c.ID)] = b
	w.trust.Hosts[0].Revoked = testTime.AddDate(1, 0, 0)
	w.putTrust()
	loaded, problems, err := checkpoints(t.Context(), w.open(), w.host, time.Time{})
	if err != nil || len(loaded) > 0 || len(problems) > 0 {
		t.Errorf("%v, %v, %v", loaded, problems, err)
	}
}

// A revoked pruner's last gc object still counts, and no other of its.
func TestStore_GC_revoked(t *testing.T) {
	w := newWorld(t)
	w.gc(GC{Seq: 1})
	one := sumOf(w.m.objects[layout.GC(w.host, 1)])
	w.gc(GC{Seq: 2, Prev: one})
	two := sumOf(w.m.objects[layout.GC(w.host, 2)])
	revoke := func(gc ...UntilGC) {
		w.trust.Hosts[1].Revoked, w.trust.Hosts[1].Until = testTime, &Until{GC: gc}
		w.putTrust()
	}
	head := func() (uint64, error) {
		g, err := w.open().GC(t.Context(), w.host)
		if g == nil {
			return 0, err
		}
		return g.Seq, err
	}
	revoke(UntilGC{w.host, 2, two})
	if seq, err := head(); err != nil || seq != 2 {
		t.Errorf("the last that stands: %d, %v", seq, err)
	}
	// The thief goes on.
	w.gc(GC{Seq: 4, Prev: two})
	if seq, err := head(); err != nil || seq != 2 {
		t.Errorf("with a later one: %d, %v", seq, err)
	}
	w.gc(GC{Seq: 3, Prev: two})
	if seq, err := head(); err != nil || seq != 2 {
		t.Errorf("with the next one: %d, %v", seq, err)
	}
	delete(w.m.objects, layout.GC(w.host, 3))
	// He puts another in the place of the last, or takes it away.
	good := w.m.objects[layout.GC(w.host, 2)]
	w.gc(GC{Seq: 2, Prev: one, Pruned: []Pruned{{w.set, 1, 1, Sum{}, Sum{1}}}})
	if _, err := head(); err == nil {
		t.Error("another in the place of the last was accepted")
	}
	delete(w.m.objects, layout.GC(w.host, 2))
	if _, err := head(); err == nil {
		t.Error("that the last is gone was accepted")
	}
	w.m.objects[layout.GC(w.host, 2)] = good
	// A new pruner continues.
	w.pruner = keys.NewSigner()
	w.trust.Hosts = append(w.trust.Hosts, TrustHost{Host: layout.NewHostID(), Key: w.pruner.Public(), Roles: []string{RolePrune}})
	w.putTrust()
	w.gc(GC{Seq: 3, Prev: two})
	if seq, err := head(); err != nil || seq != 3 {
		t.Errorf("with a new pruner: %d, %v", seq, err)
	}
	w.gc(GC{Seq: 3, Prev: one})
	if _, err := head(); !errors.Is(err, ErrGCRollback) {
		t.Errorf("a new pruner that does not continue: %v", err)
	}
	revoke()
	w.gc(GC{Seq: 3, Prev: two})
	if seq, err := head(); err != nil || seq != 3 {
		t.Errorf("nothing of the old one stands: %d, %v", seq, err)
	}
}

// What a verified manifest names, or this machine has seen, must be there, or a later
// one that continues from it.
func TestStore_GC_rollback(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(w *world, sums []Sum) // of gc objects 1 to 4; the manifest names 2
		seen   bool                       // and this machine has seen 3
		want   error
	}{
		"there":                                  {func(*world, []Sum) {}, true, nil},
		"named is newest":                        {func(w *world, _ []Sum) { w.drop(3, 4) }, false, nil},
		"seen is gone":                           {func(w *world, _ []Sum) { w.drop(3, 4) }, true, ErrGCRollback},
		"named is gone":                          {func(w *world, _ []Sum) { w.drop(2, 3, 4) }, false, ErrGCRollback},
		"all are gone":                           {func(w *world, _ []Sum) { w.drop(1, 2, 3, 4) }, false, ErrGCRollback},
		"named was removed, later ones continue": {func(w *world, _ []Sum) { w.drop(1, 2) }, false, nil},
		"a link is missing":                      {func(w *world, _ []Sum) { w.drop(3) }, false, ErrGCRollback},
		"a link is another":                      {func(w *world, _ []Sum) { w.gc(GC{Seq: 3, Prev: Sum{1}}) }, false, ErrGCRollback},
		"named is another": {func(w *world, _ []Sum) {
			w.drop(3, 4)
			w.gc(GC{Seq: 2, Prev: Sum{1}})
		}, false, ErrGCRollback},
		"later ones continue from another": {func(w *world, _ []Sum) {
			w.gc(GC{Seq: 3, Prev: Sum{1}})
			w.gc(GC{Seq: 4, Prev: sumOf(w.m.objects[layout.GC(w.host, 3)])})
		}, false, ErrGCRollback},
		"named is garbage": {func(w *world, _ []Sum) {
			w.drop(3, 4)
			w.m.objects[layout.GC(w.host, 2)] = []byte("x")
		}, false, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var sums []Sum
			for seq := range uint64(4) {
				g := GC{Seq: seq + 1}
				if seq > 0 {
					g.Prev = sums[seq-1]
				}
				w.gc(g)
				sums = append(sums, sumOf(w.m.objects[layout.GC(w.host, seq+1)]))
			}
			m := w.manifest(w.set, nil)
			m.GC = &GCSeen{2, sums[1]}
			w.commit(m)
			tt.change(w, sums)
			s := w.open()
			if tt.seen {
				s.RequireGC(w.host, GCSeen{3, sums[2]})
			}
			if _, err := s.GC(t.Context(), w.host); tt.seen && !errors.Is(err, tt.want) {
				t.Errorf("GC: %v", err)
			}
			_, problems, err := s.Manifests(t.Context(), Filter{})
			w.must(err)
			if tt.want == nil && len(problems) > 0 || tt.want != nil && (len(problems) != 1 || !errors.Is(problems[0], tt.want) || problems[0].Key == "") {
				t.Errorf("problems %v, want %v", problems, tt.want)
			}
			if err := s.CheckGC(t.Context(), w.host); !errors.Is(err, tt.want) {
				t.Errorf("CheckGC: %v, want %v", err, tt.want)
			}
		})
	}
}

func (w *world) drop(seqs ...uint64) {
	for _, seq := range seqs {
		delete(w.m.objects, layout.GC(w.host, seq))
	}
}

func TestTrust_until(t *testing.T) {
	w := newWorld(t)
	good := TrustHost{Host: w.host, Key: w.signer.Public(), Roles: []string{RoleWrite}, Revoked: testTime,
		Until: &Until{Sets: []UntilSet{{w.set, 3, Sum{1}}}, GC: []UntilGC{{w.host, 1, Sum{1}}}}}
	for name, change := range map[string]func(*TrustHost){
		"good": func(*TrustHost) {},
		"not revoked": func(h *TrustHost) {
			h.Revoked = h.Revoked.AddDate(-3000, 0, 0)
			*h = TrustHost{Host: h.Host, Key: h.Key, Until: h.Until}
		},
		"two of a set":   func(h *TrustHost) { h.Until.Sets = append(h.Until.Sets, h.Until.Sets[0]) },
		"two of a host":  func(h *TrustHost) { h.Until.GC = append(h.Until.GC, h.Until.GC[0]) },
		"no sum":         func(h *TrustHost) { h.Until.Sets[0].Sum = Sum{} },
		"no sum of gc":   func(h *TrustHost) { h.Until.GC[0].Sum = Sum{} },
		"no seq":         func(h *TrustHost) { h.Until.Sets[0].Seq = 0 },
		"seq too high":   func(h *TrustHost) { h.Until.GC[0].Seq = layout.MaxSeq + 1 },
		"no set":         func(h *TrustHost) { h.Until.Sets[0].Set = layout.SetID{} },
		"no host of gcs": func(h *TrustHost) { h.Until.GC[0].Host = layout.HostID{} },
	} {
		h := good
		h.Until = &Until{Sets: slices.Clone(good.Until.Sets), GC: slices.Clone(good.Until.GC)}
		change(&h)
		_, err := EncodeTrust(Trust{Store: w.store, Seq: 1, Time: testTime, Hosts: []TrustHost{h}}, w.owner)
		if (err == nil) != (name == "good") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
