package main

import (
	"sync"
	"time"

	"vaultik/backends/retry"
)

// retryEvent is a call of a store that failed and is made again.
type retryEvent struct {
	Type    string  `json:"type"`  // retry
	Store   string  `json:"store"` // its URL, without secrets
	Op      string  `json:"op"`
	Key     string  `json:"key,omitempty"`
	Attempt int     `json:"attempt"` // that failed, from 1
	Reason  string  `json:"reason"`
	Wait    float64 `json:"wait_seconds"`    // before the next attempt, at most
	Trouble float64 `json:"trouble_seconds"` // since the store began to fail
}

// backEvent is the end of what retry events told of.
type backEvent struct {
	Type    string  `json:"type"` // store-back
	Store   string  `json:"store"`
	Trouble float64 `json:"trouble_seconds"`
}

const (
	saidEvery = time.Minute      // a store that fails for a moment, again and again, is told of this often
	longWait  = 10 * time.Second // and one that fails for so long, each time
)

// troubles tell the user when stores fail and calls wait to be made again: once when
// it begins and once when it is over, whatever the number of calls.
type troubles struct {
	out *output

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

func newTroubles(out *output) *troubles {
	return &troubles{out: out, last: map[string]time.Time{}, now: map[*trouble]struct{}{}}
}

// of is for a store that is being opened.
func (ts *troubles) of(store string) *trouble { return &trouble{troubles: ts, store: store} }

// retried hears of a failure that is not the last word.
func (t *trouble) retried(r retry.Retry) { t.retriedAt(time.Now(), r) }

func (t *trouble) retriedAt(now time.Time, r retry.Retry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out.event(retryEvent{"retry", t.store, r.Op, r.Key, r.Attempt, r.Err.Error(), r.Wait.Seconds(), r.Trouble.Seconds()})
	t.retries++
	t.here++
	t.began = now.Add(-r.Trouble)
	t.now[t] = struct{}{}
	last, before := t.last[t.store]
	if t.said || before && r.Trouble < longWait && now.Sub(last) < saidEvery {
		t.out.detail("%v; attempt %d, the next within %s", r.Err, r.Attempt, took(r.Wait))
		return
	}
	t.said, t.last[t.store] = true, now
	until := "until it answers"
	if r.Left >= 0 {
		until = "for up to " + lasting(r.Left)
	}
	t.out.warn("", "%s fails: %v; trying again, %s", t.store, r.Err, until)
}

// over hears that the trouble is.
func (t *trouble) over(d time.Duration, answered bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if answered {
		t.out.event(backEvent{"store-back", t.store, d.Seconds()})
	}
	switch {
	case answered && t.said && d < time.Second:
		t.out.note("%s answers again", t.store)
	case answered && t.said:
		t.out.note("%s answers again, after %s", t.store, lasting(d))
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

// sum says at the end what was not worth a word when it happened, and returns how
// many calls were made again.
func (ts *troubles) sum() int64 {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.unsaid > 0 {
		ts.out.note("%s of the store failed and %s made again", plural(ts.unsaid, "more call", "more calls"),
			map[bool]string{true: "was", false: "were"}[ts.unsaid == 1])
	}
	return ts.retries
}
