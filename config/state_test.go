package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

func newHost() *Host {
	signer := keys.NewSigner()
	return &Host{Store: layout.NewStoreID(), StoreURL: "file:///s", Owner: keys.NewSigner().Public(),
		ID: layout.NewHostID(), Secret: keys.NewHostSecret(), Signer: signer, Machine: "m", Kit: "/kit"}
}

func TestHost_RoundTrip(t *testing.T) {
	s := NewState(filepath.Join(t.TempDir(), "new"))
	if _, err := s.LoadHost(); !errors.Is(err, ErrMissing) {
		t.Errorf("missing: %v", err)
	}
	h := newHost()
	if err := s.CreateHost(h); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateHost(newHost()); err == nil {
		t.Error("an existing host was replaced")
	}
	err := s.UpdateHost(func(h *Host) error {
		h.Epoch = &keys.EpochKey{Recipient: "age1x", Born: time.Unix(1, 0).UTC(), Size: 3}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.LoadHost()
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != h.ID || got.Store != h.Store || got.Owner != h.Owner || got.Secret != h.Secret ||
		got.Signer.Public() != h.Signer.Public() || got.Epoch.Size != 3 || got.Epoch.Born.Unix() != 1 {
		t.Error("the host is not as it was written")
	}
	if st, err := os.Stat(s.HostFile()); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestState_BrokenFiles(t *testing.T) {
	loads := map[string]func(State) error{
		hostFile:  func(s State) error { _, err := s.LoadHost(); return err },
		setsFile:  func(s State) error { _, err := s.LoadSets(); return err },
		seenFile:  func(s State) error { _, err := s.LoadSeen(); return err },
		knownFile: func(s State) error { _, err := s.LoadKnown(); return err },
	}
	for name, load := range loads {
		for text, want := range map[string]string{
			"": "it is empty", "{": "not JSON at byte", "[]": "wrong type", `{"v":2}`: "has version 2, this program supports 1",
			"{}": "has version 0", `{"v":1,"zz":"AGE-SECRET-KEY-1ABC"}`: `unknown field "zz"`, "{\"v\":1}x": "not JSON at byte",
			`{"v":1,"stores":3,"sets":3,"host":3}`: "",
		} {
			t.Run(name+" "+want, func(t *testing.T) {
				s := NewState(t.TempDir())
				if err := os.WriteFile(s.Path(name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				err := load(s)
				var ce *Error
				if !errors.As(err, &ce) || !errors.Is(err, ErrInvalid) || ce.Hint == "" || !strings.Contains(err.Error(), want) ||
					!strings.HasPrefix(err.Error(), s.Path(name)) || strings.Contains(err.Error(), "1ABC") {
					t.Errorf("got %v, want %q", err, want)
				}
			})
		}
	}
}

func TestHost_MissingKeys(t *testing.T) {
	s := NewState(t.TempDir())
	if err := os.WriteFile(s.HostFile(), []byte(`{"v":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LoadHost(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "ids or keys are missing") {
		t.Error(err)
	}
}

func TestSets(t *testing.T) {
	s := NewState(t.TempDir())
	odd := "/b\xff"
	var id layout.SetID
	if err := s.UpdateSets(func(sets *Sets) error {
		id = sets.Add("n\xfe", []string{odd, "/a", "/a"}).ID
		sets.Add("other", []string{"/a"})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	sets, err := s.LoadSets()
	if err != nil {
		t.Fatal(err)
	}
	if got := sets.ByPaths([]string{"/a", odd}); len(got) != 1 || got[0].ID != id || string(got[0].Paths[1]) != odd {
		t.Errorf("by paths: %v", got)
	}
	if got := sets.ByPaths([]string{odd}); got != nil {
		t.Errorf("other paths are another set: %v", got)
	}
	if sets.Name(id) != "n\xfe" || len(sets.ByName("other")) != 1 || sets.Name(layout.SetID{}) != "" {
		t.Error("names")
	}
}

func TestSeen_OnlyRises(t *testing.T) {
	s := NewState(t.TempDir())
	store, host, set := layout.NewStoreID(), layout.NewHostID(), layout.NewSetID()
	for _, p := range []Point{{2, "b"}, {1, "a"}, {2, "x"}, {3, "c"}} {
		if err := s.UpdateSeen(func(seen *Seen) error {
			seen.NoteTrust(store, p)
			seen.NoteManifest(store, host, set, p)
			seen.NoteGC(store, host, p)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	seen, err := s.LoadSeen()
	want := Point{3, "c"}
	if err != nil || seen.Trust(store) != want || seen.Manifest(store, host, set) != want || seen.GC(store, host) != want {
		t.Errorf("%+v, %v", seen, err)
	}
	if (seen.Trust(layout.NewStoreID()) != Point{}) {
		t.Error("an unknown store was seen")
	}
}

func TestKnown_Pin(t *testing.T) {
	a, b := layout.NewStoreID(), layout.NewStoreID()
	var k Known
	k.Pin(KnownStore{Store: a, URL: "u1", Owner: "A"})
	k.Pin(KnownStore{Store: a, URL: "u2", Owner: "A"})
	k.Pin(KnownStore{Store: b, URL: "u3", Owner: "B"})
	if len(k.Stores) != 3 {
		t.Fatalf("%v", k)
	}
	k.Pin(KnownStore{Store: a, URL: "u2", Owner: "C"}) // replaces both pins of a
	want := []KnownStore{{Store: b, URL: "u3", Owner: "B"}, {Store: a, URL: "u2", Owner: "C"}}
	if !reflect.DeepEqual(k.Stores, want) {
		t.Errorf("%v", k.Stores)
	}
	k.Forget(a)
	if _, ok := k.ByID(a); ok || len(k.Stores) != 1 {
		t.Errorf("%v", k.Stores)
	}
}

// TestState_Concurrent: readers beside writers see whole files, and no update is lost.
func TestState_Concurrent(t *testing.T) {
	dir := t.TempDir()
	const writers, each = 4, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				err := NewState(dir).UpdateSets(func(s *Sets) error {
					s.Add(fmt.Sprint(w, "-", i), []string{"/x"})
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range each {
				if _, err := NewState(dir).LoadSets(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s, err := NewState(dir).LoadSets()
	if err != nil || len(s.Sets) != writers*each {
		t.Errorf("%d sets, %v", len(s.Sets), err)
	}
}

func TestPlaces_Exposed(t *testing.T) {
	dir := t.TempDir()
	p := Places{Config: filepath.Join(dir, "config.yaml")}
	for f, mode := range map[string]os.FileMode{p.Config: 0o644, filepath.Join(dir, hostFile): 0o600, p.Kit(): 0o640} {
		if err := os.WriteFile(f, nil, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(f, mode); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.Exposed(); !reflect.DeepEqual(got, []string{p.Config, p.Kit()}) {
		t.Error(got)
	}
}

// What was seen of a mirror is apart from what was seen of its store.
func TestSeen_Mirror(t *testing.T) {
	s := NewState(t.TempDir())
	id, host, set := layout.NewStoreID(), layout.NewHostID(), layout.NewSetID()
	err := s.UpdateSeen(func(seen *Seen) error {
		seen.NoteManifest(id, host, set, Point{7, "a"})
		seen.Mirror("file:///m").Note(host, set, Point{5, "b"})
		seen.Mirror("file:///m").Trust = Point{2, "t"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.LoadSeen()
	if err != nil {
		t.Fatal(err)
	}
	k := SetOf{host, set}
	if m := got.Mirror("file:///m"); m.Manifests()[k] != (Point{5, "b"}) || m.Trust.Seq != 2 || got.Manifests(id)[k] != (Point{7, "a"}) {
		t.Errorf("%+v", got)
	}
	if len(got.Mirror("file:///none").Manifests()) != 0 {
		t.Error("something was seen of a mirror that was never met")
	}
}

// What an older version noted of its own sets it had written: it noted no others. From then
// on what is only seen, on a clone for example, is not what this machine has written.
func TestSeen_Written(t *testing.T) {
	s := NewState(t.TempDir())
	id, h, set := layout.NewStoreID(), layout.NewHostID(), layout.NewSetID()
	old := fmt.Sprintf(`{"v":1,"stores":{%q:{"trust":{"seq":1,"sum":"aa"},"sets":{"%s/%s":{"seq":3,"sum":"bb"}}}}}`,
		id, h, set)
	if err := os.WriteFile(s.SeenFile(), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	update := func(fn func(*Seen)) *Seen {
		t.Helper()
		if err := s.UpdateSeen(func(seen *Seen) error { fn(seen); return nil }); err != nil {
			t.Fatal(err)
		}
		seen, err := s.LoadSeen()
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	same := func(got, want Written) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("written %+v, want %+v", got, want)
		}
	}
	seen := update(func(seen *Seen) { seen.NoteManifest(id, h, set, Point{9, "cc"}) })
	same(seen.Written(id, h, set), Written{Point: Point{3, "bb"}})
	seen = update(func(seen *Seen) {
		seen.NoteNext(id, h, set, Point{4, "dd"})
		seen.NoteNext(id, h, set, Point{4, "ee"})
		seen.NoteNext(id, h, set, Point{4, "ee"})
	})
	same(seen.Written(id, h, set), Written{Point{3, "bb"}, []Point{{4, "dd"}, {4, "ee"}}})
	seen = update(func(seen *Seen) { seen.NoteWritten(id, h, set, Point{4, "ee"}) })
	same(seen.Written(id, h, set), Written{Point: Point{4, "ee"}})

	// Nothing is taken for written where there was no file, or one without sets.
	if err := os.Remove(s.SeenFile()); err != nil {
		t.Fatal(err)
	}
	update(func(seen *Seen) { seen.NoteTrust(id, Point{1, "aa"}) })
	seen = update(func(seen *Seen) { seen.NoteManifest(id, h, set, Point{9, "cc"}) })
	same(seen.Written(id, h, set), Written{})
}
