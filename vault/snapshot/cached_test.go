package snapshot

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"vaultik/vault/layout"
)

// mapCache is a cache in a map, which checks as the contract says.
type mapCache struct {
	mu      sync.Mutex
	objects map[[32]byte][]byte
	hits    int
}

func newMapCache() *mapCache { return &mapCache{objects: map[[32]byte][]byte{}} }

func (c *mapCache) Get(sum [32]byte, size int64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.objects[sum]
	if b == nil || int64(len(b)) != size || sha256.Sum256(b) != sum {
		return nil
	}
	c.hits++
	return bytes.Clone(b)
}

func (c *mapCache) Put(sum [32]byte, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[sum] = bytes.Clone(b)
}

// openWith opens the store with a cache, and forgets what was read of it.
func (w *world) openWith(c Cache) *Store {
	s := w.open()
	s.Cache, s.Parallel = c, 8
	clear(w.m.gets)
	return s
}

// all reads all manifests and roots, and returns what is wrong with them.
func (w *world) all(s *Store) (loaded []*Loaded, problems []Problem, roots []error) {
	w.t.Helper()
	loaded, problems, err := s.Manifests(w.t.Context(), Filter{})
	w.must(err)
	var manifests []*Manifest
	for _, l := range loaded {
		manifests = append(manifests, l.Manifest)
	}
	err = s.OpenAll(w.t.Context(), manifests, w.identity, func(i int, o Opened) error {
		if o.Err != nil {
			roots = append(roots, fmt.Errorf("%d: %w", i, o.Err))
		}
		problems = append(problems, o.Problems...)
		return nil
	})
	w.must(err)
	return loaded, problems, roots
}

// reads counts what was read of a kind.
func (w *world) reads(kind layout.Kind) (n int) {
	for key, count := range w.m.gets {
		if o, err := layout.Parse(key); err == nil && o.Kind == kind {
			n += count
		}
	}
	return n
}

// With a warm cache only the newest manifest of each chain, and what is new, is read.
func TestCache_WarmReadsHeadsOnly(t *testing.T) {
	w := newWorld(t)
	other := layout.NewSetID()
	for range 30 {
		w.snapshot(w.set)
		w.snapshot(other)
	}
	c := newMapCache()
	first, problems, roots := w.all(w.openWith(c))
	if len(first) != 60 || len(problems)+len(roots) > 0 || w.reads(layout.KindManifest) != 60 ||
		w.reads(layout.KindRoot) != 60 || w.reads(layout.KindEpochKey) != 1 {
		t.Fatalf("cold: %d snapshots, %v, %v, read %v", len(first), problems, roots, w.m.gets)
	}
	second, problems, roots := w.all(w.openWith(c))
	if len(problems)+len(roots) > 0 || w.reads(layout.KindManifest) != 2 ||
		w.reads(layout.KindRoot) != 0 || w.reads(layout.KindEpochKey) != 0 {
		t.Errorf("warm: %v, %v, read %v", problems, roots, w.m.gets)
	}
	for i, l := range second {
		if l.Sum != first[i].Sum || l.Key != first[i].Key || l.Size != first[i].Size {
			t.Fatalf("%d: %s instead of %s", i, l.Key, first[i].Key)
		}
	}
	for range 3 {
		w.snapshot(w.set)
	}
	third, problems, _ := w.all(w.openWith(c))
	if n := w.reads(layout.KindManifest); len(third) != 63 || len(problems) > 0 || n > 8 {
		t.Errorf("three more: %d snapshots, %v, %d manifests read", len(third), problems, n)
	}
	if n := w.reads(layout.KindRoot); n != 3 {
		t.Errorf("three more: %d roots read", n)
	}
}

// forkOf is another manifest of the same place and size.
func (w *world) forkOf(key string) []byte {
	w.t.Helper()
	m, err := DecodeManifest(w.m.objects[key], w.signer.Public())
	w.must(err)
	for sec := 1; ; sec++ { // compression makes sizes differ a little
		fork := *m
		fork.Time = m.Time.Add(time.Duration(sec) * time.Second)
		b, err := EncodeManifest(&fork, w.signer)
		w.must(err)
		if len(b) == len(w.m.objects[key]) {
			return b
		}
	}
}

