package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

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
	Sum  Sum // SHA-256 of the bytes of a manifest that is not one; zero: they were not read
	Err  error
	// Next: it stands where the next object goes, behind the newest that is whole. It is
	// that object, damaged, or a stranger's, which proves nothing.
	Next bool
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
	loaded, bad, err := s.loadChains(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	loaded, problems := s.judge(ctx, filter, loaded, bad)
	return loaded, problems, nil
}

// judge says which of the manifests that were read count, and what is wrong with them and
// their chains. What seems to be missing may have been removed by prune after the newest gc
// object was read: then that is read again.
func (s *Store) judge(ctx context.Context, filter Filter, all []*Loaded, bad []Problem) ([]*Loaded,
	[]Problem) {
	loaded, problems := s.judgeOnce(ctx, filter, all, bad)
	if s.prunedMeanwhile(ctx, problems) {
		return s.judgeOnce(ctx, filter, all, bad)
	}
	return loaded, problems
}

func (s *Store) judgeOnce(ctx context.Context, filter Filter, all []*Loaded, bad []Problem) ([]*Loaded,
	[]Problem) {
	loaded, bad := s.WithoutDropped(ctx, slices.Clone(all), slices.Clone(bad))
	loaded, unlinked := s.standing(ctx, loaded)
	problems := s.tell(ctx, filter, loaded, append(bad, unlinked...))
	problems = append(problems, s.checkChains(ctx, loaded, problems)...)
	problems = append(problems, s.checkUntil(ctx, filter, loaded)...)
	return loaded, append(problems, s.checkGCs(ctx, filter)...)
}

// prunedMeanwhile reads the newest gc object about each host again of which a manifest is
// missing, and reports whether there is a newer one.
func (s *Store) prunedMeanwhile(ctx context.Context, problems []Problem) (newer bool) {
	asked := make(map[layout.HostID]bool)
	for _, p := range problems {
		if asked[p.Host] || !errors.Is(p.Err, ErrGap) && !errors.Is(p.Err, fs.ErrNotExist) {
			continue
		}
		asked[p.Host] = true
		old, err := s.knownGC(ctx, p.Host)
		if err != nil {
			continue
		}
		g, err := s.GC(ctx, p.Host)
		newer = newer || err == nil && g != nil && (old == nil || old.Seq != g.Seq)
	}
	return newer
}

// tell tells problems from strays, and remembers these.
func (s *Store) tell(ctx context.Context, filter Filter, loaded []*Loaded, bad []Problem) []Problem {
	problems, strays := s.sift(ctx, loaded, bad)
	byPrefix := make(map[string][]Problem)
	for _, p := range strays {
		prefix := filter.prefix(p.Host)
		byPrefix[prefix] = append(byPrefix[prefix], p)
	}
	for _, h := range s.Trust.Hosts {
		if filter.has(h.Host) {
			s.ignore(filter.prefix(h.Host), layout.KindManifest, byPrefix[filter.prefix(h.Host)])
		}
	}
	return problems
}

func (f Filter) has(host layout.HostID) bool { return f.Host.IsZero() || f.Host == host }

// prefix is where the manifests of a host are that f chooses.
func (f Filter) prefix(host layout.HostID) string {
	if f.Set.IsZero() {
		return layout.ManifestPrefix(host)
	}
	return layout.ManifestSetPrefix(host, f.Set)
}

