package actors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"vaultik/internal/testsize"
	"vaultik/vault/snapshot"
)

// manyFiles makes n small files in directories of 500.
func manyFiles(t testing.TB, dir string, n int) {
	t.Helper()
	for i := range n {
		d := filepath.Join(dir, fmt.Sprintf("d%03d", i/500))
		if i%500 == 0 {
			must(t, os.Mkdir(d, 0o755))
		}
		must(t, os.WriteFile(filepath.Join(d, fmt.Sprintf("file-%06d.txt", i)), fmt.Appendf(nil, "%d: the content of a small file\n%s", i, strings.Repeat("x", i%300)), 0o644))
	}
}

// panicker panics once, when it has been called as often as was said, or, with
// odds, at random.
type panicker struct {
	name   string
	at     int64
	odds   int // one in so many; 0: never
	max    int64
	calls  atomic.Int64
	panics atomic.Int64
}

func (p *panicker) hit() {
	n := p.calls.Add(1)
	random := p.odds > 0 && rand.IntN(p.odds) == 0 //nolint:gosec // which of concurrent calls panics is chance anyway
	if (n == p.at || random) && (p.max == 0 || p.panics.Load() < p.max) {
		p.panics.Add(1)
		panic("injected in " + p.name)
	}
}

// receive panics in actors whose id has a part that begins with who; all of them
// with "". The ends of actors are no messages of ours.
func (p *panicker) receive(who string) func(string, any) {
	return func(id string, m any) {
		switch m.(type) {
		case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting, *actor.Terminated, *start:
			return
		}
		parts := strings.Split(id, "/")
		last := parts[len(parts)-1]
		if name, _, _ := strings.Cut(last, "$"); who == "" || name == who || strings.HasPrefix(last, who+"-") {
			p.hit()
		}
	}
}

// injectReceive makes actors panic until the test, or stop, ends it.
func injectReceive(t testing.TB, fn func(string, any)) (stop func()) {
	onReceive.Store(&fn)
	stop = func() { onReceive.Store(nil) }
	t.Cleanup(stop)
	return stop
}

// panicCase is one place of a job in which an actor panics.
type panicCase struct {
	actor, place string
	set          func(f *faults, p *panicker) // nil: at a message to who
	who          string
	at           int64 // which call; 0: by chance among the first few
	anywhere     bool  // by chance among as many as there are files
	restarts     bool  // nothing else happens; otherwise the job fails
}

var backupPanics = []panicCase{
	{actor: "scanner", place: "between leaves", set: func(f *faults, p *panicker) { f.onScan = p.hit }},
	{actor: "chunker", place: "before a file", set: func(f *faults, p *panicker) { f.onChunk = func(string) { p.hit() } }, anywhere: true, restarts: true},
	{actor: "chunker", place: "after reading", set: func(f *faults, p *panicker) { f.onRead = func(string) { p.hit() } }, anywhere: true, restarts: true},
	{actor: "packer", place: "entries read", set: func(f *faults, p *panicker) { f.onPack = p.hit }},
	{actor: "sealer", place: "frame or blob", at: 1, set: func(f *faults, p *panicker) { f.onSeal = p.hit }, restarts: true},
	{actor: "uploader", place: "before", set: func(f *faults, p *panicker) {
		f.onUpload = func(after bool) {
			if !after {
				p.hit()
			}
		}
	}, at: 1, restarts: true},
	{actor: "uploader", place: "after", set: func(f *faults, p *panicker) {
		f.onUpload = func(after bool) {
			if after {
				p.hit()
			}
		}
	}, at: 1, restarts: true},
	{actor: "store", place: "before writing", set: func(f *faults, p *panicker) { f.onStore = p.hit }, at: 1},
	{actor: "committer", place: "leaf or page", set: func(f *faults, p *panicker) { f.onCommit = p.hit }},
	{actor: "job", place: "in the commit", set: func(f *faults, p *panicker) { f.onCommitStart = p.hit }, at: 1},
	{actor: "job", place: "first message", who: "backup", at: 1},
	{actor: "job", place: "second message", who: "backup", at: 2},
	{actor: "job", place: "third message", who: "backup", at: 3},
	{actor: "chunkers", place: "any message", who: "chunkers"},
	{actor: "sealers", place: "any message", who: "sealers"},
	{actor: "uploaders", place: "any message", who: "uploaders"},
	{actor: "scanner", place: "first message", who: "scanner", at: 1},
	{actor: "chunker", place: "any message", who: "chunker", restarts: true},
	{actor: "packer", place: "any message", who: "packer"},
	{actor: "sealer", place: "first message", who: "sealer", at: 1, restarts: true},
	{actor: "uploader", place: "any message", who: "uploader", at: 1, restarts: true},
	{actor: "store", place: "any message", who: "store", at: 1},
	{actor: "committer", place: "any message", who: "committer"},
}

