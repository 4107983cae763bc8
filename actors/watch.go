package actors

import (
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A call to a file system that is gone, a network one above all, may never return,
// and nothing in this process can end it. The job looks for such calls this often,
// names them after hangAfter, and when it is to end leaves them alone after hangGrace.
const (
	hangLook  = time.Second
	hangAfter = time.Minute
	hangGrace = 5 * time.Second
)

// watch knows which calls to the sources are under way.
type watch struct {
	mu      sync.Mutex
	touches []*touch
}

// touch is what one worker does with the sources. Its worker writes it, the job reads it.
type touch struct {
	mu    sync.Mutex
	path  string
	since time.Time // zero: nothing
}

func (w *watch) touch() *touch {
	t := &touch{}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touches = append(w.touches, t)
	return t
}

// enter says that a call for path begins.
func (t *touch) enter(path string) {
	now := time.Now()
	t.mu.Lock()
	t.path, t.since = path, now
	t.mu.Unlock()
}

// again says that the last call has returned, and another one for that path begins.
func (t *touch) again() {
	now := time.Now()
	t.mu.Lock()
	t.since = now
	t.mu.Unlock()
}

// leave says that no call is under way, and reports whether one was.
func (t *touch) leave() (was bool) {
	t.mu.Lock()
	was = !t.since.IsZero()
	t.since = time.Time{}
	t.mu.Unlock()
	return was
}

// longest is the call that has been under way for the longest time, and since when.
func (w *watch) longest() (path string, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.touches {
		t.mu.Lock()
		if !t.since.IsZero() && (since.IsZero() || t.since.Before(since)) {
			path, since = t.path, t.since
		}
		t.mu.Unlock()
	}
	return path, since
}

type hangTick struct{}

// lookForHangs names a call that does not return. When the job is to end, it ends
// without it: what was read before is stored, and whoever hangs is left behind.
func (j *backupJob) lookForHangs(c actor.Context) {
	if j.requester == nil {
		return // answered
	}
	j.watchHangs(c)
	path, since := j.run.watch.longest()
	if since.IsZero() {
		return
	}
	after, grace := hangAfter, hangGrace
	if d := j.run.faults.hangAfter; d > 0 {
		after, grace = d, d
	}
	lasts := time.Since(since)
	if j.leave == path {
		grace = min(grace, hangLook) // it was waited for before
	}
	toEnd := !j.asked.IsZero() && min(lasts, time.Since(j.asked)) >= grace
	switch {
	case j.ended && toEnd:
		j.left, j.result.Abandoned = 0, path
		j.reply(c)
	case j.ended:
	case j.run.interrupted() && !j.flushing && toEnd:
		j.leave = path
		j.run.spec.warn(fmt.Sprintf("%q does not answer: it is left alone", path))
		j.readingEnded(c)
	case lasts >= after:
		j.run.spec.Progress.SetCurrent(path)
		if j.hung != since {
			j.hung = since
			j.run.spec.warn(fmt.Sprintf("%q has not answered for %v: the backup waits for it; Ctrl-C ends the backup", path, lasts.Round(time.Second)))
		}
	}
}

func (j *backupJob) watchHangs(c actor.Context) {
	every := hangLook
	if d := j.run.faults.hangAfter; d > 0 {
		every = d / 4
	}
	j.stopHangs = after(c, every, &hangTick{})
}