func (s *Store) listManifests(ctx context.Context, filter Filter) (all []found, err error) {
	for _, h := range s.Trust.Hosts {
		if !filter.has(h.Host) {
			continue
		}
		some, err := s.find(ctx, filter.prefix(h.Host), layout.KindManifest)
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
	loaded, problems, err := s.loadNear(ctx, Filter{}, all, seen)
	if err != nil {
		return nil, nil, err
	}
	problems = append(problems, forks(loaded)...)
	if len(problems) > 0 { // a damaged manifest would look like a gap to what follows it
		return loaded, problems, nil
	}
	for i, l := range loaded {
		if i+1 < len(loaded) && sameChain(l, loaded[i+1]) {
			continue
		}
		if err := s.checkPlace(ctx, loaded[:i], l, nil); err != nil {
			problems = append(problems, problemAt(l, err))
		}
	}
	return loaded, append(problems, s.checkUntil(ctx, Filter{}, loaded)...), nil
}

// loadNear loads the two highest proven manifests of each chain, what else it meets on
// the way down to them, and those in places seen before.
func (s *Store) loadNear(ctx context.Context, filter Filter, all []found, seen []Place) (
	loaded []*Loaded, problems []Problem, err error) {
	chains := make(map[chainKey]*descent)
	var round []found
	for _, f := range all {
		k := chainKey{f.Host, f.Set}
		if h, _ := s.Trust.Host(f.Host); h.revoked() { // what stands of its key, only the whole chain tells
			round = append(round, f)
			continue
		}
		if chains[k] == nil {
			chains[k] = &descent{proven: make(map[uint64]bool)}
		}
		chains[k].rest = append(chains[k].rest, f)
	}
	for _, d := range chains {
		slices.SortFunc(d.rest, func(a, b found) int { return cmp.Compare(b.Seq, a.Seq) })
	}
	var bad []Problem
	load := func() error {
		some, wrong, err := s.loadAll(ctx, round, 0, len(round))
		some, wrong = s.WithoutDropped(ctx, some, wrong)
		for _, l := range some {
			if d := chains[chainKey{l.Host, l.Set}]; d != nil {
				d.proven[l.Seq] = true
			}
		}
		loaded, bad, round = append(loaded, some...), append(bad, wrong...), nil
		return err
	}
	for more := true; more; more = len(round) > 0 {
		if err := load(); err != nil {
			return nil, nil, err
		}
		for _, d := range chains {
			round = append(round, d.next()...)
		}
	}
	wanted := make(map[Place]bool)
	for _, p := range seen {
		wanted[p] = true
	}
	for _, d := range chains {
		for _, f := range d.rest {
			if wanted[Place{f.Host, f.Set, f.Seq}] {
				round = append(round, f)
			}
		}
	}
	if err := load(); err != nil {
		return nil, nil, err
	}
	loaded = sorted(loaded)
	loaded, unlinked := s.standing(ctx, loaded)
	return loaded, s.tell(ctx, filter, loaded, append(bad, unlinked...)), nil
}

// descent is the way down a chain from its highest name to its two highest manifests.
type descent struct {
	rest   []found // from the highest down
	proven map[uint64]bool
	step   int // places of the last round
	before int // proven until then
}

// next returns what is read next, nothing at the end: as many places as lack, and more
// and more while nothing is proven there. All of one place are read together.
func (d *descent) next() []found {
	lack := 2 - len(d.proven)
	if lack <= 0 {
		return nil
	}
	if d.step > 0 && len(d.proven) == d.before {
		lack = min(2*d.step, 256)
	}
	d.step, d.before = lack, len(d.proven)
	n := 0
	for ; n < len(d.rest); n++ {
		if n == 0 || d.rest[n].Seq != d.rest[n-1].Seq {
			lack--
		}
		if lack < 0 {
			break
		}
	}
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out
}

// Head reads the newest manifest of one set, or of one seq both sides of a fork. A
// damaged newest one is a problem; no older one is to be used in its place.
func (s *Store) Head(ctx context.Context, host layout.HostID, set layout.SetID) ([]*Loaded, []Problem, error) {
	filter := Filter{Host: host, Set: set}
	all, err := s.listManifests(ctx, filter)
	if err != nil {
		return nil, nil, err
	}
	loaded, problems, err := s.loadNear(ctx, filter, all, nil)
	if n := len(loaded); n > 0 {
		top := loaded[n-1].Seq
		loaded = slices.DeleteFunc(loaded, func(l *Loaded) bool { return l.Seq < top })
		problems = slices.DeleteFunc(problems, func(p Problem) bool { return p.Seq < top })
	}
	return loaded, append(problems, forks(loaded)...), err
}

// At reads the manifest in one place of a chain, or both sides of a fork. Strays beside
// one are left out; where nothing is proven, each object is a problem.
func (s *Store) At(ctx context.Context, at Place) ([]*Loaded, []Problem, error) {
	all, err := s.find(ctx, layout.Stem(layout.Manifest(at.Host, at.Set, at.Seq)),
		layout.KindManifest)
	if err != nil {
		return nil, nil, err
	}
	if len(all) == 0 {
		var p Problem
		if errors.As(s.Unlisted(ctx, layout.Manifest(at.Host, at.Set, at.Seq)), &p) {
			return nil, []Problem{p}, nil
		}
		return nil, nil, nil
	}
	loaded, bad, err := s.loadAll(ctx, all, 0, len(all))
	if err != nil {
		return nil, nil, err
	}
	loaded, bad = s.WithoutDropped(ctx, loaded, bad)
	if len(loaded) > 0 {
		bad = slices.DeleteFunc(bad, func(p Problem) bool { return Unproven(p.Err) })
	}
	return loaded, append(bad, forks(loaded)...), nil
}

// loadAll reads manifests, some at a time, and sorts the results. It tells of done, which
// were read before, and total.
func (s *Store) loadAll(ctx context.Context, all []found, done, total int) (loaded []*Loaded,
	problems []Problem, err error) {
	problems, err = s.loadEach(ctx, all, func(i int, l *Loaded) error {
		if l != nil {
			loaded = append(loaded, s.lighter(l))
		}
		s.progress(done+i+1, total)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return sorted(loaded), problems, nil
}

// lighter is a manifest that is kept, without what the store's user has no need of.
func (s *Store) lighter(l *Loaded) *Loaded {
	if s.WithoutBlobs {
		l.Lists, l.Blobs = nil, nil
	}
	return l
}

// loadEach reads manifests, some at a time, and calls use for each in their order, with nil
// for one that is a problem. An error of use ends it.
func (s *Store) loadEach(ctx context.Context, all []found,
	use func(i int, l *Loaded) error) (problems []Problem, err error) {
	type result struct {
		l   *Loaded
		sum Sum
		err error
	}
	err = inOrder(ctx, s, len(all), func(i int) (r result) {
		r.l, r.sum, r.err = s.load(ctx, all[i])
		return r
	}, func(i int, r result) error {
		if r.err != nil {
			p := problemOf(all[i], r.err)
			p.Sum = r.sum
			problems = append(problems, p)
			return use(i, nil)
		}
		return use(i, r.l)
	})
	slices.SortFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Key, b.Key) })
	return problems, err
}

