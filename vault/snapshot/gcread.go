package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// LoadedGC is a verified gc object.
type LoadedGC struct {
	*GC
	Sum Sum
	Key string
}

// gcRead is what became of reading the newest gc object about a host.
type gcRead struct {
	gc      *GC // nil if there is none; without what it condemns
	sum     Sum // of the object
	err     error
	against []GCSeen // what was known to exist then
}

// RequireGC remembers that a gc object about a host exists, because a verified manifest
// names it, or because this machine has seen it: it, or a later one that continues from
// it, must be there whenever the newest is read, unless the owner has accepted that it is
// gone.
func (s *Store) RequireGC(host layout.HostID, g GCSeen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.named[host]
	switch {
	case len(old) == 0 || g.Seq > old[0].Seq:
		s.named[host] = []GCSeen{g}
	case g.Seq == old[0].Seq && !slices.Contains(old, g):
		s.named[host] = append(old, g) // they cannot both be there
	}
}

func (s *Store) required(host layout.HostID) []GCSeen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.named[host]), func(g GCSeen) bool {
		return s.Trust.acceptsGC(host, g)
	})
}

// GCHeads returns what to remember of gc objects: of each host the newest that was read,
// or that a verified manifest names.
func (s *Store) GCHeads() map[layout.HostID]GCSeen {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[layout.HostID]GCSeen)
	for host, named := range s.named {
		if len(named) == 1 {
			out[host] = named[0]
		}
	}
	for host, read := range s.gcs {
		if read.gc != nil && read.gc.Seq > out[host].Seq {
			out[host] = GCSeen{read.gc.Seq, read.sum}
		}
	}
	return out
}

// Drop counts objects as dropped that the next gc object about a host is going to drop. What
// was read before counts them only once the newest gc object is read again.
func (s *Store) Drop(host layout.HostID, all []Dropped) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drops[host] = all
}

// GC reads the newest gc object about a host; nil if there is none. A host that gets an
// error must not commit: [ErrGCRollback] if it is older than one that is known to exist.
func (s *Store) GC(ctx context.Context, host layout.HostID) (*LoadedGC, error) {
	g, _, err := s.gcChain(ctx, host)
	return g, err
}

// Pruned reports whether prune has removed a manifest, by the newest gc object as it is now.
func (s *Store) Pruned(ctx context.Context, l *Loaded) (bool, error) {
	if _, err := s.GC(ctx, l.Host); err != nil {
		return false, err
	}
	gc, err := s.knownGC(ctx, l.Host)
	return err == nil && (gc.pruned(l.Set, l.Seq) != nil || gc.dropped(l.Set, l.Seq, l.Sum)), err
}

// CheckGC checks the newest gc object about a host that was read, or reads it, against
// what has become known to exist. It is for what was learnt after [Store.GC].
func (s *Store) CheckGC(ctx context.Context, host layout.HostID) error {
	named := s.required(host)
	if len(named) == 0 {
		return nil
	}
	s.mu.Lock()
	read, ok := s.gcs[host]
	s.mu.Unlock()
	if ok && slices.Equal(read.against, named) {
		return read.err
	}
	_, err := s.GC(ctx, host)
	return err
}

// GCChain returns the keys of the gc objects about a host that a reader needs: the newest,
// the condemned lists that it names, which were read, and those through which it continues
// from one that is known to exist.
func (s *Store) GCChain(ctx context.Context, host layout.HostID) ([]string, error) {
	g, chain, err := s.gcChain(ctx, host)
	if g == nil || err != nil {
		return nil, err
	}
	err = s.EachCondemned(ctx, g, func(*Condemned, layout.Object) error { return nil })
	if err != nil {
		return nil, err
	}
	keys := chain[:1:1]
	for i := range g.Condemned {
		for _, l := range g.Condemned[i].Lists {
			keys = append(keys, layout.CondemnedList(host, l.Name))
		}
	}
	return append(keys, chain[1:]...), nil
}

// gcChain reads the newest gc object, and follows it down to what is known to exist.
func (s *Store) gcChain(ctx context.Context, host layout.HostID) (*LoadedGC, []string, error) {
	g, _, err := newest(ctx, s, layout.GCPrefix(host), layout.KindGC, s.Trust.lostGC(host),
		func(f found) (*LoadedGC, error) { return s.loadGC(ctx, f) })
	var chain []string
	if err == nil {
		chain, err = s.followGC(ctx, host, g)
	}
	read := gcRead{err: err, against: s.required(host)}
	s.mu.Lock()
	drops := s.drops[host]
	if err == nil && (g != nil || len(drops) > 0) {
		var head GC
		if g != nil {
			head, read.sum = *g.GC, g.Sum
		}
		head.Condemned = nil // for each host there may be millions
		head.Dropped = slices.Concat(head.Dropped, drops)
		read.gc = &head
	}
	s.gcs[host] = read
	s.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	return g, chain, nil
}

