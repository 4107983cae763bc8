package backup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/internal/testsize"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/internal/testtree"
	"vaultik/vault/snapshot"
)

func bigTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	jobtest.MakeTree(t, testtree.Random(11, testtree.RandomOptions{Nodes: 500}), dir)
	for i, n := range []string{"p", "q", "r", "s"} {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, n), testtree.Bytes(uint64(i), 13<<20), 0o600))
	}
	return dir
}

func TestBackup_StoresLostBlobsAgain(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir := bigTree(t)
	h.Backup(dir)
	blobs := h.Keys("b/")
	for _, lost := range blobs {
		jobtest.Must(t, h.Store.Delete(t.Context(), lost))
		var warned bool
		h.Edit = func(s *backup.Spec) { s.Warn = func(string) { warned = true } }
		r := h.Backup(dir)
		if !warned || r.Errors != 0 {
			t.Errorf("%s: warned %v, %+v", lost, warned, r)
		}
		h.CheckTree(dir)
	}
}

func TestBackup_TruncatedBlobCountsAsLost(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir := bigTree(t)
	h.Backup(dir)
	damaged := h.Keys("b/")[0]
	h.Put(damaged, []byte("short"))
	h.Backup(dir)
	jobtest.Must(t, h.Store.Delete(t.Context(), damaged)) // nothing may need it any more
	h.CheckTree(dir)
}

func TestBackup_BlobsThatVanishWhileItRuns(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir := bigTree(t)
	var once atomic.Bool
	h.Edit = func(s *backup.Spec) {
		s.Faults.Boot = jobtest.Late() // the listing at the start is too old at the end
		s.SetName = "vanish"
		s.Warn = func(string) {}
		head := s.SaveHead
		s.SaveHead = head
		s.Faults.OnCommitStart = func() {
			if once.CompareAndSwap(false, true) {
				for _, k := range h.Keys("b/") {
					jobtest.Must(t, h.Store.Delete(context.Background(), k))
				}
			}
		}
	}
	r := h.Backup(dir)
	if r.Rounds != 2 {
		t.Errorf("%d rounds", r.Rounds)
	}
	h.CheckTree(dir)

	// Something that deletes again and again ends the job, without a manifest.
	n := len(h.Keys("m/"))
	h.Edit = func(s *backup.Spec) {
		s.Faults.Boot = jobtest.Late()
		s.Warn = func(string) {}
		s.Faults.OnCommitStart = func() {
			for _, k := range h.Keys("b/") {
				jobtest.Must(t, h.Store.Delete(context.Background(), k))
			}
		}
	}
	_, err := backup.Run(t.Context(), context.Background(), h.System, h.Spec(dir))
	if err == nil || !strings.Contains(err.Error(), "went missing") {
		t.Fatalf("error %v", err)
	}
	if len(h.Keys("m/")) != n {
		t.Error("a manifest was written")
	}
	h.Edit = nil
	h.Backup(dir)
	h.CheckTree(dir)
}

func TestBackup_InterruptedGoesOn(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir := bigTree(t)
	soft, stop := context.WithCancel(context.Background())
	defer stop()
	var puts atomic.Int64
	h.Edit = func(s *backup.Spec) {
		s.Chunkers = 1 // one file after the other: some are finished when it stops
		s.Memory = 180 << 20
		s.Faults.OnUpload = func(after bool) {
			if after && puts.Add(1) == 3 {
				stop()
			}
		}
	}
	_, err := backup.Run(t.Context(), soft, h.System, h.Spec(dir))
	if !errors.Is(err, actors.ErrInterrupted) {
		t.Fatalf("error %v", err)
	}
	if len(h.Keys("p/")) != 1 || len(h.Keys("m/")) != 0 {
		t.Errorf("checkpoints %v, manifests %v", h.Keys("p/"), h.Keys("m/"))
	}
	before := len(h.Keys("b/"))
	h.Edit = func(s *backup.Spec) { s.Memory = 180 << 20 }
	r := h.Backup(dir)
	h.CheckTree(dir)
	if before+int(r.BlobsStored) > 10 { // from the beginning they are 8, and those before
		t.Errorf("%d blobs before, %d after the interruption", before, r.BlobsStored)
	}
	if r.BytesRead > 45<<20 {
		t.Errorf("read %d bytes again", r.BytesRead)
	}
}

