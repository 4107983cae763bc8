package prune_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/prune"
	"vaultik/backends"
	"vaultik/backends/faulty"
	"vaultik/backends/file"
	"vaultik/backends/retry"
	_ "vaultik/backends/s3"
	"vaultik/internal/testserver"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/vault/gc"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// changed makes a host with two snapshots, of which the first needs blobs that the second does
// not, and with a blob list.
func changed(t *testing.T) *jobtest.Host {
	t.Helper()
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	jobtest.Must(t, os.WriteFile(name, testtree.Bytes(5, 200_000), 0o600))
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "stays"), testtree.Bytes(6, 300_000), 0o600))
	h.Backup(dir)
	jobtest.Must(t, os.WriteFile(name, testtree.Bytes(7, 100_000), 0o600))
	h.Backup(dir)
	h.ListBlobs()
	h.CloseIndex()
	return h
}

// first removes the oldest snapshot.
func first(all []*gc.Snapshot) (c gc.Choice, err error) {
	if len(all) == 2 {
		c.Expire = []snapshot.Sum{all[0].Sum}
	}
	return c, nil
}

func keysOf(t *testing.T, b backends.Backend) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	jobtest.Must(t, b.ListStream(t.Context(), "", func(o backends.ObjectInfo) error {
		out[o.Key] = true
		return nil
	}))
	return out
}

// clean fails unless a store has exactly what its newest snapshot needs, and gc objects.
func clean(t *testing.T, h *jobtest.Host, b backends.Backend, what string) {
	t.Helper()
	if p := h.VerifyMirror(b, 1); len(p) > 0 {
		t.Errorf("%s: %+v", what, p)
	}
	m, _ := h.Opened.Blobs(t.Context(), newest(t, h).Manifest)
	blobs := 0
	for key := range keysOf(t, b) {
		if o, err := layout.Parse(key); err == nil && o.Kind == layout.KindBlob {
			blobs++
		}
	}
	if blobs != len(m) {
		t.Errorf("%s: %d blobs are left, %d are needed", what, blobs, len(m))
	}
}

func newest(t *testing.T, h *jobtest.Host) *snapshot.Loaded {
	t.Helper()
	heads, _, err := h.Opened.Head(t.Context(), h.Host.ID, h.Set)
	jobtest.Must(t, err)
	return heads[0]
}

// On each kind of store what nothing needs is deleted, in as few requests as it takes, and
// nothing else: neither foreign names nor what belongs to others.
func TestPrune_Stores(t *testing.T) {
	h := changed(t)
	stores := map[string]func(t *testing.T) backends.Backend{
		"mem": func(*testing.T) backends.Backend { return h.Clone(h.Store) },
		"file": func(t *testing.T) backends.Backend {
			b, err := file.Open(t.TempDir(), backends.Options{})
			jobtest.Must(t, err)
			return b
		},
		"s3": func(t *testing.T) backends.Backend {
			testsize.Long(t)
			s := testserver.MinIO(t)
			b, err := backends.Open(t.Context(), s.URL("p"), backends.Options{Create: true,
				S3: backends.S3Options{Credentials: backends.S3Credentials{Source: "file",
					Path: s.KeyFile(t)}}})
			jobtest.Must(t, err)
			return retry.Wrap(b, retry.Options{Connections: 4})
		},
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			in := open(t)
			defer in.Close()
			h.CopyAll(h.Store, in)
			n := int64(1100)
			if name == "file" { // each is synced
				n = 60
			}
			h.Garbage(in, int(n))
			other := layout.NewHostID()
			stay := []string{layout.HostPrefix(h.Host.ID) + "b/aa/foreign", "foreign",
				layout.HostPrefix(h.Host.ID) + "z/1", layout.Blob(other, [32]byte{1}),
				layout.HostPrefix(h.Host.ID) + "b/ff/" + strings.Repeat("00", 32)}
			for _, key := range stay {
				_, err := in.Put(t.Context(), key, backends.Bytes([]byte("x"), nil), backends.PutOptions{})
				jobtest.Must(t, err)
			}
			counts := &counter{Backend: in}
			spec := h.PruneSpec(counts)
			spec.Options.Choose = first
			rep, err := prune.Run(t.Context(), h.System, spec)
			if err != nil || rep.Deleted.Objects < n || rep.Deleted != rep.Ripe ||
				len(rep.Expired) != 1 {
				t.Fatalf("%+v, %v", rep, err)
			}
			there := keysOf(t, in)
			for _, key := range stay {
				if !there[key] {
					t.Errorf("%s was deleted", key)
				}
				jobtest.Must(t, in.Delete(t.Context(), key))
			}
			clean(t, h, in, name)
			if name == "s3" && (counts.batches > 12 || counts.singles > 0) {
				t.Errorf("%d requests for many, %d for one", counts.batches, counts.singles)
			}
		})
	}
}

