package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"vaultik/vault/layout"
)

// maxNames is how many names a store may list under one prefix of signed objects: a
// backup every five minutes for two years, in some 60 MiB of memory. A store that
// lists more is not one that hosts have written, and might never end its list.
const maxNames = 1 << 18

// found is an object of a listing.
type found struct {
	layout.Object
	size   int64     // bytes
	stored time.Time // by the store
}

// find lists the objects of one kind. Names that this format does not know are
// ignored. The error is of the listing, or [ErrFlooded].
func (s *Store) find(ctx context.Context, prefix string, kind layout.Kind) ([]found, error) {
	var out []found
	names := 0
	err := s.objects.List(ctx, prefix, func(key string, size int64, stored time.Time) error {
		if names++; names > maxNames {
			return ErrFlooded
		}
		if o, err := layout.Parse(key); err == nil && o.Kind == kind {
			out = append(out, found{o, size, stored})
		}
		return nil
	})
	if errors.Is(err, ErrFlooded) {
		return nil, fmt.Errorf("list %s: %w: over %d", prefix, ErrFlooded, maxNames)
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	return out, nil
}

// Unlisted asks the store for an object that it does not list, before that is said to be lost:
// what stands behind a link is not listed. It asks for the key, and for those that objects of
// these sums have in a weak store. The error is a [Problem] that says why the object cannot be
// read.
func (s *Store) Unlisted(ctx context.Context, key string, sums ...Sum) error {
	keys := []string{key}
	for _, sum := range sums {
		keys = append(keys, layout.Weak(key, sum))
	}
	for _, key := range keys {
		_, err := s.objects.Head(ctx, key, 1)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		p := Problem{Key: key, Err: err}
		if o, err := layout.Parse(key); err == nil {
			p.Host, p.Set, p.Seq = o.Host, o.Set, o.Seq
		}
		return p
	}
	return nil
}

// Unproven tells an object that no trusted key vouches for, as far as was read, from one
// that could not be read, or is of a newer format: either may be what its name says.
func Unproven(err error) bool {
	for _, e := range []error{ErrDamaged, ErrSignature, ErrUntrusted, ErrRevoked} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// inLine finds among bad ones, which are sorted by seq, those that may be the next of a
// chain, damaged: what stands at next, and behind that, without a gap. What stands
// anywhere else beyond the end of a chain was put there by a stranger.
func inLine(bad []Problem, next uint64) (line, beyond []Problem) {
	for i, p := range bad {
		switch {
		case p.Seq == next:
			next++
		case p.Seq > next:
			return bad[:i], bad[i:]
		}
	}
	return bad, nil
}

// newest reads the objects of a prefix from the highest seq down to the first that is
// proven by what read checks, and all others of that seq, each once: there are others only
// where a store cannot create only if absent. What proves nothing above it, and beside it, is
// left out, and remembered for [Store.Strays]; but if one stands at the very next place, it may
// be the newest, damaged: that is the error, a [Problem], as is one that cannot be read. Numbers
// up to lost are not used any more.
func newest[T any](ctx context.Context, s *Store, prefix string, kind layout.Kind, lost uint64,
	read func(found) (T, Sum, error)) (out []T, err error) {
	all, err := s.find(ctx, prefix, kind)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.Seq, a.Seq), cmp.Compare(b.Short, a.Short))
	})
	var sums []Sum
	var bad, strays []Problem
	top, next := uint64(0), lost+1
	for _, f := range all {
		if f.Seq < top {
			break
		}
		v, sum, err := read(f)
		switch {
		case err == nil:
			top, next = f.Seq, max(f.Seq, lost)+1
			if !slices.Contains(sums, sum) { // a store may have one under both forms of its name
				out, sums = append(out, v), append(sums, sum)
			}
		case !Unproven(err):
			return nil, problemOf(f, err)
		case errors.Is(err, ErrRevoked): // whole, and a thief's
			strays = append(strays, problemOf(f, err))
		default:
			bad = append(bad, problemOf(f, err))
		}
	}
	slices.Reverse(bad)
	slices.Reverse(strays)
	from := slices.IndexFunc(bad, func(p Problem) bool { return p.Seq >= next })
	if from < 0 {
		from = len(bad)
	}
	line, beyond := inLine(bad[from:], next)
	s.ignore(prefix, kind, slices.Concat(bad[:from], beyond, strays))
	if len(line) > 0 {
		line[0].Next = true
		return nil, line[0]
	}
	return out, nil
}

// named checks an object against the part of its SHA-256 that its name may have.
func (f found) named(sum Sum) error {
	if f.Short != "" && f.Short != sum.String()[:len(f.Short)] {
		return damaged("its SHA-256 is not the one in its name")
	}
	return nil
}
