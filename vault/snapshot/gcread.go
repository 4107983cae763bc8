package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// LoadedGC is the newest gc object about a host, verified. Where a store cannot create only if
// absent there may be several that do not know of each other: then it is what all of them say
// together, and not what one object may say.
type LoadedGC struct {
	*GC
	Sum    Sum // of the first of them
	Key    string
	Beside []Sum // of the others, sorted: the next gc object has them in Others
}

// gcRead is what became of reading the newest gc object about a host.
type gcRead struct {
	gc      *GC // nil if there is none; without what it condemns
	sum     Sum // of the object
	err     error
	against []gcKnown // what was known to exist then
}

// gcKnown is a gc object that is known to exist.
type gcKnown struct {
	GCSeen
	named bool // by a manifest
}

// RequireGC remembers that a gc object about a host exists, because a verified manifest
// names it: it, or a later one that continues from it, must be there whenever the newest is
// read, unless the owner has accepted that it is gone.
func (s *Store) RequireGC(host layout.HostID, g GCSeen) { s.require(host, gcKnown{g, true}) }

// RememberGC is RequireGC for one that this machine has seen, or the owner. When it is that
// old that prune may have removed it, one that continues from there is enough.
func (s *Store) RememberGC(host layout.HostID, g GCSeen) { s.require(host, gcKnown{g, false}) }

func (s *Store) require(host layout.HostID, g gcKnown) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.known[host]
	i := slices.IndexFunc(old, func(o gcKnown) bool { return o.GCSeen == g.GCSeen })
	switch {
	case len(old) == 0 || g.Seq > old[0].Seq:
		s.known[host] = []gcKnown{g}
	case g.Seq < old[0].Seq:
	case i < 0:
		s.known[host] = append(slices.Clip(old), g)
	case g.named && !old[i].named:
		s.known[host] = slices.Clone(old)
		s.known[host][i] = g
	}
}

func (s *Store) required(host layout.HostID) []gcKnown {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.known[host]), func(g gcKnown) bool {
		return s.Trust.acceptsGC(host, g.GCSeen)
	})
}

