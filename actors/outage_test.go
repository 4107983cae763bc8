package actors

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vaultik/backends"
	"vaultik/backends/faulty"
	"vaultik/backends/retry"
	"vaultik/internal/testtree"
	"vaultik/messages"
	"vaultik/vault/layout"
)

// Stores that fail while a job runs, behind package retry as in the program. Time is
// that of a bubble of testing/synctest, so minutes pass at once.

func bubble(t *testing.T, f func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		// The actor library ends a goroutine a moment after its last message was lost,
		// and a tick of an actor may be due just then.
		t.Cleanup(func() { time.Sleep(time.Minute + time.Millisecond/2) })
		f(t)
	})
}

var errAway = &backends.OpError{Op: "test", Retryable: true, Err: errors.New("connection refused")}

// away makes every call fail for a while, from the nth call of op on.
type away struct {
	*faulty.Backend
	op  faulty.Op
	nth int
	d   time.Duration

	mu    sync.Mutex
	began time.Time
	hits  int
}

func (a *away) rules() []faulty.Rule {
	begin := func(faulty.Op, string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.began = time.Now()
	}
	out := func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		is := !a.began.IsZero() && time.Since(a.began) < a.d
		if is {
			a.hits++
		}
		return is
	}
	return []faulty.Rule{{Op: a.op, Nth: a.nth, Do: faulty.Tell(begin)}, {Do: faulty.When(out, faulty.Fail(errAway))}}
}

// patient puts package retry between h and a store that goes away for d at the nth call of op.
func (h *testHost) patient(op faulty.Op, nth int, d time.Duration, o retry.Options) *away {
	a := &away{Backend: faulty.New(h.store), op: op, nth: nth, d: d}
	a.Add(a.rules()...)
	o.Connections = 4
	h.store = retry.Wrap(a.Backend, o)
	return a
}

// outageTree makes a tree that takes some ten blobs.
func outageTree(t *testing.T, h *testHost) string {
	h.edit = func(s *BackupSpec) { s.BlobSize = 2 << 20 }
	dir := t.TempDir()
	makeOdd(t, dir, 21, 60)
	for _, name := range []string{"large", "larger"} {
		must(t, os.WriteFile(filepath.Join(dir, name), testtree.Bytes(uint64(len(name)), 8<<20), 0o600))
	}
	return dir
}

// An outage in the middle pauses a backup, a restore and a verify; they go on.
func TestOutage_Pauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newTestHost(t)
		dir, plain := outageTree(t, h), h.store
		began := time.Now()
		a := h.patient(faulty.Put, 3, 2*time.Minute, retry.Options{})
		a.Add(faulty.Rule{Op: faulty.Put, Key: "h/" + h.host.ID.String() + "/m/", Nth: 1, Do: faulty.FailAfter(errAway)})
		r := h.backup(dir)
		if d := time.Since(began); a.hits < 4 || d < 2*time.Minute || d > 4*time.Minute || r.Seq != 1 || !r.Complete {
			t.Errorf("%d calls failed, %v, %+v", a.hits, d, r)
		}
		h.store = plain
		h.readBack()

		began = time.Now()
		a = h.patient(faulty.Get, 4, 2*time.Minute, retry.Options{})
		out := filepath.Join(t.TempDir(), "out")
		res := h.restore(h.restoreSpec(dir, out))
		if d := time.Since(began); a.hits < 4 || d < 2*time.Minute || d > 4*time.Minute || res.Failed > 0 {
			t.Errorf("%d calls failed, %v, %+v", a.hits, d, res)
		}
		sameTree(t, dir, out)
		h.store = plain

		m, _, _ := h.newest()
		began = time.Now()
		a = h.patient(faulty.Get, 3, 2*time.Minute, retry.Options{})
		v := &VerifySpec{Store: h.store, Opened: h.opened, ReadData: true, Identity: h.identity, Progress: &messages.Progress{}}
		v.Snapshots = append(v.Snapshots, m)
		rep, err := h.system.Verify(t.Context(), v)
		must(t, err)
		if d := time.Since(began); a.hits < 2 || d < 2*time.Minute || d > 4*time.Minute || rep.Found > 0 || rep.Checked != rep.Objects {
			t.Errorf("%d calls failed, %v, %+v", a.hits, d, rep)
		}
		h.store = plain
		h.closeIndex()
	})
}

