package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vaultik/actors/mirror"
	"vaultik/backends"
	"vaultik/backends/aside"
	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// mirrorPlace is the place that a store is copied to, found to be empty or to hold an
// older state of that very store. Nothing has been written there.
type mirrorPlace struct {
	*job
	op      *opened // the source
	rows    []*row  // its snapshots
	url     string
	backend backends.Backend
	info    backends.Info

	fresh          bool             // nothing was there
	heads          []mirror.Head    // that it lacks
	there, damaged map[string]bool  // manifests of the source that it has, whole and damaged
	extra          int              // snapshots that only it has
	ahead          map[chain]uint64 // the highest of these
}

// openMirror opens the target and looks at what is there.
func (j *job) openMirror(ctx context.Context, cat *catalog, url string, anew bool) (_ *mirrorPlace,
	err error) {
	m := &mirrorPlace{job: j, op: cat.op, rows: cat.rows, url: url, there: map[string]bool{},
		damaged: map[string]bool{}, ahead: map[chain]uint64{}}
	defer func() {
		if err != nil && m.backend != nil {
			_ = m.backend.Close()
		}
	}()
	known, err := j.state.LoadKnown()
	if err != nil {
		return nil, err
	}
	before, ok := known.ByURL(url)
	was := ok && before.Store == m.op.Store.Doc.Store && !anew
	if m.backend, err = j.openBackend(ctx, url, backends.Options{Create: !was}); err != nil {
		if was && errors.Is(err, backends.ErrContainerNotFound) {
			return nil, m.gone(err)
		}
		return nil, m.targetError(err)
	}
	if m.info, err = m.backend.Info(ctx); err != nil {
		return nil, m.targetError(err)
	}
	if err := m.identify(ctx, was); err != nil {
		return nil, m.targetError(err)
	}
	if err := m.compare(ctx); err != nil {
		return nil, m.targetError(err)
	}
	if err := m.addGC(ctx); err != nil {
		return m, err
	}
	return m, m.addNotes(ctx)
}

// gone is about a mirror that was there and is not any more.
func (m *mirrorPlace) gone(err error) error {
	return fault.WithHint(
		fmt.Errorf("the mirror %s is missing: %w", backends.Redact(m.url), err),
		"is it mounted? to start a new mirror there: "+
			m.here("store copy --new --to "+config.Quote(m.url)),
	)
}

// identify makes sure that the target is empty or this store, and notes which heads it lacks.
func (m *mirrorPlace) identify(ctx context.Context, was bool) error {
	source, err := m.op.Objects.Head(ctx, layout.StoreJSON, snapshot.MaxStoreDoc+1)
	if err != nil {
		return err
	}
	trust, err := m.trust(ctx)
	if err != nil {
		return err
	}
	// store.json comes last: until then the place is no store, and when it is one its
	// trust list is the newest.
	m.heads = trust.lacking
	target := backends.Objects(m.backend)
	got, err := target.Head(ctx, layout.StoreJSON, snapshot.MaxStoreDoc+1)
	switch {
	case err == nil && bytes.Equal(got, source):
	case err == nil:
		doc, derr := snapshot.DecodeStore(got)
		if derr == nil {
			return m.other(fmt.Sprintf("another store is there, %s of %s", doc.Store,
				doc.Owner.Fingerprint()))
		}
		if !trust.same { // nothing tells that it was this one
			return m.other("a store is there, but its " + layout.StoreJSON + " is unreadable: " +
				derr.Error())
		}
		m.heads = append(m.heads, mirror.Head{Key: layout.StoreJSON, Data: source, Replace: true})
	case !errors.Is(err, backends.ErrNotFound):
		return err
	default:
		if !trust.same {
			if err := m.empty(ctx, was); err != nil {
				return err
			}
			m.fresh = true
		}
		m.heads = append(m.heads, mirror.Head{Key: layout.StoreJSON, Data: source})
	}
	return nil
}

func (m *mirrorPlace) other(what string) error {
	return fault.WithHint(&otherTarget{backends.Redact(m.url), what},
		"choose an empty place, or a mirror of this store: --to URL")
}

