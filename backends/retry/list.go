package retry

import (
	"context"
	"crypto/sha256"

	"vaultik/backends"
)

// ListStream implements backends.Backend. A list that fails starts over and skips the
// names it has already reported.
func (b *Backend) ListStream(ctx context.Context, prefix string, fn func(backends.ObjectInfo) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := b.call(ctx, "list", prefix)
	defer c.end()
	names := told{sorted: b.sorted(ctx)}
	for {
		var stop error // what fn said
		err := c.try(nil, func(ctx context.Context, a *attempt) error {
			return b.inner.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
				if names.before(o.Key, c.attempts > 1) {
					a.work()
					return nil
				}
				c.headway()
				a.rest()
				stop = fn(o)
				a.work()
				return stop
			})
		})
		switch {
		case stop != nil:
			return stop
		case err == nil:
			c.answered()
			return nil
		}
		if err = c.again(err); ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// sorted reports whether the store is known to list in order.
func (b *Backend) sorted(ctx context.Context) bool {
	if s, ok := backends.As[backends.Sorter](b.inner); ok {
		return s.Sorted()
	}
	b.mu.Lock()
	known := b.caps
	b.mu.Unlock()
	if known != nil {
		return known.Sorted
	}
	c := b.call(ctx, "info", "")
	var info backends.Info
	err := c.try(nil, func(ctx context.Context, _ *attempt) (err error) {
		info, err = b.inner.Info(ctx)
		return err
	})
	if err != nil {
		return false // which costs memory, no more; a list that fails will say why
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.caps = &info.Capabilities
	return info.Sorted
}

// told knows which names a list has reported: the last one if they come in order, else
// a part of the hash of each.
type told struct {
	sorted bool
	last   string
	all    map[[16]byte]struct{}
}

// before reports whether a name was reported before, and notes it.
func (t *told) before(key string, again bool) bool {
	if t.sorted {
		if again && key <= t.last {
			return true
		}
		t.last = max(t.last, key)
		return false
	}
	sum := sha256.Sum256([]byte(key))
	short := [16]byte(sum[:16])
	if _, is := t.all[short]; is {
		return true
	}
	if t.all == nil {
		t.all = map[[16]byte]struct{}{}
	}
	t.all[short] = struct{}{}
	return false
}
