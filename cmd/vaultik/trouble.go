package main

import (
	"sync"
	"time"

	"vaultik/backends/retry"
)

// retryEvent is a call of the store that failed and is made again.
type retryEvent struct {
	Type    string  `json:"type"` // retry
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
	Trouble float64 `json:"trouble_seconds"`
}

const (
	saidEvery = time.Minute      // a store that fails for a moment, again and again, is told of this often
	longWait  = 10 * time.Second // and one that fails for so long, each time
)

// trouble tells the user when a store fails and calls wait to be made again: once
// when it begins and once when it is over, whatever the number of calls.
type trouble struct {
	out *output

	mu      sync.Mutex
	began   time.Time // of this trouble; zero: there is none
	said    bool      // the user knows of this one
	last    time.Time // when something was said
	retries int64
	here    int64 // retries of this trouble
	unsaid  int64 // retries of troubles before that the user does not know of
}

// retried hears of a failure that is not the last word.
func (t *trouble) retried(r retry.Retry) { t.retriedAt(time.Now(), r) }

func (t *trouble) retriedAt(now time.Time, r retry.Retry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out.event(retryEvent{"retry", r.Op, r.Key, r.Attempt, r.Err.Error(), r.Wait.Seconds(), r.Trouble.Seconds()})
	t.retries++
	if began := now.Add(-r.Trouble); t.began.IsZero() || began.Sub(t.began).Abs() > time.Second {
		t.over() // the last one, if there is one, has ended without an answer
		t.began = began
	}
	t.here++
	if t.said || r.Trouble < longWait && !t.last.IsZero() && now.Sub(t.last) < saidEvery {
		t.out.detail("%v; attempt %d, the next within %s", r.Err, r.Attempt, took(r.Wait))
		return
	}
	t.said, t.last = true, now
	until := "until it answers"
	if r.Left >= 0 {
		until = "for up to " + lasting(r.Left)
	}
	t.out.warn("", "the store fails: %v; trying again, %s", r.Err, until)
}

// back hears that every call has been answered after all.
func (t *trouble) back(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out.event(backEvent{"store-back", d.Seconds()})
	if t.said {
		t.out.note("the store answers again, after %s", lasting(d))
	}
	t.over()
}

func (t *trouble) over() {
	if !t.said {
		t.unsaid += t.here
	}
	t.began, t.said, t.here = time.Time{}, false, 0
}

// waiting is how long the store has been failing; 0: it does not.
func (t *trouble) waiting(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() {
		return 0
	}
	return max(now.Sub(t.began), 1)
}

// sum says at the end what was not worth a word when it happened, and returns how
// many calls were made again.
func (t *trouble) sum() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over()
	if t.unsaid > 0 {
		t.out.note("%s of the store failed and %s made again", plural(t.unsaid, "more call", "more calls"),
			map[bool]string{true: "was", false: "were"}[t.unsaid == 1])
	}
	return t.retries
}
