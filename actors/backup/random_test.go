package backup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/internal/treecmp"
	"vaultik/vault/chunk"
	"vaultik/vault/snapshot"
)

// TestBackup_RandomEdits: any tree, changed in any way between backups, with
// interruptions and lost indexes: each snapshot comes back as the tree was then,
// at once and when all are made; and all that is stored is as it should be.
func TestBackup_RandomEdits(t *testing.T) {
	testsize.Long(t)
	for seed := range testsize.Seeds(t, 10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			e := newEditor(t, seed)
			e.run()
			t.Logf("seed %d: %s", seed, e.done())
		})
	}
}

// editor is one random history of a tree and its backups.
type editor struct {
	testtree.Editor
	t     *testing.T
	h     *jobtest.Host
	dir   string
	outs  string
	count map[string]int // by kind of event
	log   []string       // of the edits since the last backup
}

func newEditor(t *testing.T, seed uint64) *editor {
	e := &editor{t: t, h: jobtest.New(t), dir: t.TempDir(), outs: t.TempDir(), count: map[string]int{}}
	e.Editor = testtree.Editor{Rand: rand.New(rand.NewPCG(seed, 0x65646974)), Dir: e.dir, All: true}
	average := []int{64 << 10, 256 << 10, 1 << 20}[e.IntN(3)]
	blobs := []int64{1 << 20, 4 << 20, 15 << 20}[e.IntN(3)]
	began, budget := e.h.Now(), []int64{0, 4 << 20, 1 << 30}[e.IntN(3)]
	if budget > 0 { // so that all that is sparse has been for a while
		e.h.Now = func() time.Time { return began.AddDate(0, 0, 8*int(e.h.Head.Seq)) }
	}
	e.h.Edit = func(s *backup.Spec) {
		s.Chunks, s.BlobSize = chunk.ParamsFor(average), max(blobs, 2*int64(s.Chunks.Max))
		s.CompactBudget = budget
	}
	jobtest.MakeTree(t, testtree.Random(seed, testtree.RandomOptions{Nodes: 20 + e.IntN(200), All: true}), e.dir)
	if e.IntN(3) == 0 {
		jobtest.Must(t, os.WriteFile(filepath.Join(e.dir, "large"), testtree.Bytes(seed, e.Int64N(12<<20)), 0o600))
	}
	return e
}

func (e *editor) done() string {
	var words []string
	for k, n := range e.count {
		words = append(words, fmt.Sprint(n, " ", k))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func (e *editor) run() {
	t, h := e.t, e.h
	last := 2 + e.IntN(4)
	for k := range last {
		e.accident()
		r := h.Backup(e.dir)
		if r.Errors != 0 || !r.Complete {
			t.Fatalf("backup %d: %+v", k, r)
		}
		e.count["blobs left"] += r.Compacted.Blobs
		e.keep()
		e.log = nil
		if k < last-1 {
			for range 1 + e.IntN(15) {
				what, err := e.Edit()
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if what != "" {
					e.note(strings.Split(what, " \"")[0], what)
				}
			}
		}
	}
	h.VerifyClean()
	e.restoreAll()
	h.CloseIndex()
}

// keep restores the newest snapshot, compares it with the tree, and keeps it.
func (e *editor) keep() {
	t, h := e.t, e.h
	e.count["backups"]++
	out := filepath.Join(e.outs, fmt.Sprint(h.Head.Seq))
	if r := h.Restore(h.RestoreSpec(e.dir, out)); r.Failed != 0 || r.Damaged || len(r.Meta) > 0 {
		t.Errorf("restore %d: %+v", h.Head.Seq, r)
	}
	sameInAll(t, e.dir, out)
	if t.Failed() {
		t.Fatalf("snapshot %d, after %q", h.Head.Seq, e.log)
	}
}

// restoreAll restores every snapshot again, now that there are later ones.
func (e *editor) restoreAll() {
	t, h := e.t, e.h
	all, problems, err := h.Opened.Manifests(t.Context(), snapshot.Filter{})
	jobtest.Must(t, err)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	if len(all) != e.count["backups"] {
		t.Errorf("%d snapshots, not %d", len(all), e.count["backups"])
	}
	for _, m := range all {
		ids, _, err := h.Opened.Identities(t.Context(), m.Manifest, h.Identity)
		jobtest.Must(t, err)
		root, err := h.Opened.Root(t.Context(), m.Manifest, ids)
		jobtest.Must(t, err)
		again := filepath.Join(e.outs, fmt.Sprint(m.Seq, " again"))
		h.Restore(&restore.Spec{Store: h.Store, Root: root, Identities: ids, From: strings.TrimPrefix(e.dir, "/"), Target: again})
		sameInAll(t, filepath.Join(e.outs, fmt.Sprint(m.Seq)), again)
		e.count["restored again"]++
	}
}

// accident is what may happen before a backup.
func (e *editor) accident() {
	t, h := e.t, e.h
	switch e.IntN(8) {
	case 0:
		e.note("lost index", "")
		h.CloseIndex()
		jobtest.Must(t, os.RemoveAll(h.IndexDir))
		h.OpenIndex()
	case 1:
		e.note("reopened index", "")
		h.CloseIndex()
		h.OpenIndex()
	case 2, 3: // the job is told to stop, gently or not, when some files were read
		soft, stopSoft := context.WithCancelCause(context.Background())
		hard, stopHard := context.WithCancelCause(context.Background())
		stop, what := stopSoft, "interrupted"
		if e.IntN(2) == 0 {
			stop, what = stopHard, "aborted"
		}
		e.note(what, "")
		at, n := 1+e.Int64N(60), atomic.Int64{}
		s := h.Spec(e.dir)
		why := errors.New("enough")
		s.Faults.OnChunk = func(string) {
			if n.Add(1) == at {
				stop(why)
			}
		}
		_, err := backup.Run(hard, soft, h.System, s)
		switch {
		case err == nil: // it had read all of that
			e.keep()
		case !errors.Is(err, actors.ErrInterrupted) && !errors.Is(err, why):
			t.Fatalf("%s: %v", what, err)
		}
		stopSoft(nil)
		stopHard(nil)
	case 4: // a worker stumbles
		e.note("panic", "")
		s, n := h.Spec(e.dir), atomic.Int64{}
		s.Faults.OnChunk = func(string) {
			if n.Add(1)%17 == 0 {
				panic("injected")
			}
		}
		_, err := backup.Run(t.Context(), context.Background(), h.System, s)
		jobtest.Must(t, err)
		e.keep()
	}
}

// note counts an event of one kind, and keeps what is known of it until the next backup.
func (e *editor) note(kind, what string) {
	e.count[kind]++
	if what == "" {
		what = kind
	}
	e.log = append(e.log, what)
}

// sameInAll fails unless both trees are the same in all that the oracle knows, and
// no file of either is also one of somewhere else.
func sameInAll(t *testing.T, a, b string) {
	t.Helper()
	r, err := treecmp.Compare(t.Context(), a, b, treecmp.Options{Outside: true})
	jobtest.Must(t, err)
	for _, d := range r.Differences[:min(len(r.Differences), 20)] {
		t.Error(d)
	}
}
