package read

import (
	"container/list"
	"context"
	"sync"
)

// shared makes things for all who want them at the same time, each of them once, and
// keeps those that were wanted last.
type shared[K comparable, V any] struct {
	cost func(V) int

	mu    sync.Mutex // never held while something is loaded
	kept  lru[K, V]
	loads map[K]*load[V]
}

// load is something that is being made.
type load[V any] struct {
	done chan struct{} // closed when the fields below are set
	v    V
	err  error
	gone bool // the leader left before it had a result: somebody else has to
}

// newShared keeps things of up to limit in total cost, and the newest in any case. A limit of
// 0 keeps nothing.
func newShared[K comparable, V any](limit int, cost func(V) int) *shared[K, V] {
	return &shared[K, V]{cost: cost, kept: newLRU[K, V](limit), loads: map[K]*load[V]{}}
}

// get returns what is kept, or else calls do, unless another caller is at it: then it
// waits for that one's result. do runs under ctx.
func (s *shared[K, V]) get(ctx context.Context, key K, do func() (V, error)) (v V, err error) {
	for {
		l, leads := s.join(key, &v)
		switch {
		case l == nil:
			return v, nil
		case leads:
			return s.lead(ctx, key, l, do)
		}
		select {
		case <-l.done:
			if !l.gone {
				return l.v, l.err
			}
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

// join returns the load to take part in, and whether the caller has to do it; or nil, and *v is
// what is kept.
func (s *shared[K, V]) join(key K, v *V) (l *load[V], leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept, ok := s.kept.get(key); ok {
		*v = kept
		return nil, false
	}
	if l = s.loads[key]; l != nil {
		return l, false
	}
	l = &load[V]{done: make(chan struct{}), gone: true}
	s.loads[key] = l
	return l, true
}

// lead does what others may wait for.
func (s *shared[K, V]) lead(
	ctx context.Context, key K, l *load[V], do func() (V, error),
) (V, error) {
	defer func() { // even if do panics
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.loads, key)
		if !l.gone && l.err == nil && s.kept.limit > 0 {
			s.kept.put(key, l.v, s.cost(l.v))
		}
		close(l.done)
	}()
	l.v, l.err = do()
	// Whatever an ended context made of it is the leader's own affair.
	l.gone = l.err != nil && ctx.Err() != nil
	return l.v, l.err
}

// lru keeps what was used last, up to a total cost.
type lru[K comparable, V any] struct {
	limit, cost int
	order       *list.List // of *lruItem, the last used first
	items       map[K]*list.Element
}

type lruItem[K comparable, V any] struct {
	key   K
	value V
	cost  int
}

func newLRU[K comparable, V any](limit int) lru[K, V] {
	return lru[K, V]{limit: limit, order: list.New(), items: map[K]*list.Element{}}
}

func (l *lru[K, V]) get(k K) (v V, ok bool) {
	e := l.items[k]
	if e == nil {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*lruItem[K, V]).value, true
}

// put adds what is not there yet, and drops what was used longest ago. The
// newest is kept even if it alone costs more than the limit.
func (l *lru[K, V]) put(k K, v V, cost int) {
	l.items[k] = l.order.PushFront(&lruItem[K, V]{k, v, cost})
	l.cost += cost
	for l.cost > l.limit && l.order.Len() > 1 {
		last := l.order.Remove(l.order.Back()).(*lruItem[K, V])
		delete(l.items, last.key)
		l.cost -= last.cost
	}
}
