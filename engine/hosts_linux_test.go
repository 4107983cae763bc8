package engine_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vaultik/backends"
	"vaultik/backends/mem"
	"vaultik/config"
	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// group is an owner's machine and others that use its store.
type group struct {
	*machine
	kit        string
	recipients []string
}

func newGroup(t *testing.T) *group {
	name := strings.ToLower(t.Name())
	t.Cleanup(func() { mem.Drop(name) })
	m := newMachine(t, "mem://"+name)
	return &group{m, filepath.Join(m.dir, "conf", "recovery-kit.txt"), m.key.Recipients()}
}

// joins is another machine, which asks to be added.
func (g *group) joins(roles ...string) (m *machine, request events.HostRequest) {
	g.Helper()
	m = &machine{T: g.T, dir: g.TempDir(), store: g.store}
	m.home()
	o := engine.AddOptions{Roles: roles}
	if !slices.Contains(roles, snapshot.RolePrune) {
		o.Recipients = g.recipients
	}
	return m, m.request(o)
}

func (m *machine) request(o engine.AddOptions) events.HostRequest {
	m.Helper()
	sink := &heard{}
	_, err := m.engine(func(o *engine.Options) { o.Store = &m.store }).AddHost(m.Context(), o, sink)
	m.must(err)
	all := eventsOf[events.HostRequest](sink)
	if len(all) != 1 {
		m.Fatalf("%+v", all)
	}
	return all[0]
}

// home makes this machine the one whose index and cache are used.
func (m *machine) home() { m.Setenv("HOME", m.dir) }

func (m *machine) host() *config.Host {
	m.Helper()
	h, err := config.NewState(filepath.Join(m.dir, "conf")).LoadHost()
	m.must(err)
	return h
}

func (m *machine) backup() error {
	m.home()
	m.write("src/a", fmt.Sprint(time.Now().UnixNano()))
	_, err := m.engine(nil).Backup(m.Context(), engine.BackupOptions{Set: "docs",
		Paths: []string{filepath.Join(m.dir, "src")}}, events.Discard)
	return err
}

func (g *group) accept(request, confirm string) error {
	g.home()
	_, err := g.engine(nil).AcceptHost(g.Context(), engine.AcceptOptions{Kit: g.kit,
		Request: []byte(request), Confirm: confirm}, events.Discard)
	return err
}

// added is a machine that the owner has accepted.
func (g *group) added(roles ...string) *machine {
	g.Helper()
	m, request := g.joins(roles...)
	g.must(g.accept(request.Request, request.Key))
	return m
}

// trust is the newest trust list.
func (g *group) trust() *snapshot.Trust {
	g.Helper()
	b, err := backends.Open(g.Context(), g.store, backends.Options{})
	g.must(err)
	defer b.Close()
	st, err := snapshot.OpenStore(g.Context(), backends.Objects(b), snapshot.Pin{})
	g.must(err)
	return &st.Trust
}

// chain are the manifests of the only set of a host.
func (g *group) chain(host layout.HostID) []*snapshot.Loaded {
	g.Helper()
	b, err := backends.Open(g.Context(), g.store, backends.Options{})
	g.must(err)
	defer b.Close()
	st, err := snapshot.OpenStore(g.Context(), backends.Objects(b), snapshot.Pin{})
	g.must(err)
	loaded, _, err := st.Manifests(g.Context(), snapshot.Filter{Host: host})
	g.must(err)
	return loaded
}

// snapshots are the ids that a machine sees, and the exit code.
func (m *machine) snapshots() (ids []string, exit fault.Code) {
	m.Helper()
	m.home()
	res, err := m.engine(func(o *engine.Options) { o.Store = &m.store }).Snapshots(m.Context(),
		engine.Pick{}, events.Discard)
	for _, s := range res.List {
		ids = append(ids, s.ID)
	}
	if err != nil {
		exit = engine.Explain(err).Exit
	}
	return ids, exit
}

