package actors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

// backupWithin fails the test instead of hanging.
func (h *testHost) backupWithin(d time.Duration, paths ...string) *BackupResult {
	h.t.Helper()
	ctx, cancel := context.WithTimeoutCause(h.t.Context(), d, errors.New("the backup hangs"))
	defer cancel()
	r, err := h.system.Backup(ctx, context.Background(), h.spec(paths...))
	must(h.t, err)
	return r
}

// vanishing deletes all blobs before the commit of the first rounds.
func (h *testHost) vanishing(rounds int) {
	h.edit = func(s *BackupSpec) {
		s.faults.fresh = time.Nanosecond
		s.Warn = func(string) {}
		s.faults.onCommitStart = func() {
			if rounds--; rounds < 0 {
				return
			}
			for _, k := range h.keys("b/") {
				must(h.t, h.store.Delete(context.Background(), k))
			}
		}
	}
}

// TestBackup_SmallRunsBlobVanishes: what went into the blob that was handed over is
// no longer promised in the next round.
func TestBackup_SmallRunsBlobVanishes(t *testing.T) {
	for rounds := 1; rounds < maxRounds; rounds++ {
		h := newTestHost(t)
		dir := t.TempDir()
		for i := range 300 {
			must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), fmt.Append(nil, i), 0o600))
		}
		must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(7, 300<<10), 0o600))
		h.vanishing(rounds)
		vanish := h.edit
		h.edit = func(s *BackupSpec) { vanish(s); s.Memory = 1 } // two blobs at once, no more
		if r := h.backupWithin(20*time.Second, dir); r.Rounds != rounds+1 || !r.Complete {
			t.Errorf("%+v", r)
		}
		h.checkTree(dir)
	}
}

// TestBackup_ListsOfListsAreNeeded: list pages below others, and branches, that stand
// in earlier blobs are named by the manifest.
func TestBackup_ListsOfListsAreNeeded(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	h.edit = func(s *BackupSpec) { s.Chunks, s.BlobSize = chunk.ParamsFor(4<<10), 2<<20 }
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	must(t, os.WriteFile(large, testtree.Bytes(7, 40<<20), 0o600))
	h.backup(dir)
	h.checkTree(dir)
	for i := range 3 {
		f, err := os.OpenFile(large, os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteAt(testtree.Bytes(uint64(100+i), 1<<20), int64(i)*13<<20)
		must(t, err)
		must(t, f.Close())
		h.backup(dir)
		h.checkTree(dir)
	}
	before := len(h.keys("b/"))
	must(t, os.Chmod(large, 0o640)) // the leaf is written anew, everything below it stands
	h.backup(dir)
	h.checkTree(dir)
	if n := len(h.keys("b/")); n > before+1 {
		t.Errorf("%d blobs, then %d", before, n)
	}
}

// TestPacker_TellsBeforeItForgets: while a message waits for a free frame, a frame that
// it refers to already becomes known to the index, and is not promised again.
func TestPacker_TellsBeforeItForgets(t *testing.T) {
	h := newTestHost(t)
	run := newBackupRun(h.spec())
	defer run.mem.Close()
	run.limits.frames = 1
	root := h.system.sys.Root
	got := make(chan *actor.MessageEnvelope, 100)
	probe := root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(actor.SystemMessage); !ok {
			got <- &actor.MessageEnvelope{Message: c.Message(), Sender: c.Sender()}
		}
	}))
	p := root.Spawn(props(func() actor.Actor { return newPacker(run, probe, probe, probe, probe) }))
	read := func(leaf uint64, seeds ...uint64) {
		m := &messages.EntriesRead{Leaf: leaf, Attempt: 1, Buf: &messages.Buf{}}
		for i, seed := range seeds {
			b := testtree.Bytes(seed, 100<<10)
			m.Pieces = append(m.Pieces, messages.Piece{Index: i, ID: chunk.ID{byte(seed)}, Off: len(m.Buf.B), Len: len(b)})
			m.Buf.B = append(m.Buf.B, b...)
		}
		<-run.bufs.free
		root.Send(p, m)
	}
	next := func() any {
		select {
		case e := <-got:
			return e.Message
		case <-time.After(5 * time.Second):
			t.Fatal("nothing came")
			return nil
		}
	}
	compressed := func() {
		job := next().(*messages.Submit[messages.Sealing]).Job
		frame := blob.NewCompressor(0).Frame(nil, job.Compress.Raw)
		root.Send(p, &messages.Finished[messages.Sealing, messages.SealingDone]{Job: job, Result: messages.SealingDone{Frame: frame}})
	}
	read(1, 1)
	first := next().(*messages.EntriesPlaced).Pieces[0].Frame
	root.Send(p, &messages.SealNow{})
	compressed()
	seal := next().(*messages.Submit[messages.Sealing]).Job
	sealed := blob.Sealed{Info: blob.Info{Name: blob.Name{1}, Size: 5}, Bytes: []byte("bytes")}
	root.Send(p, &messages.Finished[messages.Sealing, messages.SealingDone]{Job: seal, Result: messages.SealingDone{Sealed: sealed}})
	_ = next().(*messages.BlobSealed)
	put := next().(*messages.Submit[messages.PutObject]).Job
	read(2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
	root.Send(p, &messages.Finished[messages.PutObject, messages.Stored]{Job: put})
	for promised := false; ; {
		switch m := next().(type) {
		case *messages.EntriesPlaced:
			promised = promised || m.Leaf == 2 && m.Pieces[0].Frame == first
		case *writeRows:
			root.Send(p, &rowsWritten{batch: m.batch})
		case *messages.BlobIndexed:
			if !promised {
				t.Error("a frame was promised after the committer had been told that it would not be")
			}
			return
		}
	}
}

