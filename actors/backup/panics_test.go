package backup_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vaultik/actors"
	"vaultik/actors/jobtest"
	"vaultik/actors/verify"
	"vaultik/internal/testsize"
	"vaultik/vault/snapshot"
)

// manyFiles makes n small files in directories of 500.
func manyFiles(t testing.TB, dir string, n int) {
	t.Helper()
	for i := range n {
		d := filepath.Join(dir, fmt.Sprintf("d%03d", i/500))
		if i%500 == 0 {
			jobtest.Must(t, os.Mkdir(d, 0o755))
		}
		jobtest.Must(t, os.WriteFile(filepath.Join(d, fmt.Sprintf("file-%06d.txt", i)), fmt.Appendf(nil, "%d: the content of a small file\n%s", i, strings.Repeat("x", i%300)), 0o644))
	}
}

var backupPanics = []jobtest.PanicCase{
	{Actor: "scanner", Place: "between leaves", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnScan = p.Hit }},
	{Actor: "chunker", Place: "before a file", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnChunk = func(string) { p.Hit() } }, Anywhere: true, Restarts: true},
	{Actor: "chunker", Place: "after reading", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnRead = func(string) { p.Hit() } }, Anywhere: true, Restarts: true},
	{Actor: "packer", Place: "entries read", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnPack = p.Hit }},
	{Actor: "sealer", Place: "frame or blob", At: 1, Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnSeal = p.Hit }, Restarts: true},
	{Actor: "uploader", Place: "before", Set: func(f *actors.Faults, p *jobtest.Panicker) {
		f.OnUpload = func(after bool) {
			if !after {
				p.Hit()
			}
		}
	}, At: 1, Restarts: true},
	{Actor: "uploader", Place: "after", Set: func(f *actors.Faults, p *jobtest.Panicker) {
		f.OnUpload = func(after bool) {
			if after {
				p.Hit()
			}
		}
	}, At: 1, Restarts: true},
	{Actor: "indexer", Place: "before writing", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnIndex = p.Hit }, At: 1},
	{Actor: "treebuilder", Place: "leaf or page", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnBuild = p.Hit }},
	{Actor: "job", Place: "in the commit", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnCommitStart = p.Hit }, At: 1},
	{Actor: "job", Place: "first message", Who: "backup", At: 1},
	{Actor: "job", Place: "second message", Who: "backup", At: 2},
	{Actor: "job", Place: "third message", Who: "backup", At: 3},
	{Actor: "chunkers", Place: "any message", Who: "chunkers"},
	{Actor: "sealers", Place: "any message", Who: "sealers"},
	{Actor: "uploaders", Place: "any message", Who: "uploaders"},
	{Actor: "scanner", Place: "first message", Who: "scanner", At: 1},
	{Actor: "chunker", Place: "any message", Who: "chunker", Restarts: true},
	{Actor: "packer", Place: "any message", Who: "packer"},
	{Actor: "sealer", Place: "first message", Who: "sealer", At: 1, Restarts: true},
	{Actor: "uploader", Place: "any message", Who: "uploader", At: 1, Restarts: true},
	{Actor: "indexer", Place: "any message", Who: "indexer", At: 1},
	{Actor: "treebuilder", Place: "any message", Who: "treebuilder"},
}

// descriptors are those that the process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	jobtest.Must(t, err)
	return len(all)
}

