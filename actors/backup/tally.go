package backup

import (
	"sync"

	"vaultik/messages"
)

// maxProblems is how many problems a root lists.
const maxProblems = 1000

// problem is an entry that is missing or incomplete in the snapshot.
type problem struct{ path, reason string }

// tally adds up what becomes of the entries of a round, and tells whoever asked for
// the backup. The tree builder adds to it. It has a lock because a backup that
// abandons a call returns while its actors may still be at work.
type tally struct {
	onItem   func(path string, st messages.Status, reason string) // may be nil
	progress *messages.Progress

	mu     sync.Mutex
	sums   sums
	closed bool
}

// sums are what a tally has added up.
type sums struct {
	counts   messages.Counts
	problems []problem // the first maxProblems
	failed   int64     // entries that are missing or incomplete in the snapshot
	denied   int64     // of these, for want of permission
}

// reset begins a round.
func (t *tally) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sums = sums{}
}

func (t *tally) add(c messages.Counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sums.counts.Add(c)
}

// problem notes an entry that is missing or incomplete, and reports it.
func (t *tally) problem(d *entryDone) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.Status == messages.StatusFailed {
		t.sums.failed++
		if d.Denied {
			t.sums.denied++
		}
		t.progress.Errors.Add(1)
	}
	if len(t.sums.problems) < maxProblems {
		t.sums.problems = append(t.sums.problems, problem{d.Entry.Path, d.Reason})
	}
	t.tell(d)
}

// saved reports an entry that was saved.
func (t *tally) saved(d *entryDone) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tell(d)
}

// tell is called under the lock, so that nothing is reported after close.
func (t *tally) tell(d *entryDone) {
	if t.onItem != nil && !t.closed {
		t.onItem(d.Entry.Path, d.Status, d.Reason)
	}
}

func (t *tally) now() sums {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sums
}

// close returns the sums. Nothing is reported after it.
func (t *tally) close() sums {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return t.sums
}