func TestBackup_CancelledAtOnce(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir := bigTree(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	h.Edit = func(s *backup.Spec) {
		s.Faults.OnUpload = func(bool) { cancel(errors.New("enough")) }
	}
	if _, err := backup.Run(ctx, context.Background(), h.System, h.Spec(dir)); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Fatalf("error %v", err)
	}
	h.Edit = nil
	h.Backup(dir)
	h.CheckTree(dir)
}

func TestBackup_CheckpointsWhileItRuns(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir := bigTree(t)
	h.Edit = func(s *backup.Spec) { s.Faults.CheckpointBytes, s.Faults.CheckpointEvery = 1, time.Millisecond }
	h.Backup(dir)
	h.CheckTree(dir)
	if len(h.Keys("p/")) == 0 {
		t.Error("no checkpoint was written")
	}
	var cks []*snapshot.LoadedCheckpoint
	problems, err := h.Opened.EachCheckpoint(t.Context(), h.Host.ID, time.Now(),
		func(string) bool { return false }, func(c *snapshot.LoadedCheckpoint) error {
			cks = append(cks, c)
			return nil
		})
	if err != nil || len(problems) > 0 || len(cks) == 0 {
		t.Errorf("%v %v %v", cks, problems, err)
	}
	for _, c := range cks {
		if c.Seq != 1 {
			t.Errorf("a checkpoint of the first snapshot leads to seq %d", c.Seq)
		}
	}
}

func TestBackup_LostIndexCostsOneUpload(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir := bigTree(t)
	first := h.Backup(dir)
	h.CloseIndex()
	jobtest.Must(t, os.RemoveAll(h.IndexDir))
	h.OpenIndex()
	if r := h.Backup(dir); r.BytesStored > first.BytesStored*11/10 {
		t.Errorf("stored %d, then %d bytes", first.BytesStored, r.BytesStored)
	}
	h.CheckTree(dir)
}

func TestBackup_OlderIndexIsCorrect(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir := bigTree(t)
	h.Backup(dir)
	h.CloseIndex()
	old := filepath.Join(t.TempDir(), "old")
	jobtest.Must(t, os.CopyFS(old, os.DirFS(h.IndexDir)))
	h.OpenIndex()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "q"), testtree.Bytes(77, 13<<20), 0o600))
	h.Backup(dir)
	h.CloseIndex()
	h.IndexDir = old
	h.OpenIndex()
	h.Backup(dir)
	h.CheckTree(dir)
}

func TestBackup_AdoptsItsOwnUnnotedManifest(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir := bigTree(t)
	h.Edit = func(s *backup.Spec) { s.SaveHead = func(backup.Head) error { return errors.New("killed here") } }
	if _, err := backup.Run(t.Context(), context.Background(), h.System, h.Spec(dir)); err == nil {
		t.Fatal("the head was noted")
	}
	h.Edit = nil
	if r := h.Backup(dir); r.Seq != 2 {
		t.Errorf("seq %d", r.Seq)
	}
	h.CheckTree(dir)
}

func TestBackup_RefusesAForeignWriter(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600))
	h.Backup(dir)
	old := h.Head
	h.Backup(dir)
	h.Backup(dir)
	h.Head = old // as a clone of the machine would remember it
	_, err := backup.Run(t.Context(), context.Background(), h.System, h.Spec(dir))
	if !errors.Is(err, backup.ErrForeignWriter) {
		t.Errorf("error %v", err)
	}
}