// A store that stays away ends a job with one error, not with one a file; the same
// job goes on later.
func TestOutage_TooLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newTestHost(t)
		dir, plain := outageTree(t, h), h.store
		a := h.patient(faulty.Put, 5, time.Hour, retry.Options{})
		began := time.Now()
		first, err := h.system.Backup(t.Context(), context.Background(), h.spec(dir))
		if d := time.Since(began); !errors.Is(err, backends.ErrUnreachable) || d < 15*time.Minute || d > 17*time.Minute || first.BlobsStored == 0 {
			t.Errorf("after %v: %+v, %v", d, first, err)
		}
		a.Heal()
		if r := h.backup(dir); r.BytesStored+first.BytesStored > r.Counts.Bytes+8<<20 { // what was stored is not stored again
			t.Errorf("%+v, then %+v", first, r)
		}
		h.store = plain
		h.readBack()

		out := filepath.Join(t.TempDir(), "out")
		a = h.patient(faulty.Get, 4, time.Hour, retry.Options{})
		spec := h.restoreSpec(dir, out)
		began = time.Now()
		res, err := h.system.Restore(t.Context(), spec)
		if d := time.Since(began); !errors.Is(err, backends.ErrUnreachable) || d < 15*time.Minute || d > 17*time.Minute || res.Failed > 0 {
			t.Errorf("after %v: %+v, %v", d, res, err)
		}
		a.Heal()
		if res := h.restore(h.restoreSpec(dir, out)); res.Failed > 0 {
			t.Errorf("%+v", res)
		}
		sameTree(t, dir, out)
		h.store = plain

		m, _, _ := h.newest()
		h.patient(faulty.Get, 3, time.Hour, retry.Options{})
		v := &VerifySpec{Store: h.store, Opened: h.opened, ReadData: true, Identity: h.identity, Progress: &messages.Progress{}}
		v.Snapshots = append(v.Snapshots, m)
		rep, err := h.system.Verify(t.Context(), v)
		if !errors.Is(err, backends.ErrUnreachable) || rep != nil && rep.Found > 0 {
			t.Errorf("%+v, %v", rep, err)
		}
		h.store = plain
		h.closeIndex()
	})
}

// Asked to stop in an outage, a backup ends soon, with what it had stored; and so it
// does when the store says nothing at all.
func TestOutage_Interrupted(t *testing.T) {
	for name, do := range map[string]faulty.Action{"refuses": faulty.Fail(errAway), "is silent": faulty.Wait(nil)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newTestHost(t)
				dir, plain := outageTree(t, h), h.store
				soft, interrupt := context.WithCancel(t.Context())
				f := faulty.New(h.store, faulty.Rule{Op: faulty.Put, Key: layout.HostPrefix(h.host.ID) + "b/", Nth: 2, Times: 1000, Do: do})
				h.store = retry.Wrap(f, retry.Options{Connections: 4, Patience: soft})
				began := time.Now()
				time.AfterFunc(time.Minute, interrupt)
				res, err := h.system.Backup(t.Context(), soft, h.spec(dir))
				if d := time.Since(began); err == nil || d < time.Minute || d > 75*time.Second || res.BlobsStored != 1 {
					t.Errorf("after %v: %+v, %v", d, res, err)
				}
				if errors.Is(err, backends.ErrUnreachable) {
					t.Errorf("%v", err)
				}
				h.store = plain
				if r := h.backup(dir); !r.Complete {
					t.Errorf("%+v", r)
				}
				h.readBack()
				h.closeIndex()
			})
		})
	}
}

// A job that is cancelled while its store is away ends at once.
func TestOutage_Cancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newTestHost(t)
		dir, plain := outageTree(t, h), h.store
		h.patient(faulty.Put, 3, time.Hour, retry.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(time.Minute, cancel)
		_, err := h.system.Backup(ctx, context.Background(), h.spec(dir))
		if d := time.Since(began); !errors.Is(err, context.Canceled) || d != time.Minute {
			t.Errorf("after %v: %v", d, err)
		}
		h.store = plain
		h.closeIndex()
	})
}

// A checkpoint that falls due in an outage waits like the rest and holds up nothing else.
func TestOutage_Checkpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newTestHost(t)
		dir, plain := outageTree(t, h), h.store
		h.edit = func(s *BackupSpec) {
			s.BlobSize, s.faults.checkpointBytes, s.faults.checkpointEvery = 2<<20, 1, 5*time.Second
		}
		a := h.patient(faulty.Put, 5, 2*time.Minute, retry.Options{})
		r := h.backup(dir)
		if a.hits < 4 || !r.Complete {
			t.Errorf("%d calls failed, %+v", a.hits, r)
		}
		h.store = plain
		h.readBack()
		h.closeIndex()
	})
}
