package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"vaultik/internal/fuzzbound"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// FuzzState reads any bytes as each of the state files. What is accepted comes
// back the same after it was written.
func FuzzState(f *testing.F) {
	state := NewState(f.TempDir())
	var signer keys.Signer
	if err := signer.UnmarshalText([]byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")); err != nil {
		f.Fatal(err)
	}
	when := time.Unix(1e9, 0).UTC()
	host := &Host{V: 1, Store: layout.StoreID{1}, StoreURL: "file:///s", Owner: signer.Public(), ID: layout.HostID{2}, Secret: keys.HostSecret{3}, Signer: &signer,
		Epoch: &keys.EpochKey{ID: layout.Epoch{4}, Recipient: "age1", Born: when, Sum: "00", Size: 5}, Machine: "m", Kit: "/k"}
	sets := &Sets{V: 1, Sets: []SetRecord{{ID: layout.SetID{5}, Name: "a\xff", Paths: []Text{"/a", "/b\n"}}}}
	known := &Known{V: 1, Stores: []KnownStore{{Store: layout.StoreID{1}, URL: "file:///s", Owner: "SHA256:x", Since: when}}}
	seen := &Seen{V: 1}
	seen.NoteTrust(layout.StoreID{1}, Point{3, "ff"})
	seen.NoteManifest(layout.StoreID{1}, layout.HostID{2}, layout.SetID{5}, Point{4, "ee"})
	seen.NoteNext(layout.StoreID{1}, layout.HostID{2}, layout.SetID{5}, Point{5, "ff"})
	seen.NoteGC(layout.StoreID{1}, layout.HostID{2}, Point{5, "dd"})
	files := []struct {
		name string
		good any
		load func() (any, error)
	}{
		{hostFile, host, func() (any, error) { return state.LoadHost() }},
		{setsFile, sets, func() (any, error) { return state.LoadSets() }},
		{knownFile, known, func() (any, error) { return state.LoadKnown() }},
		{seenFile, seen, func() (any, error) { return state.LoadSeen() }},
	}
	write := func(t testing.TB, name string, b []byte) { // not save, which waits for the disk
		if err := os.WriteFile(state.Path(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, file := range files {
		b, err := json.MarshalIndent(file.good, "", "  ")
		if err != nil {
			f.Fatal(err)
		}
		write(f, file.name, b)
		if _, err := file.load(); err != nil {
			f.Fatalf("the seed of %s: %v", file.name, err)
		}
		f.Add(uint8(i), b)
		f.Add(uint8(i), b[:len(b)/2])
	}
	f.Add(uint8(0), []byte(`{"v":2}`))
	f.Add(uint8(1), []byte(`{"v":1,"sets":[{},{}]} x`))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		file := files[int(which)%len(files)]
		write(t, file.name, b)
		var v any
		var err error
		fuzzbound.Check(t, 256<<10+200*int64(len(b)), func() { v, err = file.load() })
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		once, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%s: what was read cannot be written: %v", file.name, err)
		}
		write(t, file.name, once)
		if v, err = file.load(); err != nil {
			t.Fatalf("%s: what was written cannot be read: %v\n%s", file.name, err, once)
		}
		if twice, err := json.Marshal(v); err != nil || !bytes.Equal(twice, once) {
			t.Fatalf("%s: written twice, it differs: %v\n%s\n%s", file.name, err, once, twice)
		}
	})
}
