package actors

import (
	"sync"
	"time"
)

// A call to a file system that is gone, a network one above all, may never return,
// and nothing in this process can end it. The job looks for such calls this often,
// names them after hangAfter, and when it is to end leaves them alone after hangGrace.
const (
	HangLook  = time.Second
	HangAfter = time.Minute
	HangGrace = 5 * time.Second
)

// Watch knows which calls to the sources are under way.
type Watch struct {
	mu      sync.Mutex
	touches []*Touch
}

// Touch is what one worker does with the sources. Its worker writes it, the job reads it.
type Touch struct {
	mu    sync.Mutex
	Path  string
	since time.Time // zero: nothing
}

func (w *Watch) Touch() *Touch {
	t := &Touch{}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touches = append(w.touches, t)
	return t
}

// Enter says that a call for path begins.
func (t *Touch) Enter(path string) {
	now := time.Now()
	t.mu.Lock()
	t.Path, t.since = path, now
	t.mu.Unlock()
}

// Again says that the last call has returned, and another one for that path begins.
func (t *Touch) Again() {
	now := time.Now()
	t.mu.Lock()
	t.since = now
	t.mu.Unlock()
}

// Leave says that no call is under way, and reports whether one was.
func (t *Touch) Leave() (was bool) {
	t.mu.Lock()
	was = !t.since.IsZero()
	t.since = time.Time{}
	t.mu.Unlock()
	return was
}

// Longest is the call that has been under way for the longest time, and since when.
func (w *Watch) Longest() (path string, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.touches {
		t.mu.Lock()
		if !t.since.IsZero() && (since.IsZero() || t.since.Before(since)) {
			path, since = t.Path, t.since
		}
		t.mu.Unlock()
	}
	return path, since
}
