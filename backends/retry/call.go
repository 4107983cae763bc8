package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vaultik/backends"
)

// call is one call of a user, over all its attempts. One goroutine uses it.
type call struct {
	b       *Backend
	ctx     context.Context
	op, key string

	attempts int           // begun so far
	fails    int           // attempts that failed, since the last headway
	quiet    time.Duration // see the package comment
	badSince time.Time     // the first failure since the last headway; zero: none
	reached  int64         // bytes, the furthest of all attempts
	slow     int           // attempts that moved, but too slowly, since slowAt
	slowAt   int64         // bytes, where the last of these ended
	woken    bool          // it was woken early once
	troubled bool          // it is counted in Backend.troubled
}

func (b *Backend) call(ctx context.Context, op, key string) *call {
	return &call{b: b, ctx: ctx, op: op, key: key}
}

// do makes a call, in as many attempts as it takes.
func (b *Backend) do(ctx context.Context, op, key string, slots chan struct{}, fn func(context.Context, *attempt) error) error {
	c := b.call(ctx, op, key)
	defer c.end()
	for {
		err := c.try(slots, fn)
		if err == nil {
			c.answered()
			return nil
		}
		if err = c.again(err); err != nil {
			return err
		}
	}
}

// try makes one attempt.
func (c *call) try(slots chan struct{}, fn func(context.Context, *attempt) error) error {
	a, err := c.begin(slots)
	if err != nil {
		return err
	}
	defer a.close()
	return a.result(fn(a.ctx, a))
}

// headway notes that the call has got further than ever.
func (c *call) headway() {
	c.quiet, c.fails, c.badSince = 0, 0, time.Time{}
}

// again returns nil when it is time for another attempt after err, or the error
// with which the call ends.
func (c *call) again(err error) error {
	if c.ctx.Err() != nil {
		return c.fail(c.ctx.Err())
	}
	op := (*backends.OpError)(nil)
	if !errors.As(err, &op) || !op.Retryable {
		c.answered() // whatever it says, the store has responded
		return c.numbered(err)
	}
	c.fails++
	if c.badSince.IsZero() {
		c.badSince = time.Now()
	}
	if c.b.given() {
		return c.unreachable(err)
	}
	if errors.Is(err, backends.ErrSlow) && c.tooSlow() {
		return c.numbered(err)
	}
	if errors.Is(err, backends.ErrChecksum) && c.fails >= checksumAttempts || c.b.o.Patience.Err() != nil {
		return c.numbered(err)
	}
	limit := c.b.limit()
	left := limit - c.quiet
	wait := c.b.backoff(c.fails)
	after := min(op.RetryAfter, maxAfter)
	if after > 0 {
		wait += after
	}
	if limit >= 0 && (c.fails > 1 || after > left) {
		if left <= 0 || after > left {
			return c.givenUp(err, after)
		}
		wait = min(wait, left)
	}
	c.b.trouble(c, Retry{Op: c.op, Key: c.key, Attempt: c.attempts, Err: err, Wait: wait, Left: max(left, min(limit, 0))})
	return c.sleep(err, wait, after > 0)
}

// tooSlow counts an attempt that moved too slowly, and reports whether it was the last: what
// little it brought is headway, so that nothing else would end the call.
func (c *call) tooSlow() bool {
	if c.reached-c.slowAt >= slowHeadway {
		c.slow = 0
	}
	c.slow++
	c.slowAt = c.reached
	return c.slow >= slowAttempts
}

// sleep waits until it is time for the next attempt after err: when wait is over, or
// the store answers another call, which it makes use of once.
func (c *call) sleep(err error, wait time.Duration, asked bool) error {
	c.b.mu.Lock()
	back := c.b.back
	c.b.mu.Unlock()
	if c.woken || asked {
		back = nil
	}
	began := time.Now()
	defer func() { c.quiet += time.Since(began) }()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-back:
		c.woken = true
		return nil
	case <-c.ctx.Done():
		return c.fail(c.ctx.Err())
	case <-c.b.closing:
		return c.fail(backends.ErrClosed)
	case <-c.b.o.Patience.Done():
		return c.numbered(err)
	}
}

// fail is an error of this layer.
func (c *call) fail(err error) error {
	return &backends.OpError{Op: c.op, Key: c.key, Err: err}
}

// numbered notes in the error which attempt it ended.
func (c *call) numbered(err error) error {
	op, ok := err.(*backends.OpError) //nolint:errorlint // only the outermost is ours to change
	if !ok || c.attempts < 2 {
		return err
	}
	numbered := *op
	numbered.Attempt = c.attempts
	return &numbered
}

// givenUp is the end of a call that took too long. The store as a whole is unreachable
// if it answered no other call in the meantime; then no other call has to wait as long.
func (c *call) givenUp(err error, after time.Duration) error {
	op := *err.(*backends.OpError) //nolint:errorlint,forcetypeassert // result makes every error one
	if after > 0 {
		op.Err = fmt.Errorf("%w; gave up, since the store asks to wait %v", op.Err, after.Round(time.Second))
	} else {
		op.Err = fmt.Errorf("%w; gave up after %d attempts in %v", op.Err, c.attempts, time.Since(c.badSince).Round(time.Second))
	}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if c.b.answered.After(c.badSince) {
		return &op
	}
	c.b.gone = true
	return c.unreachable(&op)
}

// unreachable says of an error that it is the store that cannot be reached.
func (c *call) unreachable(err error) error {
	op := *err.(*backends.OpError) //nolint:errorlint,forcetypeassert // as above
	op.Err = backends.WithKind(backends.ErrUnreachable, op.Err)
	return &op
}

// given reports whether the store was given up, and has not answered since.
func (b *Backend) given() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gone
}

// limit is the quiet time that ends a call, < 0 for none.
func (b *Backend) limit() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.answered.IsZero() && b.o.Elapsed > unanswered {
		return unanswered
	}
	return b.o.Elapsed
}

// backoff is how long to wait after so many failures: a random part of what doubles
// each time, so that calls that failed together do not retry together.
func (b *Backend) backoff(fails int) time.Duration {
	most := longWait
	if fails < 7 {
		most = min(longWait, firstWait<<(fails-1))
	}
	return time.Duration(b.rand() * float64(most))
}

// trouble notes that a call has failed and will be retried.
func (b *Backend) trouble(c *call, r Retry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !c.troubled {
		c.troubled = true
		if b.troubled++; b.troubled == 1 {
			b.since = c.badSince
		}
	}
	r.Trouble = time.Since(b.since)
	b.o.OnRetry(r)
}

// answered notes that the store does answer.
func (c *call) answered() {
	b := c.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.op != "open" { // which many kinds of store answer without a request
		b.answered, b.gone = time.Now(), false
	}
	if b.troubled == 0 {
		return
	}
	close(b.back)
	b.back = make(chan struct{})
	c.calm(true)
}

// calm takes the call out of the count of those in trouble. Backend.mu is held.
func (c *call) calm(answered bool) {
	if !c.troubled {
		return
	}
	c.troubled = false
	if c.b.troubled--; c.b.troubled == 0 {
		c.b.o.OnOver(time.Since(c.b.since), answered)
	}
}

// end is the end of the call, whatever its result.
func (c *call) end() {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.calm(false)
}