// sorted are manifests by host, set and seq, each once: a store may have the same
// object under both forms of its name.
func sorted(loaded []*Loaded) []*Loaded {
	slices.SortFunc(loaded, func(a, b *Loaded) int {
		return cmp.Or(bytes.Compare(a.Host[:], b.Host[:]), bytes.Compare(a.Set[:], b.Set[:]),
			cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Key, b.Key))
	})
	return slices.CompactFunc(loaded, func(a, b *Loaded) bool { return a.Sum == b.Sum })
}

func problemOf(f found, err error) Problem {
	return Problem{Key: f.Key(), Host: f.Host, Set: f.Set, Seq: f.Seq, Err: err}
}

// load reads a manifest; sum is that of its bytes, zero if they were not read.
func (s *Store) load(ctx context.Context, f found) (l *Loaded, sum Sum, err error) {
	if _, err := s.writer(f.Host); err != nil {
		return nil, sum, err
	}
	defer s.turns.take(f.size)()
	b, err := s.get(ctx, f.Key(), f.size, MaxManifest)
	if err != nil {
		return nil, sum, err
	}
	sum = sumOf(b)
	if l, err = s.decode(f, b, sum); err == nil {
		s.keep(sum, b)
	}
	return l, sum, err
}

// decode verifies a manifest that was read.
func (s *Store) decode(f found, b []byte, sum Sum) (*Loaded, error) {
	signer, err := s.writer(f.Host)
	if err != nil {
		return nil, err
	}
	if err := f.named(sum); err != nil {
		return nil, err
	}
	m, err := DecodeManifest(b, signer.Key)
	if err != nil {
		return nil, err
	}
	if err := m.Check(s.Doc.Store, f.Host, f.Set, f.Seq); err != nil {
		return nil, err
	}
	if err := signer.stands(m.Set, m.Seq, sum); err != nil {
		return nil, err
	}
	if m.GC != nil {
		s.RequireGC(m.Host, *m.GC)
	}
	return &Loaded{Manifest: m, Sum: sum, Key: f.Key(), Size: f.size}, nil
}

// writer returns the entry of a host that may sign manifests and checkpoints.
func (s *Store) writer(host layout.HostID) (TrustHost, error) {
	h, ok := s.Trust.Host(host)
	if !ok || !h.Has(RoleWrite) {
		return TrustHost{}, fmt.Errorf("%w: host %s does not have the role %q", ErrUntrusted, host, RoleWrite)
	}
	return h, nil
}

// LoadedCheckpoint is a verified checkpoint.
type LoadedCheckpoint struct {
	*Checkpoint
	Key    string
	Stored time.Time // by the store
}

// EachCheckpoint reads and verifies the checkpoints of a host that are not known, oldest first,
// and calls fn for each. One that cannot be read or verified is a problem, for it may be that
// of a running backup; unless the store has had it for [CheckpointLife] before now, or it has
// gone meanwhile, or its host is revoked: then it pins nothing. An error of fn ends it.
func (s *Store) EachCheckpoint(ctx context.Context, host layout.HostID, now time.Time,
	known func(key string) bool, fn func(*LoadedCheckpoint) error) (problems []Problem, err error) {
	all, err := s.find(ctx, layout.CheckpointPrefix(host), layout.KindCheckpoint)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.Short, b.Short) })
	for _, f := range all {
		if known(f.Key()) {
			continue
		}
		c, err := s.loadCheckpoint(ctx, f)
		switch old := now.Sub(f.stored) >= CheckpointLife; {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			err = fn(&LoadedCheckpoint{Checkpoint: c, Key: f.Key(), Stored: f.stored})
			if err != nil {
				return nil, err
			}
		case errors.Is(err, ErrRevoked), old && Unproven(err):
		case errors.Is(err, fs.ErrNotExist):
			gone, err := s.find(ctx, f.Key(), layout.KindCheckpoint)
			if err != nil || len(gone) > 0 {
				problems = append(problems, problemOf(f, cmp.Or(err, fs.ErrNotExist)))
			}
		default:
			problems = append(problems, problemOf(f, err))
		}
	}
	return problems, nil
}

func (s *Store) loadCheckpoint(ctx context.Context, f found) (*Checkpoint, error) {
	signer, err := s.writer(f.Host)
	if err != nil {
		return nil, err
	}
	if signer.revoked() { // no backup of its is running
		return nil, ErrRevoked
	}
	b, err := s.get(ctx, f.Key(), f.size, MaxCheckpoint)
	if err != nil {
		return nil, err
	}
	c, err := DecodeCheckpoint(b, signer.Key)
	if err != nil {
		return nil, err
	}
	return c, c.Check(s.Doc.Store, f.Host, f.Short)
}
