package snapshot

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"vaultik/vault/layout"
)

// Cache keeps objects of this store nearer than the store is. It is asked only for objects
// whose SHA-256 is pinned by something whose signature was verified, and which the store
// lists with their size. So it decides neither what is in the store nor what an object says.
type Cache interface {
	// Get returns an object whose SHA-256 it has checked; nil: it is not there.
	Get(sum [32]byte, size int64) []byte
	// Put keeps an object of this SHA-256.
	Put(sum [32]byte, b []byte)
}

// keep puts an object that was read into the cache, if there is one.
func (s *Store) keep(sum Sum, b []byte) {
	if s.Cache != nil {
		s.Cache.Put(sum, b)
	}
}

// loadChains is loadAll where a manifest that the one after it pins may come from the cache.
// The newest of a chain is read from the store in any case, and where several objects claim a
// place, all but one.
func (s *Store) loadChains(ctx context.Context, all []found) ([]*Loaded, []Problem, error) {
	if s.Cache == nil {
		return s.loadAll(ctx, all, 0, len(all))
	}
	byChain := map[chainKey]*chainReading{}
	for _, f := range all {
		k := chainKey{f.Host, f.Set}
		if byChain[k] == nil {
			byChain[k] = &chainReading{step: 1}
		}
		byChain[k].left = append(byChain[k].left, f)
	}
	chains := slices.Collect(maps.Values(byChain))
	for _, c := range chains {
		slices.SortFunc(c.left, func(a, b found) int {
			// A name that says what it holds comes first, for the cache to be held against.
			return cmp.Or(cmp.Compare(b.Seq, a.Seq), cmp.Compare(b.Short, a.Short))
		})
	}
	var loaded []*Loaded
	var problems []Problem
	for {
		var batch []found
		for _, c := range chains {
			loaded = append(loaded, s.cachedOf(c)...)
			batch = append(batch, c.take()...)
		}
		if len(batch) == 0 {
			break
		}
		read, bad, err := s.loadAll(ctx, batch, len(loaded)+len(problems), len(all))
		if err != nil {
			return nil, nil, err
		}
		for _, l := range read {
			byChain[chainKey{l.Host, l.Set}].follow(l)
		}
		loaded, problems = append(loaded, read...), append(problems, bad...)
	}
	slices.SortFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Key, b.Key) })
	return sorted(loaded), problems, ctx.Err()
}

// chainReading is a chain that is read from the newest manifest down.
type chainReading struct {
	left []found // by seq, the highest first
	step int     // how many are read from the store at once
	next *Loaded // the lowest that was read; nil: none
}

// follow notes a manifest that was read: it pins the one before it.
func (c *chainReading) follow(l *Loaded) {
	if c.next == nil || l.Seq < c.next.Seq {
		c.next = l
	}
}

// cachedOf takes from a chain what the cache has of it from here on.
func (s *Store) cachedOf(c *chainReading) (out []*Loaded) {
	for len(c.left) > 0 && c.next != nil {
		f := c.left[0]
		if f.Seq+1 != c.next.Seq {
			break
		}
		b := s.Cache.Get(c.next.Prev, f.size)
		if b == nil {
			break
		}
		l, err := s.decode(f, b, sumOf(b))
		if err != nil {
			break // the store may have a better one
		}
		out = append(out, s.lighter(l))
		c.next, c.left, c.step = l, c.left[1:], 1
	}
	return out
}

// take takes from a chain what is to be read from the store next: twice as much each time
// that the cache has nothing.
func (c *chainReading) take() []found {
	n := min(c.step, len(c.left))
	for n > 0 && n < len(c.left) && c.left[n].Seq == c.left[n-1].Seq {
		n++
	}
	batch := c.left[:n]
	c.left = c.left[n:]
	c.step *= 2
	return batch
}

// listRoots returns the roots and epoch keys of manifests that the store lists, with their
// sizes, if there is a cache that may have them; they would take a request each. Where they
// cannot be listed, it is nil, and all are read from the store.
func (s *Store) listRoots(ctx context.Context, all []*Manifest) map[string]int64 {
	if s.Cache == nil || len(all) < cacheFrom {
		return nil
	}
	listed, hosts := map[string]int64{}, map[layout.HostID]bool{}
	for _, m := range all { // a store may list more than anybody wants
		hosts[m.Host] = true
		listed[layout.Root(m.Host, m.Root.Name)] = -1
		for _, k := range m.Keys {
			listed[layout.EpochKey(m.Host, k.Epoch, k.N)] = -1
		}
	}
	for host := range hosts {
		for _, prefix := range []string{layout.RootPrefix(host), layout.EpochsPrefix(host)} {
			names := 0
			err := s.objects.List(ctx, prefix, func(key string, size int64, _ time.Time) error {
				if names++; names > maxNames {
					return ErrFlooded
				}
				if _, wanted := listed[key]; wanted {
					listed[key] = size
				}
				return nil
			})
			if err != nil {
				return nil
			}
		}
	}
	return listed
}

// cacheFrom is how many roots are worth a listing.
const cacheFrom = 16

// getListed is getPinned of an object that may come from the cache if it is in the listing.
func (s *Store) getListed(ctx context.Context, listed map[string]int64, key string, size int64,
	sum Sum, limit int) ([]byte, error) {
	if n, ok := listed[key]; ok && n == size {
		if b := s.Cache.Get(sum, size); b != nil {
			return b, nil
		}
	}
	b, err := s.getPinned(ctx, key, size, sum, limit)
	if err == nil && listed != nil {
		s.keep(sum, b)
	}
	return b, err
}
