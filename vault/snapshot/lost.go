package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"vaultik/vault/layout"
)

// Lost is a run of manifests of one set that are gone, which the owner has accepted: the
// store was put back from an older copy. Like a prune record it closes the gap in the chain.
type Lost struct {
	Host layout.HostID `json:"host"`
	Pruned
}

// Accepts reports whether a manifest that was seen need not be there: the owner has accepted
// that it is gone, or has revoked the key that signed it. What stands of such a key, the owner
// has said; what others have seen of it may be a thief's.
func (t *Trust) Accepts(host layout.HostID, set layout.SetID, seq uint64) bool {
	h, _ := t.Host(host)
	return h.revoked() || t.lost(host, set, seq) != nil
}

func (t *Trust) lost(host layout.HostID, set layout.SetID, seq uint64) *Pruned {
	for i := range t.Lost {
		if l := &t.Lost[i]; l.Host == host && l.Set == set && l.From <= seq && seq <= l.To {
			return &l.Pruned
		}
	}
	return nil
}

// LostGC is the newest gc object about a host that is gone, with others before it, which the
// owner has accepted. The next one follows it.
type LostGC struct {
	Host layout.HostID `json:"host"`
	GCSeen
}

func (t *Trust) acceptsGC(host layout.HostID, g GCSeen) bool {
	return slices.ContainsFunc(t.LostGC, func(l LostGC) bool {
		return l.Host == host && (g.Seq < l.Seq || g == l.GCSeen)
	})
}

// lostGC is the highest number of the gc objects about a host that are gone, 0 for none.
func (t *Trust) lostGC(host layout.HostID) uint64 {
	for _, l := range t.LostGC {
		if l.Host == host {
			return l.Seq
		}
	}
	return 0
}

// AcceptGC adds a record of what is gone, in the place of an older one about that host.
func (t *Trust) AcceptGC(l LostGC) {
	t.LostGC = append(slices.DeleteFunc(slices.Clone(t.LostGC), func(o LostGC) bool {
		return o.Host == l.Host
	}), l)
	slices.SortFunc(t.LostGC, func(a, b LostGC) int { return slices.Compare(a.Host[:], b.Host[:]) })
}

func checkLostGC(all []LostGC) error {
	for i, l := range all {
		if l.Host.IsZero() || l.Seq < 1 || l.Seq > layout.MaxSeq || l.SHA256.IsZero() ||
			i > 0 && slices.Compare(all[i-1].Host[:], l.Host[:]) >= 0 {
			return errors.New("records of lost gc objects are malformed, or not sorted by host")
		}
	}
	return nil
}

// MergeLost sorts records and joins those that follow each other. Records that overlap are
// an error.
func MergeLost(records []Lost) (out []Lost, err error) {
	byHost := make(map[layout.HostID][]Pruned)
	for _, l := range records {
		if l.Host.IsZero() {
			return nil, fmt.Errorf("%w: a record of what is lost names no host", ErrInvalid)
		}
		byHost[l.Host] = append(byHost[l.Host], l.Pruned)
	}
	for host, pruned := range byHost {
		merged, err := MergePruned(pruned)
		if err != nil {
			return nil, err
		}
		for _, p := range merged {
			out = append(out, Lost{host, p})
		}
	}
	slices.SortFunc(out, func(a, b Lost) int {
		return cmp.Or(slices.Compare(a.Host[:], b.Host[:]), slices.Compare(a.Set[:], b.Set[:]),
			cmp.Compare(a.From, b.From))
	})
	return out, nil
}

// Head is the newest manifest of a set that was seen anywhere.
type Head struct {
	Host layout.HostID
	Set  layout.SetID
	Seq  uint64
	Sum  Sum
}