// empty fails where anything is in the target.
func (m *mirrorPlace) empty(ctx context.Context, was bool) error {
	example, stop := "", errors.New("enough")
	err := m.backend.ListStream(ctx, "", func(o backends.ObjectInfo) error {
		example = o.Key
		return stop
	})
	if err != nil && !errors.Is(err, stop) {
		return err
	}
	if dir := config.FilePath(m.url); example == "" && dir != "" {
		err := aside.Do(ctx, func(context.Context) (err error) {
			example, _, err = foreignIn(dir)
			return err
		})
		if err != nil {
			return err
		}
	}
	switch {
	case strings.HasPrefix(filepath.ToSlash(example)+"/", layout.ScratchPrefix):
		return fault.WithHint(&otherTarget{backends.Redact(m.url),
			"leftovers of a check are there, " + example},
			"to remove them: vaultik --store "+config.Quote(m.url)+" store check")
	case example != "":
		return m.other(fmt.Sprintf("the place is not empty and not a store, it contains %q",
			example))
	case was:
		return m.gone(fmt.Errorf("the place is empty: %w", snapshot.ErrNoStore))
	}
	return nil
}

// trustLists are those of source and target, compared.
type trustLists struct {
	same    bool // the target has some, and all of them are the source's
	lacking []mirror.Head
}

// trust compares the trust lists. The source's newest has been verified; all of
// them are checked here.
func (m *mirrorPlace) trust(ctx context.Context) (t trustLists, err error) {
	source, err := objectsUnder(ctx, m.op.Objects, layout.TrustPrefix)
	if err != nil {
		return t, err
	}
	target, err := objectsUnder(ctx, backends.Objects(m.backend), layout.TrustPrefix)
	if err != nil {
		return t, err
	}
	owner := m.op.Store.Doc.Owner
	good := 0
	for key, got := range target {
		want, ok := source[key]
		list, derr := snapshot.DecodeTrust(got, owner)
		switch {
		case ok && bytes.Equal(got, want):
			good++
		case derr != nil && ok: // damaged there
		case derr == nil && list.Store == m.op.Store.Doc.Store:
			return t, m.newerThere(list.Seq)
		default:
			return t, m.other("a store of another owner is there: " + key +
				" is not signed by the owner of this one")
		}
	}
	t.same = good > 0
	for key, data := range source {
		if bytes.Equal(target[key], data) {
			continue
		}
		if _, err := snapshot.DecodeTrust(data, owner); err != nil {
			m.Warn("", "%s of the source is skipped: %v", key, err)
			continue
		}
		t.lacking = append(t.lacking, mirror.Head{Key: key, Data: data,
			Replace: target[key] != nil})
	}
	slices.SortFunc(t.lacking, func(a, b mirror.Head) int { return strings.Compare(a.Key, b.Key) })
	return t, nil
}

// newerThere: the target knows a trust list that the source does not have.
func (m *mirrorPlace) newerThere(seq uint64) error {
	return fault.WithHint(
		fmt.Errorf("%w: the target has trust list %d, which the source does not have",
			snapshot.ErrTrustRollback, seq),
		"did you mean the other direction? vaultik --store "+config.Quote(m.url)+
			" store copy --to "+config.Quote(m.op.URL),
	)
}

