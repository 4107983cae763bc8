package mirror_test

import (
	"bytes"
	"context"
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

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/mirror"
	"vaultik/actors/survey"
	"vaultik/backends"
	"vaultik/backends/faulty"
	"vaultik/backends/mem"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// twoSets makes a host with three snapshots of two sets, and a store that has more
// than they need.
func twoSets(t *testing.T) *jobtest.Host {
	t.Helper()
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(5, 4<<20), 0o600))
	h.Backup(dir)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "more"), testtree.Bytes(6, 2<<20), 0o600))
	h.Backup(dir)
	h.ListBlobs()
	m, _, _ := h.Newest()
	h.Head = backup.Head{Seq: m.Seq, Sum: m.Sum}
	first, head := h.Set, h.Head
	h.Set, h.Head = layout.NewSetID(), backup.Head{}
	other := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(other, "other"), testtree.Bytes(7, 1<<20), 0o600))
	h.Backup(other)
	h.Set, h.Head = first, head
	h.Put(h.Spare())
	return h
}

func keysOf(t testing.TB, b backends.Backend) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	jobtest.Must(t, b.ListStream(t.Context(), "", func(o backends.ObjectInfo) error {
		out[o.Key] = o.Size
		return nil
	}))
	return out
}

func TestCopy_All(t *testing.T) {
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := twoSets(t)
	to := mem.New()
	r := h.CopyTo(to)
	all := keysOf(t, h.Store)
	spare, _ := h.Spare()
	delete(all, spare)
	for key, size := range all {
		if got, ok := keysOf(t, to)[key]; !ok || got != size {
			t.Errorf("%s: %d bytes of %d in the mirror", key, got, size)
		}
	}
	if len(keysOf(t, to)) != len(all) || r.Sent != int64(len(all)) || r.Snapshots != 3 || r.New != 3 || r.There != 0 || r.Spare != 1 || r.Found != 0 {
		t.Errorf("%d of %d objects: %+v", len(keysOf(t, to)), len(all), r)
	}
	if p := h.VerifyMirror(to, 3); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	if r := h.CopyTo(to); r.Sent != 0 || r.There != r.Objects || r.Snapshots != 3 || r.New != 0 {
		t.Errorf("again: %+v", r)
	}
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "new"), testtree.Bytes(9, 100_000), 0o600))
	h.Backup(dir)
	if r := h.CopyTo(to); r.New != 1 || r.Sent == 0 || r.Sent > 4 {
		t.Errorf("one snapshot more: %+v", r)
	}
	if p := h.VerifyMirror(to, 4); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	h.CloseIndex()
}

// watcher holds a target to the law: when a manifest comes, all that it needs is
// there, and the manifest before it.
type watcher struct {
	backends.Backend
	h    *jobtest.Host
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
	jobtest.Must(w.h.T, err)
	raw := make([]byte, src.Size())
	_, err = in.Read(raw)
	jobtest.Must(w.h.T, err)
	jobtest.Must(w.h.T, in.Close())
	m, err := snapshot.DecodeManifest(raw, w.h.Host.Signer.Public())
	jobtest.Must(w.h.T, err)
	blobs, err := w.h.Opened.Blobs(ctx, m)
	jobtest.Must(w.h.T, err)
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
	h.CopyTo(w)
	if len(w.bad) > 0 || w.puts[0] != layout.Trust(1) || w.puts[1] != layout.StoreJSON {
		t.Errorf("%v; first: %v", w.bad, w.puts[:2])
	}
	h.CloseIndex()
}

// Wherever a copy ends, the target is a whole store, and the next one completes it.
func TestCopy_EndsAnywhere(t *testing.T) {
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := twoSets(t)
	space := new(mem.Space)
	puts := h.CopyTo(mem.New()).Sent
	full := backends.ErrNoSpace
	for n := range int(puts) {
		to := faulty.New(space.Open(backends.Options{}), faulty.Rule{Op: faulty.Put, Nth: 2, Times: 1000, Do: faulty.Fail(full)})
		s := h.CopySpec(to)
		s.Parallel = 1
		r, err := mirror.Run(t.Context(), h.System, s)
		var target *mirror.TargetError
		if n < int(puts)-1 && (!errors.Is(err, full) || !errors.As(err, &target)) {
			t.Fatalf("put %d: %v", n, err)
		}
		if r.Sent > 1 {
			t.Fatalf("put %d: %d objects sent", n, r.Sent)
		}
		if n >= 1 { // store.json and the trust list are there
			if p := h.VerifyMirror(space.Open(backends.Options{}), -1); len(p) > 0 {
				t.Fatalf("after put %d: %+v", n, p)
			}
		}
	}
	if p := h.VerifyMirror(space.Open(backends.Options{}), 3); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	h.CloseIndex()
}

