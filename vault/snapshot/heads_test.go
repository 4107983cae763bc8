package snapshot

import (
	"errors"
	"slices"
	"testing"

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
			ErrDamaged, []uint64{2, 4}},
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
			w.m.objects[layout.ManifestWeak(w.host, w.set, 5, sumOf(b))] = b
		}, ErrFork, []uint64{2, 4, 5, 5}},
		"signed by another": {func(w *world, all []*Loaded) {
			b, err := EncodeManifest(all[4].Manifest, w.pruner)
			w.must(err)
			w.m.objects[all[4].Key] = b
		}, ErrSignature, []uint64{2, 4}},
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