// objectsUnder reads small objects.
func objectsUnder(ctx context.Context, o backends.ObjectReader, prefix string) (map[string][]byte,
	error) {
	out := map[string][]byte{}
	var keys []string
	err := o.List(ctx, prefix, func(key string, size int64, _ time.Time) error {
		if _, err := layout.Parse(key); err == nil && size <= snapshot.MaxTrust {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if out[key], err = o.Head(ctx, key, snapshot.MaxTrust+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// withHeads is a store whose store.json and trust lists are those of the source, so
// that the manifests of the target are held against the newest of keys.
type withHeads struct{ heads, rest backends.ObjectReader }

func (w withHeads) of(key string) backends.ObjectReader {
	if key == layout.StoreJSON || strings.HasPrefix(key, layout.TrustPrefix) {
		return w.heads
	}
	return w.rest
}

// Get is that of the one place or the other.
func (w withHeads) Get(ctx context.Context, key string, off, n int64) ([]byte, error) {
	return w.of(key).Get(ctx, key, off, n)
}

// Head is that of the one place or the other.
func (w withHeads) Head(ctx context.Context, key string, n int64) ([]byte, error) {
	return w.of(key).Head(ctx, key, n)
}

// List is that of the one place or the other.
func (w withHeads) List(ctx context.Context, prefix string,
	fn func(string, int64, time.Time) error) error {
	return w.of(prefix).List(ctx, prefix, fn)
}

// compare reads the manifests of the target. It fails if neither place can be an
// older state of the other.
func (m *mirrorPlace) compare(ctx context.Context) error {
	st, err := snapshot.OpenStore(ctx, withHeads{m.op.Objects, backends.Objects(m.backend)},
		snapshot.Pin{})
	if err != nil {
		return err
	}
	st.Parallel = m.op.Store.Parallel
	loaded, problems, err := st.Manifests(ctx, snapshot.Filter{})
	if err != nil {
		return err
	}
	loaded, problems = m.op.Store.WithoutDropped(ctx, loaded, problems) // since they were copied
	source, own := map[string]*row{}, []*snapshot.Loaded{}
	for _, r := range m.rows {
		source[r.Key] = r
		own = append(own, r.Loaded)
	}
	if err := snapshot.CheckMirror(own, loaded); err != nil {
		return fmt.Errorf("copy to %s: %w", backends.Redact(m.url), err)
	}
	for _, l := range loaded {
		k := chain{l.Host, l.Set}
		if r := source[l.Key]; r != nil && r.Sum == l.Sum {
			m.there[l.Key] = true
		} else {
			m.extra++
			m.ahead[k] = max(m.ahead[k], l.Seq)
		}
	}
	m.noteProblems(problems, source)
	return nil
}

// noteProblems tells manifests that the copy replaces from problems that stay.
func (m *mirrorPlace) noteProblems(problems []snapshot.Problem, source map[string]*row) {
	odd := int64(0)
	for _, p := range problems {
		damaged := errors.Is(p.Err, snapshot.ErrDamaged) || errors.Is(p.Err, snapshot.ErrSignature)
		switch {
		case p.Key == "":
		case source[p.Key] != nil && damaged:
			m.damaged[p.Key] = true
		default:
			odd++
		}
	}
	if odd > 0 {
		m.Warn("vaultik --store "+config.Quote(m.url)+" verify",
			"%s in the target, which the copy does not repair",
			words.Plural(odd, "problem", "problems"))
	}
}

// addGC has the newest gc object of each host copied, which says why places of a chain
// are empty, the lists that it names, and those through which it continues from what the
// target may know.
func (m *mirrorPlace) addGC(ctx context.Context) error {
	for _, h := range m.op.Store.Trust.Hosts {
		chain, err := m.op.Store.GCChain(ctx, h.Host)
		if err != nil {
			m.Warn(m.op.strayInLine(err), "skipped: %v", err)
			continue
		}
		for _, key := range slices.Backward(chain) { // the newest, which needs the others, last
			if err := m.addHead(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// addNotes has the notes about the snapshots copied, which are few and small.
func (m *mirrorPlace) addNotes(ctx context.Context) error {
	for _, h := range m.op.Store.Trust.Hosts {
		problems, err := m.op.Store.EachNote(ctx, h.Host, nil, func(n *snapshot.LoadedNote) error {
			return m.addHead(ctx, n.Key)
		})
		if err != nil {
			return err
		}
		for _, p := range problems {
			m.Warn(m.op.strayInLine(p), "skipped: %v", p)
		}
	}
	return nil
}

// addHead has an object copied that the target lacks.
func (m *mirrorPlace) addHead(ctx context.Context, key string) error {
	switch _, err := m.backend.Stat(ctx, key); {
	case err == nil:
		return nil
	case !errors.Is(err, backends.ErrNotFound):
		return m.targetError(err)
	}
	data, err := m.op.Objects.Head(ctx, key, snapshot.MaxGC+1)
	if err == nil {
		m.heads = append(m.heads, mirror.Head{Key: key, Data: data})
	}
	return err
}

// otherTarget: the place for a mirror holds something else.
type otherTarget struct{ url, what string }

func (e *otherTarget) Error() string { return fmt.Sprintf("copy to %s: %s", e.url, e.what) }
