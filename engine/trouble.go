package engine

import (
	"sync"
	"time"

	"vaultik/backends/retry"
	"vaultik/engine/events"
	"vaultik/internal/words"
)

const (
	// Short failures of one store are reported at most this often.
	saidEvery = time.Minute
	longWait  = 10 * time.Second // failures of at least this length are always reported
)

// troubles tell the user when stores fail and calls are retried: once when it begins and
// once when it is over, whatever the number of calls.
type troubles struct {
	out events.Voice

	mu      sync.Mutex
	last    map[string]time.Time // when something was said of a store
	now     map[*trouble]struct{}
	retries int64 // in all
	unsaid  int64 // of those, in troubles that the user does not know of
}

// trouble is that of one open store.
type trouble struct {
	*troubles
	store string
	began time.Time
	said  bool  // the user knows of it
	here  int64 // retries of it
}

func newTroubles(out events.Voice) *troubles {
	return &troubles{out: out, last: map[string]time.Time{}, now: map[*trouble]struct{}{}}
}

// of is for a store that is being opened.
func (ts *troubles) of(store string) *trouble { return &trouble{troubles: ts, store: store} }

// retried is called for each failure after which the call is retried.
func (t *trouble) retried(r retry.Retry) { t.retriedAt(time.Now(), r) }

func (t *trouble) retriedAt(now time.Time, r retry.Retry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out.Tell(events.Retry{Type: "retry", Store: t.store, Op: r.Op, Key: r.Key, Attempt: r.Attempt,
		Reason: r.Err.Error(),
		Wait:   r.Wait.Seconds(), Trouble: r.Trouble.Seconds()})
	t.retries++
	t.here++
	t.began = now.Add(-r.Trouble)
	t.now[t] = struct{}{}
	last, before := t.last[t.store]
	if t.said || before && r.Trouble < longWait && now.Sub(last) < saidEvery {
		t.out.Detail("%v; attempt %d, retrying within %s", r.Err, r.Attempt, words.Took(r.Wait))
		return
	}
	t.said, t.last[t.store] = true, now
	until := "until it responds"
	if r.Left >= 0 {
		until = "for up to " + words.Lasting(r.Left)
	}
	t.out.Warn("", "%s: %v; retrying %s", t.store, r.Err, until)
}

// over is called when calls are answered again, or were given up.
func (t *trouble) over(d time.Duration, answered bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if answered {
		t.out.Tell(events.StoreBack{Type: "store-back", Store: t.store, Trouble: d.Seconds()})
	}
	switch {
	case answered && t.said && d < time.Second:
		t.out.Note("%s is responding again", t.store)
	case answered && t.said:
		t.out.Note("%s is responding again after %s", t.store, words.Lasting(d))
	}
	if !t.said {
		t.unsaid += t.here
	}
	t.said, t.here = false, 0
	delete(t.now, t)
}

// waiting is how long a store has been failing; 0: none does.
func (ts *troubles) waiting(now time.Time) (longest time.Duration) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for t := range ts.now {
		longest = max(longest, now.Sub(t.began), 1)
	}
	return longest
}

// sum reports at the end the retries that were not reported when they happened, and
// returns how many there were in all.
func (ts *troubles) sum() int64 {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.unsaid > 0 {
		ts.out.Note("%s to the store failed and %s retried",
			words.Plural(ts.unsaid, "more call", "more calls"),
			map[bool]string{true: "was", false: "were"}[ts.unsaid == 1])
	}
	return ts.retries
}