// Missing are the manifests that are gone without a record: gaps between those that are
// loaded, and those after the newest, up to the heads that were seen. It takes the results of
// [Store.Manifests]. A head in whose place another manifest stands is among them: the host was
// put back with its store, and has gone on since. A gap beside a manifest that is damaged cannot be closed by a record,
// and is not among them.
func (s *Store) Missing(ctx context.Context, loaded []*Loaded, bad []Problem,
	heads []Head) (out []Lost, err error) {
	chains := make(map[chainKey][]*Loaded)
	for _, l := range loaded {
		k := chainKey{l.Host, l.Set}
		chains[k] = append(chains[k], l)
	}
	tails := make(map[chainKey]Head)
	for _, h := range heads {
		k := chainKey{h.Host, h.Set}
		if h.Seq > tails[k].Seq {
			tails[k] = h
		}
		if chains[k] == nil {
			chains[k] = []*Loaded{}
		}
	}
	for k, chain := range chains {
		gc, _ := s.knownGC(ctx, k.host) // nil with an error, which is told where it matters
		if r := s.replaced(chain, tails[k]); r != nil && !gc.dropped(k.set, r.To, r.Sum) {
			out = append(out, *r)
		}
		g := gaps{store: s, key: k, known: true, seq: 1, bad: make(map[uint64]bool)}
		if gc != nil {
			for _, d := range gc.Dropped {
				g.bad[d.Seq] = g.bad[d.Seq] || d.Set == k.set && d.Reason == DroppedDamaged
			}
		}
		for _, p := range bad {
			if p.Key != "" && p.Host == k.host && p.Set == k.set {
				g.bad[p.Seq] = true
			}
		}
		for _, l := range chain {
			if l.Seq < g.seq {
				continue // another side of a fork
			}
			if err := g.until(ctx, l.Seq, l.Prev); err != nil {
				return nil, err
			}
			g.seq, g.prev, g.known = l.Seq+1, l.Sum, true
		}
		if t := tails[k]; t.Seq >= g.seq {
			if err := g.until(ctx, t.Seq+1, t.Sum); err != nil {
				return nil, err
			}
		}
		out = append(out, g.out...)
	}
	return MergeLost(out)
}

// replaced is a record of a head that was seen, where another manifest stands in its place;
// nil where none does, or the owner has accepted it.
func (s *Store) replaced(chain []*Loaded, head Head) *Lost {
	i := slices.IndexFunc(chain, func(l *Loaded) bool { return l.Seq == head.Seq })
	if i < 0 || s.Trust.Accepts(head.Host, head.Set, head.Seq) ||
		slices.ContainsFunc(chain, func(l *Loaded) bool {
			return l.Seq == head.Seq && l.Sum == head.Sum
		}) {
		return nil
	}
	return &Lost{head.Host, Pruned{head.Set, head.Seq, head.Seq, chain[i].Prev, head.Sum}}
}

// gaps goes along one chain.
type gaps struct {
	store *Store
	key   chainKey
	bad   map[uint64]bool
	out   []Lost

	seq   uint64 // the next place
	prev  Sum    // of the manifest in the place before
	known bool   // prev is
}

// until notes what is missing before the place end, whose manifest continues from last.
func (g *gaps) until(ctx context.Context, end uint64, last Sum) error {
	for g.seq < end {
		from, prev, known := g.seq, g.prev, g.known
		for g.seq < end && !g.bad[g.seq] {
			r, err := g.store.record(ctx, g.key.host, g.key.set, g.seq)
			if err != nil {
				return err
			}
			if r != nil {
				g.note(known, Pruned{g.key.set, from, g.seq - 1, prev, r.Prev})
				from, prev, known = r.To+1, r.Sum, true
				g.seq = r.To
			}
			g.seq++
		}
		if g.seq >= end {
			g.note(known, Pruned{g.key.set, from, end - 1, prev, last})
			return nil
		}
		g.seq, g.known = g.seq+1, false // a damaged one
	}
	return nil
}

func (g *gaps) note(known bool, p Pruned) {
	if known && p.From <= p.To {
		g.out = append(g.out, Lost{g.key.host, p})
	}
}
