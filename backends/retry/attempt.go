package retry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"vaultik/backends"
)

// attempt is one attempt of a call: it holds a connection, and a watchdog ends it
// when nothing moves. Close it.
type attempt struct {
	c     *call
	ctx   context.Context
	slots chan struct{}

	cancel   context.CancelCauseFunc
	notHurry func() bool

	mu        sync.Mutex
	timer     *time.Timer // nil: nobody watches
	lastMoved time.Time
	resting   bool // nothing is expected of the store
	stall     time.Duration
	closed    bool
}

// errStalled is why the watchdog ended an attempt.
type errStalled struct{ after time.Duration }

func (e *errStalled) Error() string { return fmt.Sprintf("no progress for %v", e.after) }

// begin waits for a connection, if they are counted, and begins an attempt.
func (c *call) begin(slots chan struct{}) (*attempt, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, c.fail(err)
	}
	if slots != nil {
		select {
		case slots <- struct{}{}:
		case <-c.ctx.Done():
			return nil, c.fail(c.ctx.Err())
		}
	}
	c.attempts++
	a := &attempt{c: c, slots: slots, lastMoved: time.Now(), stall: c.b.o.Stall}
	if c.b.given() {
		a.stall = min(a.stall, hurriedStall)
	}
	a.ctx, a.cancel = context.WithCancelCause(c.ctx)
	if a.stall > 0 {
		a.timer = time.AfterFunc(a.stall, a.bark)
		a.notHurry = context.AfterFunc(c.b.o.Patience, a.hurry)
	}
	return a, nil
}

func (a *attempt) bark() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.resting {
		a.cancel(&errStalled{a.stall})
	}
}

// hurry shortens the allowed stall from now on, including the one in progress.
func (a *attempt) hurry() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stall = min(a.stall, hurriedStall)
	if !a.resting && !a.closed {
		a.timer.Reset(max(0, a.stall-time.Since(a.lastMoved)))
	}
}

// work says that the store has something to do from now on; called again, that it has
// made progress.
func (a *attempt) work() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lastMoved, a.resting = time.Now(), false
	if a.timer != nil {
		a.timer.Reset(a.stall)
	}
}

// rest says that it is the user's turn.
func (a *attempt) rest() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.resting = true
	if a.timer != nil {
		a.timer.Stop()
	}
}

// result makes the error of an attempt what the policy understands, and counts how
// long nothing had moved.
func (a *attempt) result(err error) error {
	if err == nil {
		return nil
	}
	a.mu.Lock()
	a.c.quiet += time.Since(a.lastMoved)
	a.mu.Unlock()
	if stalled := (*errStalled)(nil); errors.As(context.Cause(a.ctx), &stalled) && a.c.ctx.Err() == nil {
		return &backends.OpError{Op: a.c.op, Key: a.c.key, Retryable: true, Err: stalled}
	}
	if op := (*backends.OpError)(nil); errors.As(err, &op) {
		if op == err { //nolint:errorlint // is it the outermost?
			return err
		}
		return &backends.OpError{Op: a.c.op, Key: a.c.key, Backend: op.Backend, Retryable: op.Retryable, RetryAfter: op.RetryAfter, Err: err}
	}
	return err
}

// broken is result for the errors of readers, which need not have a kind: unless it is
// known to be pointless, the rest is requested again.
func (a *attempt) broken(err error) error {
	err = a.result(err)
	if op := (*backends.OpError)(nil); errors.As(err, &op) || errors.Is(err, fs.ErrClosed) {
		return err
	}
	return &backends.OpError{Op: a.c.op, Key: a.c.key, Retryable: true, Err: err}
}

// close gives the connection back. It may be called twice.
func (a *attempt) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.closed = true
	if a.timer != nil {
		a.timer.Stop()
		a.notHurry()
	}
	a.cancel(nil)
	if a.slots != nil {
		<-a.slots
	}
}
