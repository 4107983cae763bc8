package backup_test

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

	"vaultik/internal/testsize"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/internal/testtree"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

// TestBackup_SmallRunsBlobVanishes: what went into the blob that was handed over is
// no longer promised in the next round.
func TestBackup_SmallRunsBlobVanishes(t *testing.T) {
	for rounds := 1; rounds < backup.MaxRounds; rounds++ {
		h := jobtest.New(t)
		dir := t.TempDir()
		for i := range 300 {
			jobtest.Must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), fmt.Append(nil, i), 0o600))
		}
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(7, 300<<10), 0o600))
		h.Vanishing(rounds)
		vanish := h.Edit
		h.Edit = func(s *backup.Spec) { vanish(s); s.Memory = 1 } // two blobs at once, no more
		if r := h.BackupWithin(20*time.Second, dir); r.Rounds != rounds+1 || !r.Complete {
			t.Errorf("%+v", r)
		}
		h.CheckTree(dir)
	}
}

// TestBackup_ListsOfListsAreNeeded: list pages below others, and branches, that stand
// in earlier blobs are named by the manifest.
func TestBackup_ListsOfListsAreNeeded(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.Chunks, s.BlobSize = chunk.ParamsFor(4<<10), 2<<20 }
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	jobtest.Must(t, os.WriteFile(large, testtree.Bytes(7, 40<<20), 0o600))
	h.Backup(dir)
	h.CheckTree(dir)
	for i := range 3 {
		f, err := os.OpenFile(large, os.O_WRONLY, 0)
		jobtest.Must(t, err)
		_, err = f.WriteAt(testtree.Bytes(uint64(100+i), 1<<20), int64(i)*13<<20)
		jobtest.Must(t, err)
		jobtest.Must(t, f.Close())
		h.Backup(dir)
		h.CheckTree(dir)
	}
	before := len(h.Keys("b/"))
	jobtest.Must(t, os.Chmod(large, 0o640)) // the leaf is written anew, everything below it stands
	h.Backup(dir)
	h.CheckTree(dir)
	if n := len(h.Keys("b/")); n > before+1 {
		t.Errorf("%d blobs, then %d", before, n)
	}
}

// TestPacker_TellsBeforeItForgets: while a message waits for a free frame, a frame that
// it refers to already becomes known to the index, and is not promised again.
func TestPacker_TellsBeforeItForgets(t *testing.T) {
	h := jobtest.New(t)
	run := backup.NewBackupRun(h.Spec())
	defer run.Mem.Close()
	run.Limits.Frames = 1
	root := actor.NewActorSystem().Root
	got := make(chan *actor.MessageEnvelope, 100)
	probe := root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(actor.SystemMessage); !ok {
			got <- &actor.MessageEnvelope{Message: c.Message(), Sender: c.Sender()}
		}
	}))
	p := root.Spawn(actor.PropsFromProducer(func() actor.Actor { return backup.NewPacker(run, probe, probe, probe, probe) }))
	read := func(leaf uint64, seeds ...uint64) {
		m := &backup.EntriesRead{Leaf: leaf, Attempt: 1, Buf: &messages.Buf{}}
		for i, seed := range seeds {
			b := testtree.Bytes(seed, 100<<10)
			m.Pieces = append(m.Pieces, backup.Piece{Index: i, ID: chunk.ID{byte(seed)}, Off: len(m.Buf.B), Len: len(b)})
			m.Buf.B = append(m.Buf.B, b...)
		}
		if _, err := run.Bufs.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
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
		job := next().(*messages.Submit[backup.Sealing]).Job
		frame := blob.NewCompressor(0).Frame(nil, job.Compress.Raw)
		root.Send(p, &messages.Finished[backup.Sealing, backup.SealingDone]{Job: job, Result: backup.SealingDone{Frame: frame}})
	}
	read(1, 1)
	first := next().(*backup.EntriesPlaced).Pieces[0].Frame
	root.Send(p, &backup.SealNow{})
	compressed()
	seal := next().(*messages.Submit[backup.Sealing]).Job
	sealed := blob.Sealed{Info: blob.Info{Name: blob.Name{1}, Size: 5}, Bytes: []byte("bytes")}
	root.Send(p, &messages.Finished[backup.Sealing, backup.SealingDone]{Job: seal, Result: backup.SealingDone{Sealed: sealed}})
	_ = next().(*backup.BlobSealed)
	put := next().(*messages.Submit[backup.StoreObject]).Job
	read(2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
	root.Send(p, &messages.Finished[backup.StoreObject, backup.ObjectStored]{Job: put})
	for promised := false; ; {
		switch m := next().(type) {
		case *backup.EntriesPlaced:
			promised = promised || m.Leaf == 2 && m.Pieces[0].Frame == first
		case *backup.WriteRows:
			root.Send(p, &backup.RowsWritten{Batch: m.Batch})
		case *backup.BlobIndexed:
			if !promised {
				t.Error("a frame was promised after the tree builder had been told that it would not be")
			}
			return
		}
	}
}