// A machine is added by the owner, who has compared what it shows, and by nobody else.
func TestHosts_Add(t *testing.T) {
	g := newGroup(t)
	g.must(g.backup())
	m, request := g.joins()
	if err := m.backup(); err == nil ||
		!strings.Contains(err.Error(), "has not accepted this machine yet") {
		t.Fatalf("a machine that nobody has accepted: %v", err)
	}

	owner, host := g.host(), m.host()
	made := func(signer *keys.Signer, change func(*snapshot.Request)) string {
		t.Helper()
		r := &snapshot.Request{Store: host.Store, Owner: host.Owner.Fingerprint(), Host: host.ID,
			Key: signer.Public(), Roles: []string{snapshot.RoleWrite}, Time: time.Now(),
			Hostname: "x", Recipients: g.recipients}
		if change != nil {
			change(r)
		}
		text, err := snapshot.EncodeRequest(r, signer)
		g.must(err)
		return string(text)
	}
	middle := len(request.Request) / 2
	other := "A"
	if request.Request[middle] == 'A' {
		other = "B"
	}
	stranger := keys.NewSigner()
	hostile := map[string]struct{ request, confirm, want string }{
		"changed on the way": {request.Request[:middle] + other + request.Request[middle+1:],
			request.Key, "damaged"},
		"of a stranger in its name": {made(stranger, nil), request.Key, "is of another key"},
		"that nobody has compared":  {request.Request, "", "not confirmed"},
		"of a host that is there": {made(stranger, func(r *snapshot.Request) {
			r.Host = owner.ID
		}), stranger.Public().Fingerprint(), "has another key than the request"},
		"of a key that is there": {made(owner.Signer, nil), owner.Signer.Public().Fingerprint(),
			"the key is that of host " + owner.ID.String()},
		"to another store": {made(host.Signer, func(r *snapshot.Request) {
			r.Store = layout.NewStoreID()
		}), request.Key, "the request is for store"},
		"after it was shown another owner": {made(host.Signer, func(r *snapshot.Request) {
			r.Owner = stranger.Public().Fingerprint()
		}), request.Key, "was shown a store of owner"},
	}
	refused := func() {
		t.Helper()
		before := g.trust().Seq
		for name, c := range hostile {
			err := g.accept(c.request, c.confirm)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("a request %s: %v, want %q", name, err, c.want)
			}
		}
		if now := g.trust().Seq; now != before {
			t.Errorf("trust list %d, it was %d", now, before)
		}
	}
	refused()
	g.must(g.accept(request.Request, request.Key))
	hostile = map[string]struct{ request, confirm, want string }{
		"for the second time": {request.Request, request.Key, "was accepted before"},
	}
	refused()

	g.must(m.backup())
	g.must(m.backup())
	g.must(g.backup())
	if ids, exit := g.snapshots(); len(ids) != 4 || exit != 0 {
		t.Errorf("the owner sees %d snapshots of both, exit %d", len(ids), exit)
	}
	h, _ := g.trust().Host(host.ID)
	rs, err := keys.ParseRecipients(g.recipients)
	g.must(err)
	if sum, ok := h.SignedFor(); !ok || sum != snapshot.Sum(rs.Sum()) || h.Since.IsZero() ||
		!slices.Equal(h.Roles, []string{snapshot.RoleWrite}) {
		t.Errorf("%+v", h)
	}

	g.must(g.revoke(g.host().ID.String())) // its own, which is as good as any
	hostile = map[string]struct{ request, confirm, want string }{
		"for the second time": {request.Request, request.Key, "was accepted before"},
		"of a key that is revoked": {made(owner.Signer, func(r *snapshot.Request) {
			r.Host = owner.ID
		}), owner.Signer.Public().Fingerprint(), "was revoked, which stays so"},
	}
	refused()
}

func (g *group) revoke(host string, until ...string) error {
	g.home()
	_, err := g.engine(nil).RevokeHost(g.Context(), engine.RevokeOptions{Host: host, Until: until,
		OwnerOptions: engine.OwnerOptions{Kit: g.kit}}, events.Discard)
	return err
}

