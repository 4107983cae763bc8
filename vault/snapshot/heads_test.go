package snapshot

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"vaultik/vault/layout"
)

// Heads gives the newest of each set and what stands beside it, and finds what is wrong
// with those; what is wrong further below it does not read.
func TestStore_Heads(t *testing.T) {
	sign := func(w *world, m *Manifest, change func(*Manifest)) []byte {
		n := *m
		change(&n)
		b, err := EncodeManifest(&n, w.signer)
		w.must(err)
		return b
	}
	for name, tt := range map[string]struct {
		change func(w *world, all []*Loaded) // of five
		want   error
		seqs   []uint64
	}{
		"whole": {func(*world, []*Loaded) {}, nil, []uint64{2, 4, 5}},
		"oldest is gone": {func(w *world, all []*Loaded) { delete(w.m.objects, all[0].Key) },
			nil, []uint64{2, 4, 5}},
		"older is damaged": {func(w *world, all []*Loaded) { w.m.objects[all[2].Key][40] ^= 1 },
			nil, []uint64{2, 4, 5}},
		"seen is damaged": {func(w *world, all []*Loaded) { w.m.objects[all[1].Key][40] ^= 1 },
			ErrDamaged, []uint64{4, 5}},
		"newest is damaged": {func(w *world, all []*Loaded) { w.m.objects[all[4].Key][40] ^= 1 },
			ErrDamaged, []uint64{2, 3, 4}},
		"newest is gone": {func(w *world, all []*Loaded) { delete(w.m.objects, all[4].Key) },
			nil, []uint64{2, 3, 4}},
		"one before is gone": {func(w *world, all []*Loaded) { delete(w.m.objects, all[3].Key) },
			ErrGap, []uint64{2, 3, 5}},
		"one before is another": {func(w *world, all []*Loaded) {
			w.m.objects[all[3].Key] = sign(w, all[3].Manifest,
				func(m *Manifest) { m.Complete = !m.Complete })
		}, ErrFork, []uint64{2, 4, 5}},
		"two newest": {func(w *world, all []*Loaded) {
			b := sign(w, all[4].Manifest, func(m *Manifest) { m.Complete = !m.Complete })
			w.m.objects[layout.Weak(layout.Manifest(w.host, w.set, 5), sumOf(b))] = b
		}, ErrFork, []uint64{2, 4, 5, 5}},
		"signed by another": {func(w *world, all []*Loaded) {
			b, err := EncodeManifest(all[4].Manifest, w.pruner)
			w.must(err)
			w.m.objects[all[4].Key] = b
		}, ErrSignature, []uint64{2, 3, 4}},
		"garbage in the next place": {func(w *world, all []*Loaded) {
			w.m.objects[layout.Manifest(w.host, w.set, 6)] = []byte("x")
		}, ErrDamaged, []uint64{2, 4, 5}},
		"garbage further on": {func(w *world, all []*Loaded) {
			for seq := range uint64(40) {
				w.m.objects[layout.Manifest(w.host, w.set, 60+seq)] = []byte("x")
			}
		}, nil, []uint64{1, 2, 3, 4, 5}},
		"older ones in places further on": {func(w *world, all []*Loaded) {
			w.m.objects[layout.Manifest(w.host, w.set, 7)] = w.m.objects[all[3].Key]
			w.m.objects[layout.Manifest(w.host, w.set, layout.MaxSeq)] = w.m.objects[all[4].Key]
		}, nil, []uint64{2, 3, 4, 5}},
		"garbage beside the newest": {func(w *world, all []*Loaded) {
			w.m.objects[layout.Weak(layout.Manifest(w.host, w.set, 5), Sum{1})] = []byte("x")
		}, nil, []uint64{2, 4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var all []*Loaded
			for range 5 {
				all = append(all, w.snapshot(w.set))
			}
			alone := w.snapshot(layout.NewSetID())
			tt.change(w, all)
			loaded, problems, err := w.open().Heads(t.Context(),
				[]Place{{w.host, w.set, 2}, {w.host, w.set, 9}})
			w.must(err)
			var seqs []uint64
			others := 0
			for _, l := range loaded {
				if l.Set != w.set {
					others++
					if l.ID() != alone.ID() {
						t.Errorf("the other set's is %v", l)
					}
					continue
				}
				seqs = append(seqs, l.Seq)
			}
			if !slices.Equal(seqs, tt.seqs) || others != 1 {
				t.Errorf("seqs %v, want %v; %d of the other set", seqs, tt.seqs, others)
			}
			switch {
			case tt.want == nil && len(problems) > 0:
				t.Errorf("%v", problems)
			case tt.want != nil && (len(problems) != 1 || !errors.Is(problems[0], tt.want)):
				t.Errorf("problems %v, want one: %v", problems, tt.want)
			}
		})
	}
}