func (c *panicCase) panicker(r *rand.Rand, files int) *panicker {
	at := c.at
	switch {
	case c.anywhere:
		at = 1 + r.Int64N(int64(files))
	case at == 0:
		at = 1 + r.Int64N(5)
	}
	return &panicker{name: c.actor, at: at}
}

// outcome judges one job in which p panicked, and says in a word how it ended.
func (c *panicCase) outcome(t *testing.T, p *panicker, restarts int64, err error) string {
	t.Helper()
	if p.panics.Load() != 1 {
		t.Errorf("%s, %s: %d panics in %d calls", c.actor, c.place, p.panics.Load(), p.calls.Load())
	}
	switch {
	case c.restarts && (err != nil || restarts != 1):
		t.Errorf("%s, %s: %d restarts, error %v", c.actor, c.place, restarts, err)
	case !c.restarts && (err == nil || !strings.Contains(err.Error(), "internal error in ")):
		t.Errorf("%s, %s: the job should have failed: %v", c.actor, c.place, err)
	}
	if err == nil {
		return "complete"
	}
	return "failed, next run complete"
}

// descriptors are those that the process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(all)
}

func row(t *testing.T, c *panicCase, p *panicker, restarts int64, how string, began time.Time) {
	t.Helper()
	t.Logf("%-12s %-15s call %4d  restarts %3d  %-26s %5.1f s", c.actor, c.place, p.at, restarts, how, time.Since(began).Seconds())
}

// TestPanics_Backup: wherever an actor panics, the snapshot is complete, or the
// job fails cleanly and the next one is; nothing is left behind.
func TestPanics_Backup(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, leakOptions...)
	seed := testsize.Seed(t)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	n := testsize.Pick(3000, 60_000)
	manyFiles(t, dir, n)
	t.Logf("%d files", n)
	before := -1
	for i := range backupPanics {
		c := &backupPanics[i]
		h := newTestHost(t)
		began, p := time.Now(), c.panicker(r, n)
		s := h.spec(dir)
		stop := func() {}
		if c.set != nil {
			c.set(&s.faults, p)
		} else {
			stop = injectReceive(t, p.receive(c.who))
		}
		res, err := h.finishBackup(s)
		stop()
		how := c.outcome(t, p, s.Progress.Restarts.Load(), err)
		if err != nil {
			res = h.backup(dir)
		}
		if res.Errors != 0 || !res.Complete || res.Counts.Files != int64(n) {
			t.Errorf("%s, %s: %+v", c.actor, c.place, res)
		}
		h.checkTree(dir)
		h.closeIndex()
		h.system.Close()
		row(t, c, p, s.Progress.Restarts.Load(), how, began)
		if before < 0 {
			before = descriptors(t)
		} else if d := descriptors(t); d > before {
			t.Errorf("%s, %s: %d descriptors, %d before", c.actor, c.place, d, before)
		}
	}
}