// sign writes the next trust list as edit changes it.
func (g *group) sign(edit func(*snapshot.Trust)) {
	g.Helper()
	text, err := os.ReadFile(g.kit)
	g.must(err)
	kit, err := keys.ParseKit(text)
	g.must(err)
	b, err := backends.Open(g.Context(), g.store, backends.Options{})
	g.must(err)
	defer b.Close()
	list := g.trust()
	raw, err := backends.Head(g.Context(), b, layout.Trust(list.Seq), 1<<20)
	g.must(err)
	edit(list)
	list.Seq, list.Prev = list.Seq+1, sha256.Sum256(raw)
	raw, err = snapshot.EncodeTrust(*list, kit.Owner)
	g.must(err)
	sum := sha256.Sum256(raw)
	_, err = b.Put(g.Context(), layout.Trust(list.Seq), backends.Bytes(raw, &sum),
		backends.PutOptions{IfAbsent: true})
	g.must(err)
}

// Owners who sign at the same time do not undo what the other one has signed.
func TestHosts_TwoOwners(t *testing.T) {
	g := newGroup(t)
	const others = 4
	var requests []events.HostRequest
	for range others {
		_, r := g.joins()
		requests = append(requests, r)
	}
	g.home()
	e := g.engine(nil)
	var running sync.WaitGroup
	errs := make([]error, 2*others)
	for i, r := range slices.Concat(requests, requests) { // each by two of them
		running.Go(func() {
			_, errs[i] = e.AcceptHost(t.Context(), engine.AcceptOptions{Kit: g.kit,
				Request: []byte(r.Request), Confirm: r.Key}, events.Discard)
		})
	}
	running.Wait()
	for i, r := range requests {
		one, two := errs[i], errs[i+others]
		if (one == nil) == (two == nil) {
			t.Errorf("accepted twice, or not at all: %v; %v", one, two)
		}
		for _, err := range []error{one, two} {
			if err != nil && !strings.Contains(err.Error(), snapshot.ErrTaken.Error()) {
				t.Errorf("%v", err)
			}
		}
		if !slices.ContainsFunc(g.trust().Hosts, func(h snapshot.TrustHost) bool {
			return h.Host.String() == r.Host
		}) {
			t.Errorf("host %s is not in the list", r.Host)
		}
	}
	if list := g.trust(); list.Seq != 1+others || len(list.Hosts) != 1+others {
		t.Errorf("trust list %d with %d hosts", list.Seq, len(list.Hosts))
	}
}

// fleet is how the hosts are doing, seen without a key.
func (m *machine) fleet(o engine.FleetOptions) (engine.FleetResult, []events.Problem, fault.Code) {
	m.Helper()
	m.home()
	sink := &heard{}
	res, err := m.engine(func(o *engine.Options) { o.Store, o.Identity = &m.store, nil }).Fleet(
		m.Context(), o, sink)
	exit := fault.Done
	if err != nil {
		exit = engine.Explain(err).Exit
	}
	return res, eventsOf[events.Problem](sink), exit
}

