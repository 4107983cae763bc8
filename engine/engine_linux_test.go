package engine_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/backends"
	_ "vaultik/backends/file"
	"vaultik/backends/mem"
	"vaultik/config"
	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/treecmp"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// heard keeps what a sink hears.
type heard struct {
	mu   sync.Mutex
	all  []events.Event
	runs atomic.Int64 // parts of jobs that are shown
}

func (h *heard) Tell(e events.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, e)
}

func (h *heard) Watch(events.Work) (done func()) {
	h.runs.Add(1)
	return func() {}
}

// eventsOf are those of one type.
func eventsOf[E events.Event](h *heard) (out []E) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.all {
		if e, ok := e.(E); ok {
			out = append(out, e)
		}
	}
	return out
}

// machine is one that was set up, with a store of its own.
type machine struct {
	*testing.T
	dir   string
	store string
	key   *keys.Identity
}

func newMachine(t *testing.T, store string) *machine {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	m := &machine{T: t, dir: dir, store: store}
	sink := &heard{}
	_, err := m.engine(func(o *engine.Options) { o.Store = &store }).Init(t.Context(),
		engine.InitOptions{}, sink)
	m.must(err)
	made := eventsOf[events.StoreMade](sink)
	if len(made) != 1 || !made[0].Secret {
		t.Fatalf("%+v", made)
	}
	kit, err := os.ReadFile(made[0].Kit)
	m.must(err)
	for line := range strings.Lines(string(kit)) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			m.key, err = keys.ParseIdentity(strings.TrimSpace(line))
			m.must(err)
		}
	}
	return m
}

func (m *machine) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatalf("%+v", engine.Explain(err))
	}
}

func (m *machine) engine(set func(*engine.Options)) *engine.Engine {
	o := engine.Options{Config: filepath.Join(m.dir, "conf", "config.yaml"), Identity: m.key}
	if set != nil {
		set(&o)
	}
	e, err := engine.Open(o)
	m.must(err)
	return e
}

// write makes a file below the machine's directory.
func (m *machine) write(name, text string) {
	path := filepath.Join(m.dir, name)
	m.must(os.MkdirAll(filepath.Dir(path), 0o700))
	m.must(os.WriteFile(path, []byte(text), 0o600))
}

// All that can be asked is asked twice of one engine in one process, and twice at once.
func TestEngine_ManyJobs(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	m := newMachine(t, store)
	e, mirror, src := m.engine(nil), filepath.Join(m.dir, "mirror"), filepath.Join(m.dir, "src")
	for round := range 2 {
		m.write("src/changing", strings.Repeat(fmt.Sprint("round ", round), 1000))
		m.write(fmt.Sprint("src/dir/new", round), "x")
		sink := &heard{}
		res, err := e.Backup(t.Context(), engine.BackupOptions{Paths: []string{src}, Set: "s"},
			sink)
		m.must(err)
		if saved := eventsOf[events.Saved](sink); len(saved) != 1 ||
			saved[0].Files != int64(2+round) {
			t.Errorf("round %d: %+v", round, saved)
		}
		if res.New != int64(2-round) || res.Changed+res.Unchanged != int64(2*round) ||
			res.Snapshot == "" {
			t.Errorf("round %d: counts of another job: %+v", round, res.Totals)
		}
		m.restore(e, src, fmt.Sprint("back", round), "latest:"+src)
		verified, err := e.Verify(t.Context(), engine.VerifyOptions{ReadData: true}, events.Discard)
		m.must(err)
		if !verified.Whole || verified.Verified.Snapshots != round+1 ||
			verified.Verified.Problems != 0 {
			t.Errorf("round %d: %+v", round, verified)
		}
		copied, err := e.Copy(t.Context(), engine.CopyOptions{To: mirror}, events.Discard)
		m.must(err)
		if !copied.Whole || copied.Copied.New != 1 || copied.Copied.Snapshots != round+1 {
			t.Errorf("round %d: %+v", round, copied)
		}
	}
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() { m.restore(e, src, fmt.Sprint("beside", i), "latest:"+src) })
	}
	wg.Wait()
	list, err := m.engine(func(o *engine.Options) { o.Store = &mirror }).Snapshots(t.Context(),
		engine.Pick{}, events.Discard)
	m.must(err)
	if len(list.List) != 2 {
		t.Errorf("the mirror has %d snapshots", len(list.List))
	}
}

