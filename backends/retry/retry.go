package retry

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"vaultik/backends"
)

// Defaults and constants of the policy.
const (
	DefaultElapsed = 15 * time.Minute
	DefaultStall   = 5 * time.Minute

	firstWait = time.Second // the longest wait before the second attempt, doubled for each more
	longWait  = time.Minute // the longest of all

	// unanswered replaces Elapsed until the store has answered once: a URL that leads
	// nowhere is more often misspelt than down, and nothing has been done yet that
	// could be lost.
	unanswered = time.Minute

	// maxAfter bounds what a store may ask to wait.
	maxAfter = time.Hour

	// hurriedStall is Stall once the program is to stop, or the store was given up.
	hurriedStall = 8 * time.Second

	// checksumAttempts is how often bytes are sent if they arrive changed: if the line
	// was not at fault, they were wrong before.
	checksumAttempts = 3

	// slowAttempts is how many attempts of a call may be ended because they were too slow,
	// without slowHeadway bytes between two of them.
	slowAttempts = 3
	slowHeadway  = 1 << 20
)

// Options says how patient a backend is. The zero value is ready.
type Options struct {
	// Connections is how many calls that carry data (Put, ReadRange, and Get until
	// its reader is closed) run at once; 0: as many as are made. Stat and Delete have
	// as many again of their own, so that short questions never wait for transfers;
	// lists are not counted.
	Connections int
	// Elapsed is the quiet time after which a call fails; 0: DefaultElapsed; < 0: never.
	// The first failure is always followed by one more attempt, unless the store asks
	// to wait for longer than that.
	Elapsed time.Duration
	// Stall is how long an attempt may make no progress before it counts as failed; 0:
	// DefaultStall; < 0: forever.
	Stall time.Duration
	// Patience, if set, is a context whose end says that the program is to stop: calls
	// that fail from then on are not retried, and stalled ones end soon.
	Patience context.Context
	// OnRetry is told of each failure after which a call is retried. OnOver is told
	// that the trouble is over and how long it lasted; answered is false if it is over
	// only because no call waits any more. Both are called one at a time and must not
	// use the backend.
	OnRetry func(Retry)
	OnOver  func(trouble time.Duration, answered bool)
}

// Retry is a failure after which the call is retried.
type Retry struct {
	Op, Key string
	Attempt int           // that failed, from 1
	Err     error         // why
	Wait    time.Duration // before the next attempt, at most
	Trouble time.Duration // how long the store has been in trouble
	Left    time.Duration // quiet time until the call fails; < 0: it never does
}

// Backend retries the calls of another backend.
type Backend struct {
	inner backends.Backend
	o     Options
	data  chan struct{} // nil: unbounded
	asks  chan struct{}
	rand  func() float64 // 0 to 1; tests replace it

	mu       sync.Mutex
	troubled int           // calls whose last attempt failed
	since    time.Time     // when the trouble began
	answered time.Time     // when the store last answered; zero: never
	gone     bool          // it was given up, and has not answered since: one attempt is enough
	back     chan struct{} // closed when a call succeeds while others are in trouble
	closing  chan struct{}
	caps     *backends.Capabilities // once known
}

// Wrap makes b patient.
func Wrap(b backends.Backend, o Options) *Backend {
	if o.Elapsed == 0 {
		o.Elapsed = DefaultElapsed
	}
	if o.Stall == 0 {
		o.Stall = DefaultStall
	}
	if o.Patience == nil {
		o.Patience = context.Background()
	}
	if o.OnRetry == nil {
		o.OnRetry = func(Retry) {}
	}
	if o.OnOver == nil {
		o.OnOver = func(time.Duration, bool) {}
	}
	r := &Backend{inner: b, o: o, rand: rand.Float64, back: make(chan struct{}), closing: make(chan struct{})}
	if o.Connections > 0 {
		r.data = make(chan struct{}, o.Connections)
		r.asks = make(chan struct{}, o.Connections)
	}
	return r
}

// Open opens a store with open, which is retried like any other call, and wraps it. The
// context that open gets is never done once it has returned a backend.
func Open(ctx context.Context, open func(context.Context) (backends.Backend, error), o Options) (*Backend, error) {
	b := Wrap(nil, o)
	err := b.do(ctx, "open", "", nil, func(ctx context.Context, _ *attempt) error {
		own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
		in, err := open(own)
		if err != nil {
			stop()
			cancel(nil)
			return err
		}
		if !stop() {
			_ = in.Close()
			return ctx.Err()
		}
		b.inner = in
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Unwrap returns the backend inside.
func (b *Backend) Unwrap() backends.Backend { return b.inner }

// Stat implements backends.Backend.
func (b *Backend) Stat(ctx context.Context, key string) (info backends.ObjectInfo, err error) {
	err = b.do(ctx, "stat", key, b.asks, func(ctx context.Context, _ *attempt) (err error) {
		info, err = b.inner.Stat(ctx, key)
		return err
	})
	return info, err
}

// Delete implements backends.Backend.
func (b *Backend) Delete(ctx context.Context, key string) error {
	return b.do(ctx, "delete", key, b.asks, func(ctx context.Context, _ *attempt) error {
		return b.inner.Delete(ctx, key)
	})
}

// Batch implements backends.BatchDeleter.
func (b *Backend) Batch() int {
	if d := backends.Batches(b.inner); d != nil {
		return d.Batch()
	}
	return 0
}

// DeleteBatch implements backends.BatchDeleter. Only what was not deleted is tried again.
func (b *Backend) DeleteBatch(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	var final []*backends.OpError
	err := b.do(ctx, "delete", keys[0], b.asks, func(ctx context.Context, _ *attempt) error {
		err := backends.Batches(b.inner).DeleteBatch(ctx, keys)
		if batch := (*backends.BatchError)(nil); !errors.As(err, &batch) {
			return err
		}
		var again *backends.OpError
		keys = nil
		for _, f := range backends.FailedOf(err) {
			if !f.Retryable {
				final = append(final, f)
				continue
			}
			keys, again = append(keys, f.Key), f
		}
		if again == nil {
			return nil
		}
		return again
	})
	if err == nil && len(final) > 0 {
		err = &backends.BatchError{Failed: final}
	}
	return err
}

// Keeps implements backends.Keeper.
func (b *Backend) Keeps(ctx context.Context) (k backends.Keeping, err error) {
	err = b.do(ctx, "info", "", b.asks, func(ctx context.Context, _ *attempt) (err error) {
		k, err = backends.Keeps(ctx, b.inner)
		return err
	})
	return k, err
}

// Info implements backends.Backend. Connections is what Options say.
func (b *Backend) Info(ctx context.Context) (info backends.Info, err error) {
	err = b.do(ctx, "info", "", nil, func(ctx context.Context, _ *attempt) (err error) {
		info, err = b.inner.Info(ctx)
		return err
	})
	if err != nil {
		return backends.Info{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.caps = &info.Capabilities
	if b.o.Connections > 0 {
		info.Connections = b.o.Connections
	}
	return info, nil
}

// Close implements backends.Backend. A call that waits to be retried fails with
// ErrClosed.
func (b *Backend) Close() error {
	b.mu.Lock()
	select {
	case <-b.closing:
	default:
		close(b.closing)
	}
	b.mu.Unlock()
	return b.inner.Close()
}
