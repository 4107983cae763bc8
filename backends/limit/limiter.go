package limit

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"vaultik/internal/bandwidth"
)

// Schedule says which limit holds when.
type Schedule = bandwidth.Schedule

// Parse reads "off", "2M", "512K:10M" (up:down) or a timetable of these,
// "08:00,2M Sat-00:00,off": bytes a second, K, M and G of 1024.
func Parse(text string) (Schedule, error) { return bandwidth.Parse(text) }

const (
	// lookEvery is how often the timetable is looked at, by the clock on the wall,
	// since a machine may sleep through an entry.
	lookEvery = 500 * time.Millisecond
	// A burst is what flows in a second, divided by this: what a transfer may send at
	// once after a pause. It is also the longest that anybody waits in one piece.
	burstsPerSecond = 4
	// readsPerSecond cuts reads, so that data flows instead of coming in lumps.
	readsPerSecond = 10
	minRead        = 256 // bytes
)

// Limiter bounds how many bytes pass, up and down. Many goroutines share one.
type Limiter struct {
	up, down *bucket
	off      bool
}

// New makes a limiter that obeys s.
func New(s Schedule) *Limiter {
	return &Limiter{
		up:   newBucket(func(t time.Time) int64 { return s.At(t).Up }),
		down: newBucket(func(t time.Time) int64 { return s.At(t).Down }),
		off:  s.Off(),
	}
}

// Limits reports whether it ever limits anything.
func (l *Limiter) Limits() bool { return l != nil && !l.off }

// bucket bounds one direction. Waiting goroutines take turns in the order they came:
// only one has asked for tokens at any time, so that none is bound to a rate that no
// longer applies.
type bucket struct {
	at   func(time.Time) int64 // bytes a second; 0: no limit
	rate atomic.Int64          // in force
	turn chan struct{}

	// These belong to the goroutine whose turn it is.
	looked time.Time
	tokens *rate.Limiter
}

func newBucket(at func(time.Time) int64) *bucket {
	b := &bucket{at: at, turn: make(chan struct{}, 1)}
	b.look(time.Now())
	return b
}

// look puts the rate of now in force. A new rate begins without a burst.
func (b *bucket) look(now time.Time) {
	if !b.looked.IsZero() && now.Sub(b.looked) < lookEvery {
		return
	}
	b.looked = now
	r := b.at(now)
	if b.rate.Swap(r) == r && (b.tokens != nil || r == 0) {
		return
	}
	burst := max(1, int(r/burstsPerSecond))
	b.tokens = rate.NewLimiter(rate.Limit(r), burst)
	b.tokens.AllowN(now, burst)
}

// wait returns when n more bytes may pass, or with the context's error.
func (b *bucket) wait(ctx context.Context, n int) error {
	for n > 0 {
		passed, err := b.waitTurn(ctx, n)
		if err != nil {
			return err
		}
		n -= passed
	}
	return nil
}

// waitTurn lets at most one burst of n bytes pass.
func (b *bucket) waitTurn(ctx context.Context, n int) (int, error) {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-b.turn }()
	b.look(time.Now())
	if b.rate.Load() == 0 {
		return n, ctx.Err()
	}
	n = min(n, b.tokens.Burst())
	if err := b.tokens.WaitN(ctx, n); err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, context.DeadlineExceeded // which would pass before the tokens come
	}
	return n, nil
}

// room is how many bytes of a read of n should be asked for at once.
func (b *bucket) room(n int) int {
	r := b.rate.Load()
	if r == 0 {
		return n
	}
	return min(n, max(minRead, int(r/readsPerSecond)))
}