// counter counts deletions.
type counter struct {
	backends.Backend
	mu               sync.Mutex
	singles, batches int
}

func (c *counter) Delete(ctx context.Context, key string) error {
	c.mu.Lock()
	c.singles++
	c.mu.Unlock()
	return c.Backend.Delete(ctx, key)
}

func (c *counter) Batch() int {
	if d := backends.Batches(c.Backend); d != nil {
		return d.Batch()
	}
	return 0
}

func (c *counter) DeleteBatch(ctx context.Context, keys []string) error {
	c.mu.Lock()
	c.batches++
	c.mu.Unlock()
	return backends.Batches(c.Backend).DeleteBatch(ctx, keys)
}

// Wherever a prune ends, at each of its calls, before it or with its answer lost, the store is
// whole, and the next prune ends what it began.
func TestPrune_EndsAnywhere(t *testing.T) {
	h := changed(t)
	h.Garbage(h.Store, 5)
	dead := errors.New("dead")
	for _, lost := range []bool{false, true} {
		for n := 1; ; n++ {
			in := h.Clone(h.Store)
			f := faulty.New(in)
			spec := h.PruneSpec(f)
			spec.Options.Choose = first
			last := faulty.Fail(dead)
			if lost {
				last = faulty.FailAfter(dead)
			}
			f.Add(faulty.Rule{Nth: n, Do: last},
				faulty.Rule{Nth: n + 1, Times: math.MaxInt - n - 1, Do: faulty.Fail(dead)})
			_, err := prune.Run(t.Context(), h.System, spec)
			if err == nil {
				if n < 20 {
					t.Errorf("it has made only %d calls", n-1)
				}
				break
			}
			// Nothing but the newest snapshot is sure to be there.
			if p := h.VerifyMirror(in, -1); len(p) > 0 {
				t.Fatalf("ended at call %d (%v): %+v", n, err, p)
			}
			spec = h.PruneSpec(in)
			spec.Options.Choose = first
			if _, err := prune.Run(t.Context(), h.System, spec); err != nil {
				t.Fatalf("after one that ended at call %d: %v", n, err)
			}
			clean(t, h, in, "after one that ended")
		}
	}
}

// A listing that ends half-way, a manifest that cannot be verified, one that is gone without a
// record, a trust in a signer who has none: nothing is deleted, and nothing written.
func TestPrune_DeletesNothing(t *testing.T) {
	h := changed(t)
	h.Garbage(h.Store, 20)
	m := newest(t, h)
	firstKey := layout.Manifest(h.Host.ID, h.Set, 1)
	for name, c := range map[string]struct {
		do   func(in backends.Backend, f *faulty.Backend, s *prune.Spec)
		want error
	}{
		"half a listing": {func(_ backends.Backend, f *faulty.Backend, _ *prune.Spec) {
			f.Add(faulty.Rule{Op: faulty.List, Key: layout.HostPrefix(h.Host.ID), Do: faulty.Short(15)})
		}, nil},
		"a damaged manifest": {func(in backends.Backend, _ *faulty.Backend, _ *prune.Spec) {
			flip(t, in, firstKey)
		}, snapshot.ErrDamaged},
		"a gap": {func(in backends.Backend, _ *faulty.Backend, _ *prune.Spec) {
			jobtest.Must(t, in.Delete(t.Context(), firstKey))
		}, snapshot.ErrGap},
		"the newest is gone": {func(in backends.Backend, _ *faulty.Backend, s *prune.Spec) {
			jobtest.Must(t, in.Delete(t.Context(), m.Key))
			s.Seen = []snapshot.Head{{Host: h.Host.ID, Set: h.Set, Seq: m.Seq, Sum: m.Sum}}
		}, snapshot.ErrRollback},
		"a blob list is lost": {func(in backends.Backend, _ *faulty.Backend, _ *prune.Spec) {
			jobtest.Must(t, in.Delete(t.Context(), layout.BlobList(h.Host.ID, m.Lists[0].Name)))
		}, backends.ErrNotFound},
		"a damaged checkpoint": {func(in backends.Backend, _ *faulty.Backend, _ *prune.Spec) {
			_, err := in.Put(t.Context(), layout.Checkpoint(h.Host.ID, layout.NewULID(m.Time)),
				backends.Bytes([]byte("x"), nil), backends.PutOptions{})
			jobtest.Must(t, err)
		}, snapshot.ErrDamaged},
		"a damaged gc object": {func(in backends.Backend, _ *faulty.Backend, _ *prune.Spec) {
			_, err := in.Put(t.Context(), layout.GC(h.Host.ID, 1), backends.Bytes([]byte("x"), nil),
				backends.PutOptions{})
			jobtest.Must(t, err)
		}, snapshot.ErrDamaged},
		"much is unexplained": {func(in backends.Backend, _ *faulty.Backend, s *prune.Spec) {
			h.Garbage(in, 200)
			s.Options.Force = false
		}, gc.ErrUnexplained},
	} {
		t.Run(name, func(t *testing.T) {
			in := h.Clone(h.Store)
			f := faulty.New(in)
			spec := h.PruneSpec(f)
			c.do(in, f, spec)
			before := keysOf(t, in)
			rep, err := prune.Run(t.Context(), h.System, spec)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%+v, %v; want %v", rep, err, c.want)
			}
			if after := keysOf(t, in); len(after) != len(before) {
				t.Errorf("%d objects before, %d after", len(before), len(after))
			}
		})
	}
}

