package engine_test

import (
	"crypto/sha256"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vaultik/backends"
	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// repair repairs the machine's store, named if it is another machine's.
func (m *machine) repair(named bool, o engine.RepairStoreOptions) (*heard, events.Repaired, error) {
	m.Helper()
	m.home()
	sink := &heard{}
	res, err := m.engine(func(eo *engine.Options) {
		if named {
			eo.Store = &m.store
		}
	}).RepairStore(m.Context(), o, sink)
	return sink, res.Repaired, err
}

// files are the contents of a directory, by name.
func (m *machine) files(dir string) map[string]string {
	m.Helper()
	out := map[string]string{}
	m.must(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir+"/")] = string(b)
		return err
	}))
	return out
}

// What prune has condemned comes back only when its name is taken off that list, with the right
// to prune, and with it the snapshots that need it. Without that right, and in a dry run,
// nothing changes.
func TestRepair_CondemnedNames(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	m := newMachine(t, store)
	m.must(m.backup())
	m.must(m.backup())
	host := m.host()
	mirror := filepath.Join(m.dir, "mirror")
	m.must(os.CopyFS(mirror, os.DirFS(store)))
	whole := m.files(store)

	b := m.backend()
	g := &snapshot.GC{Store: host.Store, Host: host.ID, Seq: 1,
		Condemned: []snapshot.Condemned{{First: 1}}}
	elsewhere := layout.Object{Kind: layout.KindBlob, Sum: [32]byte{1}}.Name()
	c := &g.Condemned[0]
	c.Names = []string{elsewhere}
	var lost []string
	for key := range whole {
		o, err := layout.Parse(key)
		m.must(err)
		switch {
		case o.Name() != "" && o.Kind != layout.KindEpochKey:
			c.Names = append(c.Names, o.Name())
		case o.Kind != layout.KindManifest || o.Seq != 1:
			continue
		}
		lost = append(lost, key)
		m.must(b.Delete(t.Context(), key))
	}
	slices.Sort(c.Names)
	for ; g.Seq <= 2; g.Seq++ {
		raw, err := snapshot.EncodeGC(g, host.Signer)
		m.must(err)
		_, err = b.Put(t.Context(), layout.GC(host.ID, g.Seq), backends.Bytes(raw, nil),
			backends.PutOptions{})
		m.must(err)
		g.Prev, c.Deleted = sha256.Sum256(raw), 2
	}
	broken := m.files(store)

	reader := &machine{T: t, dir: t.TempDir(), store: store}
	for name, o := range map[string]struct {
		m    *machine
		dry  bool
		exit fault.Code
	}{
		"no right to prune": {m: reader, exit: fault.Damage},
		"a dry run":         {m: m, dry: true},
	} {
		sink, rep, err := o.m.repair(o.m == reader, engine.RepairStoreOptions{From: mirror,
			DryRun: o.dry})
		code, _, _ := fault.CodeOf(err)
		if code != o.exit || !maps.Equal(m.files(store), broken) {
			t.Errorf("%s: exit %d, %v", name, code, err)
		}
		if o.dry && (rep.Released != int64(len(c.Names)-1) || rep.Put != int64(len(lost))) ||
			!o.dry && (rep.Put != 0 || rep.Left < int64(len(lost))) {
			t.Errorf("%s: %+v", name, rep)
		}
		if p := eventsOf[events.Problem](sink); !o.dry && (len(p) == 0 || !strings.Contains(
			p[len(p)-1].Reason, "it is not put back, since prune has condemned it")) {
			t.Errorf("%s: %+v", name, p)
		}
	}

	sink, rep, err := m.repair(false, engine.RepairStoreOptions{From: mirror})
	m.must(err)
	if rep.Put != int64(len(lost)) || rep.Left != 0 || rep.FromMirror != rep.Put {
		t.Errorf("%+v", rep)
	}
	last := eventsOf[events.Repair](sink)[rep.Released+rep.Put-1]
	if o, err := layout.Parse(last.Key); err != nil || o.Kind != layout.KindManifest {
		t.Errorf("the manifest was not put last, but %+v", last)
	}
	now := m.files(store)
	for key, want := range whole {
		if now[key] != want {
			t.Errorf("%s is not what it was", key)
		}
	}
	raw := []byte(now[layout.GC(host.ID, 3)])
	left, err := snapshot.DecodeGC(raw, []keys.PublicKey{host.Signer.Public()})
	m.must(err)
	if len(left.Condemned) != 1 || !slices.Equal(left.Condemned[0].Names, []string{elsewhere}) {
		t.Errorf("still condemned: %+v", left.Condemned)
	}
	m.must(m.backup())
	_, err = m.prune(engine.PruneOptions{})
	m.must(err)
	res, err := m.engine(nil).Verify(t.Context(), engine.VerifyOptions{ReadData: true},
		events.Discard)
	m.must(err)
	if res.Verified.Snapshots != 3 {
		t.Errorf("%d snapshots are there", res.Verified.Snapshots)
	}
}

