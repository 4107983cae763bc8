package snapshot

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"vaultik/vault/layout"
)

// HostReading reads the manifests of one host for who looks at them one at a time, and again
// and again. Of each it keeps what tells its place in the chain, some 500 bytes, and not what
// it needs.
type HostReading struct {
	s    *Store
	host layout.HostID
	read map[string]*Loaded // by key, without Needs
	// Seen are manifests that are known to have been there: one that is gone without a record
	// is a problem.
	Seen []Head
}

// ReadHost begins to read the manifests of a host.
func (s *Store) ReadHost(host layout.HostID) *HostReading {
	return &HostReading{s: s, host: host, read: make(map[string]*Loaded)}
}

// Loaded are the manifests that the last Each has found, by set and seq, without what they need.
func (r *HostReading) Loaded() []*Loaded { return sorted(slices.Collect(maps.Values(r.read))) }

// Each lists the manifests, reads those that are not known, and calls fn for each that is
// verified, with when it was stored; what fn gets is not kept. Then it checks all of them as
// [Store.Manifests] does; it returns the problems. The error is of listing, of ctx, or of fn.
func (r *HostReading) Each(ctx context.Context, known func(key string) bool,
	fn func(l *Loaded, stored time.Time) error) ([]Problem, error) {
	s, filter := r.s, Filter{Host: r.host}
	all, err := s.listManifests(ctx, filter)
	if err != nil {
		return nil, err
	}
	before := r.read
	r.read = make(map[string]*Loaded, len(all))
	var unread []found
	for _, f := range all {
		if l := before[f.Key()]; l != nil && known(f.Key()) {
			r.read[f.Key()] = l
		} else {
			unread = append(unread, f)
		}
	}
	hand := fn
	h, _ := s.Trust.Host(r.host)
	if h.revoked() { // which of its manifests count is known when all have been read
		hand = func(*Loaded, time.Time) error { return nil }
	}
	bad, err := r.load(ctx, unread, hand)
	if err != nil {
		return nil, err
	}
	loaded, problems := s.judge(ctx, filter, r.Loaded(), bad)
	clear(r.read)
	for _, l := range loaded {
		r.read[l.Key] = l
	}
	problems = append(problems, r.missing(ctx, loaded)...)
	if h.revoked() {
		unread = slices.DeleteFunc(unread, func(f found) bool { return r.read[f.Key()] == nil })
		for _, f := range unread {
			delete(r.read, f.Key())
		}
		bad, err = r.load(ctx, unread, fn)
		problems = append(problems, bad...)
	}
	return problems, err
}

// load reads manifests. What the newest gc object drops is not handed on.
func (r *HostReading) load(ctx context.Context, all []found,
	fn func(l *Loaded, stored time.Time) error) ([]Problem, error) {
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.Key(), b.Key()) })
	sums := make(map[Sum]bool) // a store may have the same object under both forms of its name
	for _, l := range r.read {
		sums[l.Sum] = true
	}
	return r.s.loadEach(ctx, all, func(i int, l *Loaded) error {
		r.s.progress(i+1, len(all))
		if l == nil {
			return nil
		}
		gc, err := r.s.knownGC(ctx, r.host)
		if err == nil && gc.dropped(l.Set, l.Seq, l.Sum) || sums[l.Sum] {
			return nil
		}
		sums[l.Sum] = true
		light := *l.Manifest
		light.Needs = Needs{}
		r.read[l.Key] = &Loaded{&light, l.Sum, l.Key, l.Size}
		return fn(l, all[i].stored)
	})
}

// missing are those that were seen and are gone.
func (r *HostReading) missing(ctx context.Context, loaded []*Loaded) (out []Problem) {
	for _, h := range r.Seen {
		p := Place{h.Host, h.Set, h.Seq}
		if h.Host != r.host || r.s.Trust.Accepts(h.Host, h.Set, h.Seq) {
			continue
		}
		if err := r.s.CheckSeen(ctx, loaded, p, h.Sum); err != nil {
			out = append(out, Problem{Host: h.Host, Set: h.Set, Seq: h.Seq, Err: err})
		}
	}
	return out
}
