package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"vaultik/vault/layout"
)

// What is not signed by a trusted key proves nothing, wherever somebody puts it: the
// snapshots that are found are the same. Where it may be the next object of a chain,
// damaged, it is a problem; anywhere else it is only counted.
func TestStore_Manifests_garbage(t *testing.T) {
	for name, tt := range map[string]struct {
		keys     func(w *world) []string
		problems int
		strays   int
	}{
		"far beyond": {func(w *world) []string {
			return []string{layout.Manifest(w.host, w.set, 99), layout.Manifest(w.host, w.set, layout.MaxSeq)}
		}, 0, 2},
		"next": {func(w *world) []string { return []string{layout.Manifest(w.host, w.set, 4)} }, 1, 0},
		"next, and many after it": {func(w *world) (keys []string) {
			for i := range uint64(1000) {
				keys = append(keys, layout.Manifest(w.host, w.set, 4+i))
			}
			return keys
		}, 1, 0},
		"after a gap":             {func(w *world) []string { return []string{layout.Manifest(w.host, w.set, 5)} }, 0, 1},
		"beside another":          {func(w *world) []string { return []string{layout.Weak(layout.Manifest(w.host, w.set, 2), Sum{7})} }, 0, 1},
		"a set that is not there": {func(w *world) []string { return []string{layout.Manifest(w.host, layout.NewSetID(), 3)} }, 0, 1},
		"the first of a set that may have been": {func(w *world) []string {
			return []string{layout.Manifest(w.host, layout.NewSetID(), 1)}
		}, 1, 0},
		"many sets": {func(w *world) (keys []string) {
			for range 3000 {
				keys = append(keys, layout.Manifest(w.host, layout.NewSetID(), 1))
			}
			return keys
		}, maxInLine, 0},
		"a host that is not there": {func(w *world) []string {
			return []string{layout.Manifest(layout.NewHostID(), w.set, 1)}
		}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for range 3 {
				w.snapshot(w.set)
			}
			for _, key := range tt.keys(w) {
				w.m.objects[key] = []byte("x")
			}
			s := w.open()
			for _, read := range []func() ([]*Loaded, []Problem, error){
				func() ([]*Loaded, []Problem, error) { return s.Manifests(t.Context(), Filter{}) },
				func() ([]*Loaded, []Problem, error) { return s.Heads(t.Context(), nil) },
			} {
				loaded, problems, err := read()
				w.must(err)
				if loaded[len(loaded)-1].Seq != 3 || len(problems) != tt.problems {
					t.Errorf("newest %d, problems %v", loaded[len(loaded)-1].Seq, problems)
				}
				if n := strays(s); n != tt.strays {
					t.Errorf("%d strays, want %d", n, tt.strays)
				}
			}
			if head, _, err := s.Head(t.Context(), w.host, w.set); err != nil || len(head) != 1 || head[0].Seq != 3 {
				t.Errorf("Head = %v, %v", head, err)
			}
			if n := strays(s); n != tt.strays {
				t.Errorf("after another listing: %d strays, want %d", n, tt.strays)
			}
		})
	}
}

func strays(s *Store) (n int) {
	for _, stray := range s.Strays() {
		n += stray.Count
	}
	return n
}

