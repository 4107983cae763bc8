package engine_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vaultik/actors"
	"vaultik/actors/prune"
	"vaultik/backends"
	"vaultik/backends/mem"
	"vaultik/config"
	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/gc"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// backend opens the machine's store.
func (m *machine) backend() backends.Backend {
	m.Helper()
	b, err := backends.Open(m.Context(), m.store, backends.Options{})
	m.must(err)
	m.Cleanup(func() { _ = b.Close() })
	return b
}

func (m *machine) state() config.State { return config.NewState(filepath.Join(m.dir, "conf")) }

// garbage puts n blobs of a host that nothing needs into the store.
func (m *machine) garbage(b backends.Backend, host layout.HostID, n int) {
	m.Helper()
	for i := range n {
		data := fmt.Appendf(nil, "garbage %d", i)
		sum := sha256.Sum256(data)
		_, err := b.Put(m.Context(), layout.Blob(host, sum), backends.Bytes(data, &sum),
			backends.PutOptions{})
		m.must(err)
	}
}

func (m *machine) prune(o engine.PruneOptions) ([]events.Pruned, error) {
	m.Helper()
	sink := &heard{}
	_, err := m.engine(nil).Prune(m.Context(), o, sink)
	return eventsOf[events.Pruned](sink), err
}

// How long prune waits: not at all on a disk of this machine, while nothing else writes as this
// host or was killed while it did; then, and on a remote store, 15 minutes; else three days,
// for what has been there for a week. A dry run says the same, and changes nothing.
func TestPrune_Times(t *testing.T) {
	t.Cleanup(func() { mem.Drop("prune") })
	for name, c := range map[string]struct {
		store   string // "": a directory
		before  func(m *machine) (after func())
		want    gc.Times
		waiting int64
	}{
		"a directory": {want: gc.Times{}},
		"killed": {before: func(m *machine) func() {
			m.must(os.WriteFile(m.state().Path("host.lock"), []byte("1 1\n"), 0o600))
			return func() {}
		}, want: gc.Near, waiting: 3},
		"beside a backup": {before: func(m *machine) func() {
			l, err := m.state().LockHost()
			m.must(err)
			return l.Release
		}, want: gc.Far},
		"remote": {store: "mem://prune", want: gc.Near, waiting: 3},
	} {
		t.Run(name, func(t *testing.T) {
			store := c.store
			if store == "" {
				store = filepath.Join(t.TempDir(), "store")
			}
			m := newMachine(t, store)
			m.write("src/a", strings.Repeat("a", 5000))
			src := filepath.Join(m.dir, "src")
			_, err := m.engine(nil).Backup(t.Context(), engine.BackupOptions{Paths: []string{src}},
				events.Discard)
			m.must(err)
			host, err := m.state().LoadHost()
			m.must(err)
			b := m.backend()
			m.garbage(b, host.ID, 3)
			if c.before != nil {
				defer c.before(m)()
			}
			for _, dry := range []bool{true, false} {
				all, err := m.prune(engine.PruneOptions{DryRun: dry})
				m.must(err)
				if len(all) != 1 {
					t.Fatalf("%+v", all)
				}
				e := all[0]
				if e.Grace != c.want.Grace.Seconds() || e.Age != c.want.Age.Seconds() || e.AfterBackup {
					t.Errorf("dry %v: waits %v s after %v s", dry, e.Grace, e.Age)
				}
				gone, young := int64(0), int64(0)
				switch c.want {
				case gc.Times{}:
					gone = 3
				case gc.Far:
					young = 3
				}
				deleted := gone
				if dry {
					deleted = 0
				}
				if e.Ripe.Objects != gone || e.Deleted.Objects != deleted || e.Young.Objects != young ||
					e.Waiting.Objects != c.waiting || (e.Next != nil) != (c.waiting > 0) || e.DryRun != dry {
					t.Errorf("dry %v: %+v", dry, e)
				}
				list, err := backends.List(t.Context(), b, layout.GCPrefix(host.ID))
				m.must(err)
				if dry == (len(list) > 0) {
					t.Errorf("dry %v: %d gc objects", dry, len(list))
				}
			}
		})
	}
}