// What a revoked key has signed counts up to the last snapshot that the owner names, whatever
// anybody has seen of it and whatever time its later ones claim.
func TestHosts_Revoke(t *testing.T) {
	g := newGroup(t)
	g.must(g.backup())
	m := g.added()
	for range 3 {
		g.must(m.backup())
	}
	reader := &machine{T: t, dir: t.TempDir(), store: g.store}
	if ids, exit := reader.snapshots(); len(ids) != 4 || exit != 0 { // it remembers the third
		t.Fatalf("%d snapshots, exit %d", len(ids), exit)
	}
	thief := m.host()
	all := []string{g.chain(g.host().ID)[0].ID()}
	for _, l := range g.chain(thief.ID) {
		all = append(all, l.ID())
	}
	sees := func(name string, by *machine, want int) {
		t.Helper()
		ids, exit := by.snapshots()
		if slices.Sort(ids); exit != 0 || !slices.Equal(ids, slices.Sorted(slices.Values(all[:want]))) {
			t.Errorf("the %s sees %v of %v, want %d; exit %d", name, ids, all, want, exit)
		}
	}
	id := thief.ID.String()
	for _, c := range []struct {
		host, until, want string
	}{
		{"nobody", "", "no host of the store has the id"},
		{id, "00000000", "there is no such snapshot of host"},
		{id, all[0], "there is no such snapshot of host"}, // it is the owner's
	} {
		until := []string{c.until}
		if c.until == "" {
			until = nil
		}
		if err := g.revoke(c.host, until...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("revoke %s --until %s: %v, want %q", c.host, c.until, err, c.want)
		}
	}
	g.must(g.revoke(id, all[2]))
	h, _ := g.trust().Host(thief.ID)
	if h.Until == nil || len(h.Until.Sets) != 1 || h.Until.Sets[0].Seq != 2 ||
		h.Until.Sets[0].Sum.String() != all[2] {
		t.Fatalf("%+v", h.Until)
	}
	for name, by := range map[string]*machine{"owner": g.machine, "reader": reader,
		"newcomer": {T: t, dir: t.TempDir(), store: g.store}} {
		sees(name, by, 3)
	}
	if err := m.backup(); err == nil || !strings.Contains(err.Error(), "has revoked the key") {
		t.Errorf("the host itself: %v", err)
	}
	res, problems, exit := reader.fleet(engine.FleetOptions{MaxAge: time.Nanosecond,
		Pick: engine.Pick{Host: id}})
	if exit != 0 || len(problems) > 0 || len(res.Hosts) != 1 || res.Hosts[0].Revoked == nil ||
		len(res.Sets) != 1 || res.Sets[0].Snapshots != 2 || !res.Sets[0].Whole {
		t.Errorf("a host that is revoked is not too old, and nothing is wrong with it: %+v, %v, %d",
			res, problems, exit)
	}

	// The thief goes on, dated back.
	b, err := backends.Open(t.Context(), g.store, backends.Options{})
	g.must(err)
	defer b.Close()
	third := layout.Manifest(thief.ID, h.Until.Sets[0].Set, 3)
	raw, err := backends.Head(t.Context(), b, third, 1<<20)
	g.must(err)
	last, err := snapshot.DecodeManifest(raw, thief.Signer.Public())
	g.must(err)
	last.Seq, last.Prev, last.Time = 4, sha256.Sum256(raw), last.Time.Add(-48*time.Hour)
	m.put(b, last, thief.Signer)
	sees("reader of what a thief went on with", reader, 3)
	if _, problems, exit = reader.fleet(engine.FleetOptions{}); exit != 0 {
		t.Errorf("what was stored about when the key was revoked: %+v, exit %d", problems, exit)
	}
	g.sign(func(list *snapshot.Trust) {
		list.Revoke(thief.ID, time.Now().Add(-2*time.Hour), h.Until)
	})
	_, problems, exit = reader.fleet(engine.FleetOptions{})
	if exit != fault.Damage || len(problems) != 2 || problems[1].Kind != "untrusted" ||
		!strings.HasSuffix(problems[1].Key, "0000000004.json.zst") {
		t.Errorf("that somebody uses the key: %+v, exit %d", problems, exit)
	}

	// Less may stand later, never more.
	if err := g.revoke(id); err == nil || !strings.Contains(err.Error(), "was revoked before") {
		t.Errorf("%v", err)
	}
	if err := g.revoke(id, all[3]); err == nil {
		t.Error("what did not stand stands again")
	}
	g.must(g.revoke(id, all[1]))
	sees("reader of less", reader, 2)
}