// What is damaged in the source is named, and not brought over; everything else is.
func TestCopy_SourceDamaged(t *testing.T) {
	testsize.Long(t)
	h := twoSets(t)
	for _, kind := range []layout.Kind{layout.KindBlob, layout.KindRoot, layout.KindEpochKey, layout.KindBlobList} {
		for _, how := range []string{"flip", "cut", "gone"} {
			victim := h.Needed(kind)[0]
			whole := h.Get(victim)
			to := mem.New()
			wantKind := survey.ProblemDamaged
			switch how {
			case "flip":
				b := bytes.Clone(whole)
				b[len(b)/2] ^= 1
				h.Put(victim, b)
			case "cut":
				h.Put(victim, whole[:len(whole)/2])
				if wantKind = survey.ProblemSize; kind == layout.KindBlobList {
					wantKind = survey.ProblemDamaged
				}
			case "gone":
				jobtest.Must(t, h.Store.Delete(t.Context(), victim))
				wantKind = survey.ProblemMissing
			}
			told := 0
			s := h.CopySpec(to)
			s.OnProblem = func(survey.Problem) { told++ }
			r, err := mirror.Run(t.Context(), h.System, s)
			jobtest.Must(t, err)
			if r.Found != 1 || told != 1 || r.Problems[0].Key != victim || r.Problems[0].Kind != wantKind || len(r.Problems[0].Snapshots) == 0 || r.Snapshots != 3 {
				t.Errorf("%s %s: %+v", how, victim, r)
			}
			there := keysOf(t, to)
			if _, ok := there[victim]; ok {
				t.Errorf("%s %s: it was brought over", how, victim)
			}
			spare, _ := h.Spare()
			if _, ok := there[spare]; ok != (kind == layout.KindBlobList) {
				t.Errorf("%s %s: what may be needed: %v", how, victim, ok)
			}
			for key := range keysOf(t, h.Store) {
				if _, ok := there[key]; !ok && key != victim && key != spare {
					t.Errorf("%s %s: %s was not brought over", how, victim, key)
				}
			}
			// A mirror that has it keeps it, and that is told; the source healed, the mirror is.
			h.Put(victim, whole)
			good := mem.New()
			h.CopyTo(good)
			h.Put(victim, []byte("broken"))
			if r := h.CopyTo(good); r.Found != 1 || !r.Saved[victim] || r.Sent > 0 && kind != layout.KindBlobList {
				t.Errorf("%s %s, in the mirror: %+v", how, victim, r)
			}
			h.Put(victim, whole)
			if r := h.CopyTo(to); r.Found != 0 || r.Sent < 1 {
				t.Errorf("%s %s, healed: %+v", how, victim, r)
			}
			for _, b := range []backends.Backend{to, good} {
				for _, p := range h.VerifyMirror(b, 3) {
					t.Errorf("%s %s, healed: %+v", how, victim, p)
				}
			}
		}
	}
	h.CloseIndex()
}