// TestBackup_RacyWhenRead: what counts is the time of the reading, not that of the row.
func TestBackup_RacyWhenRead(t *testing.T) {
	h := newTestHost(t)
	dir := t.TempDir()
	for _, n := range []string{"a", "b"} {
		must(t, os.WriteFile(filepath.Join(dir, n), testtree.Bytes(1, 10<<10), 0o600))
	}
	var later atomic.Bool
	h.now = func() time.Time {
		if later.Load() {
			return time.Now().Add(time.Hour)
		}
		return time.Now()
	}
	h.edit = func(s *BackupSpec) { s.faults.onPack = func() { later.Store(true) } }
	h.backup(dir)
	h.edit = nil
	if r := h.backup(dir); r.BytesRead != 20<<10 {
		t.Errorf("read %d bytes of files that may have changed after they were read", r.BytesRead)
	}
	if r := h.backup(dir); r.BytesRead != 0 {
		t.Errorf("read %d bytes", r.BytesRead)
	}
}

// TestBackup_PanicBesideTheActors ends the job as one in an actor does.
func TestBackup_PanicBesideTheActors(t *testing.T) {
	h := newTestHost(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600))
	h.edit = func(s *BackupSpec) { s.faults.onCommitStart = func() { panic("injected") } }
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errors.New("the backup hangs"))
	defer cancel()
	_, err := h.system.Backup(ctx, context.Background(), h.spec(dir))
	if err == nil || !strings.Contains(err.Error(), "injected") {
		t.Errorf("error %v", err)
	}
	h.edit = nil
	h.backup(dir)
	h.checkTree(dir)
}

// TestBackup_NothingGoesOnAfterTheEnd: a job that is cancelled in its commit ends when
// the commit has.
func TestBackup_NothingGoesOnAfterTheEnd(t *testing.T) {
	h := newTestHost(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600))
	ctx, cancel := context.WithCancelCause(t.Context())
	var late atomic.Bool
	ended, gone := make(chan struct{}), make(chan struct{})
	h.edit = func(s *BackupSpec) {
		s.faults.onCommitStart = func() {
			defer close(gone)
			cancel(errors.New("enough"))
			select {
			case <-ended:
				late.Store(true)
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	_, err := h.system.Backup(ctx, context.Background(), h.spec(dir))
	close(ended)
	if err == nil {
		t.Error("no error")
	}
	<-gone
	if late.Load() {
		t.Error("the commit went on after the job had ended")
	}
}

// TestBackup_ImpliedBecomesWanted: a directory above the sources that becomes a source
// is not carried over as one above.
func TestBackup_ImpliedBecomesWanted(t *testing.T) {
	h := newTestHost(t)
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	must(t, os.Mkdir(sub, 0o700))
	for i := range 3 {
		must(t, os.WriteFile(filepath.Join(sub, fmt.Sprint(i)), testtree.Bytes(uint64(i), 3<<20), 0o600))
	}
	h.edit = func(s *BackupSpec) { s.BlobSize = 2 << 20 }
	h.backup(sub)
	h.backup(sub)
	h.backup(dir)
	if e := h.readBack()[strings.TrimPrefix(dir, "/")]; e.Implied || e.Path == "" {
		t.Errorf("%+v", e.Entry)
	}
	h.backup(sub)
	if e := h.readBack()[strings.TrimPrefix(dir, "/")]; !e.Implied {
		t.Errorf("%+v", e.Entry)
	}
}

// TestBackup_EmptyOnTheSecondAttempt: a chunker that crashes has its first pieces
// forgotten even when the file has none any more.
func TestBackup_EmptyOnTheSecondAttempt(t *testing.T) {
	h := newTestHost(t)
	dir := t.TempDir()
	p := filepath.Join(dir, "f")
	must(t, os.WriteFile(p, testtree.Bytes(1, 20<<20), 0o600))
	var once atomic.Bool
	said := messages.Status("")
	h.edit = func(s *BackupSpec) {
		s.OnItem = func(_ string, st messages.Status, _ string) { said = st }
		s.faults.onRead = func(path string) {
			if once.CompareAndSwap(false, true) {
				must(t, os.Truncate(path, 0))
				panic("injected")
			}
		}
	}
	if r := h.backup(dir); r.Errors != 0 || !r.Complete {
		t.Errorf("%s %+v", said, r)
	}
	h.checkTree(dir)
}
