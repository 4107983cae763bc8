package backup_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/backends"
	"vaultik/backends/faulty"
	"vaultik/index"
	"vaultik/vault/blob"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// traced is a host whose runs have no actors, and need 17 blobs of five bytes: one that the run
// stores itself, and 16 that are in the store and the index, behind which a list is cut.
type traced struct {
	*jobtest.Host
	inner      backends.Backend // without faults
	boot, wall time.Duration    // how far the clocks are ahead
	weak       bool             // the store cannot create only if absent
	gcs        uint64
	gc         snapshot.GC
	sum        snapshot.Sum // of gc
	runs       int
	old        []blob.Info
	said       []string
}

func newTraced(t *testing.T) *traced {
	h := &traced{Host: jobtest.New(t)}
	h.inner = h.Store
	began := time.Now()
	h.Now = func() time.Time { return began.Add(h.wall) }
	h.Edit = func(s *backup.Spec) {
		s.Faults.Boot = func() time.Duration { return h.boot }
		s.Warn = func(text string) { h.said = append(h.said, text) }
	}
	p := h.prepare()
	defer p.End()
	for i := range 16 { // no list has less
		h.old = append(h.old, h.blob(p, fmt.Sprint("old", i), i == 15))
	}
	return h
}

func (h *traced) prepare() *backup.Prepared {
	h.T.Helper()
	p, err := backup.Prepare(h.Spec())
	jobtest.Must(h.T, err)
	return p
}

// blob makes one that the store and the index have.
func (h *traced) blob(p *backup.Prepared, what string, ends bool) blob.Info {
	h.T.Helper()
	in := blob.Info{Name: sha256.Sum256([]byte(what)), Size: 5, Epoch: p.Epoch()}
	if in.Name[31] |= 1; ends { // a list
		in.Name[30], in.Name[31] = 0, 0
	}
	h.Put(layout.Blob(h.Host.Host.ID, in.Name), []byte("bytes"))
	_, err := h.Spec().Index.Write(&index.Batch{Blobs: []index.StoredBlob{{Info: in}}})
	jobtest.Must(h.T, err)
	return in
}

// run prepares a run up to its commit.
func (h *traced) run() *backup.Prepared {
	h.T.Helper()
	h.runs++
	p := h.prepare()
	for _, in := range h.old {
		p.Use(in, false)
	}
	p.Use(h.blob(p, fmt.Sprint("new", h.runs), false), true)
	return p
}

// commits makes a snapshot, and checks what came of it.
func (h *traced) commits(p *backup.Prepared, wantSeq uint64, wantMissing int) {
	h.T.Helper()
	defer p.End()
	seq, missing, err := p.Commit()
	if err != nil || seq != wantSeq || missing != wantMissing {
		h.T.Errorf("snapshot %d, %d missing, error %v; want snapshot %d, %d missing",
			seq, missing, err, wantSeq, wantMissing)
	}
	if missing == 0 {
		h.wholeNewest()
	}
}

// wholeNewest checks that the store has all that the newest snapshot needs, and that prune has
// condemned none of it.
func (h *traced) wholeNewest() {
	h.T.Helper()
	all, problems, err := h.Opened.Head(h.T.Context(), h.Host.Host.ID, h.Set)
	jobtest.Must(h.T, err)
	if len(all) != 1 || len(problems) > 0 {
		h.T.Fatalf("%d newest, problems %v", len(all), problems)
	}
	for _, key := range h.needs(all[0].Manifest) {
		if _, err := h.inner.Stat(h.T.Context(), key); err != nil {
			h.T.Errorf("snapshot %d needs what is gone: %v", all[0].Seq, err)
		}
		o, err := layout.Parse(key)
		jobtest.Must(h.T, err)
		for i := range h.gc.Condemned {
			if slices.Contains(h.gc.Condemned[i].Names, o.Name()) {
				h.T.Errorf("snapshot %d needs what is condemned: %s", all[0].Seq, key)
			}
		}
	}
}