// What is damaged in the target is replaced: other sizes, and keys, always; the rest
// when it is read.
func TestCopy_TargetDamaged(t *testing.T) {
	testsize.Long(t)
	h := twoSets(t)
	for _, kind := range []layout.Kind{layout.KindBlob, layout.KindRoot, layout.KindEpochKey, layout.KindBlobList, layout.KindManifest} {
		for _, cut := range []bool{true, false} {
			victim := h.Needed(kind)[0]
			to := mem.New()
			h.CopyTo(to)
			b := h.Get(victim)
			if cut {
				b = b[:len(b)-1]
			} else {
				b = bytes.Clone(b)
				b[0] ^= 1
			}
			_, err := to.Put(t.Context(), victim, backends.Bytes(b, nil), backends.PutOptions{})
			jobtest.Must(t, err)
			seen := cut || kind == layout.KindEpochKey || kind == layout.KindManifest
			r := h.CopyTo(noSums{to})
			if want := map[bool]int64{true: 1}[seen]; r.Replaced != want || r.Sent != want {
				t.Errorf("%s, cut %v: %+v", kind, cut, r)
			}
			s := h.CopySpec(noSums{to})
			s.ReadData = true
			var replaced []string
			s.OnReplace = func(key string) { replaced = append(replaced, key) }
			r, err = mirror.Run(t.Context(), h.System, s)
			jobtest.Must(t, err)
			if seen && r.Replaced != 0 || !seen && (r.Replaced != 1 || !slices.Equal(replaced, []string{victim})) || r.There+r.Replaced != r.Objects {
				t.Errorf("%s, cut %v, read: %+v %v", kind, cut, r, replaced)
			}
			if p := h.VerifyMirror(to, 3); len(p) > 0 {
				t.Errorf("%s, cut %v: %+v", kind, cut, p)
			}
		}
	}
	h.CloseIndex()
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
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize, s.Memory = 48<<20, 400<<20 }
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(5, 40<<20), 0o600))
	h.Backup(dir)
	var victim string
	for key, size := range keysOf(t, h.Store) {
		if size > survey.BufferSize {
			victim = key
		}
	}
	whole := h.Get(victim)
	for _, at := range []int{0, len(whole) / 2, len(whole) - 1} {
		b := bytes.Clone(whole)
		b[at] ^= 1
		h.Put(victim, b)
		to := mem.New()
		if r := h.CopyTo(to); r.Found != 1 || r.Problems[0].Key != victim || r.Problems[0].Kind != survey.ProblemDamaged || keysOf(t, to)[victim] != 0 {
			t.Errorf("byte %d: %+v", at, r)
		}
	}
	h.Put(victim, whole)
	to := mem.New()
	h.CopyTo(to)
	if p := h.VerifyMirror(to, 1); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	h.CloseIndex()
}

// Another manifest that comes into the target meanwhile is never overwritten.
func TestCopy_ForkMeanwhile(t *testing.T) {
	h := twoSets(t)
	for _, conditional := range []bool{true, false} {
		to := mem.New()
		s := h.CopySpec(to)
		s.Conditional = conditional
		key := s.Snapshots[1].Key
		_, err := to.Put(t.Context(), key, backends.Bytes([]byte("of somebody else"), nil), backends.PutOptions{})
		jobtest.Must(t, err)
		if _, err := mirror.Run(t.Context(), h.System, s); !errors.Is(err, snapshot.ErrFork) || !strings.Contains(err.Error(), key) {
			t.Errorf("conditional %v: %v", conditional, err)
		}
		if b, err := backends.Objects(to).Get(t.Context(), key, 0, -1); string(b) != "of somebody else" {
			t.Errorf("conditional %v: %d bytes, %v", conditional, len(b), err)
		}
		// The same, put by another copy, is as good.
		jobtest.Must(t, to.Delete(t.Context(), key))
		s = h.CopySpec(to)
		s.Conditional = conditional
		_, err = to.Put(t.Context(), key, backends.Bytes(h.Get(key), nil), backends.PutOptions{})
		jobtest.Must(t, err)
		r, err := mirror.Run(t.Context(), h.System, s)
		if err != nil || r.Snapshots != 3 {
			t.Errorf("conditional %v: %+v, %v", conditional, r, err)
		}
		if p := h.VerifyMirror(to, 3); len(p) > 0 {
			t.Errorf("%+v", p)
		}
	}
	h.CloseIndex()
}