// TestBackup_RacyWhenRead: what counts is the time of the reading, not that of the row.
func TestBackup_RacyWhenRead(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	for _, n := range []string{"a", "b"} {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, n), testtree.Bytes(1, 10<<10), 0o600))
	}
	var later atomic.Bool
	h.Now = func() time.Time {
		if later.Load() {
			return time.Now().Add(time.Hour)
		}
		return time.Now()
	}
	h.Edit = func(s *backup.Spec) { s.Faults.OnPack = func() { later.Store(true) } }
	h.Backup(dir)
	h.Edit = nil
	if r := h.Backup(dir); r.BytesRead != 20<<10 {
		t.Errorf("read %d bytes of files that may have changed after they were read", r.BytesRead)
	}
	if r := h.Backup(dir); r.BytesRead != 0 {
		t.Errorf("read %d bytes", r.BytesRead)
	}
}

// TestBackup_PanicBesideTheActors ends the job as one in an actor does.
func TestBackup_PanicBesideTheActors(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600))
	h.Edit = func(s *backup.Spec) { s.Faults.OnCommitStart = func() { panic("injected") } }
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errors.New("the backup hangs"))
	defer cancel()
	_, err := backup.Run(ctx, context.Background(), h.System, h.Spec(dir))
	if err == nil || !strings.Contains(err.Error(), "injected") {
		t.Errorf("error %v", err)
	}
	h.Edit = nil
	h.Backup(dir)
	h.CheckTree(dir)
}

// TestBackup_NothingGoesOnAfterTheEnd: a job that is cancelled in its commit ends when
// the commit has.
func TestBackup_NothingGoesOnAfterTheEnd(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600))
	ctx, cancel := context.WithCancelCause(t.Context())
	var late atomic.Bool
	ended, gone := make(chan struct{}), make(chan struct{})
	h.Edit = func(s *backup.Spec) {
		s.Faults.OnCommitStart = func() {
			defer close(gone)
			cancel(errors.New("enough"))
			select {
			case <-ended:
				late.Store(true)
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	_, err := backup.Run(ctx, context.Background(), h.System, h.Spec(dir))
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
	h := jobtest.New(t)
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	jobtest.Must(t, os.Mkdir(sub, 0o700))
	for i := range 3 {
		jobtest.Must(t, os.WriteFile(filepath.Join(sub, fmt.Sprint(i)), testtree.Bytes(uint64(i), 3<<20), 0o600))
	}
	h.Edit = func(s *backup.Spec) { s.BlobSize = 2 << 20 }
	h.Backup(sub)
	h.Backup(sub)
	h.Backup(dir)
	if e := h.ReadBack()[strings.TrimPrefix(dir, "/")]; e.Implied || e.Path == "" {
		t.Errorf("%+v", e.Entry)
	}
	h.Backup(sub)
	if e := h.ReadBack()[strings.TrimPrefix(dir, "/")]; !e.Implied {
		t.Errorf("%+v", e.Entry)
	}
}

// TestBackup_EmptyOnTheSecondAttempt: a chunker that crashes has its first pieces
// forgotten even when the file has none any more.
func TestBackup_EmptyOnTheSecondAttempt(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	p := filepath.Join(dir, "f")
	jobtest.Must(t, os.WriteFile(p, testtree.Bytes(1, 20<<20), 0o600))
	var once atomic.Bool
	said := messages.Status("")
	h.Edit = func(s *backup.Spec) {
		s.OnItem = func(_ string, st messages.Status, _ string) { said = st }
		s.Faults.OnRead = func(path string) {
			if once.CompareAndSwap(false, true) {
				jobtest.Must(t, os.Truncate(path, 0))
				panic("injected")
			}
		}
	}
	if r := h.Backup(dir); r.Errors != 0 || !r.Complete {
		t.Errorf("%s %+v", said, r)
	}
	h.CheckTree(dir)
}
