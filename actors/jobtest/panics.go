package jobtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/actors/restore"
	"vaultik/actors/verify"
	"vaultik/vault/snapshot"
)

// Panicker panics once, when it has been called as often as was said, or, with
// odds, at random.
type Panicker struct {
	Name   string
	at     int64
	Odds   int // one in so many; 0: never
	max    int64
	calls  atomic.Int64
	Panics atomic.Int64
}

func (p *Panicker) Hit() {
	n := p.calls.Add(1)
	random := p.Odds > 0 &&
		rand.IntN(p.Odds) == 0 //nolint:gosec // which of concurrent calls panics is chance anyway
	if (n == p.at || random) && (p.max == 0 || p.Panics.Load() < p.max) {
		p.Panics.Add(1)
		panic("injected in " + p.Name)
	}
}

// Receive panics in actors whose id has a part that begins with who; all of them
// with "". The ends of actors are no messages of ours.
func (p *Panicker) Receive(who string) func(string, any) {
	return func(id string, m any) {
		switch m.(type) {
		case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting, *actor.Terminated:
			return
		case *actors.Start:
			if !strings.Contains(id, "/") {
				return // of a job: nobody would wait for its answer yet
			}
		}
		parts := strings.Split(id, "/")
		last := parts[len(parts)-1]
		if name, _, _ := strings.Cut(last, "$"); who == "" || name == who ||
			strings.HasPrefix(last, who+"-") {
			p.Hit()
		}
	}
}

// InjectReceive makes actors panic until the test, or stop, ends it.
func InjectReceive(t testing.TB, fn func(string, any)) (stop func()) {
	actors.OnReceive.Store(&fn)
	stop = func() { actors.OnReceive.Store(nil) }
	t.Cleanup(stop)
	return stop
}

// PanicCase is one place of a job in which an actor panics.
type PanicCase struct {
	Actor, Place string
	Set          func(f *actors.Faults, p *Panicker) // nil: at a message to who
	Who          string
	At           int64 // which call; 0: by chance among the first few
	Anywhere     bool  // by chance among as many as there are files
	Restarts     bool  // nothing else happens; otherwise the job fails
}

func (c *PanicCase) Panicker(r *rand.Rand, files int) *Panicker {
	at := c.At
	switch {
	case c.Anywhere:
		at = 1 + r.Int64N(int64(files))
	case at == 0:
		at = 1 + r.Int64N(5)
	}
	return &Panicker{Name: c.Actor, at: at}
}

// Outcome judges one job in which p panicked, and says in a word how it ended.
func (c *PanicCase) Outcome(t *testing.T, p *Panicker, restarts int64, err error) string {
	t.Helper()
	if p.Panics.Load() != 1 {
		t.Errorf("%s, %s: %d panics in %d calls", c.Actor, c.Place, p.Panics.Load(), p.calls.Load())
	}
	switch {
	case c.Restarts && (err != nil || restarts != 1):
		t.Errorf("%s, %s: %d restarts, error %v", c.Actor, c.Place, restarts, err)
	case !c.Restarts && (err == nil || !strings.Contains(err.Error(), "internal error in ")):
		t.Errorf("%s, %s: the job should have failed: %v", c.Actor, c.Place, err)
	}
	if err == nil {
		return "complete"
	}
	return "failed, next run complete"
}

func Row(t *testing.T, c *PanicCase, p *Panicker, restarts int64, how string, began time.Time) {
	t.Helper()
	t.Logf("%-12s %-15s call %4d  restarts %3d  %-26s %5.1f s", c.Actor, c.Place, p.at, restarts,
		how, time.Since(began).Seconds())
}

// FinishBackup runs a backup; a job that never answers fails the test rather than its time limit.
func (h *Host) FinishBackup(s *backup.Spec) (*backup.Result, error) {
	h.T.Helper()
	type answer struct {
		r   *backup.Result
		err error
	}
	done := make(chan answer, 1)
	go func() {
		r, err := backup.Run(context.Background(), context.Background(), h.System, s)
		done <- answer{r, err}
	}()
	select {
	case a := <-done:
		return a.r, a.err
	case <-time.After(2 * time.Minute):
		h.T.Fatal("the job does not answer")
		return nil, errors.New("no answer")
	}
}

// VerifyClean reads every object and chunk of every snapshot.
func (h *Host) VerifyClean() {
	h.T.Helper()
	all, problems, err := h.Opened.Manifests(h.T.Context(), snapshot.Filter{})
	Must(h.T, err)
	if len(problems) > 0 {
		h.T.Fatalf("problems: %v", problems)
	}
	h.verifyClean(all)
}

// NewestIsWhole is VerifyClean of the newest snapshot alone.
func (h *Host) NewestIsWhole() {
	h.T.Helper()
	all, problems, err := h.Opened.Head(h.T.Context(), h.Host.ID, h.Set)
	Must(h.T, err)
	if len(problems) > 0 || len(all) != 1 {
		h.T.Fatalf("%d newest, problems: %v", len(all), problems)
	}
	h.verifyClean(all)
}

func (h *Host) verifyClean(all []*snapshot.Loaded) {
	h.T.Helper()
	r, err := verify.Run(h.T.Context(), h.System, &verify.Spec{
		Store: h.Store, Opened: h.Opened, Snapshots: all, ReadData: true, Identity: h.Identity,
	})
	Must(h.T, err)
	if r.Found != 0 || r.Checked != r.Objects || r.Chunks == 0 {
		h.T.Errorf("verify: %+v", r)
	}
}

func (h *Host) FinishRestore(s *restore.Spec) (*restore.Result, error) {
	h.T.Helper()
	ctx, cancel := context.WithTimeoutCause(h.T.Context(), 2*time.Minute,
		errors.New("the job does not end"))
	defer cancel()
	return restore.Run(ctx, h.System, s)
}
