package actors

import (
	"slices"
	"sync"
	"time"
)

// Watch knows which calls are under way that may never return: to the file systems
// of sources and targets, and to stores that are directories.
type Watch struct {
	mu      sync.Mutex
	touches []*Touch
}

// Touch is the call that one worker is in. Its worker writes it, the job reads it.
type Touch struct {
	mu    sync.Mutex
	path  string
	since time.Time // zero: nothing
}

// Touch returns a Touch for one worker.
func (w *Watch) Touch() *Touch {
	t := &Touch{}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touches = append(w.touches, t)
	return t
}

// Done forgets a Touch, whose worker has ended.
func (w *Watch) Done(t *Touch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touches = slices.DeleteFunc(w.touches, func(o *Touch) bool { return o == t })
}

// Enter says that a call for path begins.
func (t *Touch) Enter(path string) {
	now := time.Now()
	t.mu.Lock()
	t.path, t.since = path, now
	t.mu.Unlock()
}

// Again says that the last call has returned, and another one for that path begins.
func (t *Touch) Again() {
	now := time.Now()
	t.mu.Lock()
	t.since = now
	t.mu.Unlock()
}

// Leave says that no call is under way, and reports whether one was, and for what.
func (t *Touch) Leave() (path string, was bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	path, was = t.path, !t.since.IsZero()
	t.since = time.Time{}
	return path, was
}

// Longest is the call that has been under way for the longest time, and since when.
func (w *Watch) Longest() (path string, since time.Time) {
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
