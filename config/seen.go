package config

import (
	"errors"
	"io/fs"
	"strings"

	"vaultik/vault/layout"
)

const seenFile = "seen.json"

// Seen is the newest that this machine has seen of each store. A store can show
// an old state of itself at any time; this is the memory that notices.
type Seen struct {
	V      int                           `json:"v"`
	Stores map[layout.StoreID]*SeenStore `json:"stores"`
	// Mirrors is what was seen of places that store copy has made, by URL: they may
	// be behind their store, but not behind what they were.
	Mirrors map[string]*SeenStore `json:"mirrors,omitempty"`
}

// SeenStore is the newest of one store.
type SeenStore struct {
	Trust Point                   `json:"trust"`
	Sets  map[string]Point        `json:"sets,omitempty"` // manifests, by <host>/<set>
	GC    map[layout.HostID]Point `json:"gc,omitempty"`
}

// Point is one signed object: its number and the SHA-256 of its bytes in hex.
type Point struct {
	Seq uint64 `json:"seq"`
	Sum string `json:"sum"`
}

func (s *Seen) store(id layout.StoreID) *SeenStore {
	if s.Stores == nil {
		s.Stores = map[layout.StoreID]*SeenStore{}
	}
	return entry(s.Stores, id)
}

func entry[K comparable](all map[K]*SeenStore, key K) *SeenStore {
	st := all[key]
	if st == nil {
		st = &SeenStore{}
		all[key] = st
	}
	if st.Sets == nil {
		st.Sets = map[string]Point{}
	}
	if st.GC == nil {
		st.GC = map[layout.HostID]Point{}
	}
	return st
}

// Mirror is what was seen of the mirror at url. Changing it is remembered like any
// other change.
func (s *Seen) Mirror(url string) *SeenStore {
	if s.Mirrors == nil {
		s.Mirrors = map[string]*SeenStore{}
	}
	return entry(s.Mirrors, url)
}

// Note remembers p of a set, whatever was remembered.
func (st *SeenStore) Note(h layout.HostID, set layout.SetID, p Point) {
	st.Sets[h.String()+"/"+set.String()] = p
}

// Trust is the highest trust list seen; Seq 0 is none.
func (s *Seen) Trust(id layout.StoreID) Point { return s.store(id).Trust }

// Manifest is the highest manifest of a set that was seen; Seq 0 is none.
func (s *Seen) Manifest(id layout.StoreID, h layout.HostID, set layout.SetID) Point {
	return s.store(id).Sets[h.String()+"/"+set.String()]
}

// GC is the highest gc object seen of a host; Seq 0 is none.
func (s *Seen) GC(id layout.StoreID, h layout.HostID) Point { return s.store(id).GC[h] }

// GCs are the highest gc objects seen of all hosts of a store.
func (s *Seen) GCs(id layout.StoreID) map[layout.HostID]Point { return s.store(id).GC }

// NoteTrust remembers p if it is higher than what is remembered.
func (s *Seen) NoteTrust(id layout.StoreID, p Point) {
	if st := s.store(id); p.Seq > st.Trust.Seq {
		st.Trust = p
	}
}

// NoteManifest remembers p if it is higher than what is remembered.
func (s *Seen) NoteManifest(id layout.StoreID, h layout.HostID, set layout.SetID, p Point) {
	key := h.String() + "/" + set.String()
	if st := s.store(id); p.Seq > st.Sets[key].Seq {
		st.Sets[key] = p
	}
}

// NoteGC remembers p if it is higher than what is remembered.
func (s *Seen) NoteGC(id layout.StoreID, h layout.HostID, p Point) {
	if st := s.store(id); p.Seq > st.GC[h].Seq {
		st.GC[h] = p
	}
}

// SetOf names one set of one host.
type SetOf struct {
	Host layout.HostID
	Set  layout.SetID
}

// Manifests are the highest manifests seen of all sets of a store.
func (s *Seen) Manifests(id layout.StoreID) map[SetOf]Point { return s.store(id).Manifests() }

// Manifests are the highest manifests seen of all sets. Malformed names are skipped.
func (st *SeenStore) Manifests() map[SetOf]Point {
	out := map[SetOf]Point{}
	for name, p := range st.Sets {
		host, set, _ := strings.Cut(name, "/")
		var k SetOf
		if k.Host.UnmarshalText([]byte(host)) == nil && k.Set.UnmarshalText([]byte(set)) == nil {
			out[k] = p
		}
	}
	return out
}

// SeenFile is the path of seen.json.
func (s State) SeenFile() string { return s.Path(seenFile) }

// LoadSeen reads seen.json; a missing one remembers nothing.
func (s State) LoadSeen() (*Seen, error) {
	seen := Seen{V: stateVersion}
	f := s.Path(seenFile)
	err := s.load(seenFile, "put back a copy, or forget what was seen, and with it notice no rollback before now: mv "+
		Quote(f)+" "+Quote(f+".broken"), &seen)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &seen, nil
}

// UpdateSeen changes seen.json with no other process in between.
func (s State) UpdateSeen(fn func(*Seen) error) error {
	return s.locked(func() error {
		seen, err := s.LoadSeen()
		if err != nil {
			return err
		}
		if err := fn(seen); err != nil {
			return err
		}
		return s.save(seenFile, seen)
	})
}
