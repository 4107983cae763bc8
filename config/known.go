package config

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"vaultik/vault/layout"
)

const knownFile = "known_stores.json"

// Known are the stores this machine has used and their owners, like the known hosts of
// ssh.
type Known struct {
	V      int          `json:"v"`
	Stores []KnownStore `json:"stores"`

	// Hosts are the names of hosts of any store, for those who cannot read them there.
	Hosts map[layout.HostID]Text `json:"hosts,omitempty"`
}

// NoteHost remembers the name of a host, and reports whether that is new.
func (k *Known) NoteHost(id layout.HostID, name string) (changed bool) {
	if k.Hosts == nil {
		k.Hosts = map[layout.HostID]Text{}
	}
	changed = k.Hosts[id] != Text(name)
	k.Hosts[id] = Text(name)
	return changed
}

// KnownStore pins the owner of one store.
type KnownStore struct {
	Store layout.StoreID `json:"store"`
	URL   string         `json:"url"`
	Owner string         `json:"owner"` // fingerprint, SHA256:...
	Since time.Time      `json:"since"`

	// Mirror: store copy made it from another place. It may be behind that one.
	Mirror bool `json:"mirror,omitempty"`
}

// ByURL finds the store pinned for a URL.
func (k *Known) ByURL(url string) (KnownStore, bool) {
	for _, s := range k.Stores {
		if s.URL == url {
			return s, true
		}
	}
	return KnownStore{}, false
}

// ByID finds the owner pinned for a store id, under whatever URL.
func (k *Known) ByID(id layout.StoreID) (KnownStore, bool) {
	for _, s := range k.Stores {
		if s.Store == id {
			return s, true
		}
	}
	return KnownStore{}, false
}

// Pin records the owner of a store; older pins of its id or URL with another owner are
// removed.
func (k *Known) Pin(s KnownStore) {
	k.Stores = append(slices.DeleteFunc(k.Stores, func(o KnownStore) bool {
		return o.URL == s.URL || o.Store == s.Store && o.Owner != s.Owner
	}), s)
}

// Forget removes every pin of a store.
func (k *Known) Forget(id layout.StoreID) {
	k.Stores = slices.DeleteFunc(k.Stores, func(s KnownStore) bool { return s.Store == id })
}

// LoadKnown reads known_stores.json; a missing one knows none.
func (s State) LoadKnown() (*Known, error) {
	known := Known{V: stateVersion}
	f := s.Path(knownFile)
	err := s.load(knownFile, "put back a copy, or meet every store anew (give --owner then): mv "+
		Quote(f)+" "+Quote(f+".broken"), &known)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &known, nil
}

// UpdateKnown changes known_stores.json with no other process in between.
func (s State) UpdateKnown(fn func(*Known) error) error {
	return s.locked(func() error {
		known, err := s.LoadKnown()
		if err != nil {
			return err
		}
		if err := fn(known); err != nil {
			return err
		}
		return s.save(knownFile, known)
	})
}