func (m *machine) restore(e *engine.Engine, src, target, spec string) {
	target = filepath.Join(m.dir, target)
	sink := &heard{}
	if _, err := e.Restore(m.Context(), engine.RestoreOptions{Snapshot: spec, Target: target,
		Verify: true}, sink); err != nil {
		m.Errorf("%+v", engine.Explain(err))
		return
	}
	if done := eventsOf[events.Done](sink); len(done) != 1 {
		m.Errorf("%+v", done)
	}
	res, err := treecmp.Compare(m.Context(), src, target, treecmp.Options{})
	if err != nil || len(res.Differences) > 0 {
		m.Errorf("%v, %v", res, err)
	}
}

// A limit, a broken configuration and an interruption are of one job, not of the next.
func TestEngine_JobsAreFresh(t *testing.T) {
	m := newMachine(t, filepath.Join(t.TempDir(), "store"))
	m.write("src/a", "a")
	e, o := m.engine(nil), engine.BackupOptions{Paths: []string{filepath.Join(m.dir, "src")}}
	p, err := e.Places(t.Context(), events.Discard)
	m.must(err)
	file := p.Config
	good, err := os.ReadFile(file)
	m.must(err)
	m.must(os.WriteFile(file, append(bytes.Clone(good), "oops: 1\n"...), 0o600))
	if _, err := e.Backup(t.Context(), o, events.Discard); err == nil ||
		engine.Explain(err).Exit != 64 {
		t.Fatalf("%v", err)
	}
	m.must(os.WriteFile(file, good, 0o600))
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := e.Backup(ended, o, events.Discard); err == nil {
		t.Fatal("a backup whose context has ended was made")
	}
	_, err = e.Backup(t.Context(), o, events.Discard)
	m.must(err)
}

// telling calls fn with the first path of which something is told.
type telling struct {
	events.Sink
	once sync.Once
	fn   func()
}

func (s *telling) Tell(e events.Event) {
	if _, ok := e.(events.Item); ok {
		s.once.Do(s.fn)
	}
}

// While a backup runs, another one of the same host is told to wait, and restores run.
func TestEngine_BesideABackup(t *testing.T) {
	m := newMachine(t, filepath.Join(t.TempDir(), "store"))
	m.write("src/a", "a")
	e, src := m.engine(nil), filepath.Join(m.dir, "src")
	o := engine.BackupOptions{Paths: []string{src}}
	_, err := e.Backup(t.Context(), o, events.Discard)
	m.must(err)
	m.write("src/b", "b")
	ran := false
	_, err = e.Backup(t.Context(), o, &telling{Sink: events.Discard, fn: func() {
		ran = true
		if _, err := e.Backup(t.Context(), o, events.Discard); err == nil || engine.Explain(err).Exit != fault.Busy {
			t.Errorf("a second backup of this host: %v", err)
		}
		target := filepath.Join(m.dir, "back")
		_, err := e.Restore(t.Context(), engine.RestoreOptions{Snapshot: "latest:" + src, Target: target}, events.Discard)
		if err != nil {
			t.Errorf("%+v", engine.Explain(err))
		}
	}})
	m.must(err)
	if !ran {
		t.Error("nothing was told")
	}
}

// counting is a store that counts what is read of it: counted://NAME.
type counting struct {
	backends.Backend
	gets *atomic.Int64
}

var manifestsRead atomic.Int64

func init() {
	backends.Register("counted", func(ctx context.Context, u *url.URL,
		o backends.Options) (backends.Backend, error) {
		b, err := backends.Open(ctx, "mem://"+u.Host, o)
		return counting{b, &manifestsRead}, err
	})
}

func (b counting) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser,
	backends.ObjectInfo, error) {
	if strings.Contains(key, "/m/") {
		b.gets.Add(1)
	}
	return b.Backend.Get(ctx, key, off, n)
}

