package engine_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// reads reports whether a key restores a snapshot, from a machine that is none of the store's.
func (g *group) reads(key *keys.Identity, snapshot string) bool {
	g.Helper()
	m := &machine{T: g.T, dir: g.TempDir(), store: g.store, key: key}
	m.home()
	_, err := m.engine(func(o *engine.Options) { o.Store = &m.store }).Restore(g.Context(),
		engine.RestoreOptions{Snapshot: snapshot, Target: filepath.Join(m.dir, "back")},
		events.Discard)
	if err != nil && engine.Explain(err).Exit != fault.NoIdentity {
		g.Errorf("restore of %s: %v", snapshot, err)
	}
	return err == nil
}

// What an added recipient may read it can read once the epoch keys are wrapped for it, on
// whichever machine that is done; what a removed one could read, it can.
func TestRecipients_Change(t *testing.T) {
	g := newGroup(t)
	secret, added, err := keys.Generate(false)
	g.must(err)
	second, err := keys.ParseIdentity(secret)
	g.must(err)
	g.must(g.backup())
	change := func(do func(*engine.Engine, engine.RecipientOptions, events.Sink) error,
		id *keys.Identity, list ...string) (*heard, error) {
		t.Helper()
		g.home()
		sink := &heard{}
		err := do(g.engine(func(o *engine.Options) { o.Identity = id }), engine.RecipientOptions{
			Recipients: list, OwnerOptions: engine.OwnerOptions{Kit: g.kit}}, sink)
		return sink, err
	}
	add := func(e *engine.Engine, o engine.RecipientOptions, sink events.Sink) error {
		_, err := e.AddRecipients(t.Context(), o, sink)
		return err
	}
	remove := func(e *engine.Engine, o engine.RecipientOptions, sink events.Sink) error {
		_, err := e.RemoveRecipients(t.Context(), o, sink)
		return err
	}
	rewrap := func(id *keys.Identity) error {
		m := &machine{T: t, dir: t.TempDir(), store: g.store, key: id}
		m.home()
		_, err := m.engine(func(o *engine.Options) { o.Store = &m.store }).RewrapKeys(t.Context(), nil,
			events.Discard)
		return err
	}
	warned := func(sink *heard, text string) bool {
		return slices.ContainsFunc(eventsOf[events.Warning](sink), func(w events.Warning) bool {
			return strings.Contains(w.Message, text)
		})
	}

	// Nothing is written where it is refused, or nobody agrees.
	conf, err := os.ReadFile(filepath.Join(g.dir, "conf", "config.yaml"))
	g.must(err)
	_, classic, err := keys.Generate(true)
	g.must(err)
	for _, c := range []struct {
		do   func(*engine.Engine, engine.RecipientOptions, events.Sink) error
		list string
		want string
	}{
		{add, secret, "a secret key was given"},
		{add, classic, "cannot be mixed"},
		{remove, added, "is not among the recipients"},
		{remove, g.recipients[0], "no recipients"},
		{func(e *engine.Engine, o engine.RecipientOptions, sink events.Sink) error {
			o.Agree = func() bool { return false }
			return add(e, o, sink)
		}, added, "not confirmed"},
	} {
		if _, err := change(c.do, nil, c.list); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20s...: %v, want %q", c.list, err, c.want)
		}
	}
	if now, _ := os.ReadFile(filepath.Join(g.dir, "conf", "config.yaml")); string(now) != string(conf) ||
		g.trust().Seq != 1 {
		t.Errorf("%s\ntrust list %d", now, g.trust().Seq)
	}

	sink, err := change(add, nil, added)
	g.must(err)
	if !warned(sink, "what was saved before cannot be read with the added key yet") {
		t.Errorf("%+v", eventsOf[events.Warning](sink))
	}
	first := g.chain(g.host().ID)[0].ID()
	if g.reads(second, first) {
		t.Error("the added key reads what was saved before it was added")
	}
	if err := rewrap(g.key); err == nil || !strings.Contains(err.Error(), "are not known here") {
		t.Errorf("no snapshot and no configuration names the recipients: %v", err)
	}
	g.must(g.backup())
	latest := g.chain(g.host().ID)[1].ID()
	if err := rewrap(second); err == nil {
		t.Error("a key that reads nothing of before wraps it")
	}
	g.added() // it has saved nothing, and its recipients nobody else knows
	g.must(rewrap(g.key))
	if !g.reads(second, first) || !g.reads(second, latest) || !g.reads(g.key, first) {
		t.Error("the epoch keys are wrapped for both, and not both read all")
	}
	if _, exit := g.snapshots(); exit != 0 {
		t.Errorf("exit %d", exit)
	}

	// With the identity at hand it is one step, and a number that a stranger has taken is not used.
	_, third, err := keys.Generate(false)
	g.must(err)
	b, err := backends.Open(t.Context(), g.store, backends.Options{})
	g.must(err)
	defer b.Close()
	count := func() (n int) {
		g.must(b.ListStream(t.Context(), layout.EpochsPrefix(g.host().ID),
			func(backends.ObjectInfo) error { n++; return nil }))
		return n
	}
	old := g.chain(g.host().ID)[0].Keys[0].Epoch
	garbage := []byte("x")
	_, err = b.Put(t.Context(), layout.EpochKey(g.host().ID, old, layout.MaxEpochCopy),
		backends.Bytes(garbage, nil), backends.PutOptions{})
	g.must(err)
	before := count()
	_, err = change(add, g.key, third)
	g.must(err)
	if n := count() - before; n != 2 { // of both epochs
		t.Errorf("%d wrappings were added", n)
	}

	sink, err = change(remove, nil, added, third)
	g.must(err)
	if !warned(sink, "nothing can take that back") {
		t.Errorf("%+v", eventsOf[events.Warning](sink))
	}
	g.must(g.backup())
	all := g.chain(g.host().ID)
	if !g.reads(second, first) || !g.reads(second, latest) || g.reads(second, all[2].ID()) ||
		!g.reads(g.key, all[2].ID()) {
		t.Error("the removed key reads what is new, or no longer what it could read")
	}
	c, err := config.Load(filepath.Join(g.dir, "conf", "config.yaml"))
	g.must(err)
	if !slices.Equal(c.Recipients.Strings(), g.recipients) {
		t.Errorf("%q", c.Recipients.Strings())
	}
}