// TestPanics_Backup: wherever an actor panics, the snapshot is complete, or the
// job fails cleanly and the next one is; nothing is left behind.
func TestPanics_Backup(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	seed := testsize.Seed(t)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	n := testsize.Pick(3000, 60_000)
	manyFiles(t, dir, n)
	t.Logf("%d files", n)
	before := -1
	for i := range backupPanics {
		c := &backupPanics[i]
		h := jobtest.New(t)
		began, p := time.Now(), c.Panicker(r, n)
		s := h.Spec(dir)
		stop := func() {}
		if c.Set != nil {
			c.Set(&s.Faults, p)
		} else {
			stop = jobtest.InjectReceive(t, p.Receive(c.Who))
		}
		res, err := h.FinishBackup(s)
		stop()
		how := c.Outcome(t, p, s.Progress.Restarts.Load(), err)
		if err != nil {
			res = h.Backup(dir)
		}
		if res.Errors != 0 || !res.Complete || res.Counts.Files != int64(n) {
			t.Errorf("%s, %s: %+v", c.Actor, c.Place, res)
		}
		h.CheckTree(dir)
		h.CloseIndex()
		h.System.Close()
		jobtest.Row(t, c, p, s.Progress.Restarts.Load(), how, began)
		if before < 0 {
			before = descriptors(t)
		} else if d := descriptors(t); d > before {
			t.Errorf("%s, %s: %d descriptors, %d before", c.Actor, c.Place, d, before)
		}
	}
}

// TestPanics_BackupAtRandom: every actor panics at random, at any message and in
// its work; run after run, until one completes.
func TestPanics_BackupAtRandom(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	dir := t.TempDir()
	n := testsize.Pick(3000, 60_000)
	manyFiles(t, dir, n)
	before := -1
	for round := range testsize.Pick(3, 5) {
		h := jobtest.New(t)
		began := time.Now()
		var panics, restarts int64
		runs, completed := 0, 0
		for odds := 10; completed == 0; odds = odds * 3 / 2 {
			runs++
			p := &jobtest.Panicker{Name: "any actor", Odds: odds}
			stop := jobtest.InjectReceive(t, p.Receive(""))
			s := h.Spec(dir)
			s.Faults.OnChunk = func(string) {
				if rand.IntN(100) == 0 {
					p.Hit()
				}
			}
			_, err := h.FinishBackup(s)
			stop()
			panics += p.Panics.Load()
			restarts += s.Progress.Restarts.Load()
			switch {
			case err == nil:
				completed++
			case !strings.Contains(err.Error(), "internal error in ") && !strings.Contains(err.Error(), "injected"):
				t.Errorf("round %d, run %d: %v", round, runs, err)
			}
		}
		// A file that was met by a panic each time it was read is named as failed: the
		// last word has a run without any.
		if r := h.Backup(dir); r.Errors != 0 || !r.Complete || r.Counts.Files != int64(n) {
			t.Errorf("round %d: %+v", round, r)
		}
		h.CheckTree(dir)
		h.VerifyClean()
		h.CloseIndex()
		h.System.Close()
		t.Logf("round %d: %d panics, %d restarts, %d runs until one completed, %.1f s", round, panics, restarts, runs, time.Since(began).Seconds())
		if before < 0 {
			before = descriptors(t)
		} else if d := descriptors(t); d > before {
			t.Errorf("round %d: %d descriptors, %d before", round, d, before)
		}
	}
}

var restorePanics = []jobtest.PanicCase{
	{Actor: "walker", Place: "at an entry", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnScan = p.Hit }, Anywhere: true},
	{Actor: "downloader", Place: "lease or frame", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnDownload = p.Hit }, At: 2, Restarts: true},
	{Actor: "writer", Place: "before an item", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnWrite = p.Hit }, Anywhere: true, Restarts: true},
	{Actor: "job", Place: "first message", Who: "restore", At: 1},
	{Actor: "walker", Place: "first message", Who: "walker", At: 1},
	{Actor: "planner", Place: "any message", Who: "planner"},
	{Actor: "downloaders", Place: "any message", Who: "downloaders"},
	{Actor: "writers", Place: "any message", Who: "writers"},
	{Actor: "downloader", Place: "first message", Who: "downloader", At: 1, Restarts: true},
	{Actor: "writer", Place: "first message", Who: "writer", At: 1, Restarts: true},
	{Actor: "all", Place: "at random"},
}