// knownGC is the newest gc object about a host, read once; nil if there is none. It does
// not tell what is condemned.
func (s *Store) knownGC(ctx context.Context, host layout.HostID) (*GC, error) {
	s.mu.Lock()
	read, ok := s.gcs[host]
	s.mu.Unlock()
	if ok {
		return read.gc, read.err
	}
	if _, err := s.GC(ctx, host); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gcs[host].gc, nil
}

// loadGC reads and verifies one gc object. One that a revoked pruner signed stands if it
// is the last that does.
func (s *Store) loadGC(ctx context.Context, f found) (*LoadedGC, error) {
	b, err := s.get(ctx, f.Key(), f.size, MaxGC)
	if err != nil {
		return nil, err
	}
	sum := sumOf(b)
	g, err := DecodeGC(b, keysOf(s.Trust.pruners(false)))
	for _, h := range s.Trust.pruners(true) {
		if err == nil || !Unproven(err) {
			break
		}
		old, oerr := DecodeGC(b, []keys.PublicKey{h.Key})
		if oerr != nil {
			continue
		}
		u := h.untilGC(f.Host)
		if u == nil || u.Seq != f.Seq || u.Sum != sum {
			err = fmt.Errorf("%w: it is not the last gc object of this pruner that stands", ErrRevoked)
			continue
		}
		g, err = old, nil
	}
	if err == nil {
		err = g.Check(s.Doc.Store, f.Host, f.Seq)
	}
	if err != nil {
		return nil, err
	}
	return &LoadedGC{GC: g, Sum: sum, Key: f.Key()}, nil
}

func keysOf(hosts []TrustHost) (out []keys.PublicKey) {
	for _, h := range hosts {
		out = append(out, h.Key)
	}
	return out
}

// followGC checks that g is what is known to exist, or continues from it. It returns the
// keys of the objects between, g's own first.
func (s *Store) followGC(ctx context.Context, host layout.HostID, g *LoadedGC) (chain []string, err error) {
	if g != nil {
		chain = append(chain, g.Key)
	}
	for _, h := range s.Trust.pruners(true) { // the owner has seen what stands of these
		if u := h.untilGC(host); u != nil {
			s.RequireGC(host, GCSeen{u.Seq, u.Sum})
		}
	}
	named := s.required(host)
	if len(named) == 0 {
		return chain, nil
	}
	want := named[0]
	bad := func(seq uint64, err error) error {
		return Problem{Key: layout.GC(host, seq), Host: host, Seq: seq, Err: err}
	}
	if g == nil || g.Seq < want.Seq {
		if err := s.Unlisted(ctx, layout.GC(host, want.Seq)); err != nil {
			return nil, err
		}
		return nil, bad(want.Seq, ErrGCRollback)
	}
	seq, sum, prev := g.Seq, g.Sum, g.Prev
	for seq > want.Seq {
		if seq, sum = seq-1, prev; seq == want.Seq {
			break // its sum is all that is asked for
		}
		if prev, err = s.gcPrev(ctx, host, seq, sum); unknown(err) {
			return nil, bad(seq, err)
		} else if err != nil {
			return nil, bad(seq, fmt.Errorf("%w: what the newest continues from: %w", ErrGCRollback, err))
		}
		chain = append(chain, layout.GC(host, seq))
	}
	if len(named) > 1 || sum != want.SHA256 {
		return nil, bad(want.Seq, fmt.Errorf("%w: another stands in its place", ErrGCRollback))
	}
	return chain, nil
}

// gcPrev reads what a gc object continues from whose SHA-256 a signed one names.
func (s *Store) gcPrev(ctx context.Context, host layout.HostID, seq uint64, sum Sum) (prev Sum, err error) {
	all, err := s.find(ctx, layout.GC(host, seq), layout.KindGC)
	if err != nil {
		return prev, err
	}
	if len(all) == 0 {
		if err := s.Unlisted(ctx, layout.GC(host, seq)); err != nil {
			return prev, err
		}
		return prev, damaged("it is missing")
	}
	b, err := s.getPinned(ctx, all[0].Key(), all[0].size, sum, MaxGC)
	if err != nil {
		return prev, err
	}
	plain, err := decompressNames(b, MaxGC)
	if err != nil {
		return prev, err
	}
	line, _, err := splitSigned(plain)
	if err != nil {
		return prev, err
	}
	g, err := parseGC(line)
	if err != nil {
		return prev, err
	}
	return g.Prev, g.Check(s.Doc.Store, host, seq)
}

// checkGCs checks the gc objects about all hosts of which one is known to exist.
func (s *Store) checkGCs(ctx context.Context, filter Filter) (out []Problem) {
	for _, h := range s.Trust.Hosts {
		named := s.required(h.Host)
		if !filter.has(h.Host) || len(named) == 0 {
			continue
		}
		if err := s.CheckGC(ctx, h.Host); err != nil {
			p := Problem{Key: layout.GCPrefix(h.Host), Host: h.Host, Err: err} // it cannot be listed
			errors.As(err, &p)
			out = append(out, p)
		}
	}
	return out
}