// The two newest of a set, one of which is a thief's, are for the owner to tell apart. What a
// pruner has signed stands up to its newest gc objects.
func TestHosts_RevokeForkAndPruner(t *testing.T) {
	g := newGroup(t)
	m, pruner := g.added(), g.added(snapshot.RolePrune)
	g.must(m.backup())
	g.must(m.backup())
	host, by := m.host(), pruner.host()
	b, err := backends.Open(t.Context(), g.store, backends.Options{})
	g.must(err)
	defer b.Close()
	gc, err := snapshot.EncodeGC(&snapshot.GC{Store: host.Store, Host: host.ID, Seq: 1,
		Time: time.Now()}, by.Signer)
	g.must(err)
	sum := sha256.Sum256(gc)
	_, err = b.Put(t.Context(), layout.GC(host.ID, 1), backends.Bytes(gc, &sum),
		backends.PutOptions{})
	g.must(err)
	g.must(g.revoke(by.ID.String()))
	h, _ := g.trust().Host(by.ID)
	want := snapshot.UntilGC{Host: host.ID, Seq: 1, Sum: sum}
	if h.Until == nil || len(h.Until.Sets) != 0 || len(h.Until.GC) != 1 || h.Until.GC[0] != want {
		t.Errorf("of the pruner stands %+v, want %+v", h.Until, want)
	}
	g.must(m.backup()) // which has to know what was condemned

	loaded := g.chain(host.ID)
	fork := *loaded[2].Manifest
	fork.Time = fork.Time.Add(-time.Hour)
	raw, err := snapshot.EncodeManifest(&fork, host.Signer)
	g.must(err)
	forged := sha256.Sum256(raw)
	_, err = b.Put(t.Context(), layout.Weak(layout.Manifest(host.ID, fork.Set, fork.Seq), forged),
		backends.Bytes(raw, &forged), backends.PutOptions{})
	g.must(err)
	err = g.revoke(host.ID.String())
	if ways := engine.Explain(err).Choices; err == nil || len(ways) != 2 {
		t.Fatalf("two newest: %v, %q", err, ways)
	}
	g.must(g.revoke(host.ID.String(), loaded[2].ID()))
	ids, exit := g.snapshots()
	if exit != 0 || len(ids) != 3 || slices.Contains(ids, hex.EncodeToString(forged[:])) {
		t.Errorf("%v, exit %d", ids, exit)
	}
}

// A machine that only prunes has nothing that makes or reads backups, says so where it is asked
// for them, and remembers what it has seen of all hosts, as one without any keys does.
func TestHosts_Pruner(t *testing.T) {
	g := newGroup(t)
	m, pruner := g.added(), g.added(snapshot.RolePrune)
	g.must(g.backup())
	g.must(g.backup())
	g.must(m.backup())
	g.must(m.backup())
	h := pruner.host()
	if !h.Secret.IsZero() || h.Epoch != nil || h.BacksUp() {
		t.Errorf("a pruner has the keys of a host that backs up")
	}
	conf, err := os.ReadFile(filepath.Join(pruner.dir, "conf", "config.yaml"))
	g.must(err)
	if bytes.Contains(conf, []byte("age1")) {
		t.Errorf("%s", conf)
	}
	if err := pruner.backup(); err == nil ||
		!strings.Contains(err.Error(), "this machine only prunes") {
		t.Errorf("backup: %v", err)
	}
	_, err = pruner.engine(nil).CheckConfig(t.Context(), events.Discard)
	g.must(err)

	reader := &machine{T: t, dir: t.TempDir(), store: g.store}
	for _, by := range []*machine{pruner, reader} {
		if _, problems, exit := by.fleet(engine.FleetOptions{}); exit != 0 {
			t.Fatalf("exit %d: %+v", exit, problems)
		}
		seen, err := config.NewState(filepath.Join(by.dir, "conf")).LoadSeen()
		g.must(err)
		if got := len(seen.Manifests(h.Store)); got != 2 || seen.Trust(h.Store).Seq != 3 {
			t.Errorf("%d sets are remembered, trust list %d", got, seen.Trust(h.Store).Seq)
		}
	}
	b, err := backends.Open(t.Context(), g.store, backends.Options{})
	g.must(err)
	defer b.Close()
	g.must(b.ListStream(t.Context(), layout.ManifestPrefix(m.host().ID),
		func(o backends.ObjectInfo) error {
			if strings.HasSuffix(o.Key, "0000000002.json.zst") {
				return b.Delete(t.Context(), o.Key)
			}
			return nil
		}))
	for _, by := range []*machine{pruner, reader} {
		_, problems, exit := by.fleet(engine.FleetOptions{})
		if exit != fault.Damage || len(problems) != 1 || problems[0].Kind != "missing" ||
			problems[0].Host != m.host().ID.String() {
			t.Errorf("the newest of one host is gone: %+v, exit %d", problems, exit)
		}
	}
}