// One object that the source does not give is a problem; a source that gives
// nothing more ends the copy.
func TestCopy_SourceFails(t *testing.T) {
	h := twoSets(t)
	eio := errors.New("input/output error")
	victim := h.Needed(layout.KindBlob)[1]
	s := h.CopySpec(mem.New())
	s.From = faulty.New(h.Store, faulty.Rule{Op: faulty.Get, Key: victim, Do: faulty.FailRetryable(eio)})
	r, err := mirror.Run(t.Context(), h.System, s)
	if err != nil || r.Found != 1 || r.Problems[0].Kind != survey.ProblemUnreadable || r.Problems[0].Key != victim || r.Snapshots != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, gone := range []error{eio, backends.ErrContainerNotFound} {
		s = h.CopySpec(mem.New())
		s.From = faulty.New(h.Store, faulty.Rule{Op: faulty.Get, Nth: 4, Times: 1 << 30, Do: faulty.FailRetryable(gone)})
		if r, err := mirror.Run(t.Context(), h.System, s); !errors.Is(err, gone) || r.New != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	h.CloseIndex()
}

// A copy beside a backup brings over what was there when it began.
func TestCopy_BesideBackup(t *testing.T) {
	h := twoSets(t)
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "new"), testtree.Bytes(9, 3<<20), 0o600))
	to := mem.New()
	s := h.CopySpec(to)
	once := sync.OnceFunc(func() { h.Backup(dir) })
	s.From = faulty.New(h.Store, faulty.Rule{Op: faulty.List, Nth: 1, Do: faulty.Tell(func(faulty.Op, string) { once() })})
	r, err := mirror.Run(t.Context(), h.System, s)
	if err != nil || r.Snapshots != 3 || r.Found != 0 || r.Spare < 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if p := h.VerifyMirror(to, 3); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	if r := h.CopyTo(to); r.New != 1 {
		t.Errorf("%+v", r)
	}
	if p := h.VerifyMirror(to, 4); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	h.CloseIndex()
}

func TestCopy_Cancel(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := twoSets(t)
	why := errors.New("enough")
	for at := range 12 {
		ctx, cancel := context.WithCancelCause(context.Background())
		to := mem.New()
		s := h.CopySpec(to)
		s.Parallel = 1
		n := 0
		s.Faults.OnUpload = func(bool) {
			if n++; n == at {
				cancel(why)
			}
		}
		if at == 0 {
			cancel(why)
		}
		r, err := mirror.Run(ctx, h.System, s)
		if !errors.Is(err, why) {
			t.Errorf("cancelled at %d: %+v, %v", at, r, err)
		}
		cancel(nil)
		h.CopyTo(to)
		if p := h.VerifyMirror(to, 3); len(p) > 0 {
			t.Errorf("cancelled at %d: %+v", at, p)
		}
	}
	h.CloseIndex()
}

var copyPanics = []jobtest.PanicCase{
	{Actor: "planner", Place: "at a snapshot", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnScan = p.Hit }, At: 1},
	{Actor: "copier", Place: "before an object", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnDownload = p.Hit }, Restarts: true},
	{Actor: "copier", Place: "after a put", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnUpload = func(bool) { p.Hit() } }, Restarts: true},
	{Actor: "job", Place: "first message", Who: "copy", At: 1},
	{Actor: "job", Place: "third message", Who: "copy", At: 3},
	{Actor: "copiers", Place: "any message", Who: "copiers"},
	{Actor: "copier", Place: "any message", Who: "copier", Restarts: true},
}

// TestPanics_Copy: wherever an actor panics, the copy completes, or fails with the
// target a whole store, and the next one completes.
func TestPanics_Copy(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	seed := testsize.Seed(t)
	r := rand.New(rand.NewPCG(seed, 0))
	h := twoSets(t)
	for i := range copyPanics {
		c := &copyPanics[i]
		began, p := time.Now(), c.Panicker(r, 0)
		to := mem.New()
		s := h.CopySpec(to)
		stop := func() {}
		if c.Set != nil {
			c.Set(&s.Faults, p)
		} else {
			stop = jobtest.InjectReceive(t, p.Receive(c.Who))
		}
		rep, err := mirror.Run(t.Context(), h.System, s)
		stop()
		how := c.Outcome(t, p, s.Progress.Restarts.Load(), err)
		if err == nil && rep.Found != 0 {
			t.Errorf("%s, %s: %+v", c.Actor, c.Place, rep)
		}
		h.CopyTo(to)
		if p := h.VerifyMirror(to, 3); len(p) > 0 {
			t.Errorf("%s, %s: %+v", c.Actor, c.Place, p)
		}
		jobtest.Row(t, c, p, s.Progress.Restarts.Load(), how, began)
	}
	h.CloseIndex()
}