// The newest snapshot is found by listing: what is read for it does not grow with the
// number of those before it. A list reads them all.
func TestEngine_LatestReadsFew(t *testing.T) {
	const snapshots = 300
	t.Cleanup(func() { mem.Drop("latest") })
	m := newMachine(t, "counted://latest")
	m.write("src/a", "a")
	e, src := m.engine(nil), filepath.Join(m.dir, "src")
	backup := func() {
		t.Helper()
		_, err := e.Backup(t.Context(), engine.BackupOptions{Paths: []string{src}}, events.Discard)
		m.must(err)
	}
	backup()
	m.lengthen(snapshots - 1)
	reads := func(what func()) int64 {
		manifestsRead.Store(0)
		what()
		return manifestsRead.Load()
	}
	for _, c := range []struct {
		name string
		ask  func()
	}{
		{"backup", backup},
		{"restore", func() { m.restore(e, src, "back", "latest:"+src) }},
		{"ls", func() {
			_, err := e.List(t.Context(), engine.ListOptions{Snapshot: "latest"}, events.Discard)
			m.must(err)
		}},
	} {
		if n := reads(c.ask); n > 2 { // the newest, and the one before it
			t.Errorf("%s reads %d of %d manifests", c.name, n, snapshots)
		}
	}
	for _, c := range []struct {
		name  string
		edit  func(*engine.Options)
		reads int64
	}{
		{"cold", nil, snapshots - 1}, // what a restore has read is in the cache
		{"warm", nil, 1},
		{"without the cache", func(o *engine.Options) { o.NoCache = true }, snapshots},
	} {
		n := reads(func() {
			// Without the key: all have the root of the first.
			list, err := m.engine(func(o *engine.Options) {
				o.Identity = nil
				if c.edit != nil {
					c.edit(o)
				}
			}).Snapshots(t.Context(), engine.Pick{}, events.Discard)
			m.must(err)
			if len(list.List) != snapshots {
				t.Errorf("%s: %d snapshots are listed", c.name, len(list.List))
			}
		})
		if n != c.reads {
			t.Errorf("%s: the list reads %d manifests, want %d", c.name, n, c.reads)
		}
	}
	// A check reads the store, whatever the cache has.
	n := reads(func() {
		_, err := m.engine(func(o *engine.Options) { o.Identity = nil }).Verify(t.Context(),
			engine.VerifyOptions{}, events.Discard)
		m.must(err)
	})
	if n != snapshots {
		t.Errorf("verify reads %d manifests", n)
	}
}

// lengthen adds to the only chain of the store until it has n manifests, all of the
// same contents, and remembers the last.
func (m *machine) lengthen(n int) {
	m.Helper()
	b, err := backends.Open(m.Context(), m.store, backends.Options{})
	m.must(err)
	defer b.Close()
	state := config.NewState(filepath.Join(m.dir, "conf"))
	host, err := state.LoadHost()
	m.must(err)
	st, err := snapshot.OpenStore(m.Context(), backends.Objects(b), snapshot.Pin{})
	m.must(err)
	loaded, _, err := st.Manifests(m.Context(), snapshot.Filter{})
	m.must(err)
	last := *loaded[0].Manifest
	sum := loaded[0].Sum
	for last.Seq < uint64(n) {
		last.Seq, last.Prev, last.Time = last.Seq+1, sum, last.Time.Add(time.Second)
		sum = m.put(b, &last, host.Signer)
	}
	m.must(state.UpdateSeen(func(s *config.Seen) error {
		s.NoteWritten(last.Store, last.Host, last.Set, config.Point{Seq: last.Seq,
			Sum: sum.String()})
		return nil
	}))
}

func (m *machine) put(b backends.Backend, manifest *snapshot.Manifest,
	signer *keys.Signer) snapshot.Sum {
	m.Helper()
	raw, err := snapshot.EncodeManifest(manifest, signer)
	m.must(err)
	sum := sha256.Sum256(raw)
	_, err = b.Put(m.Context(), layout.Manifest(manifest.Host, manifest.Set, manifest.Seq),
		backends.Bytes(raw, &sum), backends.PutOptions{IfAbsent: true})
	m.must(err)
	return sum
}

// A copy that ends before its first object is there does not bar the next one.
func TestCopy_endedAtOnce(t *testing.T) {
	m := newMachine(t, filepath.Join(t.TempDir(), "store"))
	m.write("src/a", "a")
	e, mirror := m.engine(nil), filepath.Join(m.dir, "mirror")
	_, err := e.Backup(t.Context(), engine.BackupOptions{Paths: []string{filepath.Join(m.dir,
		"src")}}, events.Discard)
	m.must(err)
	for _, c := range []struct {
		there string
		ok    bool
	}{{"trust/.tmp", true}, {"trust/mine", false}, {"mine/.tmp", false}} {
		m.must(os.RemoveAll(mirror))
		m.write(filepath.Join("mirror", c.there), "")
		res, err := e.Copy(t.Context(), engine.CopyOptions{To: mirror}, events.Discard)
		if (err == nil) != c.ok || res.Whole != c.ok {
			t.Errorf("%s: %+v, %v", c.there, res, err)
		}
	}
}
