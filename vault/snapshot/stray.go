package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vaultik/vault/layout"
)

// Stray is one or more objects that nobody who is trusted has signed, in places where no
// object of the store can be. They prove nothing and are left out.
type Stray struct {
	Kind  layout.Kind
	Key   string // of the first
	Count int
	Err   error // what is wrong with the first
}

// strayKey groups strays. What a revoked key has signed is another thing than garbage.
type strayKey struct {
	prefix  string
	kind    layout.Kind
	revoked bool
}

// ignore remembers the strays of a listing, in the place of those of the listing before.
func (s *Store) ignore(prefix string, kind layout.Kind, bad []Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, revoked := range []bool{false, true} {
		delete(s.strays, strayKey{prefix, kind, revoked})
	}
	for _, p := range bad {
		k := strayKey{prefix, kind, errors.Is(p.Err, ErrRevoked)}
		stray, ok := s.strays[k]
		if !ok {
			stray = Stray{Kind: kind, Key: p.Key, Err: p.Err}
		}
		stray.Count++
		s.strays[k] = stray
	}
}

// Strays returns what was left out so far, one for each kind of object and of reason.
func (s *Store) Strays() []Stray {
	s.mu.Lock()
	defer s.mu.Unlock()
	merged := make(map[strayKey]Stray)
	for k, stray := range s.strays {
		if s.counted(k) {
			continue
		}
		k.prefix = ""
		if first, ok := merged[k]; ok {
			if first.Key < stray.Key {
				stray.Key, stray.Err = first.Key, first.Err
			}
			stray.Count += first.Count
		}
		merged[k] = stray
	}
	return slices.SortedFunc(maps.Values(merged),
		func(a, b Stray) int { return cmp.Compare(a.Key, b.Key) })
}

// counted reports whether strays are among those of a listing of more.
func (s *Store) counted(k strayKey) bool {
	for o := range s.strays {
		if o.kind == k.kind && o.revoked == k.revoked && len(o.prefix) < len(k.prefix) &&
			strings.HasPrefix(k.prefix, o.prefix) {
			return true
		}
	}
	return false
}

// maxInLine is how many chains with something in the place of their next manifest are
// told of one by one.
const maxInLine = 16

// sift tells manifests that are damaged from strays. loaded are sorted; bad are all
// that were found to be bad of these chains.
func (s *Store) sift(ctx context.Context, loaded []*Loaded, bad []Problem) (problems,
	strays []Problem) {
	chains := make(map[chainKey][]Problem)
	for _, p := range bad {
		k := chainKey{p.Host, p.Set}
		chains[k] = append(chains[k], p)
	}
	proven := make(map[Place]bool)
	top := make(map[chainKey]uint64)
	for _, l := range loaded {
		proven[Place{l.Host, l.Set, l.Seq}] = true
		top[chainKey{l.Host, l.Set}] = l.Seq
	}
	var next []Problem
	more := 0
	for _, k := range slices.SortedFunc(maps.Keys(chains), chainKey.compare) {
		var above []Problem
		for _, p := range chains[k] {
			switch {
			case !Unproven(p.Err):
				problems = append(problems, p)
			case errors.Is(p.Err, ErrRevoked), proven[Place{p.Host, p.Set, p.Seq}]:
				strays = append(strays, p)
			case p.Seq <= top[k]:
				problems = append(problems, p)
			default:
				above = append(above, p)
			}
		}
		slices.SortFunc(above, func(a, b Problem) int { return cmp.Compare(a.Seq, b.Seq) })
		line, beyond := inLine(above, s.nextPlace(ctx, k, top[k]))
		strays = append(strays, beyond...)
		switch {
		case len(line) == 0:
		case len(next) < maxInLine:
			line[0].Err, line[0].Next = andMore(line[0].Err, len(line)-1), true
			next = append(next, line[0])
		default:
			more += len(line)
		}
	}
	if more > 0 {
		next[maxInLine-1].Err = andMore(next[maxInLine-1].Err, more)
	}
	return append(problems, next...), strays
}

func andMore(err error, n int) error {
	if n == 0 {
		return err
	}
	return fmt.Errorf("%w; %d more of this kind", err, n)
}

// nextPlace is where a chain goes on: behind its newest manifest, and what records say
// was there.
func (s *Store) nextPlace(ctx context.Context, k chainKey, top uint64) uint64 {
	next := top + 1
	for {
		r, err := s.record(ctx, k.host, k.set, next)
		if err != nil || r == nil {
			return next
		}
		next = r.To + 1
	}
}
