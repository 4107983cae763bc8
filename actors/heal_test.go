package actors

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/backends"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/vault/layout"
)

// keys lists what the store has under the host's part of a kind.
func (h *testHost) keys(kind string) (all []string) {
	h.t.Helper()
	must(h.t, h.store.ListStream(context.Background(), layout.HostPrefix(h.host.ID)+kind, func(o backends.ObjectInfo) error {
		all = append(all, o.Key)
		return nil
	}))
	slices.Sort(all)
	return all
}

func bigTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	makeTree(t, testtree.Random(11, testtree.RandomOptions{Nodes: 500}), dir)
	for i, n := range []string{"p", "q", "r", "s"} {
		must(t, os.WriteFile(filepath.Join(dir, n), testtree.Bytes(uint64(i), 13<<20), 0o600))
	}
	return dir
}

func TestBackup_StoresLostBlobsAgain(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir := bigTree(t)
	h.backup(dir)
	blobs := h.keys("b/")
	for _, lost := range blobs {
		must(t, h.store.Delete(t.Context(), lost))
		var warned bool
		h.edit = func(s *BackupSpec) { s.Warn = func(string) { warned = true } }
		r := h.backup(dir)
		if !warned || r.Errors != 0 {
			t.Errorf("%s: warned %v, %+v", lost, warned, r)
		}
		h.checkTree(dir)
	}
}

func TestBackup_TruncatedBlobCountsAsLost(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir := bigTree(t)
	h.backup(dir)
	damaged := h.keys("b/")[0]
	h.put(damaged, []byte("short"))
	h.backup(dir)
	must(t, h.store.Delete(t.Context(), damaged)) // nothing may need it any more
	h.checkTree(dir)
}

func TestBackup_BlobsThatVanishWhileItRuns(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir := bigTree(t)
	var once atomic.Bool
	h.edit = func(s *BackupSpec) {
		s.faults.fresh = time.Nanosecond // the listing at the start is too old at the end
		s.SetName = "vanish"
		s.Warn = func(string) {}
		head := s.SaveHead
		s.SaveHead = head
		s.faults.onCommitStart = func() {
			if once.CompareAndSwap(false, true) {
				for _, k := range h.keys("b/") {
					must(t, h.store.Delete(context.Background(), k))
				}
			}
		}
	}
	r := h.backup(dir)
	if r.Rounds != 2 {
		t.Errorf("%d rounds", r.Rounds)
	}
	h.checkTree(dir)

	// Something that deletes again and again ends the job, without a manifest.
	n := len(h.keys("m/"))
	h.edit = func(s *BackupSpec) {
		s.faults.fresh = time.Nanosecond
		s.Warn = func(string) {}
		s.faults.onCommitStart = func() {
			for _, k := range h.keys("b/") {
				must(t, h.store.Delete(context.Background(), k))
			}
		}
	}
	_, err := h.system.Backup(t.Context(), context.Background(), h.spec(dir))
	if err == nil || !strings.Contains(err.Error(), "went missing") {
		t.Fatalf("error %v", err)
	}
	if len(h.keys("m/")) != n {
		t.Error("a manifest was written")
	}
	h.edit = nil
	h.backup(dir)
	h.checkTree(dir)
}

func TestBackup_InterruptedGoesOn(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir := bigTree(t)
	soft, stop := context.WithCancel(context.Background())
	defer stop()
	var puts atomic.Int64
	h.edit = func(s *BackupSpec) {
		s.Chunkers = 1 // one file after the other: some are finished when it stops
		s.faults.onUpload = func(after bool) {
			if after && puts.Add(1) == 3 {
				stop()
			}
		}
	}
	_, err := h.system.Backup(t.Context(), soft, h.spec(dir))
	if !errors.Is(err, ErrInterrupted) {
		t.Fatalf("error %v", err)
	}
	if len(h.keys("p/")) != 1 || len(h.keys("m/")) != 0 {
		t.Errorf("checkpoints %v, manifests %v", h.keys("p/"), h.keys("m/"))
	}
	before := len(h.keys("b/"))
	h.edit = nil
	r := h.backup(dir)
	h.checkTree(dir)
	if before+int(r.BlobsStored) > 10 { // from the beginning they are 8, and those before
		t.Errorf("%d blobs before, %d after the interruption", before, r.BlobsStored)
	}
	if r.BytesRead > 45<<20 {
		t.Errorf("read %d bytes again", r.BytesRead)
	}
}

func TestBackup_CancelledAtOnce(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir := bigTree(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	h.edit = func(s *BackupSpec) {
		s.faults.onUpload = func(bool) { cancel(errors.New("enough")) }
	}
	if _, err := h.system.Backup(ctx, context.Background(), h.spec(dir)); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Fatalf("error %v", err)
	}
	h.edit = nil
	h.backup(dir)
	h.checkTree(dir)
}

func TestBackup_CheckpointsWhileItRuns(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir := bigTree(t)
	h.edit = func(s *BackupSpec) { s.faults.checkpointBytes, s.faults.checkpointEvery = 1, time.Millisecond }
	h.backup(dir)
	h.checkTree(dir)
	if len(h.keys("p/")) == 0 {
		t.Error("no checkpoint was written")
	}
	cks, problems, err := h.opened.Checkpoints(t.Context(), h.host.ID)
	if err != nil || len(problems) > 0 || len(cks) == 0 {
		t.Errorf("%v %v %v", cks, problems, err)
	}
}

func TestBackup_LostIndexCostsOneUpload(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir := bigTree(t)
	first := h.backup(dir)
	h.closeIndex()
	must(t, os.RemoveAll(h.indexDir))
	h.openIndex()
	if r := h.backup(dir); r.BytesStored > first.BytesStored*11/10 {
		t.Errorf("stored %d, then %d bytes", first.BytesStored, r.BytesStored)
	}
	h.checkTree(dir)
}

func TestBackup_OlderIndexIsCorrect(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir := bigTree(t)
	h.backup(dir)
	h.closeIndex()
	old := filepath.Join(t.TempDir(), "old")
	must(t, os.CopyFS(old, os.DirFS(h.indexDir)))
	h.openIndex()
	must(t, os.WriteFile(filepath.Join(dir, "q"), testtree.Bytes(77, 13<<20), 0o600))
	h.backup(dir)
	h.closeIndex()
	h.indexDir = old
	h.openIndex()
	h.backup(dir)
	h.checkTree(dir)
}

func TestBackup_AdoptsItsOwnUnnotedManifest(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir := bigTree(t)
	h.edit = func(s *BackupSpec) { s.SaveHead = func(Head) error { return errors.New("killed here") } }
	if _, err := h.system.Backup(t.Context(), context.Background(), h.spec(dir)); err == nil {
		t.Fatal("the head was noted")
	}
	h.edit = nil
	if r := h.backup(dir); r.Seq != 2 {
		t.Errorf("seq %d", r.Seq)
	}
	h.checkTree(dir)
}

func TestBackup_RefusesAForeignWriter(t *testing.T) {
	h := newTestHost(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600))
	h.backup(dir)
	old := h.head
	h.backup(dir)
	h.backup(dir)
	h.head = old // as a clone of the machine would remember it
	_, err := h.system.Backup(t.Context(), context.Background(), h.spec(dir))
	if !errors.Is(err, ErrForeignWriter) {
		t.Errorf("error %v", err)
	}
}
