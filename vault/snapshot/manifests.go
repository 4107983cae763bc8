package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"vaultik/vault/layout"
)

// Filter chooses manifests. The zero value chooses all.
type Filter struct {
	Host layout.HostID // zero: every host of the trust list
	Set  layout.SetID  // zero: every set
}

// Loaded is a manifest whose signature, name and place have been checked.
type Loaded struct {
	*Manifest
	Sum  Sum    // SHA-256 of the object
	Key  string // its name in the store
	Size int64  // bytes of the object
}

// ID returns the snapshot's id: 64 hex digits.
func (l *Loaded) ID() string { return l.Sum.String() }

// Problem is an object, or a place in a chain, with something wrong. Nothing else is
// affected.
type Problem struct {
	Key  string // of the object; "" for a gap
	Host layout.HostID
	Set  layout.SetID
	Seq  uint64
	Err  error
}

// Error implements error.
func (p Problem) Error() string {
	if p.Key == "" {
		return fmt.Sprintf("set %s of host %s, seq %d: %v", p.Set, p.Host, p.Seq, p.Err)
	}
	if text := p.Err.Error(); strings.Contains(text, p.Key) {
		return text
	}
	return fmt.Sprintf("%s: %v", p.Key, p.Err)
}

// Unwrap returns the cause.
func (p Problem) Unwrap() error { return p.Err }

// Manifests reads and verifies manifests, sorted by host, set and seq. One that
// cannot be read or verified is a problem, and so are forks and gaps in a chain; the others
// are returned all the same. The error is of listing, or of ctx.
func (s *Store) Manifests(ctx context.Context, filter Filter) ([]*Loaded, []Problem, error) {
	all, err := s.listManifests(ctx, filter)
	if err != nil {
		return nil, nil, err
	}
	loaded, problems, err := s.loadChains(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	return loaded, append(problems, s.checkChains(ctx, loaded, problems)...), nil
}

func (s *Store) listManifests(ctx context.Context, filter Filter) (all []found, err error) {
	for _, h := range s.Trust.Hosts {
		if !filter.Host.IsZero() && filter.Host != h.Host {
			continue
		}
		prefix := layout.ManifestPrefix(h.Host)
		if !filter.Set.IsZero() {
			prefix = layout.ManifestSetPrefix(h.Host, filter.Set)
		}
		some, err := s.find(ctx, prefix, layout.KindManifest)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// Place is a place in a chain of manifests.
type Place struct {
	Host layout.HostID
	Set  layout.SetID
	Seq  uint64
}

// Heads reads what is needed to trust the newest manifest of each set: that one, or
// both sides of a fork, the one before it, and those in places seen before. So it reads
// a few objects per set, however long the chain is; [Store.Manifests] checks the whole
// chain. Results and problems are as there: a damaged newest manifest is a problem, and
// the caller must not use an older one in its place.
func (s *Store) Heads(ctx context.Context, seen []Place) ([]*Loaded, []Problem, error) {
	all, err := s.listManifests(ctx, Filter{})
	if err != nil {
		return nil, nil, err
	}
	loaded, problems, err := s.loadSome(ctx, nearHeads(all, seen))
	if err != nil {
		return nil, nil, err
	}
	problems = append(problems, forks(loaded)...)
	if len(problems) > 0 { // a damaged manifest would look like a gap to what follows it
		return loaded, problems, nil
	}
	cache := make(gcCache)
	for i, l := range loaded {
		if i+1 < len(loaded) && sameChain(l, loaded[i+1]) {
			continue
		}
		if err := s.checkPlace(ctx, loaded[:i], l, nil, cache); err != nil {
			problems = append(problems, Problem{Host: l.Host, Set: l.Set, Seq: l.Seq, Err: err})
		}
	}
	return loaded, problems, nil
}

// nearHeads are the two highest places of each chain, and those in seen.
func nearHeads(all []found, seen []Place) (out []found) {
	type top struct{ first, second uint64 }
	tops := make(map[chainKey]top)
	for _, f := range all {
		k := chainKey{f.Host, f.Set}
		switch t := tops[k]; {
		case f.Seq > t.first:
			tops[k] = top{f.Seq, t.first}
		case f.Seq < t.first && f.Seq > t.second:
			tops[k] = top{t.first, f.Seq}
		}
	}
	wanted := make(map[Place]bool)
	for _, p := range seen {
		wanted[p] = true
	}
	for _, f := range all {
		if t := tops[chainKey{f.Host, f.Set}]; f.Seq == t.first || f.Seq == t.second || wanted[Place{f.Host, f.Set, f.Seq}] {
			out = append(out, f)
		}
	}
	return out
}

// Head reads the newest manifest of one set, or of one seq both sides of a fork. A
// damaged newest one is a problem; no older one is returned in its place.
func (s *Store) Head(ctx context.Context, host layout.HostID, set layout.SetID) ([]*Loaded, []Problem, error) {
	newest, err := s.newest(ctx, layout.ManifestSetPrefix(host, set), layout.KindManifest)
	if err != nil {
		return nil, nil, err
	}
	loaded, problems, err := s.loadSome(ctx, newest)
	return loaded, append(problems, forks(loaded)...), err
}

func (s *Store) loadSome(ctx context.Context, all []found) ([]*Loaded, []Problem, error) {
	return s.loadAll(ctx, all, 0, len(all))
}

// loadAll reads manifests, some at a time, and sorts the results. It tells of done, which
// were read before, and total.
func (s *Store) loadAll(ctx context.Context, all []found, done, total int) (loaded []*Loaded,
	problems []Problem, err error) {
	type result struct {
		l   *Loaded
		err error
	}
	err = inOrder(ctx, s, len(all), func(i int) (r result) {
		r.l, r.err = s.load(ctx, all[i])
		return r
	}, func(i int, r result) error {
		if r.err != nil {
			problems = append(problems, problemOf(all[i], r.err))
		} else {
			loaded = append(loaded, r.l)
		}
		s.tell(done+i+1, total)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	loaded, problems = inOrderOfChains(loaded, problems)
	return loaded, problems, nil
}

// inOrderOfChains sorts manifests by host, set and seq, and problems by key.
func inOrderOfChains(loaded []*Loaded, problems []Problem) ([]*Loaded, []Problem) {
	slices.SortFunc(loaded, func(a, b *Loaded) int {
		return cmp.Or(bytes.Compare(a.Host[:], b.Host[:]), bytes.Compare(a.Set[:], b.Set[:]),
			cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Key, b.Key))
	})
	slices.SortFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Key, b.Key) })
	// A store may have the same object under both forms of its name.
	loaded = slices.CompactFunc(loaded, func(a, b *Loaded) bool { return a.Sum == b.Sum })
	return loaded, problems
}

func problemOf(f found, err error) Problem {
	return Problem{Key: f.key, Host: f.Host, Set: f.Set, Seq: f.Seq, Err: err}
}

func (s *Store) load(ctx context.Context, f found) (*Loaded, error) {
	if _, err := s.writer(f.Host); err != nil {
		return nil, err
	}
	defer s.turns.take(f.size)()
	b, err := s.get(ctx, f.key, f.size, MaxManifest)
	if err != nil {
		return nil, err
	}
	l, err := s.decode(f, b)
	if err == nil {
		s.keep(l.Sum, b)
	}
	return l, err
}

// decode verifies a manifest that was read.
func (s *Store) decode(f found, b []byte) (*Loaded, error) {
	signer, err := s.writer(f.Host)
	if err != nil {
		return nil, err
	}
	sum := sumOf(b)
	if f.Short != "" && f.Short != sum.String()[:len(f.Short)] {
		return nil, damaged("its SHA-256 is not the one in its name")
	}
	m, err := DecodeManifest(b, signer.Key)
	if err != nil {
		return nil, err
	}
	if err := m.Check(s.Doc.Store, f.Host, f.Set, f.Seq); err != nil {
		return nil, err
	}
	if !signer.Revoked.IsZero() && m.Time.After(signer.Revoked) {
		return nil, fmt.Errorf("%w: signed %s, revoked %s", ErrRevoked, m.Time, signer.Revoked)
	}
	if s.WithoutBlobs {
		m.Blobs = nil
	}
	return &Loaded{Manifest: m, Sum: sum, Key: f.key, Size: f.size}, nil
}

// writer returns the entry of a host that may sign manifests and checkpoints.
func (s *Store) writer(host layout.HostID) (TrustHost, error) {
	h, ok := s.Trust.Host(host)
	if !ok || !h.Has(RoleWrite) {
		return TrustHost{}, fmt.Errorf("%w: host %s does not have the role %q", ErrUntrusted, host, RoleWrite)
	}
	return h, nil
}

// LoadedGC is a verified gc object.
type LoadedGC struct {
	*GC
	Sum Sum
	Key string
}

// GC reads the newest gc object about a host; nil if there is none. A host that
// gets an error must not commit.
func (s *Store) GC(ctx context.Context, host layout.HostID) (*LoadedGC, error) {
	newest, err := s.newest(ctx, layout.GCPrefix(host), layout.KindGC)
	if err != nil || len(newest) == 0 {
		return nil, err
	}
	f := newest[0]
	b, err := s.get(ctx, f.key, f.size, MaxGC)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.key, err)
	}
	g, err := DecodeGC(b, s.Trust.Pruners())
	if err == nil {
		err = g.Check(s.Doc.Store, host, f.Seq)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.key, err)
	}
	return &LoadedGC{GC: g, Sum: sumOf(b), Key: f.key}, nil
}

