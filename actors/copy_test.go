package actors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vaultik/backends"
	"vaultik/backends/faulty"
	"vaultik/backends/mem"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/messages"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// copySpec is a copy into a target that is empty, or holds an older state.
func (h *testHost) copySpec(to backends.Backend) *CopySpec {
	h.t.Helper()
	opened, err := snapshot.OpenStore(h.t.Context(), backends.Objects(h.store), snapshot.Pin{})
	must(h.t, err)
	all, problems, err := opened.Manifests(h.t.Context(), snapshot.Filter{})
	must(h.t, err)
	if len(problems) > 0 {
		h.t.Fatalf("problems: %v", problems)
	}
	s := &CopySpec{From: h.store, To: to, Opened: opened, Snapshots: all, There: map[string]bool{}, Damaged: map[string]bool{},
		Conditional: true, Progress: &messages.Progress{}}
	for _, key := range []string{layout.Trust(1), layout.StoreJSON} {
		if _, err := to.Stat(h.t.Context(), key); err != nil {
			s.Heads = append(s.Heads, CopyHead{Key: key, Data: h.get(key)})
		}
	}
	for _, m := range all {
		if b, err := backends.Objects(to).Get(h.t.Context(), m.Key, 0, -1); err == nil {
			s.There[m.Key] = bytes.Equal(b, h.get(m.Key))
			s.Damaged[m.Key] = !s.There[m.Key]
		}
	}
	return s
}

func (h *testHost) copyTo(to backends.Backend) *CopyReport {
	h.t.Helper()
	r, err := h.system.Copy(h.t.Context(), h.copySpec(to))
	must(h.t, err)
	return r
}

// verifyMirror reads everything that a mirror has, and returns what is wrong.
func (h *testHost) verifyMirror(to backends.Backend, snapshots int) []VerifyProblem {
	h.t.Helper()
	opened, err := snapshot.OpenStore(h.t.Context(), backends.Objects(to), snapshot.Pin{Owner: h.opened.Doc.Owner.Fingerprint()})
	must(h.t, err)
	all, problems, err := opened.Manifests(h.t.Context(), snapshot.Filter{})
	must(h.t, err)
	if len(problems) > 0 || snapshots >= 0 && len(all) != snapshots {
		h.t.Errorf("%d snapshots in the mirror, want %d; problems: %v", len(all), snapshots, problems)
	}
	r, err := h.system.Verify(h.t.Context(), &VerifySpec{Store: to, Opened: opened, Snapshots: all, ReadData: true, Identity: h.identity})
	must(h.t, err)
	return r.Problems
}

// twoSets makes a host with three snapshots of two sets, and a store that has more
// than they need.
func twoSets(t *testing.T) *testHost {
	t.Helper()
	h := newTestHost(t)
	h.edit = func(s *BackupSpec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(5, 4<<20), 0o600))
	h.backup(dir)
	must(t, os.WriteFile(filepath.Join(dir, "more"), testtree.Bytes(6, 2<<20), 0o600))
	h.backup(dir)
	h.listBlobs()
	m, _, _ := h.newest()
	h.head = Head{Seq: m.Seq, Sum: m.Sum}
	first, head := h.set, h.head
	h.set, h.head = layout.NewSetID(), Head{}
	other := t.TempDir()
	must(t, os.WriteFile(filepath.Join(other, "other"), testtree.Bytes(7, 1<<20), 0o600))
	h.backup(other)
	h.set, h.head = first, head
	h.put(h.spare())
	return h
}

// spare is an object that no snapshot needs, and its bytes.
func (h *testHost) spare() (string, []byte) {
	b := []byte("of a backup that did not finish")
	return layout.Blob(h.host.ID, sha256.Sum256(b)), b
}

// needed are the objects of a kind that snapshots need.
func (h *testHost) needed(kind layout.Kind) []string {
	spare, _ := h.spare()
	return slices.DeleteFunc(h.objects(kind), func(key string) bool { return key == spare })
}

func keysOf(t testing.TB, b backends.Backend) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	must(t, b.ListStream(t.Context(), "", func(o backends.ObjectInfo) error {
		out[o.Key] = o.Size
		return nil
	}))
	return out
}

