package config

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"slices"
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

	// Written is what this machine itself has written, by <host>/<set>. It is kept apart
	// from Sets: whoever copied this machine's keys is noticed only by manifests that
	// this machine can see and did not write. It is nil only in files of older versions.
	Written map[string]Written `json:"written"`
}

// Written is the newest manifest of a set that this machine wrote, and those after it
// that it was about to write when it last noted anything: at most one of them is in the
// store.
type Written struct {
	Point
	Next []Point `json:"next,omitempty"` // all have one seq
}

// Point is one signed object: its number and the SHA-256 of its bytes in hex.
type Point struct {
	Seq uint64 `json:"seq"`
	Sum string `json:"sum"`
}

// Hash is Sum as bytes.
func (p Point) Hash() (sum [32]byte, err error) {
	b, err := hex.DecodeString(p.Sum)
	if err == nil && len(b) != len(sum) {
		err = errors.New("malformed checksum")
	}
	copy(sum[:], b)
	return sum, err
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
	if st.Written == nil {
		st.Written = map[string]Written{}
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
	st.Sets[setKey(h, set)] = p
}

func setKey(h layout.HostID, set layout.SetID) string { return h.String() + "/" + set.String() }

// Trust is the highest trust list seen; Seq 0 is none.
func (s *Seen) Trust(id layout.StoreID) Point { return s.store(id).Trust }

// Manifest is the highest manifest of a set that was seen; Seq 0 is none.
func (s *Seen) Manifest(id layout.StoreID, h layout.HostID, set layout.SetID) Point {
	return s.store(id).Sets[setKey(h, set)]
}

// Written is what this machine has written of a set; Seq 0 is nothing.
func (s *Seen) Written(id layout.StoreID, h layout.HostID, set layout.SetID) Written {
	return s.store(id).Written[setKey(h, set)]
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
	key := setKey(h, set)
	if st := s.store(id); p.Seq > st.Sets[key].Seq {
		st.Sets[key] = p
	}
}

// NoteWritten remembers that this machine wrote p, the newest manifest of a set, or that it
// goes on after p.
func (s *Seen) NoteWritten(id layout.StoreID, h layout.HostID, set layout.SetID, p Point) {
	s.store(id).Written[setKey(h, set)] = Written{Point: p}
	s.NoteManifest(id, h, set, p)
}

// maxNext is how many manifests that may or may not have been written are remembered
// for one place: each is of a run that was killed, or whose request was lost.
const maxNext = 64

// NoteNext remembers that this machine is about to write p, before it does. After a run
// that was killed meanwhile, p is known for its own.
func (s *Seen) NoteNext(id layout.StoreID, h layout.HostID, set layout.SetID, p Point) {
	st, key := s.store(id), setKey(h, set)
	w := st.Written[key]
	w.Next = slices.DeleteFunc(slices.Clone(w.Next), func(o Point) bool {
		return o.Seq != p.Seq || o == p
	})
	w.Next = append(w.Next, p)
	w.Next = w.Next[max(0, len(w.Next)-maxNext):]
	st.Written[key] = w
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

// ForgetSeen is what to do where seen.json is broken.
func (s State) ForgetSeen() string {
	f := s.Path(seenFile)
	hint := "put back a copy, or forget what was seen, and with it notice no rollback before now: mv " +
		Quote(f) + " " + Quote(f+".broken")
	if _, err := os.Lstat(s.HostFile()); err == nil { // it also holds what this host has written
		hint += " && vaultik host resume --same-host"
	}
	return hint
}

// SeenFile is the path of seen.json.
func (s State) SeenFile() string { return s.Path(seenFile) }

// LoadSeen reads seen.json; a missing one remembers nothing.
func (s State) LoadSeen() (*Seen, error) {
	seen := Seen{V: stateVersion}
	err := s.load(seenFile, s.ForgetSeen(), &seen)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, st := range seen.Stores {
		st.adopt()
	}
	return &seen, nil
}

// adopt takes what an older version noted, which noted of its own sets only what it wrote.
func (st *SeenStore) adopt() {
	if st == nil || st.Written != nil {
		return
	}
	st.Written = map[string]Written{}
	for key, p := range st.Sets {
		st.Written[key] = Written{Point: p}
	}
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