func (h *traced) needs(m *snapshot.Manifest) (keys []string) {
	for _, b := range m.Blobs {
		keys = append(keys, layout.Blob(m.Host, b.Name))
	}
	for _, l := range m.Lists {
		keys = append(keys, layout.BlobList(m.Host, l.Name))
	}
	for _, k := range m.Keys {
		keys = append(keys, layout.EpochKey(m.Host, k.Epoch, k.N))
	}
	return append(keys, layout.Root(m.Host, m.Root.Name))
}

// one is an object of a kind, by where it is below a host: of blobs, one of the index.
func (h *traced) one(kind string) string {
	h.T.Helper()
	if kind == "b/" {
		return layout.Blob(h.Host.Host.ID, h.old[0].Name)
	}
	return h.Keys(kind)[0]
}

// condemns has prune condemn objects. It is said that they are deleted, if they are.
func (h *traced) condemns(deleted bool, keys ...string) {
	h.T.Helper()
	for range map[bool]int{false: 1, true: 2}[deleted] {
		h.gcs++
		c := snapshot.Condemned{First: 1}
		if h.gcs > 1 {
			c.Deleted = h.gcs
		}
		for _, key := range keys {
			o, err := layout.Parse(key)
			jobtest.Must(h.T, err)
			c.Names = append(c.Names, o.Name())
		}
		slices.Sort(c.Names)
		host := h.Host.Host
		h.gc = snapshot.GC{Store: h.Opened.Doc.Store, Host: host.ID, Seq: h.gcs, Prev: h.sum,
			Time: time.Now(), Condemned: []snapshot.Condemned{c}}
		b, err := snapshot.EncodeGC(&h.gc, host.Signer)
		jobtest.Must(h.T, err)
		h.sum = sha256.Sum256(b)
		key := layout.GC(host.ID, h.gcs)
		if h.weak {
			key = layout.Weak(key, h.sum)
		}
		_, err = h.inner.Put(h.T.Context(), key, backends.Bytes(b, nil), backends.PutOptions{})
		jobtest.Must(h.T, err)
	}
}

// prunes condemns and deletes.
func (h *traced) prunes(keys ...string) {
	h.T.Helper()
	h.condemns(true, keys...)
	for _, key := range keys {
		jobtest.Must(h.T, h.inner.Delete(h.T.Context(), key))
	}
}

// pass is a way in which 73 hours pass that some clocks do not count.
type pass func(h *traced)

func asleep(h *traced)       { h.boot += 73 * time.Hour }
func wallClockSet(h *traced) { h.wall += 73 * time.Hour } // after a pause
func paused(*traced)         {}                           // with its whole machine

// Trace: list, sleep for 73 hours, PUT; or list, sleep, store lists and root. Prune has deleted
// meanwhile what no manifest named then. The host looks again for everything, and supersedes
// the manifest.
func TestTrace_SleepBetweenListAndPut(t *testing.T) {
	for _, c := range []struct {
		how    string
		pass   pass
		before string // which request
		lost   string
		seq    uint64 // of the snapshot that it ends with, after 1; 0: none
		miss   int    // blobs that are stored again, for another commit
	}{
		{"asleep", asleep, "m/", "b/", 2, 1},
		{"asleep", asleep, "m/", "l/", 3, 0},
		{"asleep", asleep, "m/", "k/", 3, 0},
		{"asleep", asleep, "m/", "r/", 3, 0},
		{"asleep", asleep, "r/", "b/", 0, 1},
		{"asleep", asleep, "r/", "l/", 2, 0},
		{"asleep", asleep, "r/", "k/", 2, 0},
		{"wall clock set", wallClockSet, "m/", "l/", 3, 0},
		{"wall clock set", wallClockSet, "r/", "l/", 2, 0},
		{"paused", paused, "m/", "l/", 3, 0},
		{"paused", paused, "r/", "l/", 3, 0},
	} {
		t.Run(path.Join(c.how, "before "+c.before, "lost "+c.lost), func(t *testing.T) {
			h := newTraced(t)
			h.commits(h.run(), 1, 0)
			before := h.Keys(c.lost)
			h.Store = faulty.New(h.Store, faulty.Rule{Op: faulty.Put, Nth: 1,
				Key: layout.HostPrefix(h.Host.Host.ID) + c.before,
				Do: faulty.Tell(func(faulty.Op, string) {
					c.pass(h)
					lost := h.one(c.lost)
					if c.lost == "r/" { // that of this run
						lost = slices.DeleteFunc(h.Keys(c.lost), func(k string) bool {
							return slices.Contains(before, k)
						})[0]
					}
					h.prunes(lost)
				})})
			h.commits(h.run(), c.seq, c.miss)
		})
	}
}