// verdict is what is the newest of a set, and whether it must not be taken for that.
func verdict(loaded []*Loaded, problems []Problem, set layout.SetID) (id string, bad bool) {
	var newest uint64
	for _, l := range loaded {
		if l.Set == set && l.Seq > newest {
			newest, id = l.Seq, l.ID()
		}
	}
	for _, p := range problems {
		if p.Set == set && p.Seq >= newest && !errors.Is(p.Err, ErrGap) {
			bad = true
		}
	}
	return id, bad
}

// Whatever is done to a store, where Heads finds nothing wrong the newest is that of Manifests.
func TestStore_Heads_isNewest(t *testing.T) {
	silent := 0
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t)
		sets := []layout.SetID{w.set, layout.NewSetID()}
		var all []*Loaded
		for range 2 + rng.IntN(6) {
			m := w.manifest(sets[rng.IntN(2)], testBlobs(1, 0))
			m.Time = testTime.Add(time.Duration(len(all)) * time.Hour)
			all = append(all, w.commit(m))
		}
		seen := all[rng.IntN(len(all))]
		for range 1 + rng.IntN(2) {
			l, o := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
			beyond := layout.Manifest(w.host, l.Set, l.Seq+uint64(rng.IntN(99)))
			other := *l.Manifest
			other.Complete = !other.Complete
			fork, err := EncodeManifest(&other, w.signer)
			w.must(err)
			b := w.m.objects[l.Key]
			switch rng.IntN(9) {
			case 0, 1:
				delete(w.m.objects, l.Key)
			case 2:
				w.m.objects[l.Key] = fork[:len(fork)/2]
			case 3:
				w.m.objects[beyond] = []byte("garbage")
			case 4:
				w.m.objects[layout.Weak(layout.Manifest(w.host, l.Set, l.Seq), sumOf(fork))] = fork
			case 5:
				w.m.objects[layout.Weak(layout.Manifest(w.host, l.Set, l.Seq), l.Sum)] = b
			case 6:
				w.m.objects[o.Key] = b
			case 7:
				w.m.objects[beyond] = b
			case 8:
				w.trust.Hosts[0].Revoked = l.Time
				w.trust.Hosts[0].Until = &Until{Sets: []UntilSet{{l.Set, l.Seq, l.Sum}}}
				w.putTrust()
			}
		}
		s := w.open()
		place := Place{w.host, seen.Set, seen.Seq}
		heads, wrong, err := s.Heads(t.Context(), []Place{place})
		w.must(err)
		if len(wrong) > 0 || s.CheckSeen(t.Context(), heads, place, seen.Sum) != nil {
			continue // then the whole catalog is read
		}
		silent++
		whole, problems, err := s.Manifests(t.Context(), Filter{})
		w.must(err)
		if err := s.CheckSeen(t.Context(), whole, place, seen.Sum); err != nil {
			problems = append(problems, Problem{Set: seen.Set, Seq: seen.Seq, Err: err})
		}
		for _, set := range sets {
			got, _ := verdict(heads, nil, set)
			if want, bad := verdict(whole, problems, set); bad || got != want {
				t.Errorf("seed %d: %.8s; the newest is %.8s, bad %v: %v", seed, got, want, bad, problems)
			}
		}
	}
	if silent < 20 {
		t.Errorf("something was wrong in all but %d cases", silent)
	}
}
