package engine

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

func sha256Of(b []byte) [32]byte { return sha256.Sum256(b) }

// withPut is a store as it is once some objects are put.
type withPut struct {
	backends.ObjectReader
	put map[string][]byte
}

// Get gives what is put, or what is there.
func (w *withPut) Get(ctx context.Context, key string, off, n int64) ([]byte, error) {
	b, ok := w.put[key]
	if !ok {
		return w.ObjectReader.Get(ctx, key, off, n)
	}
	if off < 0 || n < 0 || off+n > int64(len(b)) {
		return nil, backends.ErrInvalidRange
	}
	return bytes.Clone(b[off : off+n]), nil
}

// Head gives what is put, or what is there.
func (w *withPut) Head(ctx context.Context, key string, n int64) ([]byte, error) {
	b, ok := w.put[key]
	if !ok {
		return w.ObjectReader.Head(ctx, key, n)
	}
	return bytes.Clone(b[:min(n, int64(len(b)))]), nil
}

// List lists what is put, and what else is there.
func (w *withPut) List(ctx context.Context, prefix string,
	fn func(string, int64, time.Time) error) error {
	for key, b := range w.put {
		if strings.HasPrefix(key, prefix) {
			if err := fn(key, int64(len(b)), time.Time{}); err != nil {
				return err
			}
		}
	}
	return w.ObjectReader.List(ctx, prefix, func(key string, size int64, at time.Time) error {
		if _, ok := w.put[key]; ok {
			return nil
		}
		return fn(key, size, at)
	})
}

// signedRepair is what is wrong with signed objects, and which of them the mirror has.
type signedRepair struct {
	cat   *catalog           // as it is when they are put
	left  []snapshot.Problem // and what is wrong then
	put   map[string][]byte
	there map[string]bool   // something else stands in their place
	why   map[string]string // what was wrong
	done  map[string]bool
}

// findSigned reads all manifests and gc objects, and looks in the mirror for what is wrong with
// them or missing. What the mirror has counts only if the store verifies with it in place, by
// the store's own trust list.
func (r *repairing) findSigned(ctx context.Context) (*signedRepair, error) {
	cat, problems, err := r.judge(ctx, r.op)
	if err != nil {
		return nil, err
	}
	s := &signedRepair{cat: cat, left: problems, put: map[string][]byte{},
		there: map[string]bool{}, why: map[string]string{}, done: map[string]bool{}}
	if r.from == nil || len(problems) == 0 {
		return s, nil
	}
	if err := r.candidates(ctx, s); err != nil {
		return nil, err
	}
	for len(s.put) > 0 {
		op := *r.op
		op.Store, err = snapshot.OpenStore(ctx, &withPut{r.op.Objects, s.put},
			snapshot.Pin{Owner: r.op.Store.Doc.Owner.Fingerprint()})
		if err != nil {
			return nil, err
		}
		op.Store.Parallel = r.op.Store.Parallel
		op.requireSeen()
		if s.cat, s.left, err = r.judge(ctx, &op); err != nil {
			return nil, err
		}
		if ok, err := r.accept(ctx, s); ok || err != nil {
			return s, err
		}
	}
	s.cat, s.left = cat, problems
	return s, nil
}

// judge reads what is signed, and says what is wrong with it.
func (r *repairing) judge(ctx context.Context, op *opened) (*catalog, []snapshot.Problem, error) {
	loaded, problems, err := op.Store.Manifests(ctx, snapshot.Filter{})
	if err != nil {
		return nil, nil, err
	}
	cat, err := r.catalogOf(ctx, op, loaded, problems)
	if err != nil {
		return nil, nil, err
	}
	problems = slices.Clone(cat.problems)
	for _, h := range op.Store.Trust.Hosts {
		problems = append(problems, op.Store.CheckCondemned(ctx, h.Host,
			func(layout.Object) {})...)
		notes, err := op.Store.EachNote(ctx, h.Host, nil,
			func(*snapshot.LoadedNote) error { return nil })
		if err != nil {
			return nil, nil, err
		}
		problems = append(problems, notes...)
	}
	return cat, problems, unreachable(problems)
}