// Trace: a machine that was paused while prune went on, in stores that tell it less: it may not
// ask for gc objects by name, they are listed late, or another pruner has used the number of the
// one that it has read.
func TestTrace_PausedAndToldLess(t *testing.T) {
	for _, how := range []string{"may not ask", "listed late", "the same number"} {
		t.Run(how, func(t *testing.T) {
			h := newTraced(t)
			h.weak = how == "the same number"
			h.commits(h.run(), 1, 0)
			h.condemns(false, h.one("r/")) // of snapshot 1, which a run does not need
			lost := h.one("l/")
			store := &tellsLess{Backend: h.Store, how: how}
			h.Store = faulty.New(store, faulty.Rule{Op: faulty.Put, Nth: 1,
				Key: layout.HostPrefix(h.Host.Host.ID) + "m/",
				Do: faulty.Tell(func(faulty.Op, string) {
					store.paused = true
					if !h.weak {
						h.prunes(lost)
						return
					}
					h.gcs, h.sum = 0, snapshot.Sum{}
					h.condemns(false, lost)
				})})
			h.commits(h.run(), 3, 0)
		})
	}
}

// tellsLess is a store of TestTrace_PausedAndToldLess.
type tellsLess struct {
	backends.Backend
	how    string
	paused bool
}

func (s *tellsLess) Info(ctx context.Context) (backends.Info, error) {
	info, err := s.Backend.Info(ctx)
	info.ConditionalPut = s.how != "the same number"
	return info, err
}

func (s *tellsLess) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	if s.how == "may not ask" && strings.HasPrefix(key, layout.GCsPrefix) {
		return backends.ObjectInfo{}, backends.ErrPermission
	}
	return s.Backend.Stat(ctx, key)
}

func (s *tellsLess) ListStream(ctx context.Context, prefix string,
	fn func(backends.ObjectInfo) error) error {
	return s.Backend.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		if s.how == "listed late" && s.paused && strings.HasPrefix(o.Key, layout.GCsPrefix) &&
			!strings.Contains(o.Key, "/0000000001.") {
			return nil
		}
		return fn(o)
	})
}

// Trace: a list that lags. What this run has stored itself is there, whether or not it is
// listed yet, and is not stored again; what is deleted is not, as long as it is listed.
func TestTrace_LaggingList(t *testing.T) {
	t.Run("new", func(t *testing.T) {
		h := newTraced(t)
		lag := &lagging{Backend: h.Store, lag: true, new: map[string]bool{}}
		h.Store = lag
		p := h.run()
		h.boot += time.Hour // it lists again
		h.commits(p, 1, 0)
		if n := len(h.said); n > 0 {
			t.Errorf("said %q", h.said)
		}
		for _, kind := range []string{"l/", "r/", "m/"} {
			lag.lag, lag.new = false, nil
			if n := len(h.Keys(kind)); n != 1 {
				t.Errorf("%d of %s", n, kind)
			}
		}
	})
	for _, kind := range []string{"b/", "l/", "k/"} {
		t.Run("deleted "+kind, func(t *testing.T) {
			h := newTraced(t)
			h.commits(h.run(), 1, 0)
			gone := h.one(kind)
			shown, err := h.Store.Stat(t.Context(), gone)
			jobtest.Must(t, err)
			h.Store = &ghosts{h.Store, shown}
			h.prunes(gone)
			want := 0
			if kind == "b/" {
				want = 1 // and the run stores its contents again
			}
			h.commits(h.run(), map[bool]uint64{true: 0, false: 2}[want > 0], want)
		})
	}
}