func TestCopy_All(t *testing.T) {
	defer goleak.VerifyNone(t, leakOptions...)
	h := twoSets(t)
	to := mem.New()
	r := h.copyTo(to)
	all := keysOf(t, h.store)
	spare, _ := h.spare()
	delete(all, spare)
	for key, size := range all {
		if got, ok := keysOf(t, to)[key]; !ok || got != size {
			t.Errorf("%s: %d bytes of %d in the mirror", key, got, size)
		}
	}
	if len(keysOf(t, to)) != len(all) || r.Sent != int64(len(all)) || r.Snapshots != 3 || r.New != 3 || r.There != 0 || r.Spare != 1 || r.Found != 0 {
		t.Errorf("%d of %d objects: %+v", len(keysOf(t, to)), len(all), r)
	}
	if p := h.verifyMirror(to, 3); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	if r := h.copyTo(to); r.Sent != 0 || r.There != r.Objects || r.Snapshots != 3 || r.New != 0 {
		t.Errorf("again: %+v", r)
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "new"), testtree.Bytes(9, 100_000), 0o600))
	h.backup(dir)
	if r := h.copyTo(to); r.New != 1 || r.Sent == 0 || r.Sent > 4 {
		t.Errorf("one snapshot more: %+v", r)
	}
	if p := h.verifyMirror(to, 4); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	h.closeIndex()
}

// watcher holds a target to the law: when a manifest comes, all that it needs is
// there, and the manifest before it.
type watcher struct {
	backends.Backend
	h    *testHost
	mu   sync.Mutex
	puts []string
	bad  []string
}

func (w *watcher) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	if name, err := layout.Parse(key); err == nil && name.Kind == layout.KindManifest {
		w.manifest(ctx, key, name, src, o)
	}
	info, err := w.Backend.Put(ctx, key, src, o)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.puts = append(w.puts, key)
	return info, err
}

func (w *watcher) manifest(ctx context.Context, key string, name layout.Object, src backends.Source, o backends.PutOptions) {
	var need []string
	in, err := src.Open()
	must(w.h.t, err)
	raw := make([]byte, src.Size())
	_, err = in.Read(raw)
	must(w.h.t, err)
	must(w.h.t, in.Close())
	m, err := snapshot.DecodeManifest(raw, w.h.host.Signer.Public())
	must(w.h.t, err)
	blobs, err := w.h.opened.Blobs(ctx, m)
	must(w.h.t, err)
	for _, b := range blobs {
		need = append(need, layout.Blob(m.Host, b.Name))
	}
	for _, l := range m.Lists {
		need = append(need, layout.BlobList(m.Host, l.Name))
	}
	for _, k := range m.Keys {
		need = append(need, layout.EpochKey(m.Host, k.Epoch, k.N))
	}
	need = append(need, layout.Root(m.Host, m.Root.Name), layout.StoreJSON, layout.Trust(1))
	if name.Seq > 1 {
		need = append(need, layout.Manifest(name.Host, name.Set, name.Seq-1))
	}
	for _, k := range need {
		if _, err := w.Stat(ctx, k); err != nil {
			w.mu.Lock()
			w.bad = append(w.bad, fmt.Sprintf("%s came before %s", key, k))
			w.mu.Unlock()
		}
	}
	if !o.IfAbsent {
		w.bad = append(w.bad, key+" may overwrite")
	}
}

func TestCopy_Order(t *testing.T) {
	h := twoSets(t)
	w := &watcher{Backend: mem.New(), h: h}
	h.copyTo(w)
	if len(w.bad) > 0 || w.puts[0] != layout.Trust(1) || w.puts[1] != layout.StoreJSON {
		t.Errorf("%v; first: %v", w.bad, w.puts[:2])
	}
	h.closeIndex()
}

// Wherever a copy ends, the target is a whole store, and the next one completes it.
func TestCopy_EndsAnywhere(t *testing.T) {
	defer goleak.VerifyNone(t, leakOptions...)
	h := twoSets(t)
	space := new(mem.Space)
	puts := h.copyTo(mem.New()).Sent
	full := backends.ErrNoSpace
	for n := range int(puts) {
		to := faulty.New(space.Open(backends.Options{}), faulty.Rule{Op: faulty.Put, Nth: 2, Times: 1000, Do: faulty.Fail(full)})
		s := h.copySpec(to)
		s.Parallel = 1
		r, err := h.system.Copy(t.Context(), s)
		var target *TargetError
		if n < int(puts)-1 && (!errors.Is(err, full) || !errors.As(err, &target)) {
			t.Fatalf("put %d: %v", n, err)
		}
		if r.Sent > 1 {
			t.Fatalf("put %d: %d objects sent", n, r.Sent)
		}
		if n >= 1 { // store.json and the trust list are there
			if p := h.verifyMirror(space.Open(backends.Options{}), -1); len(p) > 0 {
				t.Fatalf("after put %d: %+v", n, p)
			}
		}
	}
	if p := h.verifyMirror(space.Open(backends.Options{}), 3); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	h.closeIndex()
}

