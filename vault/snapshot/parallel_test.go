package snapshot

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// gated lets nobody read manifests and roots while its gate is closed, nor keys or blob lists if
// it says so.
type gated struct {
	*memory
	gate  chan struct{}
	keys  bool
	lists bool
	waits atomic.Int64
}

func (g *gated) Get(ctx context.Context, key string, off, n int64) ([]byte, error) {
	g.wait(key)
	return g.memory.Get(ctx, key, off, n)
}

func (g *gated) Head(ctx context.Context, key string, n int64) ([]byte, error) {
	g.wait(key)
	return g.memory.Head(ctx, key, n)
}

func (g *gated) wait(key string) {
	o, err := layout.Parse(key)
	if err == nil && (o.Kind == layout.KindManifest || o.Kind == layout.KindRoot ||
		g.keys && o.Kind == layout.KindEpochKey || g.lists && o.Kind == layout.KindBlobList) {
		g.waits.Add(1)
		<-g.gate
	}
}

// As many manifests, and roots, are read at once as there are connections, and no more; the
// results are in order, and told.
func TestStore_ReadsInParallel(t *testing.T) {
	w := newWorld(t)
	const snapshots = 70
	for range snapshots {
		w.snapshot(w.set)
	}
	for parallel, want := range map[int]int64{0: defaultParallel, 1: 1, 32: 32} {
		synctest.Test(t, func(t *testing.T) {
			g := &gated{memory: w.m, gate: make(chan struct{})}
			s, err := OpenStore(t.Context(), g, Pin{})
			if err != nil {
				t.Fatal(err)
			}
			s.Parallel = parallel
			told := 0
			s.OnRead = func(done, total int) {
				if told++; done != told || total != snapshots {
					t.Errorf("told of %d of %d after %d", done, total, told)
				}
			}
			var all []*Loaded
			go func() {
				var problems []Problem
				all, problems, err = s.Manifests(t.Context(), Filter{})
				if err != nil || len(problems) > 0 || len(all) != snapshots || told != snapshots {
					t.Errorf("%d manifests, %v, %v", len(all), problems, err)
				}
			}()
			synctest.Wait()
			if n := g.waits.Load(); n != want {
				t.Errorf("with %d: %d manifests are read at once, want %d", parallel, n, want)
			}
			close(g.gate)
			synctest.Wait()

			g.gate, told = make(chan struct{}), 0
			g.waits.Store(0)
			var manifests []*Manifest
			for _, l := range all {
				manifests = append(manifests, l.Manifest)
			}
			go func() {
				next := 0
				err := s.OpenAll(t.Context(), manifests, w.identity, func(i int, o Opened) error {
					if i != next || o.Err != nil || o.Root.Seq != manifests[i].Seq {
						t.Errorf("%d instead of %d: %+v", i, next, o)
					}
					next++
					return nil
				})
				if err != nil || next != snapshots {
					t.Errorf("%d roots, %v", next, err)
				}
			}()
			synctest.Wait()
			if n := g.waits.Load(); n != want {
				t.Errorf("with %d: %d roots are read at once, want %d", parallel, n, want)
			}
			close(g.gate)
			synctest.Wait()
		})
	}
}

// Large objects take turns: what is decoded at once is bounded, whatever Parallel says.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns turns
		var at, most atomic.Int64
		for _, size := range []int64{1, atOnce / 2, 3 * atOnce, atOnce / 2, atOnce, 1} {
			go func() {
				end := turns.take(size)
				n := at.Add(min(size, atOnce))
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					continue
				}
				time.Sleep(time.Second) // of synctest: others may come meanwhile
				at.Add(-min(size, atOnce))
				end()
			}()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if most.Load() > atOnce || turns.used != 0 {
			t.Errorf("%d bytes at once, %d never given back", most.Load(), turns.used)
		}
	})
}