// finishBackup runs a backup; a job that never answers fails the test rather than its time limit.
func (h *testHost) finishBackup(s *BackupSpec) (*BackupResult, error) {
	h.t.Helper()
	type answer struct {
		r   *BackupResult
		err error
	}
	done := make(chan answer, 1)
	go func() {
		r, err := h.system.Backup(context.Background(), context.Background(), s)
		done <- answer{r, err}
	}()
	select {
	case a := <-done:
		return a.r, a.err
	case <-time.After(2 * time.Minute):
		h.t.Fatal("the job does not answer")
		return nil, errors.New("no answer")
	}
}

// TestPanics_BackupAtRandom: every actor panics at random, at any message and in
// its work; run after run, until one completes.
func TestPanics_BackupAtRandom(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, leakOptions...)
	dir := t.TempDir()
	n := testsize.Pick(3000, 60_000)
	manyFiles(t, dir, n)
	before := -1
	for round := range testsize.Pick(3, 5) {
		h := newTestHost(t)
		began := time.Now()
		var panics, restarts int64
		runs, completed := 0, 0
		for odds := 10; completed == 0; odds = odds * 3 / 2 {
			runs++
			p := &panicker{name: "any actor", odds: odds}
			stop := injectReceive(t, p.receive(""))
			s := h.spec(dir)
			s.faults.onChunk = func(string) {
				if rand.IntN(100) == 0 {
					p.hit()
				}
			}
			_, err := h.finishBackup(s)
			stop()
			panics += p.panics.Load()
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
		if r := h.backup(dir); r.Errors != 0 || !r.Complete || r.Counts.Files != int64(n) {
			t.Errorf("round %d: %+v", round, r)
		}
		h.checkTree(dir)
		h.verifyClean()
		h.closeIndex()
		h.system.Close()
		t.Logf("round %d: %d panics, %d restarts, %d runs until one completed, %.1f s", round, panics, restarts, runs, time.Since(began).Seconds())
		if before < 0 {
			before = descriptors(t)
		} else if d := descriptors(t); d > before {
			t.Errorf("round %d: %d descriptors, %d before", round, d, before)
		}
	}
}

// verifyClean reads every object and chunk of every snapshot.
func (h *testHost) verifyClean() {
	h.t.Helper()
	all, problems, err := h.opened.Manifests(h.t.Context(), snapshot.Filter{})
	must(h.t, err)
	if len(problems) > 0 {
		h.t.Fatalf("problems: %v", problems)
	}
	r, err := h.system.Verify(h.t.Context(), &VerifySpec{Store: h.store, Opened: h.opened, Snapshots: all, ReadData: true, Identity: h.identity})
	must(h.t, err)
	if r.Found != 0 || r.Checked != r.Objects || r.Chunks == 0 {
		h.t.Errorf("verify: %+v", r)
	}
}

var restorePanics = []panicCase{
	{actor: "walker", place: "at an entry", set: func(f *faults, p *panicker) { f.onScan = p.hit }, anywhere: true},
	{actor: "downloader", place: "lease or frame", set: func(f *faults, p *panicker) { f.onDownload = p.hit }, at: 2, restarts: true},
	{actor: "writer", place: "before an item", set: func(f *faults, p *panicker) { f.onWrite = p.hit }, anywhere: true, restarts: true},
	{actor: "job", place: "first message", who: "restore", at: 1},
	{actor: "walker", place: "first message", who: "walker", at: 1},
	{actor: "planner", place: "any message", who: "planner"},
	{actor: "downloaders", place: "any message", who: "downloaders"},
	{actor: "writers", place: "any message", who: "writers"},
	{actor: "downloader", place: "first message", who: "downloader", at: 1, restarts: true},
	{actor: "writer", place: "first message", who: "writer", at: 1, restarts: true},
	{actor: "all", place: "at random"},
}