// candidates reads from the mirror what is wrong in the store, and what else is not as it should
// be of every chain in which something is wrong.
func (r *repairing) candidates(ctx context.Context, s *signedRepair) error {
	mirror := backends.Objects(r.from)
	wanted, prefixes := map[string]string{}, map[string]bool{}
	for _, p := range s.left {
		o, err := layout.Parse(p.Key)
		switch {
		case err == nil && (snapshot.Unproven(p.Err) || errors.Is(p.Err, fs.ErrNotExist)):
			wanted[p.Key] = reasonOf(p.Err.Error())
		case errors.Is(p.Err, snapshot.ErrFork), manifestKind(p.Err) == "unreadable":
			continue // nothing is missing; or it may be as it should be
		}
		switch {
		case errors.Is(p.Err, snapshot.ErrGCRollback) || err == nil && o.Kind == layout.KindGC:
			prefixes[layout.GCPrefix(p.Host)] = true
		case !p.Set.IsZero():
			prefixes[layout.ManifestSetPrefix(p.Host, p.Set)] = true
		}
	}
	for prefix := range prefixes {
		err := mirror.List(ctx, prefix, func(key string, _ int64, _ time.Time) error {
			if _, err := layout.Parse(key); err == nil && wanted[key] == "" {
				wanted[key] = "it is not what its name says"
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("list the mirror: %w", err)
		}
	}
	for _, row := range s.cat.rows {
		delete(wanted, row.Key)
	}
	for key, why := range wanted {
		if err := r.candidate(ctx, s, key, why); err != nil {
			return err
		}
	}
	return nil
}

// candidate reads from the mirror what may be put in the place of an object of the store, unless
// that is as it should be.
func (r *repairing) candidate(ctx context.Context, s *signedRepair, key, why string) error {
	good, err := backends.Head(ctx, r.from, key, snapshot.MaxCondemnedList+1)
	if errors.Is(err, backends.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the mirror: %w", err)
	}
	have, err := r.op.Objects.Head(ctx, key, snapshot.MaxCondemnedList+1)
	switch {
	case errors.Is(err, backends.ErrNotFound):
		why = "it is missing"
	case err != nil:
		return fmt.Errorf("read %s: %w", key, err)
	case bytes.Equal(have, good) || r.proven(key, have):
		return nil
	}
	s.put[key], s.there[key], s.why[key] = good, err == nil, why
	return nil
}

// proven reports whether a gc object or a condemned list is what its name says, so that nothing
// may take its place. Manifests that are were left out before.
func (r *repairing) proven(key string, b []byte) bool {
	o, err := layout.Parse(key)
	switch {
	case err != nil:
		return false
	case o.Kind == layout.KindCondemned:
		return sha256Of(b) == o.Sum
	case o.Kind != layout.KindGC:
		return false
	}
	var pruners []keys.PublicKey
	for _, h := range r.op.Store.Trust.Hosts {
		if h.Has(snapshot.RolePrune) {
			pruners = append(pruners, h.Key)
		}
	}
	g, err := snapshot.DecodeGC(b, pruners)
	return err == nil && g.Check(r.op.Store.Doc.Store, o.Host, o.Seq) == nil
}

// accept leaves out what does not verify in its place, and reports whether all did.
func (r *repairing) accept(ctx context.Context, s *signedRepair) (all bool, err error) {
	good := map[string]bool{}
	for _, row := range s.cat.rows {
		if _, ok := s.put[row.Key]; !ok {
			continue
		}
		pruned, err := s.cat.op.Store.Pruned(ctx, row.Loaded)
		if err != nil {
			return false, err
		}
		good[row.Key] = !pruned
	}
	for _, h := range s.cat.op.Store.Trust.Hosts {
		if chain, err := s.cat.op.Store.GCChain(ctx, h.Host); err == nil {
			for _, key := range chain {
				good[key] = true
			}
		}
		_, err := s.cat.op.Store.EachNote(ctx, h.Host, nil, func(n *snapshot.LoadedNote) error {
			good[n.Key] = true
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	for _, p := range s.left {
		good[p.Key] = false
		if errors.Is(p.Err, snapshot.ErrFork) {
			s.notOf(p, good)
		}
	}
	before := len(s.put)
	maps.DeleteFunc(s.put, func(key string, b []byte) bool {
		ok, named := good[key]
		// What nobody needs now is wrong all the same, and may be asked for later.
		return !ok && (named || !s.there[key] || !r.proven(key, b))
	})
	return len(s.put) == before, nil
}

// notOf leaves out what makes a fork: what is put in that place, or was put last before it, from
// which what stands there does not continue.
func (s *signedRepair) notOf(p snapshot.Problem, good map[string]bool) {
	nearest := uint64(0)
	for _, row := range s.cat.rows {
		if _, ok := s.put[row.Key]; ok && row.Host == p.Host && row.Set == p.Set &&
			row.Seq <= p.Seq {
			nearest = max(nearest, row.Seq)
		}
	}
	for _, row := range s.cat.rows {
		if row.Host == p.Host && row.Set == p.Set && (row.Seq == p.Seq || row.Seq == nearest) {
			good[row.Key] = false
		}
	}
}

// putSigned puts back manifests, in their order, or all other signed objects.
func (r *repairing) putSigned(ctx context.Context, manifests bool) error {
	s := r.signed
	type found struct {
		key string
		layout.Object
	}
	var all []found
	for key := range s.put {
		if o, err := layout.Parse(key); err == nil &&
			(o.Kind == layout.KindManifest) == manifests {
			all = append(all, found{key, o})
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		// Condemned lists come before the gc objects that name them.
		return cmp.Or(cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.Seq, b.Seq),
			strings.Compare(a.key, b.key))
	})
	for _, f := range all {
		if s.done[f.key] || manifests && r.found.barred[f.key] {
			continue
		}
		if err := r.put(ctx, f.key, s.put[f.key], s.there[f.key], s.why[f.key]); err != nil {
			return err
		}
		s.done[f.key] = true
	}
	return nil
}

// putHead puts back store.json and the trust lists, for a store that cannot be opened without
// them; why is what is wrong.
func (r *repairing) putHead(ctx context.Context, why error) error {
	url, err := r.storeURL()
	if err != nil {
		return err
	}
	owner, err := r.ownerOf(url)
	if err != nil {
		return err
	}
	if owner == "" {
		return fault.WithHint(fmt.Errorf("%w; this machine does not know its owner", why),
			"give the owner's fingerprint, from the recovery kit: --owner SHA256:...")
	}
	mirror := backends.Objects(r.from)
	st, err := snapshot.OpenStore(ctx, mirror, snapshot.Pin{Owner: owner})
	if err != nil {
		return fault.WithHint(fmt.Errorf("%w; and the mirror: %w", why, err),
			"name a mirror of this store: --from URL")
	}
	b, err := r.openBackend(ctx, url, backends.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	put, err := r.headObjects(ctx, backends.Objects(b), mirror, st)
	if err != nil {
		return err
	}
	if len(put) == 0 {
		return why
	}
	info, err := b.Info(ctx)
	if err != nil {
		return err
	}
	r.op, r.conditional = &opened{Backend: b}, info.ConditionalPut
	for _, h := range put {
		if err := r.put(ctx, h.key, h.data, h.there, h.why); err != nil {
			return err
		}
	}
	if r.dry {
		return fault.Damaged("what else is damaged is known only when these are back")
	}
	return nil
}

// ownerOf is the owner that the store at url must have; "": this machine does not know.
func (r *repairing) ownerOf(url string) (string, error) {
	known, err := r.state.LoadKnown()
	if err != nil {
		return "", err
	}
	seen, err := r.state.LoadSeen()
	if err != nil {
		return "", err
	}
	host, err := r.ownHost()
	if err != nil {
		return "", err
	}
	return r.pinFor(&opened{URL: url, Seen: seen}, host, known).Owner, nil
}

// headObject is store.json or a trust list that is put back.
type headObject struct {
	key, why string
	data     []byte
	there    bool
}

// headObjects are those that the store lacks or has damaged, in the order in which they are put:
// store.json comes last, until then the place is no store.
func (r *repairing) headObjects(ctx context.Context, store, mirror backends.ObjectReader,
	st *snapshot.Store) (out []headObject, err error) {
	have, err := objectsUnder(ctx, mirror, layout.TrustPrefix)
	if err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if _, err := snapshot.DecodeTrust(have[key], st.Doc.Owner); err == nil {
			out = append(out, headObject{key: key, data: have[key]})
		}
	}
	doc, err := mirror.Head(ctx, layout.StoreJSON, snapshot.MaxStoreDoc+1)
	if err != nil {
		return nil, err
	}
	out = append(out, headObject{key: layout.StoreJSON, data: doc})
	for i := range out {
		h := &out[i]
		got, err := store.Head(ctx, h.key, snapshot.MaxTrust+1)
		switch {
		case errors.Is(err, backends.ErrNotFound):
			h.why = "it is missing"
			continue
		case err != nil:
			return nil, err
		case h.key == layout.StoreJSON:
			_, err = snapshot.DecodeStore(got)
		default:
			_, err = snapshot.DecodeTrust(got, st.Doc.Owner)
		}
		if err != nil {
			h.why, h.there = reasonOf(err.Error()), true
		}
	}
	return slices.DeleteFunc(out, func(h headObject) bool { return h.why == "" }), nil
}

// removeWay is how to go on without a manifest that is damaged for good.
func (r *repairing) removeWay() string {
	for _, p := range r.signed.left {
		o, err := layout.Parse(p.Key)
		if err == nil && o.Kind == layout.KindManifest && snapshot.Unproven(p.Err) &&
			!r.signed.done[p.Key] {
			return r.here("snapshot remove --damaged " + config.Quote(p.Key))
		}
	}
	return ""
}
