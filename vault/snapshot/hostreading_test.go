package snapshot

import (
	"io/fs"
	"slices"
	"testing"
	"time"

	"vaultik/vault/layout"
)

// What is read one at a time is what is read at once: the same manifests count, and the same
// is wrong, whatever is in the store; each is handed on once, with all that it needs.
func TestHostReading_Each(t *testing.T) {
	for name, change := range map[string]func(w *world, all []*Loaded){
		"all is well": func(*world, []*Loaded) {},
		"damaged":     func(w *world, all []*Loaded) { w.m.objects[all[1].Key][40] ^= 1 },
		"a gap":       func(w *world, all []*Loaded) { delete(w.m.objects, all[1].Key) },
		"twice": func(w *world, all []*Loaded) {
			l := all[1]
			w.m.objects[layout.Weak(l.Key, l.Sum)] = w.m.objects[l.Key]
		},
		"a fork": func(w *world, all []*Loaded) { w.side(all[1]) },
		"a fork that was dropped": func(w *world, all []*Loaded) {
			w.gc(GC{Seq: 1, Dropped: []Dropped{{w.set, 2, w.side(all[1]), DroppedFork}}})
		},
		"pruned": func(w *world, all []*Loaded) {
			delete(w.m.objects, all[0].Key)
			w.gc(GC{Seq: 1, Pruned: []Pruned{{Set: w.set, From: 1, To: 1, Sum: all[0].Sum}}})
		},
		"revoked": func(w *world, all []*Loaded) { w.revoke(all[1]) },
		"revoked, and a thief's": func(w *world, all []*Loaded) {
			w.side(all[0])
			w.revoke(all[1])
		},
		"garbage": func(w *world, all []*Loaded) {
			w.m.objects[layout.Manifest(w.host, w.set, 9)] = []byte("x")
			w.m.objects[layout.Manifest(w.host, layout.NewSetID(), 1)] = []byte("x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var all []*Loaded
			for range 4 {
				all = append(all, w.snapshot(w.set))
			}
			change(w, all)
			want, bad, err := w.open().Manifests(t.Context(), Filter{})
			w.must(err)
			s := w.open()
			s.WithoutBlobs = true // of those that are kept
			r := s.ReadHost(w.host)
			var got []*Loaded
			problems, err := r.Each(t.Context(), func(string) bool { return false },
				func(l *Loaded, _ time.Time) error { got = append(got, l); return nil })
			w.must(err)
			if !slices.EqualFunc(problems, bad, func(a, b Problem) bool { return a.Error() == b.Error() }) {
				t.Errorf("problems %v, want %v", problems, bad)
			}
			if !slices.EqualFunc(sorted(got), want, sameLoaded) ||
				!slices.EqualFunc(r.Loaded(), want, sameLoaded) {
				t.Errorf("%d manifests, and %d are kept; want %d", len(got), len(r.Loaded()), len(want))
			}
			for _, l := range got {
				if len(l.Blobs) != 3 || len(l.Keys) != 1 {
					t.Errorf("seq %d: %d blobs, %d keys", l.Seq, len(l.Blobs), len(l.Keys))
				}
			}
			for _, l := range r.Loaded() {
				if len(l.Blobs)+len(l.Keys) > 0 {
					t.Errorf("seq %d keeps what it needs", l.Seq)
				}
			}
			// Again: what is known is not read, and checked all the same.
			clear(w.m.gets)
			again, err := r.Each(t.Context(), func(key string) bool {
				return slices.ContainsFunc(got, func(l *Loaded) bool { return l.Key == key })
			}, func(*Loaded, time.Time) error { t.Error("handed on twice"); return nil })
			w.must(err)
			if len(again) != len(problems) || !slices.EqualFunc(r.Loaded(), want, sameLoaded) {
				t.Errorf("again: %v", again)
			}
			for _, l := range got {
				if w.m.gets[l.Key] > 0 {
					t.Errorf("%s was read again", l.Key)
				}
			}
		})
	}
}

func sameLoaded(a, b *Loaded) bool { return a.Sum == b.Sum && a.Key == b.Key }

// side puts another manifest in the place of l, under the other form of its name.
func (w *world) side(l *Loaded) Sum {
	w.t.Helper()
	m := *l.Manifest
	m.Time = m.Time.Add(time.Hour)
	b, err := EncodeManifest(&m, w.signer)
	w.must(err)
	w.m.objects[layout.Weak(layout.Manifest(m.Host, m.Set, m.Seq), sumOf(b))] = b
	return sumOf(b)
}

// revoke revokes the host, of whose manifests those up to l stand.
func (w *world) revoke(l *Loaded) {
	w.t.Helper()
	w.trust.Hosts[0].Revoked = testTime
	w.trust.Hosts[0].Until = &Until{Sets: []UntilSet{{l.Set, l.Seq, l.Sum}}}
	w.putTrust()
}

// A manifest that prune removes between two looks of a reader is not missing.
func TestManifests_prunedMeanwhile(t *testing.T) {
	for name, gone := range map[string]func(w *world, l *Loaded){
		"before it was listed": func(w *world, l *Loaded) { delete(w.m.objects, l.Key) },
		"after it was listed":  func(w *world, l *Loaded) { w.m.fail[l.Key] = fs.ErrNotExist },
	} {
		w := newWorld(t)
		first := w.snapshot(w.set)
		w.snapshot(w.set)
		s := w.open()
		if _, err := s.GC(t.Context(), w.host); err != nil { // there is none yet
			t.Fatal(err)
		}
		gone(w, first)
		loaded, problems, err := s.Manifests(t.Context(), Filter{})
		if err != nil || len(loaded) != 1 || len(problems) == 0 {
			t.Errorf("%s, without a record: %d manifests, %v, %v", name, len(loaded), problems, err)
		}
		w.gc(GC{Seq: 1, Pruned: []Pruned{{Set: w.set, From: 1, To: 1, Sum: first.Sum}}})
		loaded, problems, err = s.Manifests(t.Context(), Filter{})
		if err != nil || len(loaded) != 1 || len(problems) > 0 {
			t.Errorf("%s: %d manifests, %v, %v", name, len(loaded), problems, err)
		}
		if pruned, err := s.Pruned(t.Context(), first); err != nil || !pruned {
			t.Errorf("%s: pruned %v, %v", name, pruned, err)
		}
	}
}
