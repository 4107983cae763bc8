package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"vaultik/vault/layout"
)

// chainKey names one chain of manifests.
type chainKey struct {
	host layout.HostID
	set  layout.SetID
}

func (k chainKey) compare(o chainKey) int {
	return cmp.Or(bytes.Compare(k.host[:], o.host[:]), bytes.Compare(k.set[:], o.set[:]))
}

// checkChains looks for forks and gaps in sorted manifests. Places of manifests that
// are known to be damaged are not gaps.
func (s *Store) checkChains(ctx context.Context, loaded []*Loaded, bad []Problem) []Problem {
	known := make(map[chainKey]map[uint64]bool)
	for _, p := range bad {
		k := chainKey{p.Host, p.Set}
		if known[k] == nil {
			known[k] = make(map[uint64]bool)
		}
		known[k][p.Seq] = true
	}
	out := forks(loaded)
	for i, l := range loaded {
		if err := s.checkPlace(ctx, loaded[:i], l, known[chainKey{l.Host, l.Set}]); err != nil {
			out = append(out, problemAt(l, err))
		}
	}
	return out
}

// problemAt is what is wrong in the place of l, or in one before it that cannot be read.
func problemAt(l *Loaded, err error) Problem {
	p := Problem{Host: l.Host, Set: l.Set, Seq: l.Seq, Err: err}
	if !errors.Is(err, ErrGap) && !errors.Is(err, ErrFork) {
		errors.As(err, &p)
	}
	return p
}

func sameChain(a, b *Loaded) bool { return a.Host == b.Host && a.Set == b.Set }

// forks finds manifests that share host, set and seq.
func forks(loaded []*Loaded) []Problem {
	var out []Problem
	for i := 1; i < len(loaded); i++ {
		a, b := loaded[i-1], loaded[i]
		if sameChain(a, b) && a.Seq == b.Seq {
			out = append(out, Problem{Key: b.Key, Host: b.Host, Set: b.Set, Seq: b.Seq,
				Err: fmt.Errorf("%w: the other is %s", ErrFork, a.Key)})
		}
	}
	return out
}

// checkPlace checks that l follows one of the nearest before it: there are two
// where the chain forked.
func (s *Store) checkPlace(ctx context.Context, before []*Loaded, l *Loaded, bad map[uint64]bool) (err error) {
	var nearest uint64
	for i := len(before) - 1; i >= 0 && sameChain(before[i], l); i-- {
		b := before[i]
		switch {
		case b.Seq == l.Seq:
			continue
		case nearest == 0:
			nearest = b.Seq
		case b.Seq < nearest:
			return err
		}
		if err = s.checkLink(ctx, b, l, bad); err == nil {
			return nil
		}
	}
	if nearest == 0 {
		err = s.checkLink(ctx, nil, l, bad)
	}
	return err
}

// checkLink checks that l follows before, or that bad objects and prune
// records account for every place between.
func (s *Store) checkLink(ctx context.Context, before, l *Loaded, bad map[uint64]bool) error {
	var unread error
	var prev Sum // of the manifest in the place before seq, if known
	seq, known := uint64(1), true
	if before != nil {
		seq, prev = before.Seq+1, before.Sum
	}
	for seq < l.Seq {
		if bad[seq] { // already reported
			seq, known = seq+1, false
			continue
		}
		r, err := s.record(ctx, l.Host, l.Set, seq)
		if r == nil {
			if err := s.Unlisted(ctx, layout.Manifest(l.Host, l.Set, seq)); err != nil {
				unread = cmp.Or(unread, err)
				seq, known = seq+1, false
				continue
			}
		}
		if unknown(err) {
			return err
		}
		if err != nil {
			return fmt.Errorf("%w: seq %d, and the reason cannot be read: %w", ErrGap, seq, err)
		}
		if gc, _ := s.knownGC(ctx, l.Host); r == nil && gc.damaged(l.Set, seq) {
			seq, known = seq+1, false
			continue
		}
		if r == nil {
			return fmt.Errorf("%w: seq %d, and no prune record covers it", ErrGap, seq)
		}
		if known && r.From == seq && r.Prev != prev {
			return fmt.Errorf("%w: what was pruned as seq %d continued from another manifest", ErrFork, seq)
		}
		if r.To >= l.Seq { // l was to be pruned as well, and is still there
			return nil
		}
		seq, prev, known = r.To+1, r.Sum, true
	}
	if known && l.Prev != prev {
		return fmt.Errorf("%w: it continues from another seq %d than the one that was there", ErrFork, l.Seq-1)
	}
	return unread
}

// unknown reports whether an error of a gc object says only that it cannot be read.
func unknown(err error) bool {
	return err != nil && !Unproven(err) && !errors.Is(err, ErrGCRollback)
}