// A newest manifest that is damaged is never taken for a stray, whatever prune left below it.
func TestStore_Manifests_damagedOnly(t *testing.T) {
	w := newWorld(t)
	var all []*Loaded
	for range 4 {
		all = append(all, w.snapshot(w.set))
	}
	for _, l := range all[:3] {
		delete(w.m.objects, l.Key)
	}
	w.m.objects[all[3].Key][40] ^= 1
	w.gc(GC{Seq: 1, Pruned: []Pruned{{w.set, 1, 3, Sum{}, all[2].Sum}}})
	_, problems, err := w.open().Manifests(t.Context(), Filter{})
	if err != nil || len(problems) != 1 || !errors.Is(problems[0], ErrDamaged) || problems[0].Key != all[3].Key {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestOpenStore_garbage(t *testing.T) {
	w := newWorld(t)
	for _, seq := range []uint64{3, 9, layout.MaxSeq} {
		w.m.objects[layout.Trust(seq)] = []byte("x")
	}
	w.m.objects[layout.Trust(7)] = w.m.objects[layout.Trust(1)]
	s := w.open()
	if s.TrustSeq != 1 || strays(s) != 4 || s.Strays()[0].Key != layout.Trust(3) {
		t.Errorf("trust list %d, strays %+v", s.TrustSeq, s.Strays())
	}
	// A later one that the owner signed counts, although those between are gone.
	w.trust.Seq, w.trust.Prev = 5, Sum{1}
	w.putTrust()
	if s := w.open(); s.TrustSeq != 5 || strays(s) != 3 {
		t.Errorf("trust list %d, strays %+v", s.TrustSeq, s.Strays())
	}
}

// endless lists names of which there is no end.
type endless struct {
	*memory
	prefix string
	name   func(i int) string
}

func (e endless) List(ctx context.Context, prefix string, fn func(string, int64, time.Time) error) error {
	if prefix != e.prefix {
		return e.memory.List(ctx, prefix, fn)
	}
	for i := 0; ; i++ {
		if err := fn(e.name(i), 10, time.Time{}); err != nil {
			return err
		}
	}
}

// A list without end is refused, with its prefix.
func TestStore_flooded(t *testing.T) {
	w := newWorld(t)
	w.snapshot(w.set)
	for prefix, name := range map[string]func(i int) string{
		layout.TrustPrefix:            func(i int) string { return layout.Trust(uint64(i + 1)) },
		layout.ManifestPrefix(w.host): func(i int) string { return layout.Manifest(w.host, w.set, uint64(i+1)) },
		layout.GCPrefix(w.host):       func(i int) string { return layout.GC(w.host, uint64(i+1)) },
		layout.CheckpointPrefix(w.host): func(i int) string {
			return fmt.Sprintf("%s%d.tmp", layout.CheckpointPrefix(w.host), i) // not even a name
		},
	} {
		e := endless{w.m, prefix, name}
		s, err := OpenStore(t.Context(), e, Pin{})
		if err == nil {
			_, _, err = s.Manifests(t.Context(), Filter{})
		}
		if err == nil {
			_, err = s.GC(t.Context(), w.host)
		}
		if err == nil {
			_, _, err = checkpoints(t.Context(), s, w.host, time.Time{})
		}
		if !errors.Is(err, ErrFlooded) || !strings.Contains(err.Error(), prefix) {
			t.Errorf("%s: %v", prefix, err)
		}
	}
}

// What a listing says is too large is not fetched.
func TestStore_largeIsNotFetched(t *testing.T) {
	w := newWorld(t)
	l := w.snapshot(w.set)
	s, err := OpenStore(t.Context(), large{w.m}, Pin{})
	w.must(err)
	_, problems, err := s.Manifests(t.Context(), Filter{})
	if err != nil || len(problems) != 1 || !errors.Is(problems[0], ErrDamaged) {
		t.Errorf("%v, %v", problems, err)
	}
	if w.m.gets[l.Key] > 0 {
		t.Error("it was fetched")
	}
}

// large says of manifests that they have a GiB.
type large struct{ *memory }

func (m large) List(ctx context.Context, prefix string, fn func(string, int64, time.Time) error) error {
	return m.memory.List(ctx, prefix, func(key string, size int64, at time.Time) error {
		if strings.Contains(key, "/m/") {
			size = 1 << 30
		}
		return fn(key, size, at)
	})
}

// A thousand objects of garbage, anywhere: the snapshots found are the same, and what is
// refused names an object of the garbage.
func TestStore_randomGarbage(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		for range 5 {
			w.snapshot(w.set)
		}
		w.gc(GC{Seq: 1})
		good := map[string]bool{}
		for key := range w.m.objects {
			good[key] = true
		}
		for range 1000 {
			seq := 1 + rng.Uint64N(layout.MaxSeq)
			if rng.IntN(3) == 0 {
				seq = 1 + rng.Uint64N(20)
			}
			key := []string{layout.Trust(seq), layout.GC(w.host, seq), layout.Manifest(w.host, w.set, seq),
				layout.Manifest(w.host, layout.NewSetID(), seq), layout.Weak(layout.Manifest(w.host, w.set, seq), Sum{byte(seed)}),
				layout.Checkpoint(w.host, layout.NewULID(testTime))}[rng.IntN(6)]
			if !good[key] {
				w.m.objects[key] = []byte("garbage")
			}
		}
		s, err := OpenStore(t.Context(), w.m, Pin{})
		if err != nil {
			if !strings.Contains(err.Error(), layout.Trust(2)) {
				t.Errorf("seed %d: %v", seed, err)
			}
			delete(w.m.objects, layout.Trust(2))
			s = w.open()
		}
		loaded, problems, err := s.Manifests(t.Context(), Filter{})
		if err != nil || len(loaded) != 5 {
			t.Fatalf("seed %d: %d manifests, %v", seed, len(loaded), err)
		}
		for _, p := range problems {
			if good[p.Key] || p.Key == "" {
				t.Errorf("seed %d: %v", seed, p)
			}
		}
		if g, err := s.GC(t.Context(), w.host); err == nil && g.Seq != 1 || err != nil && !strings.Contains(err.Error(), layout.GC(w.host, 2)) {
			t.Errorf("seed %d: %v, %v", seed, g, err)
		}
	}
}
