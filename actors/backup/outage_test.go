package backup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/actors/verify"
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

// outageTree makes a tree that takes some ten blobs.
func outageTree(t *testing.T, h *jobtest.Host) string {
	h.Edit = func(s *backup.Spec) { s.BlobSize = 2 << 20 }
	dir := t.TempDir()
	jobtest.MakeOdd(t, dir, 21, 60)
	for _, name := range []string{"large", "larger"} {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, name), testtree.Bytes(uint64(len(name)), 8<<20), 0o600))
	}
	return dir
}

// An outage in the middle pauses a backup, a restore and a verify; they go on.
func TestOutage_Pauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := jobtest.New(t)
		dir, plain := outageTree(t, h), h.Store
		began := time.Now()
		a := h.Patient(faulty.Put, 3, 2*time.Minute, retry.Options{})
		a.Add(faulty.Rule{Op: faulty.Put, Key: "h/" + h.Host.ID.String() + "/m/", Nth: 1, Do: faulty.FailAfter(jobtest.ErrAway)})
		r := h.Backup(dir)
		if d := time.Since(began); a.Hits < 4 || d < 2*time.Minute || d > 4*time.Minute || r.Seq != 1 || !r.Complete {
			t.Errorf("%d calls failed, %v, %+v", a.Hits, d, r)
		}
		h.Store = plain
		h.ReadBack()

		began = time.Now()
		a = h.Patient(faulty.Get, 4, 2*time.Minute, retry.Options{})
		out := filepath.Join(t.TempDir(), "out")
		res := h.Restore(h.RestoreSpec(dir, out))
		if d := time.Since(began); a.Hits < 4 || d < 2*time.Minute || d > 4*time.Minute || res.Failed > 0 {
			t.Errorf("%d calls failed, %v, %+v", a.Hits, d, res)
		}
		jobtest.SameTree(t, dir, out)
		h.Store = plain

		m, _, _ := h.Newest()
		began = time.Now()
		a = h.Patient(faulty.Get, 3, 2*time.Minute, retry.Options{})
		v := &verify.Spec{Store: h.Store, Opened: h.Opened, ReadData: true, Identity: h.Identity, Progress: &messages.Progress{}}
		v.Snapshots = append(v.Snapshots, m)
		rep, err := verify.Run(t.Context(), h.System, v)
		jobtest.Must(t, err)
		if d := time.Since(began); a.Hits < 2 || d < 2*time.Minute || d > 4*time.Minute || rep.Found > 0 || rep.Checked != rep.Objects {
			t.Errorf("%d calls failed, %v, %+v", a.Hits, d, rep)
		}
		h.Store = plain
		h.CloseIndex()
	})
}

// A store that stays away ends a job with one error, not with one a file; the same
// job goes on later.
func TestOutage_TooLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := jobtest.New(t)
		dir, plain := outageTree(t, h), h.Store
		a := h.Patient(faulty.Put, 5, time.Hour, retry.Options{})
		began := time.Now()
		first, err := backup.Run(t.Context(), context.Background(), h.System, h.Spec(dir))
		if d := time.Since(began); !errors.Is(err, backends.ErrUnreachable) || d < 15*time.Minute || d > 17*time.Minute || first.BlobsStored == 0 {
			t.Errorf("after %v: %+v, %v", d, first, err)
		}
		a.Heal()
		if r := h.Backup(dir); r.BytesStored+first.BytesStored > r.Counts.Bytes+8<<20 { // what was stored is not stored again
			t.Errorf("%+v, then %+v", first, r)
		}
		h.Store = plain
		h.ReadBack()

		out := filepath.Join(t.TempDir(), "out")
		a = h.Patient(faulty.Get, 4, time.Hour, retry.Options{})
		spec := h.RestoreSpec(dir, out)
		began = time.Now()
		res, err := restore.Run(t.Context(), h.System, spec)
		if d := time.Since(began); !errors.Is(err, backends.ErrUnreachable) || d < 15*time.Minute || d > 17*time.Minute || res.Failed > 0 {
			t.Errorf("after %v: %+v, %v", d, res, err)
		}
		a.Heal()
		if res := h.Restore(h.RestoreSpec(dir, out)); res.Failed > 0 {
			t.Errorf("%+v", res)
		}
		jobtest.SameTree(t, dir, out)
		h.Store = plain

		m, _, _ := h.Newest()
		h.Patient(faulty.Get, 3, time.Hour, retry.Options{})
		v := &verify.Spec{Store: h.Store, Opened: h.Opened, ReadData: true, Identity: h.Identity, Progress: &messages.Progress{}}
		v.Snapshots = append(v.Snapshots, m)
		rep, err := verify.Run(t.Context(), h.System, v)
		if !errors.Is(err, backends.ErrUnreachable) || rep != nil && rep.Found > 0 {
			t.Errorf("%+v, %v", rep, err)
		}
		h.Store = plain
		h.CloseIndex()
	})
}

// Asked to stop in an outage, a backup ends soon, with what it had stored; and so it
// does when the store says nothing at all.
func TestOutage_Interrupted(t *testing.T) {
	for name, do := range map[string]faulty.Action{"refuses": faulty.Fail(jobtest.ErrAway), "is silent": faulty.Wait(nil)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := jobtest.New(t)
				dir, plain := outageTree(t, h), h.Store
				soft, interrupt := context.WithCancel(t.Context())
				f := faulty.New(h.Store, faulty.Rule{Op: faulty.Put, Key: layout.HostPrefix(h.Host.ID) + "b/", Nth: 2, Times: 1000, Do: do})
				h.Store = retry.Wrap(f, retry.Options{Connections: 4, Patience: soft})
				began := time.Now()
				time.AfterFunc(time.Minute, interrupt)
				res, err := backup.Run(t.Context(), soft, h.System, h.Spec(dir))
				if d := time.Since(began); err == nil || d < time.Minute || d > 75*time.Second || res.BlobsStored != 1 {
					t.Errorf("after %v: %+v, %v", d, res, err)
				}
				if errors.Is(err, backends.ErrUnreachable) {
					t.Errorf("%v", err)
				}
				h.Store = plain
				if r := h.Backup(dir); !r.Complete {
					t.Errorf("%+v", r)
				}
				h.ReadBack()
				h.CloseIndex()
			})
		})
	}
}

// A job that is cancelled while its store is away ends at once.
func TestOutage_Cancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := jobtest.New(t)
		dir, plain := outageTree(t, h), h.Store
		h.Patient(faulty.Put, 3, time.Hour, retry.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(time.Minute, cancel)
		_, err := backup.Run(ctx, context.Background(), h.System, h.Spec(dir))
		if d := time.Since(began); !errors.Is(err, context.Canceled) || d != time.Minute {
			t.Errorf("after %v: %v", d, err)
		}
		h.Store = plain
		h.CloseIndex()
	})
}

// A checkpoint that falls due in an outage waits like the rest and holds up nothing else.
func TestOutage_Checkpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := jobtest.New(t)
		dir, plain := outageTree(t, h), h.Store
		h.Edit = func(s *backup.Spec) {
			s.BlobSize, s.Faults.CheckpointBytes, s.Faults.CheckpointEvery = 2<<20, 1, 5*time.Second
		}
		a := h.Patient(faulty.Put, 5, 2*time.Minute, retry.Options{})
		r := h.Backup(dir)
		if a.Hits < 4 || !r.Complete {
			t.Errorf("%d calls failed, %+v", a.Hits, r)
		}
		h.Store = plain
		h.ReadBack()
		h.CloseIndex()
	})
}