// TestPanics_Restore: the same for restore, whose next run goes on.
func TestPanics_Restore(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, leakOptions...)
	seed := testsize.Seed(t)
	r := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	n := testsize.Pick(1500, 60_000)
	manyFiles(t, dir, n)
	h := newTestHost(t)
	h.backup(dir)
	t.Logf("%d files", n)
	before := descriptors(t)
	for i := range restorePanics {
		c := &restorePanics[i]
		began, p := time.Now(), c.panicker(r, n)
		out := filepath.Join(t.TempDir(), "out")
		s := h.restoreSpec(dir, out)
		stop := func() {}
		switch {
		case c.set != nil:
			c.set(&s.faults, p)
		case c.who != "":
			stop = injectReceive(t, p.receive(c.who))
		default:
			p = &panicker{name: "any actor", odds: 40}
			stop = injectReceive(t, p.receive(""))
		}
		res, err := h.finishRestore(s)
		stop()
		how := "failed, next run complete"
		if c.actor != "all" {
			how = c.outcome(t, p, s.Progress.Restarts.Load(), err)
		}
		noTemps(t, out)
		if err != nil || c.actor == "all" {
			res = h.restore(h.restoreSpec(dir, out))
		}
		if res.Failed != 0 || res.Damaged || res.Counts.Files != int64(n) {
			t.Errorf("%s, %s: %+v", c.actor, c.place, res)
		}
		sameTree(t, dir, out)
		must(t, os.RemoveAll(out))
		row(t, c, p, s.Progress.Restarts.Load(), how, began)
		if d := descriptors(t); d > before {
			t.Errorf("%s, %s: %d descriptors, %d before", c.actor, c.place, d, before)
		}
	}
	h.closeIndex()
	h.system.Close()
}

func (h *testHost) finishRestore(s *RestoreSpec) (*RestoreResult, error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeoutCause(h.t.Context(), 2*time.Minute, errors.New("the job does not end"))
	defer cancel()
	return h.system.Restore(ctx, s)
}

var verifyPanics = []panicCase{
	{actor: "inspector", place: "at a snapshot", set: func(f *faults, p *panicker) { f.onScan = p.hit }, at: 1},
	{actor: "checker", place: "before a check", set: func(f *faults, p *panicker) { f.onDownload = p.hit }, at: 1, restarts: true},
	{actor: "job", place: "first message", who: "verify", at: 1},
	{actor: "inspector", place: "first message", who: "inspector", at: 1},
	{actor: "checkers", place: "any message", who: "checkers"},
	{actor: "checker", place: "first message", who: "checker", at: 1, restarts: true},
}

// TestPanics_Verify: a panic is never taken for damage, nor for its absence.
func TestPanics_Verify(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, leakOptions...)
	seed := testsize.Seed(t)
	r := rand.New(rand.NewPCG(seed, 2))
	dir := t.TempDir()
	n := testsize.Pick(1500, 60_000)
	manyFiles(t, dir, n)
	h := newTestHost(t)
	h.backup(dir)
	all, _, err := h.opened.Manifests(t.Context(), snapshot.Filter{})
	must(t, err)
	t.Logf("%d files", n)
	before := descriptors(t)
	for i := range verifyPanics {
		c := &verifyPanics[i]
		began, p := time.Now(), c.panicker(r, n)
		s := &VerifySpec{Store: h.store, Opened: h.opened, Snapshots: all, ReadData: true, Identity: h.identity}
		stop := func() {}
		if c.set != nil {
			c.set(&s.faults, p)
		} else {
			stop = injectReceive(t, p.receive(c.who))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		report, err := h.system.Verify(ctx, s)
		cancel()
		stop()
		how := c.outcome(t, p, s.Progress.Restarts.Load(), err)
		if err != nil {
			h.verifyClean()
		}
		if err == nil && (report.Found != 0 || report.Checked != report.Objects) {
			t.Errorf("%s, %s: %+v", c.actor, c.place, report)
		}
		row(t, c, p, s.Progress.Restarts.Load(), how, began)
		if d := descriptors(t); d > before {
			t.Errorf("%s, %s: %d descriptors, %d before", c.actor, c.place, d, before)
		}
	}
	h.closeIndex()
	h.system.Close()
}
