package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"vaultik/vault/layout"
)

const condemnedType = "condemned"

// MaxCondemnedNames is how many names a condemned list holds at most.
const MaxCondemnedNames = 65536

// EncodeCondemned writes a condemned list: a header line, then a name a line, zstd. The names
// are as [layout.Object.Name] has them, sorted by bytes. It is stored under
// layout.CondemnedList of its SHA-256. The same names give the same bytes.
func EncodeCondemned(names []string) ([]byte, error) {
	if len(names) < 1 || len(names) > MaxCondemnedNames {
		return nil, fmt.Errorf("encode condemned list: %w: %d names, want 1 to %d", ErrInvalid,
			len(names), MaxCondemnedNames)
	}
	b, err := marshal(newHeader(condemnedType))
	if err != nil {
		return nil, fmt.Errorf("encode condemned list: %w", err)
	}
	for i, name := range names {
		if _, err := layout.ParseName(layout.HostID{}, name); err != nil {
			return nil, fmt.Errorf("encode condemned list: %w: %w", ErrInvalid, err)
		}
		if i > 0 && names[i-1] >= name {
			return nil, fmt.Errorf("encode condemned list: %w: %s is not sorted, or twice", ErrInvalid, name)
		}
		b = append(append(append(b, '"'), name...), '"', '\n')
	}
	return compressNames(b), nil
}

// DecodeCondemned calls fn for each object of a condemned list about a host. The caller has
// checked its SHA-256. An error of fn ends it.
func DecodeCondemned(b []byte, host layout.HostID, fn func(layout.Object) error) error {
	plain, err := decompressNames(b, MaxCondemnedList)
	if err == nil {
		_, err = parseCondemned(plain, host, fn)
	}
	if err != nil {
		return fmt.Errorf("decode condemned list: %w", err)
	}
	return nil
}

// parseCondemned returns how many names there were.
func parseCondemned(plain []byte, host layout.HostID, fn func(layout.Object) error) (n int64, err error) {
	first, rest, ok := bytes.Cut(plain, []byte{'\n'})
	if !ok {
		return 0, damaged("no names")
	}
	var h Header
	if err := unmarshal(first, condemnedType, &h); err != nil {
		return 0, err
	}
	var last []byte
	for len(rest) > 0 {
		var line []byte
		if line, rest, ok = bytes.Cut(rest, []byte{'\n'}); !ok {
			return n, damaged("its last line is incomplete")
		}
		if len(line) < 2 || line[0] != '"' || line[len(line)-1] != '"' {
			return n, damaged("line %d is not a name in quotes", n+2)
		}
		name := line[1 : len(line)-1]
		o, err := layout.ParseName(host, string(name))
		if err != nil {
			return n, damaged("line %d: %w", n+2, err)
		}
		if n++; n > MaxCondemnedNames || bytes.Compare(last, name) >= 0 {
			return n, damaged("line %d: not sorted, twice, or more than %d", n+1, MaxCondemnedNames)
		}
		last = name
		if err := fn(o); err != nil {
			return n, err
		}
	}
	if n == 0 {
		return 0, damaged("no names")
	}
	return n, nil
}

// EachCondemned calls fn for each object that a gc object condemns, with the group that it is
// in. One list is in memory at a time. A list that is missing or is not the pinned one is an
// error, and an error of fn ends it.
func (s *Store) EachCondemned(ctx context.Context, g *LoadedGC,
	fn func(group *Condemned, o layout.Object) error) error {
	for i := range g.Condemned {
		group := &g.Condemned[i]
		for _, name := range group.Names {
			o, err := layout.ParseName(g.Host, name)
			if err == nil {
				err = fn(group, o)
			}
			if err != nil {
				return err
			}
		}
		for _, ref := range group.Lists {
			err := s.EachListed(ctx, g.Host, ref, func(o layout.Object) error { return fn(group, o) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckCondemned reads the newest gc object about a host and all lists that it names, and calls
// deleted with each object that prune says is deleted. What is wrong with any of them is a
// problem; not told again is one of a gc object that is known to exist, which
// [Store.Manifests] has told.
func (s *Store) CheckCondemned(ctx context.Context, host layout.HostID,
	deleted func(layout.Object)) (out []Problem) {
	g, err := s.GC(ctx, host)
	if err != nil && len(s.required(host)) == 0 {
		p := Problem{Key: layout.GCPrefix(host), Host: host, Err: err} // it cannot be listed
		errors.As(err, &p)
		return append(out, p)
	}
	if g == nil {
		return nil
	}
	for i := range g.Condemned {
		c := &g.Condemned[i]
		each := func(o layout.Object) error {
			if c.Deleted > 0 {
				deleted(o)
			}
			return nil
		}
		for _, name := range c.Names {
			if o, err := layout.ParseName(host, name); err == nil { // as it was when g was read
				_ = each(o)
			}
		}
		for _, ref := range c.Lists {
			if err := s.EachListed(ctx, host, ref, each); err != nil {
				out = append(out, Problem{Key: layout.CondemnedList(host, ref.Name), Host: host, Err: err})
			}
		}
	}
	return out
}

// EachListed calls fn for each object of a condemned list about a host.
func (s *Store) EachListed(ctx context.Context, host layout.HostID, ref ListRef,
	fn func(layout.Object) error) error {
	key := layout.CondemnedList(host, ref.Name)
	b, err := s.getPinned(ctx, key, ref.Size, ref.Name, MaxCondemnedList)
	if err != nil {
		return err
	}
	plain, err := decompressNames(b, MaxCondemnedList)
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	switch n, err := parseCondemned(plain, host, fn); {
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrNewerFormat):
		return fmt.Errorf("read %s: %w", key, err)
	case err != nil:
		return err
	case n != ref.Count:
		return fmt.Errorf("read %s: %w", key, damaged("it has %d names, not %d", n, ref.Count))
	}
	return nil
}

// Condemned is the set of objects that a gc object condemns, deleted or not: a backup treats
// them as absent. It takes 16 bytes an object, and g may be nil.
func (s *Store) Condemned(ctx context.Context, g *LoadedGC) (layout.Marks, error) {
	if g == nil {
		return layout.Marks{}, nil
	}
	marks := make([]layout.Mark, 0, g.count())
	err := s.EachCondemned(ctx, g, func(_ *Condemned, o layout.Object) error {
		marks = append(marks, o.Mark())
		return nil
	})
	if err != nil {
		return layout.Marks{}, err
	}
	return layout.NewMarks(marks), nil
}

// count is how many names g condemns.
func (g *GC) count() (n int64) {
	for i := range g.Condemned {
		n += int64(len(g.Condemned[i].Names))
		for _, l := range g.Condemned[i].Lists {
			n += l.Count
		}
	}
	return n
}