// TestPanics_Restore: the same for restore, whose next run goes on.
func TestPanics_Restore(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	seed := testsize.Seed(t)
	r := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	n := testsize.Pick(1500, 60_000)
	manyFiles(t, dir, n)
	h := jobtest.New(t)
	h.Backup(dir)
	t.Logf("%d files", n)
	before := descriptors(t)
	for i := range restorePanics {
		c := &restorePanics[i]
		began, p := time.Now(), c.Panicker(r, n)
		out := filepath.Join(t.TempDir(), "out")
		s := h.RestoreSpec(dir, out)
		stop := func() {}
		switch {
		case c.Set != nil:
			c.Set(&s.Faults, p)
		case c.Who != "":
			stop = jobtest.InjectReceive(t, p.Receive(c.Who))
		default:
			p = &jobtest.Panicker{Name: "any actor", Odds: 40}
			stop = jobtest.InjectReceive(t, p.Receive(""))
		}
		res, err := h.FinishRestore(s)
		stop()
		how := "failed, next run complete"
		if c.Actor != "all" {
			how = c.Outcome(t, p, s.Progress.Restarts.Load(), err)
		}
		jobtest.NoTemps(t, out)
		if err != nil || c.Actor == "all" {
			res = h.Restore(h.RestoreSpec(dir, out))
		}
		if res.Failed != 0 || res.Damaged || res.Counts.Files != int64(n) {
			t.Errorf("%s, %s: %+v", c.Actor, c.Place, res)
		}
		jobtest.SameTree(t, dir, out)
		jobtest.Must(t, os.RemoveAll(out))
		jobtest.Row(t, c, p, s.Progress.Restarts.Load(), how, began)
		if d := descriptors(t); d > before {
			t.Errorf("%s, %s: %d descriptors, %d before", c.Actor, c.Place, d, before)
		}
	}
	h.CloseIndex()
	h.System.Close()
}

var verifyPanics = []jobtest.PanicCase{
	{Actor: "inspector", Place: "at a snapshot", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnScan = p.Hit }, At: 1},
	{Actor: "checker", Place: "before a check", Set: func(f *actors.Faults, p *jobtest.Panicker) { f.OnDownload = p.Hit }, At: 1, Restarts: true},
	{Actor: "job", Place: "first message", Who: "verify", At: 1},
	{Actor: "checkers", Place: "any message", Who: "checkers"},
	{Actor: "checker", Place: "first message", Who: "checker", At: 1, Restarts: true},
}

// TestPanics_Verify: a panic is never taken for damage, nor for its absence.
func TestPanics_Verify(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	seed := testsize.Seed(t)
	r := rand.New(rand.NewPCG(seed, 2))
	dir := t.TempDir()
	n := testsize.Pick(1500, 60_000)
	manyFiles(t, dir, n)
	h := jobtest.New(t)
	h.Backup(dir)
	all, _, err := h.Opened.Manifests(t.Context(), snapshot.Filter{})
	jobtest.Must(t, err)
	t.Logf("%d files", n)
	before := descriptors(t)
	for i := range verifyPanics {
		c := &verifyPanics[i]
		began, p := time.Now(), c.Panicker(r, n)
		s := &verify.Spec{Store: h.Store, Opened: h.Opened, Snapshots: all, ReadData: true, Identity: h.Identity}
		stop := func() {}
		if c.Set != nil {
			c.Set(&s.Faults, p)
		} else {
			stop = jobtest.InjectReceive(t, p.Receive(c.Who))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		report, err := verify.Run(ctx, h.System, s)
		cancel()
		stop()
		how := c.Outcome(t, p, s.Progress.Restarts.Load(), err)
		if err != nil {
			h.VerifyClean()
		}
		if err == nil && (report.Found != 0 || report.Checked != report.Objects) {
			t.Errorf("%s, %s: %+v", c.Actor, c.Place, report)
		}
		jobtest.Row(t, c, p, s.Progress.Restarts.Load(), how, began)
		if d := descriptors(t); d > before {
			t.Errorf("%s, %s: %d descriptors, %d before", c.Actor, c.Place, d, before)
		}
	}
	h.CloseIndex()
	h.System.Close()
}