// What the mirror has in the place of something lost counts only if it is what was there: a
// fork, a forgery, another snapshot or a removed one is not put.
func TestRepair_WrongMirror(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	m := newMachine(t, store)
	for range 3 {
		m.must(m.backup())
	}
	manifests := map[uint64]string{}
	for key := range m.files(store) {
		if o, err := layout.Parse(key); err == nil && o.Kind == layout.KindManifest {
			manifests[o.Seq] = key
		}
	}
	mirror := filepath.Join(m.dir, "mirror")
	m.must(os.CopyFS(mirror, os.DirFS(store)))
	m.must(os.Remove(filepath.Join(store, manifests[2])))
	broken := m.files(store)
	host := m.host()
	good, err := os.ReadFile(filepath.Join(mirror, manifests[2]))
	m.must(err)
	doc, err := snapshot.DecodeManifest(good, host.Signer.Public())
	m.must(err)
	doc.Time = doc.Time.Add(time.Hour)
	fork, err := snapshot.EncodeManifest(doc, host.Signer)
	m.must(err)
	first, err := os.ReadFile(filepath.Join(mirror, manifests[1]))
	m.must(err)
	damaged := slices.Clone(good)
	damaged[len(damaged)/2] ^= 1
	for name, b := range map[string][]byte{"a fork": fork, "another": first, "damaged": damaged} {
		m.must(os.WriteFile(filepath.Join(mirror, manifests[2]), b, 0o600))
		_, rep, err := m.repair(false, engine.RepairStoreOptions{From: mirror})
		if code, _, _ := fault.CodeOf(err); code != fault.Damage || rep.Put != 0 ||
			!maps.Equal(m.files(store), broken) {
			t.Errorf("%s: %+v, %v", name, rep, err)
		}
	}
	m.must(os.WriteFile(filepath.Join(mirror, manifests[2]), good, 0o600))
	if _, rep, err := m.repair(false, engine.RepairStoreOptions{From: mirror}); err != nil ||
		rep.Put != 1 || m.files(store)[manifests[2]] != string(good) {
		t.Errorf("the right one: %+v, %v", rep, err)
	}

	// A snapshot that was removed does not come back with a lost one.
	ids := map[uint64]string{}
	for seq, key := range manifests {
		sum := sha256.Sum256([]byte(m.files(mirror)[key]))
		ids[seq] = snapshot.Sum(sum).String()
	}
	_, err = m.engine(nil).Remove(t.Context(), engine.RemoveOptions{Snapshots: []string{ids[1]}},
		events.Discard)
	m.must(err)
	m.must(os.Remove(filepath.Join(store, manifests[2])))
	if _, rep, err := m.repair(false, engine.RepairStoreOptions{From: mirror}); err != nil ||
		rep.Put != 1 || rep.Snapshots != 2 || m.files(store)[manifests[1]] != "" {
		t.Errorf("with a removed one: %+v, %v", rep, err)
	}
}
