package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/zeebo/blake3"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// NewTag returns the id of a tag of a snapshot, from the key of a host's tags
// (keys.HostSecret.Tag): without the key it tells neither the name nor whether another
// snapshot has the same. n counts how often the snapshot has lost a tag of this name: what a
// note took away stays away, and gets another id when it comes back.
func NewTag(key [32]byte, set layout.SetID, seq uint64, n int, name string) (id TagID) {
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	var b []byte
	b = append(b, set[:]...)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = binary.BigEndian.AppendUint64(b, uint64(n)) //nolint:gosec // it counts
	_, _ = h.Write(append(b, name...))
	_, _ = h.Digest().Read(id[:])
	return id
}

// Mark is what a snapshot has beside its contents: what its manifest and the notes say.
type Mark struct {
	Tags   []TagID
	Untags []TagID  // that it had, and has no more
	Pins   []string // ids of the notes that pin it; sorted
}

// Notes adds up what notes say. The zero value is ready.
type Notes struct{ about map[noted]*said }

type noted struct {
	place Place
	sum   Sum
}

// said is what notes say about a snapshot, some of it twice.
type said struct {
	Mark
	unpins []string
}

// Add takes a note, in any order and any number of times.
func (ns *Notes) Add(n *Note) {
	k := noted{Place{n.Host, n.Set, n.Seq}, n.Sum}
	m := ns.about[k]
	if m == nil {
		if ns.about == nil {
			ns.about = make(map[noted]*said)
		}
		m = &said{}
		ns.about[k] = m
	}
	m.Tags, m.Untags = append(m.Tags, n.Tags...), append(m.Untags, n.Untags...)
	if n.Pin {
		m.Pins = append(m.Pins, n.ID)
	}
	m.unpins = append(m.unpins, n.Unpins...)
}

// Of returns what a snapshot has: the tags of its manifest, and what notes say about just this
// one.
func (ns *Notes) Of(at Place, sum Sum, tags []TagID) Mark {
	out := Mark{Tags: slices.Clone(tags)}
	if m := ns.about[noted{at, sum}]; m != nil {
		out.Tags, out.Untags = append(out.Tags, m.Tags...), slices.Clone(m.Untags)
		out.Pins = slices.Compact(slices.Sorted(slices.Values(m.Pins)))
		out.Pins = slices.DeleteFunc(out.Pins, func(id string) bool {
			return slices.Contains(m.unpins, id)
		})
	}
	byID := func(a, b TagID) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(out.Tags, byID)
	out.Tags = slices.DeleteFunc(slices.Compact(out.Tags), func(t TagID) bool {
		return slices.Contains(out.Untags, t)
	})
	slices.SortFunc(out.Untags, byID)
	out.Untags = slices.Compact(out.Untags)
	return out
}

// LoadedNote is a verified note.
type LoadedNote struct {
	*Note
	Key string
}

// EachNote reads and verifies the notes about a host's snapshots that are not known, oldest
// first, and calls fn for each; known may be nil: none is. What a revoked key has signed only adds:
// it takes nothing away. A note that cannot be read is a problem: it may be a pin. One that
// nobody signed who may is left out, and remembered for [Store.Strays]. The error is of
// listing, of fn, or of ctx.
func (s *Store) EachNote(ctx context.Context, host layout.HostID, known func(key string) bool,
	fn func(*LoadedNote) error) ([]Problem, error) {
	prefix := layout.NotePrefix(host)
	all, err := s.find(ctx, prefix, layout.KindNote)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(f found) bool { return known != nil && known(f.Key()) })
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.Short, b.Short) })
	type result struct {
		n   *Note
		err error
	}
	var problems, strays []Problem
	err = inOrder(ctx, s, len(all), func(i int) (r result) {
		r.n, r.err = s.loadNote(ctx, all[i])
		return r
	}, func(i int, r result) error {
		switch {
		case r.err == nil:
			return fn(&LoadedNote{r.n, all[i].Key()})
		case errors.Is(r.err, ErrSignature), errors.Is(r.err, ErrUntrusted):
			strays = append(strays, problemOf(all[i], r.err))
		default:
			problems = append(problems, problemOf(all[i], r.err))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.ignore(prefix, layout.KindNote, strays)
	return problems, nil
}

func (s *Store) loadNote(ctx context.Context, f found) (*Note, error) {
	b, err := s.get(ctx, f.Key(), f.size, MaxNote)
	if err != nil {
		return nil, err
	}
	n, err := s.signedNote(b, f.Host)
	if err != nil {
		return nil, err
	}
	return n, n.Check(s.Doc.Store, f.Host, f.Short)
}

// signedNote decodes a note that the owner, a pruner, or the host itself has signed.
func (s *Store) signedNote(b []byte, host layout.HostID) (*Note, error) {
	n, err := DecodeNote(b, append(keysOf(s.Trust.pruners(false)), s.Doc.Owner))
	if !errors.Is(err, ErrSignature) {
		return n, err
	}
	if h, err := s.writer(host); err == nil {
		n, err := DecodeNote(b, []keys.PublicKey{h.Key})
		switch {
		case err == nil && len(n.Unpins) > 0 && !h.Has(RolePrune):
			return nil, fmt.Errorf("%w: host %s lifts a pin without the role %q", ErrUntrusted, host, RolePrune)
		case err == nil && h.revoked():
			n.Untags, n.Unpins = nil, nil
			return n, nil
		case !errors.Is(err, ErrSignature):
			return n, err
		}
	}
	if old := s.Trust.pruners(true); len(old) > 0 {
		n, err := DecodeNote(b, keysOf(old))
		if err == nil {
			n.Untags, n.Unpins = nil, nil
		}
		return n, err
	}
	return nil, err
}