// In a store that cannot create an object only if it is absent, two that prune at once are
// noticed by the slower one, and by all that come later, until one takes over.
func TestPrune_Weak(t *testing.T) {
	h := changed(t)
	in := h.Clone(h.Store)
	h.Garbage(in, 5)
	weak := func() *prune.Spec {
		s := h.PruneSpec(in)
		s.Opened.Doc.Safety = snapshot.SafetyWeak
		s.Options.Now = time.Now()
		return s
	}
	slow := weak()
	slow.Options.Now = time.Now().Add(-time.Minute) // else their gc objects are one
	slow.Options.Choose = func([]*gc.Snapshot) (gc.Choice, error) {
		slow.Options.Choose = nil
		rep, err := prune.Run(t.Context(), h.System, weak())
		if err != nil || rep.Deleted.Objects == 0 {
			t.Errorf("the first: %+v, %v", rep, err)
		}
		h.Garbage(in, 3)
		return gc.Choice{}, nil
	}
	if rep, err := prune.Run(t.Context(), h.System, slow); !errors.Is(err, gc.ErrOvertaken) ||
		rep.Deleted.Objects > 0 {
		t.Errorf("the second: %+v, %v", rep, err)
	}
	before := len(keysOf(t, in))
	if rep, err := prune.Run(t.Context(), h.System, weak()); !errors.Is(err, gc.ErrOvertaken) ||
		len(keysOf(t, in)) != before {
		t.Errorf("later: %+v, %v; %d objects before, %d after", rep, err, before, len(keysOf(t, in)))
	}
	over := weak()
	over.Options.TakeOver, over.Options.Choose = true, first
	if rep, err := prune.Run(t.Context(), h.System, over); err != nil || rep.Deleted.Objects < 3 {
		t.Errorf("taken over: %+v, %v", rep, err)
	}
	if rep, err := prune.Run(t.Context(), h.System, weak()); err != nil {
		t.Errorf("after that: %+v, %v", rep, err)
	}
	clean(t, h, in, "taken over")
}