// What is damaged in the source is named, and not brought over; everything else is.
func TestCopy_SourceDamaged(t *testing.T) {
	testsize.Long(t)
	h := twoSets(t)
	for _, kind := range []layout.Kind{layout.KindBlob, layout.KindRoot, layout.KindEpochKey, layout.KindBlobList} {
		for _, how := range []string{"flip", "cut", "gone"} {
			victim := h.needed(kind)[0]
			whole := h.get(victim)
			to := mem.New()
			wantKind := ProblemDamaged
			switch how {
			case "flip":
				b := bytes.Clone(whole)
				b[len(b)/2] ^= 1
				h.put(victim, b)
			case "cut":
				h.put(victim, whole[:len(whole)/2])
				if wantKind = ProblemSize; kind == layout.KindBlobList {
					wantKind = ProblemDamaged
				}
			case "gone":
				must(t, h.store.Delete(t.Context(), victim))
				wantKind = ProblemMissing
			}
			told := 0
			s := h.copySpec(to)
			s.OnProblem = func(VerifyProblem) { told++ }
			r, err := h.system.Copy(t.Context(), s)
			must(t, err)
			if r.Found != 1 || told != 1 || r.Problems[0].Key != victim || r.Problems[0].Kind != wantKind || len(r.Problems[0].Snapshots) == 0 || r.Snapshots != 3 {
				t.Errorf("%s %s: %+v", how, victim, r)
			}
			there := keysOf(t, to)
			if _, ok := there[victim]; ok {
				t.Errorf("%s %s: it was brought over", how, victim)
			}
			spare, _ := h.spare()
			if _, ok := there[spare]; ok != (kind == layout.KindBlobList) {
				t.Errorf("%s %s: what may be needed: %v", how, victim, ok)
			}
			for key := range keysOf(t, h.store) {
				if _, ok := there[key]; !ok && key != victim && key != spare {
					t.Errorf("%s %s: %s was not brought over", how, victim, key)
				}
			}
			// A mirror that has it keeps it, and that is told; the source healed, the mirror is.
			h.put(victim, whole)
			good := mem.New()
			h.copyTo(good)
			h.put(victim, []byte("broken"))
			if r := h.copyTo(good); r.Found != 1 || !r.Saved[victim] || r.Sent > 0 && kind != layout.KindBlobList {
				t.Errorf("%s %s, in the mirror: %+v", how, victim, r)
			}
			h.put(victim, whole)
			if r := h.copyTo(to); r.Found != 0 || r.Sent < 1 {
				t.Errorf("%s %s, healed: %+v", how, victim, r)
			}
			for _, b := range []backends.Backend{to, good} {
				for _, p := range h.verifyMirror(b, 3) {
					t.Errorf("%s %s, healed: %+v", how, victim, p)
				}
			}
		}
	}
	h.closeIndex()
}