// GCHeads returns what to remember of gc objects: of each host the newest that was read,
// or that a verified manifest names.
func (s *Store) GCHeads() map[layout.HostID]GCSeen {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[layout.HostID]GCSeen)
	for host, known := range s.known {
		if len(known) == 1 {
			out[host] = known[0].GCSeen
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
	known := s.required(host)
	if len(known) == 0 {
		return nil
	}
	s.mu.Lock()
	read, ok := s.gcs[host]
	s.mu.Unlock()
	if ok && slices.Equal(read.against, known) {
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
	n := 1 + len(g.Beside)
	keys := chain[:n:n]
	for i := range g.Condemned {
		for _, l := range g.Condemned[i].Lists {
			keys = append(keys, layout.CondemnedList(host, l.Name))
		}
	}
	return append(keys, chain[n:]...), nil
}

// gcChain reads the newest gc object, and follows it down to what is known to exist.
func (s *Store) gcChain(ctx context.Context, host layout.HostID) (*LoadedGC, []string, error) {
	heads, err := newest(ctx, s, layout.GCPrefix(host), layout.KindGC, s.Trust.lostGC(host),
		func(f found) (*LoadedGC, Sum, error) { return s.loadGC(ctx, f) })
	var chain []string
	if err == nil {
		heads, chain, err = s.followGC(ctx, host, heads)
	}
	g := unite(heads)
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
func (s *Store) loadGC(ctx context.Context, f found) (*LoadedGC, Sum, error) {
	b, err := s.get(ctx, f.Key(), f.size, MaxGC)
	if err != nil {
		return nil, Sum{}, err
	}
	sum := sumOf(b)
	if err := f.named(sum); err != nil {
		return nil, sum, err
	}
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
		return nil, sum, err
	}
	return &LoadedGC{GC: g, Sum: sum, Key: f.Key()}, sum, nil
}

func keysOf(hosts []TrustHost) (out []keys.PublicKey) {
	for _, h := range hosts {
		out = append(out, h.Key)
	}
	return out
}

// followGC checks that the newest gc objects are what is known to exist, or continue from it.
// It returns their keys and those of the objects between. In a weak store, one that is known
// to exist and that they do not continue from is one of the newest as well.
func (s *Store) followGC(ctx context.Context, host layout.HostID, heads []*LoadedGC) (
	[]*LoadedGC, []string, error) {
	for _, h := range s.Trust.pruners(true) { // the owner has seen what stands of these
		if u := h.untilGC(host); u != nil {
			s.RememberGC(host, GCSeen{u.Seq, u.Sum})
		}
	}
	known := s.required(host)
	var chain []string
	from := make(map[Sum]bool) // of the newest, and what they continue from
	top := uint64(0)
	for _, g := range heads {
		chain, top = append(chain, g.Key), g.Seq
		from[g.Sum] = true
		g.before(from)
	}
	if len(known) == 0 {
		return heads, chain, nil
	}
	seq := known[0].Seq
	bad := func(seq uint64, err error) error {
		return Problem{Key: layout.GC(host, seq), Host: host, Seq: seq, Err: err}
	}
	if top < seq {
		if err := s.Unlisted(ctx, layout.GC(host, seq), known[0].SHA256); err != nil {
			return nil, nil, err
		}
		return nil, nil, bad(seq, ErrGCRollback)
	}
	for at := top - 1; at > seq; at-- {
		keys, err := s.gcsAt(ctx, host, at, from)
		switch {
		case errors.Is(err, errRemoved) && mayBeRemoved(heads, at) &&
			!slices.ContainsFunc(known, func(k gcKnown) bool { return k.named }):
			return heads, chain, nil
		case unknown(err):
			return nil, nil, bad(at, err)
		case err != nil:
			return nil, nil, bad(at, fmt.Errorf("%w: what the newest continues from: %w",
				ErrGCRollback, err))
		}
		chain = append(chain, keys...)
	}
	for _, k := range known {
		if from[k.SHA256] {
			continue
		}
		g, err := s.besideGC(ctx, host, k.GCSeen)
		if err != nil {
			return nil, nil, bad(seq, err)
		}
		heads, chain = append(heads, g), slices.Insert(chain, len(heads), g.Key)
	}
	return heads, chain, nil
}

// before adds what a gc object continues from.
func (g *GC) before(from map[Sum]bool) {
	if !g.Prev.IsZero() {
		from[g.Prev] = true
	}
	for _, sum := range g.Others {
		from[sum] = true
	}
}

// errRemoved: a gc object is not there.
var errRemoved = errors.New("it is missing")

// mayBeRemoved reports whether prune may have removed the gc objects of a number, as far as
// the newest ones tell: see "Prune" in format.md.
func mayBeRemoved(heads []*LoadedGC, seq uint64) bool {
	for _, g := range heads {
		if seq+KeptGCs > g.Seq || slices.ContainsFunc(g.Condemned, func(c Condemned) bool {
			return c.First <= seq
		}) {
			return false
		}
	}
	return true
}

// KeptGCs is how many of the newest gc objects about a host prune never removes.
const KeptGCs = 3

// gcsAt reads the gc objects of one seq that are among from, which signed ones name, and adds
// what they continue from. It returns their keys.
func (s *Store) gcsAt(ctx context.Context, host layout.HostID, seq uint64, from map[Sum]bool) (
	keys []string, err error) {
	all, err := s.find(ctx, layout.Stem(layout.GC(host, seq)), layout.KindGC)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		g, oneErr := s.pinnedGC(ctx, f, from)
		if oneErr != nil {
			err = cmp.Or(err, oneErr)
			continue
		}
		g.before(from)
		keys = append(keys, f.Key())
	}
	if len(all) == 0 {
		if err = s.Unlisted(ctx, layout.GC(host, seq), slices.Collect(maps.Keys(from))...); err == nil {
			err = damaged("%w", errRemoved)
		}
	}
	if len(keys) > 0 {
		err = nil // others of this seq are strangers', or are told where they are needed
	}
	return keys, err
}

// pinnedGC reads a gc object whose SHA-256 a signed one names.
func (s *Store) pinnedGC(ctx context.Context, f found, from map[Sum]bool) (*GC, error) {
	b, err := s.get(ctx, f.Key(), f.size, MaxGC)
	if err != nil {
		return nil, err
	}
	if !from[sumOf(b)] {
		return nil, damaged("its SHA-256 is not the recorded one")
	}
	plain, err := decompressNames(b, MaxGC)
	if err != nil {
		return nil, err
	}
	line, _, err := splitSigned(plain)
	if err != nil {
		return nil, err
	}
	g, err := parseGC(line)
	if err != nil {
		return nil, err
	}
	return g, g.Check(s.Doc.Store, f.Host, f.Seq)
}

// besideGC reads a gc object that is known to exist, and that the newest do not continue from:
// two pruners have not seen each other.
func (s *Store) besideGC(ctx context.Context, host layout.HostID, k GCSeen) (*LoadedGC, error) {
	key := layout.Weak(layout.GC(host, k.Seq), k.SHA256)
	all, err := s.find(ctx, key, layout.KindGC)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if g, sum, err := s.loadGC(ctx, f); err != nil {
			return nil, err
		} else if sum == k.SHA256 {
			return g, nil
		}
	}
	if err := s.Unlisted(ctx, key); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: another stands in its place", ErrGCRollback)
}

// checkGCs checks the gc objects about all hosts of which one is known to exist.
func (s *Store) checkGCs(ctx context.Context, filter Filter) (out []Problem) {
	for _, h := range s.Trust.Hosts {
		if !filter.has(h.Host) || len(s.required(h.Host)) == 0 {
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