// What the store does not delete yet keeps nothing else, and goes in a later run. What it says
// that it keeps in spite of a deletion is counted.
func TestPrune_Locked(t *testing.T) {
	h := changed(t)
	in := h.Clone(h.Store)
	keys := h.Garbage(in, 5)
	locked := faulty.Fail(&backends.OpError{Op: "delete", Key: keys[2], Err: backends.ErrLocked})
	old := layout.Manifest(h.Host.ID, h.Set, 1)
	f := faulty.New(in, faulty.Rule{Op: faulty.Delete, Key: keys[2], Times: 1, Do: locked},
		faulty.Rule{Op: faulty.Delete, Key: old, Times: 1, Do: faulty.Fail(&backends.OpError{
			Op: "delete", Key: old, Err: backends.ErrLocked})})
	spec := h.PruneSpec(f)
	spec.Options.Choose = first
	rep, err := prune.Run(t.Context(), h.System, spec)
	there := keysOf(t, in)
	if err != nil || rep.Kept.Objects != 2 || rep.Deleted.Objects != rep.Ripe.Objects-1 ||
		rep.Kept.Bytes != 3 || rep.Deleted.Bytes != rep.Ripe.Bytes-3 || !there[keys[2]] || !there[old] {
		t.Errorf("%+v, %v", rep, err)
	}
	spec = h.PruneSpec(f)
	spec.Options.Lock = 24 * time.Hour
	rep, err = prune.Run(t.Context(), h.System, spec)
	if err != nil || rep.Deleted.Objects != 1 || rep.Locked != rep.Ripe ||
		time.Until(rep.Unlocked) < 23*time.Hour || keysOf(t, in)[old] {
		t.Errorf("once more: %+v, %v", rep, err)
	}
	clean(t, h, in, "once more")
}

func flip(t *testing.T, b backends.Backend, key string) {
	t.Helper()
	data, err := backends.ReadRange(t.Context(), b, key, 0, -1, nil)
	jobtest.Must(t, err)
	data[len(data)/2] ^= 1
	_, err = b.Put(t.Context(), key, backends.Bytes(data, nil), backends.PutOptions{})
	jobtest.Must(t, err)
}

// Of several that prune one host at once each ends well, or says that another one was faster;
// the store is whole, and clean after one more.
func TestPrune_SeveralAtOnce(t *testing.T) {
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := changed(t)
	in := h.Clone(h.Store)
	h.Garbage(in, 300)
	var wg sync.WaitGroup
	done := make(chan error, 4)
	for range cap(done) {
		spec := h.PruneSpec(in)
		spec.Options.Choose = first
		wg.Go(func() {
			_, err := prune.Run(t.Context(), h.System, spec)
			done <- err
		})
	}
	wg.Wait()
	close(done)
	for err := range done {
		if err != nil && !errors.Is(err, gc.ErrOvertaken) {
			t.Error(err)
		}
	}
	if _, err := prune.Run(t.Context(), h.System, h.PruneSpec(in)); err != nil {
		t.Error(err)
	}
	clean(t, h, in, "after several")
}

// A deleter that panics is replaced, and what it had is deleted; one that always does ends the
// prune. A cancelled prune ends with its cause, and a call that hangs is left behind.
func TestPrune_Trouble(t *testing.T) {
	h := changed(t)
	h.Garbage(h.Store, 300)
	var once sync.Once
	spec := h.PruneSpec(h.Clone(h.Store))
	spec.Faults.OnDelete = func() { once.Do(func() { panic("once") }) }
	if rep, err := prune.Run(t.Context(), h.System, spec); err != nil || rep.Deleted != rep.Ripe {
		t.Errorf("a panic: %+v, %v", rep, err)
	}
	spec = h.PruneSpec(h.Clone(h.Store))
	spec.Faults.OnDelete = func() { panic("always") }
	bug := (*actors.PanicError)(nil)
	if rep, err := prune.Run(t.Context(), h.System, spec); !errors.As(err, &bug) || rep.Deleted.Objects > 0 {
		t.Errorf("panics: %+v, %v", rep, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	in := h.Clone(h.Store)
	f := faulty.New(in, faulty.Rule{Op: faulty.Delete, Do: faulty.Wait(nil)})
	spec = h.PruneSpec(f)
	spec.Faults.OnDelete = func() { cancel(why) }
	if rep, err := prune.Run(ctx, h.System, spec); !errors.Is(err, why) || rep.Deleted.Objects > 0 {
		t.Errorf("cancelled: %+v, %v", rep, err)
	}
	if _, err := prune.Run(t.Context(), h.System, h.PruneSpec(in)); err != nil {
		t.Error(err)
	}
	for _, where := range []string{"deleter", "planner"} {
		spec := h.PruneSpec(h.Clone(h.Store))
		hang := jobtest.NewHang(t)
		spec.Faults.HangTime, spec.Warn = jobtest.HangTime, hang.Warn
		if where == "deleter" {
			spec.Faults.OnDelete = hang.Call
		} else {
			spec.Faults.OnScan = hang.Call
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		hang.Ends(t, cancel, func() error {
			_, err := prune.Run(ctx, h.System, spec)
			return err
		}, "a system call")
	}
}
