package snapshot

import (
	"context"
	"errors"
	"fmt"

	"vaultik/vault/layout"
)

// Until is what stands of all that a revoked key has signed. The times in signed objects
// are the signer's word, and a thief of the key writes any: so the owner names the last
// objects by their sums. What they follow from stands as well, and nothing else does.
type Until struct {
	Sets []UntilSet `json:"sets"` // of the host's own sets
	GC   []UntilGC  `json:"gc"`   // of a pruner: gc objects about each host
}

// UntilSet is the last manifest of a set that stands.
type UntilSet struct {
	Set layout.SetID `json:"set"`
	Seq uint64       `json:"seq"`
	Sum Sum          `json:"sum"` // SHA-256 of the object
}

// UntilGC is the last gc object about a host that stands.
type UntilGC struct {
	Host layout.HostID `json:"host"`
	Seq  uint64        `json:"seq"`
	Sum  Sum           `json:"sum"` // SHA-256 of the object
}

func (h *TrustHost) revoked() bool { return !h.Revoked.IsZero() }

func (h *TrustHost) checkUntil() error {
	if h.Until == nil {
		return nil
	}
	if !h.revoked() {
		return errors.New("until without revoked")
	}
	last := func(seq uint64, sum Sum) bool { return seq >= 1 && seq <= layout.MaxSeq && !sum.IsZero() }
	sets := make(map[layout.SetID]bool)
	for _, u := range h.Until.Sets {
		if u.Set.IsZero() || sets[u.Set] || !last(u.Seq, u.Sum) {
			return errors.New("malformed until of a set, or two of one")
		}
		sets[u.Set] = true
	}
	hosts := make(map[layout.HostID]bool)
	for _, u := range h.Until.GC {
		if u.Host.IsZero() || hosts[u.Host] || !last(u.Seq, u.Sum) {
			return errors.New("malformed until of gc objects, or two of one host")
		}
		hosts[u.Host] = true
	}
	return nil
}

// untilSet is the last manifest of a set that stands of a revoked key; nil if none does.
func (h *TrustHost) untilSet(set layout.SetID) *UntilSet {
	if h.Until == nil {
		return nil
	}
	for i := range h.Until.Sets {
		if u := &h.Until.Sets[i]; u.Set == set {
			return u
		}
	}
	return nil
}

// untilGC is the last gc object about a host that stands of a revoked pruner.
func (h *TrustHost) untilGC(host layout.HostID) *UntilGC {
	if h.Until == nil {
		return nil
	}
	for i := range h.Until.GC {
		if u := &h.Until.GC[i]; u.Host == host {
			return u
		}
	}
	return nil
}

// stands checks a signed manifest by itself: those below the last one that stands must
// lead up to it as well, which [Store.standing] checks.
func (h *TrustHost) stands(set layout.SetID, seq uint64, sum Sum) error {
	if !h.revoked() {
		return nil
	}
	switch u := h.untilSet(set); {
	case u == nil:
		return fmt.Errorf("%w: nothing of this set stands", ErrRevoked)
	case seq > u.Seq:
		return fmt.Errorf("%w: what it signed stands up to seq %d", ErrRevoked, u.Seq)
	case seq == u.Seq && sum != u.Sum:
		return fmt.Errorf("%w: another manifest stands as seq %d", ErrRevoked, seq)
	}
	return nil
}

// standing leaves of sorted manifests those that are not of revoked keys, or lead up to
// the last that stands, through each other's prev or through prune records.
func (s *Store) standing(ctx context.Context, loaded []*Loaded) (out []*Loaded, bad []Problem) {
	keep := make([]bool, len(loaded))
	var at uint64 // the place whose manifest must have the sum want
	var want Sum
	for i := len(loaded) - 1; i >= 0; i-- {
		l := loaded[i]
		h, _ := s.Trust.Host(l.Host)
		if !h.revoked() {
			keep[i] = true
			continue
		}
		if i == len(loaded)-1 || !sameChain(l, loaded[i+1]) {
			at, want = 0, Sum{}
			if u := h.untilSet(l.Set); u != nil {
				at, want = u.Seq, u.Sum
			}
		}
		if l.Seq < at {
			at, want = s.belowPruned(ctx, l, at, want)
		}
		if l.Seq == at && l.Sum == want {
			keep[i] = true
			at, want = l.Seq-1, l.Prev
		}
	}
	for i, l := range loaded {
		if keep[i] {
			out = append(out, l)
			continue
		}
		bad = append(bad, Problem{Key: l.Key, Host: l.Host, Set: l.Set, Seq: l.Seq,
			Sum: l.Sum, Err: fmt.Errorf("%w: the last that stands does not follow from it", ErrRevoked)})
	}
	return out, bad
}

// belowPruned goes down from a place whose manifest is not there to the next that was
// not pruned, as far as prune records lead.
func (s *Store) belowPruned(ctx context.Context, l *Loaded, at uint64, want Sum) (uint64, Sum) {
	for at > l.Seq {
		r, err := s.record(ctx, l.Host, l.Set, at)
		if err != nil || r == nil || r.To != at || r.Sum != want {
			return 0, Sum{} // what cannot be read is said where the chain is checked
		}
		at, want = r.From-1, r.Prev
	}
	return at, want
}

// checkUntil looks for the last manifests that stand of revoked keys: the owner has seen
// them.
func (s *Store) checkUntil(ctx context.Context, filter Filter, loaded []*Loaded) (out []Problem) {
	for _, h := range s.Trust.Hosts {
		if h.Until == nil || !filter.has(h.Host) {
			continue
		}
		for _, u := range h.Until.Sets {
			p := Place{h.Host, u.Set, u.Seq}
			if !filter.Set.IsZero() && filter.Set != u.Set ||
				s.Trust.lost(p.Host, p.Set, p.Seq) != nil {
				continue
			}
			if err := s.CheckSeen(ctx, loaded, p, u.Sum); err != nil {
				out = append(out, Problem{Host: p.Host, Set: p.Set, Seq: p.Seq, Err: err})
			}
		}
	}
	return out
}