// What the store does not list any more is not there, though the cache has it; what is wrong
// with places that the cache cannot vouch for is found; nothing in the cache is believed.
func TestCache_DecidesNothing(t *testing.T) {
	gone := func(pick func(w *world) string) func(*world, *mapCache) {
		return func(w *world, _ *mapCache) { delete(w.m.objects, pick(w)) }
	}
	middle := func(w *world) string { return layout.Manifest(w.host, w.set, 10) }
	newest := func(w *world) string { return layout.Manifest(w.host, w.set, 20) }
	for name, test := range map[string]struct {
		harm func(w *world, c *mapCache)
		want error // of a manifest
		root bool  // a root is bad
	}{
		"nothing":            {harm: func(*world, *mapCache) {}},
		"a manifest is gone": {harm: gone(middle), want: ErrGap},
		"the newest is damaged": {want: ErrDamaged, harm: func(w *world, _ *mapCache) {
			w.m.objects[newest(w)][30] ^= 1
		}},
		"a manifest has another size": {want: ErrDamaged, harm: func(w *world, _ *mapCache) {
			w.m.objects[middle(w)] = w.m.objects[middle(w)][:40]
		}},
		"a fork under another name, of the same size": {want: ErrFork,
			harm: func(w *world, _ *mapCache) {
				b := w.forkOf(middle(w))
				w.m.objects[layout.Weak(layout.Manifest(w.host, w.set, 10), sumOf(b))] = b
			}},
		"a fork under its name, of the same size": {want: ErrFork,
			harm: func(w *world, _ *mapCache) {
				key := middle(w)
				b, fork := w.m.objects[key], w.forkOf(key)
				w.m.objects[layout.Weak(layout.Manifest(w.host, w.set, 10), sumOf(b))] = b
				w.m.objects[key] = fork
			}},
		"the cache is damaged": {harm: func(_ *world, c *mapCache) {
			for _, b := range c.objects {
				b[len(b)/2] ^= 1
			}
		}},
		"the cache has something else": {harm: func(_ *world, c *mapCache) {
			for sum := range c.objects {
				c.objects[sum] = []byte("something else")
			}
		}},
		"a root is gone": {root: true, harm: func(w *world, _ *mapCache) {
			m, err := DecodeManifest(w.m.objects[middle(w)], w.signer.Public())
			w.must(err)
			delete(w.m.objects, layout.Root(w.host, m.Root.Name))
		}},
		"a root has another size": {root: true, harm: func(w *world, _ *mapCache) {
			m, err := DecodeManifest(w.m.objects[middle(w)], w.signer.Public())
			w.must(err)
			key := layout.Root(w.host, m.Root.Name)
			w.m.objects[key] = append(w.m.objects[key], 0)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for range 20 {
				w.snapshot(w.set)
			}
			c := newMapCache()
			w.all(w.openWith(c))
			test.harm(w, c)
			loaded, problems, roots := w.all(w.openWith(c))
			if len(loaded) < 19 {
				t.Errorf("only %d manifests", len(loaded))
			}
			if test.want == nil && len(problems) > 0 {
				t.Errorf("problems %v", problems)
			}
			if test.want != nil && (len(problems) == 0 || !errors.Is(problems[0].Err, test.want)) {
				t.Errorf("problems %v, want %v", problems, test.want)
			}
			if test.root != (len(roots) == 1) {
				t.Errorf("roots: %v", roots)
			}
			// As without a cache.
			plainLoaded, plain, plainRoots := w.all(w.openWith(nil))
			if len(loaded) != len(plainLoaded) || fmt.Sprint(problems) != fmt.Sprint(plain) ||
				len(roots) != len(plainRoots) {
				t.Errorf("with the cache %v, %v; without %v, %v", problems, roots, plain, plainRoots)
			}
		})
	}
}