// Each thing that may be wrong with a host is told, without a key.
func TestFleet(t *testing.T) {
	g := newGroup(t)
	m := g.added()
	g.must(g.backup())
	g.must(m.backup())
	g.must(m.backup())
	g.joins()         // it is no host of the store yet
	late := g.added() // and this one has saved nothing
	reader := &machine{T: t, dir: t.TempDir(), store: g.store}
	res, _, exit := reader.fleet(engine.FleetOptions{MaxAge: time.Hour})
	if exit != 0 || len(res.Hosts) != 3 || len(res.Sets) != 2 {
		t.Fatalf("%+v, exit %d", res, exit)
	}
	of := func(res engine.FleetResult, host *config.Host) (h events.FleetHost, s events.FleetSet) {
		for _, e := range res.Hosts {
			if e.Host == host.ID.String() {
				h = e
			}
		}
		for _, e := range res.Sets {
			if e.Host == host.ID.String() {
				s = e
			}
		}
		return h, s
	}
	h, s := of(res, m.host())
	if s.Snapshots != 2 || !s.Complete || !s.Whole || s.Stale || s.Bytes == 0 || h.Bytes <= s.Bytes ||
		h.Week == nil || *h.Week != h.Bytes || *h.Month != h.Bytes || h.Age == nil {
		t.Errorf("%+v\n%+v", h, s)
	}
	res, _, exit = reader.fleet(engine.FleetOptions{MaxAge: time.Nanosecond})
	if h, _ := of(res, late.host()); exit != fault.Failed || !h.Stale {
		t.Errorf("all are too old, and so is the one without any: %+v, exit %d", res, exit)
	}
	res, _, _ = reader.fleet(engine.FleetOptions{Pick: engine.Pick{Host: m.host().ID.String()}})
	if len(res.Hosts) != 1 || len(res.Sets) != 1 {
		t.Errorf("one was asked for: %+v", res)
	}

	b, err := backends.Open(t.Context(), g.store, backends.Options{})
	g.must(err)
	defer b.Close()
	chain := g.chain(m.host().ID)
	first, last := chain[0], chain[1]
	needed := map[string]bool{first.Key: false, layout.Root(m.host().ID, first.Root.Name): false,
		layout.Root(m.host().ID, last.Root.Name): true}
	for _, k := range last.Keys {
		needed[layout.EpochKey(last.Host, k.Epoch, k.N)] = true
	}
	for _, blob := range last.Blobs {
		needed[layout.Blob(last.Host, blob.Name)] = true
	}
	for key, need := range needed {
		raw, err := backends.Head(t.Context(), b, key, 1<<20)
		g.must(err)
		put := func(raw []byte) {
			sum := sha256.Sum256(raw)
			_, err := b.Put(t.Context(), key, backends.Bytes(raw, &sum), backends.PutOptions{})
			g.must(err)
		}
		for _, harm := range []func(){
			func() { g.must(b.Delete(t.Context(), key)) },
			func() { put(raw[1:]) },
		} {
			harm()
			res, problems, exit := reader.fleet(engine.FleetOptions{})
			h, s := of(res, m.host())
			_, own := of(res, g.host())
			bad := 0
			if key == first.Key {
				bad = 1
			}
			if s.Whole == need || len(problems) != bad || h.Problems != bad || s.Problems != bad ||
				(exit == fault.Damage) != (need || bad > 0) || !own.Whole || own.Problems > 0 {
				t.Errorf("%s: %+v\n%+v\n%+v\n%+v, exit %d", key, problems, h, s, own, exit)
			}
		}
		put(raw)
	}
	if len(needed) < 5 {
		t.Errorf("only %d objects were tried", len(needed))
	}
	if _, _, exit := reader.fleet(engine.FleetOptions{}); exit != 0 {
		t.Errorf("all is there again, exit %d", exit)
	}
}