// record returns what accounts for the manifest that is not in this place: a record of the
// owner, or one of prune. It may be nil.
func (s *Store) record(ctx context.Context, host layout.HostID, set layout.SetID,
	seq uint64) (*Pruned, error) {
	gc, err := s.knownGC(ctx, host)
	if r := gc.pruned(set, seq); r != nil {
		return r, nil // of what stood there later, where the owner has accepted a loss
	}
	if r := s.Trust.lost(host, set, seq); r != nil {
		return r, nil
	}
	return nil, err
}

// pruned returns the record that covers this place, if there is one.
func (g *GC) pruned(set layout.SetID, seq uint64) *Pruned {
	if g == nil {
		return nil
	}
	for i := range g.Pruned {
		if r := &g.Pruned[i]; r.Set == set && r.From <= seq && seq <= r.To {
			return r
		}
	}
	return nil
}

// CheckSeen compares what a store shows of a set with what this machine remembers: the
// manifest of the highest seq that it has seen must be among those loaded, or a prune
// record says that it was deleted, and a newer one is there; or prune has removed the whole
// set, or dropped just this one. The error is [ErrRollback], or [ErrFork] if another is in its
// place; of one that cannot be read it is neither.
func (s *Store) CheckSeen(ctx context.Context, loaded []*Loaded, p Place, sum Sum) error {
	var newest uint64
	other := false
	for _, l := range loaded {
		if l.Host != p.Host || l.Set != p.Set {
			continue
		}
		newest = max(newest, l.Seq)
		if l.Seq == p.Seq {
			if l.Sum == sum {
				return nil
			}
			other = true
		}
	}
	gc, _ := s.knownGC(ctx, p.Host) // nil with an error, which is told where it matters
	if gc.dropped(p.Set, p.Seq, sum) || gc.damaged(p.Set, p.Seq) {
		return nil
	}
	name := fmt.Sprintf("%s seq %d", sum.String()[:8], p.Seq)
	if other {
		return fmt.Errorf("%w: another stands in the place of %s", ErrFork, name)
	}
	if newest < p.Seq && gc.removed(p.Set, p.Seq, sum) {
		return nil
	}
	r, err := s.record(ctx, p.Host, p.Set, p.Seq)
	if r == nil || newest < p.Seq {
		if err := s.Unlisted(ctx, layout.Manifest(p.Host, p.Set, p.Seq), sum); err != nil {
			return err
		}
	}
	switch {
	case newest == 0:
		return setGone{fmt.Errorf("%w: %s; no other of its set is there", ErrRollback, name)}
	case newest < p.Seq:
		return fmt.Errorf("%w: %s; the newest there is seq %d", ErrRollback, name, newest)
	}
	switch {
	case unknown(err):
		return err
	case err != nil:
		return fmt.Errorf("%w: %s, and whether it was pruned cannot be read: %w", ErrRollback, name, err)
	case r == nil:
		return fmt.Errorf("%w: %s; the newest there is seq %d, and no prune record covers it",
			ErrRollback, name, newest)
	case r.To == p.Seq && r.Sum != sum:
		return fmt.Errorf("%w: another than %s was pruned in its place", ErrFork, name)
	}
	return nil
}

// Explained reports whether the newest manifest of a set that was seen need not be there: prune
// has removed the set or dropped just this one, or the owner has accepted that it is lost.
func (s *Store) Explained(ctx context.Context, p Place, sum Sum) bool {
	return s.Trust.Accepts(p.Host, p.Set, p.Seq) || s.CheckSeen(ctx, nil, p, sum) == nil
}

// WithoutDropped leaves out what prune has dropped: the losing side of a fork, what is damaged
// for good, and what a revoked key has signed. It may still be there, where deleting takes time
// or is not allowed, or in a mirror. What was pruned after it was listed is left out, too.
func (s *Store) WithoutDropped(ctx context.Context, loaded []*Loaded, bad []Problem) ([]*Loaded,
	[]Problem) {
	dropped := func(p Place, sum Sum) bool {
		gc, err := s.knownGC(ctx, p.Host)
		return err == nil && gc.dropped(p.Set, p.Seq, sum) // else nothing is known to be dropped
	}
	decided := make(map[Place]bool) // forks
	loaded = slices.DeleteFunc(loaded, func(l *Loaded) bool {
		at := Place{l.Host, l.Set, l.Seq}
		out := dropped(at, l.Sum)
		decided[at] = decided[at] || out
		return out
	})
	return loaded, slices.DeleteFunc(bad, func(p Problem) bool {
		at := Place{p.Host, p.Set, p.Seq}
		if errors.Is(p.Err, fs.ErrNotExist) { // since it was listed
			gc, err := s.knownGC(ctx, p.Host)
			return err == nil && gc.pruned(p.Set, p.Seq) != nil
		}
		return !p.Sum.IsZero() && dropped(at, p.Sum) || decided[at] && errors.Is(p.Err, ErrFork)
	})
}

// setGone says that a set has no manifest at all. It is fs.ErrNotExist, too.
type setGone struct{ error }

func (e setGone) Unwrap() []error { return []error{e.error, fs.ErrNotExist} }