// An error of who takes the results ends the reading.
func TestStore_OpenAllEnds(t *testing.T) {
	w := newWorld(t)
	var all []*Manifest
	for range 50 {
		all = append(all, w.snapshot(w.set).Manifest)
	}
	enough := errors.New("enough")
	err := w.open().OpenAll(t.Context(), all, w.identity, func(i int, _ Opened) error {
		if i == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
	roots := 0
	for key, n := range w.m.gets {
		if o, err := layout.Parse(key); err == nil && o.Kind == layout.KindRoot {
			roots += n
		}
	}
	if roots > 20 {
		t.Errorf("%d roots were read", roots)
	}
}

// A key of an epoch that is damaged, missing or sealed to somebody else is read once,
// however many snapshots need it, and each of them has the problem.
func TestStore_BadEpochIsReadOnce(t *testing.T) {
	stranger, _, err := keys.Generate(true)
	if err != nil {
		t.Fatal(err)
	}
	other, err := keys.ParseIdentity(stranger)
	if err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]func(w *world, key string) *keys.Identity{
		"damaged": func(w *world, key string) *keys.Identity {
			w.m.objects[key][30] ^= 1
			return w.identity
		},
		"missing": func(w *world, key string) *keys.Identity {
			delete(w.m.objects, key)
			return w.identity
		},
		"somebody else's": func(*world, string) *keys.Identity { return other },
	} {
		w := newWorld(t)
		var all []*Manifest
		for range 20 {
			all = append(all, w.snapshot(w.set).Manifest)
		}
		key := layout.EpochKey(w.host, w.epoch.ID, 0)
		id := harm(w, key)
		bad := map[uint64]bool{}
		err := w.open().OpenAll(t.Context(), all, id, func(i int, o Opened) error {
			for _, p := range o.Problems {
				if strings.Contains(p.Error(), key) && p.Set == w.set && p.Seq == all[i].Seq {
					bad[p.Seq] = true
				}
			}
			return nil
		})
		if err != nil || len(bad) != 20 {
			t.Errorf("%s: %d snapshots have the problem, %v", name, len(bad), err)
		}
		if n := w.m.gets[key]; n != 1 {
			t.Errorf("%s: it was read %d times", name, n)
		}
	}
}

// The root of one snapshot and its epoch keys are read at once.
func TestStore_OpenReadsAtOnce(t *testing.T) {
	w := newWorld(t)
	m := w.snapshot(w.set).Manifest
	synctest.Test(t, func(t *testing.T) {
		g := &gated{memory: w.m, gate: make(chan struct{}), keys: true}
		s, err := OpenStore(t.Context(), g, Pin{})
		if err != nil {
			t.Fatal(err)
		}
		opened := make(chan Opened)
		go func() { opened <- s.Open(t.Context(), m, w.identity) }()
		synctest.Wait()
		if n := g.waits.Load(); n != 2 {
			t.Errorf("%d objects are read at once, want root and key", n)
		}
		close(g.gate)
		o := <-opened
		if o.Err != nil || o.Root.Hostname != "box" || len(o.IDs) != 2 || len(o.Problems) > 0 {
			t.Errorf("Open = %+v", o)
		}
	})
}

// What is wrong with either is said.
func TestStore_OpenRefuses(t *testing.T) {
	for kind, want := range map[layout.Kind]bool{layout.KindRoot: false, layout.KindEpochKey: true} {
		w := newWorld(t)
		m := w.snapshot(w.set).Manifest
		for key, b := range w.m.objects {
			if o, err := layout.Parse(key); err == nil && o.Kind == kind {
				w.m.objects[key] = b[1:]
			}
		}
		o := w.open().Open(t.Context(), m, w.identity)
		if ok := o.Err == nil && o.Root != nil; ok != want {
			t.Errorf("%v: %v, %v", kind, o.Root, o.Err)
		} else if !ok && !errors.Is(o.Err, ErrDamaged) {
			t.Errorf("%v: %v", kind, o.Err)
		}
		if told := len(o.Problems) > 0; told != want {
			t.Errorf("%v: problems %v", kind, o.Problems)
		}
	}
}