// LoadedCheckpoint is a verified checkpoint.
type LoadedCheckpoint struct {
	*Checkpoint
	Key string
}

// Checkpoints reads and verifies the checkpoints of a host, oldest first.
func (s *Store) Checkpoints(ctx context.Context, host layout.HostID) ([]*LoadedCheckpoint, []Problem, error) {
	all, err := s.find(ctx, layout.CheckpointPrefix(host), layout.KindCheckpoint)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.key, b.key) })
	var loaded []*LoadedCheckpoint
	var problems []Problem
	for _, f := range all {
		c, err := s.loadCheckpoint(ctx, f)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			problems = append(problems, problemOf(f, err))
			continue
		}
		loaded = append(loaded, &LoadedCheckpoint{Checkpoint: c, Key: f.key})
	}
	return loaded, problems, nil
}

func (s *Store) loadCheckpoint(ctx context.Context, f found) (*Checkpoint, error) {
	signer, err := s.writer(f.Host)
	if err != nil {
		return nil, err
	}
	b, err := s.get(ctx, f.key, f.size, MaxCheckpoint)
	if err != nil {
		return nil, err
	}
	c, err := DecodeCheckpoint(b, signer.Key)
	if err != nil {
		return nil, err
	}
	if !signer.Revoked.IsZero() && c.Time.After(signer.Revoked) {
		return nil, fmt.Errorf("%w: signed %s, revoked %s", ErrRevoked, c.Time, signer.Revoked)
	}
	return c, c.Check(s.Doc.Store, f.Host, f.Short)
}