// What is damaged in the target is replaced: other sizes, and keys, always; the rest
// when it is read.
func TestCopy_TargetDamaged(t *testing.T) {
	testsize.Long(t)
	h := twoSets(t)
	for _, kind := range []layout.Kind{layout.KindBlob, layout.KindRoot, layout.KindEpochKey, layout.KindBlobList, layout.KindManifest} {
		for _, cut := range []bool{true, false} {
			victim := h.needed(kind)[0]
			to := mem.New()
			h.copyTo(to)
			b := h.get(victim)
			if cut {
				b = b[:len(b)-1]
			} else {
				b = bytes.Clone(b)
				b[0] ^= 1
			}
			_, err := to.Put(t.Context(), victim, backends.Bytes(b, nil), backends.PutOptions{})
			must(t, err)
			seen := cut || kind == layout.KindEpochKey || kind == layout.KindManifest
			r := h.copyTo(noSums{to})
			if want := map[bool]int64{true: 1}[seen]; r.Replaced != want || r.Sent != want {
				t.Errorf("%s, cut %v: %+v", kind, cut, r)
			}
			s := h.copySpec(noSums{to})
			s.ReadData = true
			var replaced []string
			s.OnReplace = func(key string) { replaced = append(replaced, key) }
			r, err = h.system.Copy(t.Context(), s)
			must(t, err)
			if seen && r.Replaced != 0 || !seen && (r.Replaced != 1 || !slices.Equal(replaced, []string{victim})) || r.There+r.Replaced != r.Objects {
				t.Errorf("%s, cut %v, read: %+v %v", kind, cut, r, replaced)
			}
			if p := h.verifyMirror(to, 3); len(p) > 0 {
				t.Errorf("%s, cut %v: %+v", kind, cut, p)
			}
		}
	}
	h.closeIndex()
}

// noSums is a store that does not know the SHA-256 of what it holds.
type noSums struct{ backends.Backend }

func (n noSums) ListStream(ctx context.Context, prefix string, fn func(backends.ObjectInfo) error) error {
	return n.Backend.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		o.SHA256 = nil
		return fn(o)
	})
}

// An object that does not fit into a buffer is checked on its way.
func TestCopy_LargeObject(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	h.edit = func(s *BackupSpec) { s.BlobSize, s.Memory = 48<<20, 400<<20 }
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(5, 40<<20), 0o600))
	h.backup(dir)
	var victim string
	for key, size := range keysOf(t, h.store) {
		if size > verifyBlobSize {
			victim = key
		}
	}
	whole := h.get(victim)
	for _, at := range []int{0, len(whole) / 2, len(whole) - 1} {
		b := bytes.Clone(whole)
		b[at] ^= 1
		h.put(victim, b)
		to := mem.New()
		if r := h.copyTo(to); r.Found != 1 || r.Problems[0].Key != victim || r.Problems[0].Kind != ProblemDamaged || keysOf(t, to)[victim] != 0 {
			t.Errorf("byte %d: %+v", at, r)
		}
	}
	h.put(victim, whole)
	to := mem.New()
	h.copyTo(to)
	if p := h.verifyMirror(to, 1); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	h.closeIndex()
}

// Another manifest that comes into the target meanwhile is never overwritten.
func TestCopy_ForkMeanwhile(t *testing.T) {
	h := twoSets(t)
	for _, conditional := range []bool{true, false} {
		to := mem.New()
		s := h.copySpec(to)
		s.Conditional = conditional
		key := s.Snapshots[1].Key
		_, err := to.Put(t.Context(), key, backends.Bytes([]byte("of somebody else"), nil), backends.PutOptions{})
		must(t, err)
		if _, err := h.system.Copy(t.Context(), s); !errors.Is(err, snapshot.ErrFork) || !strings.Contains(err.Error(), key) {
			t.Errorf("conditional %v: %v", conditional, err)
		}
		if b, err := backends.Objects(to).Get(t.Context(), key, 0, -1); string(b) != "of somebody else" {
			t.Errorf("conditional %v: %d bytes, %v", conditional, len(b), err)
		}
		// The same, put by another copy, is as good.
		must(t, to.Delete(t.Context(), key))
		s = h.copySpec(to)
		s.Conditional = conditional
		_, err = to.Put(t.Context(), key, backends.Bytes(h.get(key), nil), backends.PutOptions{})
		must(t, err)
		r, err := h.system.Copy(t.Context(), s)
		if err != nil || r.Snapshots != 3 {
			t.Errorf("conditional %v: %+v, %v", conditional, r, err)
		}
		if p := h.verifyMirror(to, 3); len(p) > 0 {
			t.Errorf("%+v", p)
		}
	}
	h.closeIndex()
}