// What is wrong with one host does not stop the others, and ends the command with its own exit
// code and the command that shows it. Who has no right to prune is told before anything.
func TestPrune_Hosts(t *testing.T) {
	m := newMachine(t, filepath.Join(t.TempDir(), "store"))
	m.write("src/a", "a")
	_, err := m.engine(nil).Backup(t.Context(),
		engine.BackupOptions{Paths: []string{filepath.Join(m.dir, "src")}}, events.Discard)
	m.must(err)
	b := m.backend()
	own, err := m.state().LoadHost()
	m.must(err)
	other, fine := layout.NewHostID(), layout.NewHostID()
	trust := func(seq uint64, roles ...string) {
		t.Helper()
		st, err := snapshot.OpenStore(t.Context(), backends.Objects(b), snapshot.Pin{})
		m.must(err)
		next := st.Trust
		sum, err := config.Point{Seq: st.TrustSeq, Sum: st.TrustSum}.Hash()
		m.must(err)
		next.Seq, next.Prev = seq, sum
		next.Hosts = []snapshot.TrustHost{{Host: own.ID, Key: own.Signer.Public(), Roles: roles}}
		for _, h := range []layout.HostID{other, fine} {
			next.Hosts = append(next.Hosts, snapshot.TrustHost{Host: h, Key: keys.NewSigner().Public(),
				Roles: []string{snapshot.RoleWrite}})
		}
		kit, err := os.ReadFile(filepath.Join(m.dir, "conf", "recovery-kit.txt"))
		m.must(err)
		k, err := keys.ParseKit(kit)
		m.must(err)
		data, err := snapshot.EncodeTrust(next, k.Owner)
		m.must(err)
		_, err = b.Put(t.Context(), layout.Trust(seq), backends.Bytes(data, nil), backends.PutOptions{})
		m.must(err)
	}
	trust(2, snapshot.RoleWrite, snapshot.RolePrune)
	for _, h := range []layout.HostID{own.ID, other, fine} {
		m.garbage(b, h, 2)
	}
	_, err = b.Put(t.Context(), layout.Manifest(other, layout.NewSetID(), 1),
		backends.Bytes([]byte("damaged"), nil), backends.PutOptions{})
	m.must(err)
	all, err := m.prune(engine.PruneOptions{Hosts: []string{other.String(), own.ID.String()[:6],
		fine.String()}})
	e := engine.Explain(err)
	if e.Exit != fault.Damage || !strings.Contains(e.Message, "prune host "+other.String()) ||
		!strings.Contains(e.Hint, "vaultik --config ") || !strings.Contains(e.Hint, " verify") {
		t.Errorf("%+v", e)
	}
	if len(all) != 3 || all[0].Error == "" || all[1].Deleted.Objects != 2 || all[2].Error != "" ||
		all[2].Young.Objects != 2 || all[2].Grace != gc.Far.Grace.Seconds() {
		t.Errorf("%+v", all)
	}
	list, err := backends.List(t.Context(), b, layout.BlobPrefix(other))
	m.must(err)
	if len(list) != 2 {
		t.Errorf("%d of 2 blobs are left of the host with a damaged snapshot", len(list))
	}
	for _, name := range []string{"nobody", "", "0"} {
		if _, err := m.prune(engine.PruneOptions{Hosts: []string{name}}); engine.Explain(err).Exit != fault.Usage {
			t.Errorf("--host %q: %v", name, err)
		}
	}
	trust(3, snapshot.RoleWrite)
	_, err = m.prune(engine.PruneOptions{})
	if e := engine.Explain(err); e.Exit != fault.Failed || !strings.Contains(e.Message, "right to prune") {
		t.Errorf("%+v", e)
	}
}

// meddler does something when the second part of a job is shown: when the snapshots have been
// listed, and before what they need is read.
type meddler struct {
	heard
	do func()
}

func (s *meddler) Watch(events.Work) (done func()) {
	if s.runs.Add(1) == 2 {
		s.do()
	}
	return func() {}
}

// A snapshot that is removed while it is read is no damage: it is said to be removed.
func TestPrune_RemovesWhatIsRead(t *testing.T) {
	m := newMachine(t, filepath.Join(t.TempDir(), "store"))
	m.write("src/a", strings.Repeat("one ", 1000))
	backup := func() string {
		res, err := m.engine(nil).Backup(t.Context(),
			engine.BackupOptions{Paths: []string{filepath.Join(m.dir, "src")}}, events.Discard)
		m.must(err)
		return res.Snapshot
	}
	b := m.backend()
	host, err := m.state().LoadHost()
	m.must(err)
	mirror := filepath.Join(m.dir, "mirror")
	for name, c := range map[string]struct {
		ask  func(old string, sink events.Sink) error
		says string // in the error; "": there is none
	}{
		"verify": {func(_ string, sink events.Sink) error {
			_, err := m.engine(nil).Verify(t.Context(), engine.VerifyOptions{}, sink)
			return err
		}, ""},
		"copy": {func(_ string, sink events.Sink) error {
			_, err := m.engine(nil).Copy(t.Context(), engine.CopyOptions{To: mirror}, sink)
			return err
		}, ""},
		"restore": {func(old string, sink events.Sink) error {
			_, err := m.engine(nil).Restore(t.Context(), engine.RestoreOptions{Snapshot: old,
				Target: filepath.Join(m.dir, "back")}, sink)
			return err
		}, "was removed from the store while it was restored"},
	} {
		m.write("src/a", strings.Repeat(name, 1000))
		old := backup()
		m.write("src/a", strings.Repeat("new ", 1000))
		backup()
		sink := &meddler{do: func() {
			st, err := snapshot.OpenStore(t.Context(), backends.Objects(b), snapshot.Pin{})
			m.must(err)
			system := actors.NewSystem(nil)
			defer system.Close()
			_, err = prune.Run(t.Context(), system, &prune.Spec{Store: b, Opened: st, Host: host.ID,
				Signer: host.Signer, Options: gc.Options{Now: time.Now(),
					Choose: func(all []*gc.Snapshot) (c gc.Choice, err error) {
						for _, s := range all[:len(all)-1] {
							c.Expire = append(c.Expire, s.Sum)
						}
						return c, nil
					}}})
			m.must(err)
		}}
		err := c.ask(old, sink)
		if sink.runs.Load() < 2 {
			t.Fatalf("%s: nothing was removed", name)
		}
		if c.says == "" {
			m.must(err)
		} else if e := engine.Explain(err); err == nil || !strings.Contains(e.Message, c.says) ||
			e.Exit != fault.Failed || !strings.Contains(e.Message, old[:8]) {
			t.Errorf("%s: %+v", name, e)
		}
		if said := eventsOf[events.Problem](&sink.heard); len(said) > 0 {
			t.Errorf("%s: %+v", name, said)
		}
	}
	if _, err := m.engine(nil).Verify(t.Context(), engine.VerifyOptions{ReadData: true},
		events.Discard); err != nil {
		t.Error(err)
	}
}