// ghosts is a store whose lists show an object that is gone.
type ghosts struct {
	backends.Backend
	shown backends.ObjectInfo
}

func (g *ghosts) ListStream(ctx context.Context, prefix string,
	fn func(backends.ObjectInfo) error) error {
	err := g.Backend.ListStream(ctx, prefix, fn)
	if err == nil && strings.HasPrefix(g.shown.Key, prefix) {
		err = fn(g.shown)
	}
	return err
}

// Trace: two pruners, one of which was stopped while it deleted. A name that is condemned is
// never put again, be it there, deleted, or deleted long ago: the stopped one may go on.
func TestTrace_TwoPruners(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		t.Run(fmt.Sprint("deleted ", deleted), func(t *testing.T) {
			h := newTraced(t)
			h.commits(h.run(), 1, 0)
			list, key := h.one("l/"), h.one("k/")
			if h.condemns(deleted, list, key); deleted {
				jobtest.Must(t, h.inner.Delete(t.Context(), list))
				jobtest.Must(t, h.inner.Delete(t.Context(), key))
			}
			h.commits(h.run(), 2, 0)
			for _, late := range []string{list, key} { // the stopped one goes on
				jobtest.Must(t, h.inner.Delete(t.Context(), late))
			}
			h.wholeNewest()
		})
	}
}

// Trace: the host is killed while it puts the manifest; its lock is free, and prune deletes all
// that no manifest names; then the store serves the request. Or it served it before, late, and
// the host was killed before it could look again. The next run knows the manifest for its own,
// and supersedes it.
func TestTrace_LateRequest(t *testing.T) {
	const atOnce, before, during = "at once", "before the next run", "while the next run commits"
	for _, c := range []struct{ lost, served string }{
		{"b/", before}, {"l/", before}, {"k/", before}, {"r/", before}, {"l/", atOnce}, {"l/", during},
	} {
		t.Run(path.Join("lost "+c.lost, "served "+c.served), func(t *testing.T) {
			h := newTraced(t)
			store, killed := h.Store, errors.New("killed")
			var serve func()
			h.Store = &requests{store, func(key string, src backends.Source) error {
				b, err := readAll(src)
				jobtest.Must(t, err)
				serve = func() { h.Host.Put(key, b) }
				return killed
			}}
			p := h.run()
			if _, _, err := p.Commit(); !errors.Is(err, killed) {
				t.Fatalf("error %v", err)
			}
			p.End()
			h.Store = store
			if c.served == atOnce {
				serve()
			}
			h.prunes(h.one(c.lost))
			if c.served == before {
				serve()
			}
			if c.lost == "b/" { // its contents are stored again
				next := h.prepare()
				h.old[0] = h.blob(next, "again", false)
				next.End()
			}
			p = h.run()
			if c.served == during {
				serve()
			}
			h.commits(p, 2, 0)
		})
	}
}

// requests is a store that does not serve manifests: do has them.
type requests struct {
	backends.Backend
	do func(key string, src backends.Source) error
}

func (r *requests) Put(ctx context.Context, key string, src backends.Source,
	o backends.PutOptions) (backends.ObjectInfo, error) {
	if strings.Contains(key, "/m/") {
		return backends.ObjectInfo{}, r.do(key, src)
	}
	return r.Backend.Put(ctx, key, src, o)
}

func readAll(src backends.Source) ([]byte, error) {
	r, err := src.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	b := make([]byte, src.Size())
	_, err = r.Read(b)
	return b, err
}