// One object that the source does not give is a problem; a source that gives
// nothing more ends the copy.
func TestCopy_SourceFails(t *testing.T) {
	h := twoSets(t)
	eio := errors.New("input/output error")
	victim := h.needed(layout.KindBlob)[1]
	s := h.copySpec(mem.New())
	s.From = faulty.New(h.store, faulty.Rule{Op: faulty.Get, Key: victim, Do: faulty.FailRetryable(eio)})
	r, err := h.system.Copy(t.Context(), s)
	if err != nil || r.Found != 1 || r.Problems[0].Kind != ProblemUnreadable || r.Problems[0].Key != victim || r.Snapshots != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, gone := range []error{eio, backends.ErrContainerNotFound} {
		s = h.copySpec(mem.New())
		s.From = faulty.New(h.store, faulty.Rule{Op: faulty.Get, Nth: 4, Times: 1 << 30, Do: faulty.FailRetryable(gone)})
		if r, err := h.system.Copy(t.Context(), s); !errors.Is(err, gone) || r.New != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	h.closeIndex()
}

// A copy beside a backup brings over what was there when it began.
func TestCopy_BesideBackup(t *testing.T) {
	h := twoSets(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "new"), testtree.Bytes(9, 3<<20), 0o600))
	to := mem.New()
	s := h.copySpec(to)
	once := sync.OnceFunc(func() { h.backup(dir) })
	s.From = faulty.New(h.store, faulty.Rule{Op: faulty.List, Nth: 1, Do: faulty.Tell(func(faulty.Op, string) { once() })})
	r, err := h.system.Copy(t.Context(), s)
	if err != nil || r.Snapshots != 3 || r.Found != 0 || r.Spare < 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if p := h.verifyMirror(to, 3); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	if r := h.copyTo(to); r.New != 1 {
		t.Errorf("%+v", r)
	}
	if p := h.verifyMirror(to, 4); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	h.closeIndex()
}

func TestCopy_Cancel(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, leakOptions...)
	h := twoSets(t)
	why := errors.New("enough")
	for at := range 12 {
		ctx, cancel := context.WithCancelCause(context.Background())
		to := mem.New()
		s := h.copySpec(to)
		s.Parallel = 1
		n := 0
		s.faults.onUpload = func(bool) {
			if n++; n == at {
				cancel(why)
			}
		}
		if at == 0 {
			cancel(why)
		}
		r, err := h.system.Copy(ctx, s)
		if !errors.Is(err, why) {
			t.Errorf("cancelled at %d: %+v, %v", at, r, err)
		}
		cancel(nil)
		h.copyTo(to)
		if p := h.verifyMirror(to, 3); len(p) > 0 {
			t.Errorf("cancelled at %d: %+v", at, p)
		}
	}
	h.closeIndex()
}

var copyPanics = []panicCase{
	{actor: "planner", place: "at a snapshot", set: func(f *faults, p *panicker) { f.onScan = p.hit }, at: 1},
	{actor: "copier", place: "before an object", set: func(f *faults, p *panicker) { f.onDownload = p.hit }, restarts: true},
	{actor: "copier", place: "after a put", set: func(f *faults, p *panicker) { f.onUpload = func(bool) { p.hit() } }, restarts: true},
	{actor: "job", place: "first message", who: "copy", at: 1},
	{actor: "job", place: "third message", who: "copy", at: 3},
	{actor: "planner", place: "first message", who: "planner", at: 1},
	{actor: "copiers", place: "any message", who: "copiers"},
	{actor: "copier", place: "any message", who: "copier", restarts: true},
}

// TestPanics_Copy: wherever an actor panics, the copy completes, or fails with the
// target a whole store, and the next one completes.
func TestPanics_Copy(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, leakOptions...)
	seed := testsize.Seed(t)
	r := rand.New(rand.NewPCG(seed, 0))
	h := twoSets(t)
	for i := range copyPanics {
		c := &copyPanics[i]
		began, p := time.Now(), c.panicker(r, 0)
		to := mem.New()
		s := h.copySpec(to)
		stop := func() {}
		if c.set != nil {
			c.set(&s.faults, p)
		} else {
			stop = injectReceive(t, p.receive(c.who))
		}
		rep, err := h.system.Copy(t.Context(), s)
		stop()
		how := c.outcome(t, p, s.Progress.Restarts.Load(), err)
		if err == nil && rep.Found != 0 {
			t.Errorf("%s, %s: %+v", c.actor, c.place, rep)
		}
		h.copyTo(to)
		if p := h.verifyMirror(to, 3); len(p) > 0 {
			t.Errorf("%s, %s: %+v", c.actor, c.place, p)
		}
		row(t, c, p, s.Progress.Restarts.Load(), how, began)
	}
	h.closeIndex()
}
