package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"vaultik/internal/agetest"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

func TestOpenStore(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	if s.Doc.Store != w.store || s.TrustSeq != 1 || len(s.Trust.Hosts) != 2 {
		t.Errorf("OpenStore = %+v", s)
	}
	pin := s.Pin()
	if _, err := OpenStore(t.Context(), w.m, pin); err != nil {
		t.Errorf("with its own pin: %v", err)
	}
	w.trust.Seq, w.trust.Prev = 2, sumOf(w.m.objects[layout.Trust(1)])
	w.putTrust()
	if s, err := OpenStore(t.Context(), w.m, pin); err != nil || s.TrustSeq != 2 {
		t.Errorf("with an older pin: %v", err)
	}
	// Names that are not known are left alone.
	w.m.objects["trust/0000000009.json.zst.tmp"] = []byte("x")
	w.m.objects["trust/new"] = []byte("x")
	w.open()
}

func TestOpenStore_refuses(t *testing.T) {
	broken := errors.New("connection lost")
	for name, tt := range map[string]struct {
		change func(*world, *Pin)
		want   error
	}{
		"no store":         {func(w *world, _ *Pin) { delete(w.m.objects, layout.StoreJSON) }, ErrNoStore},
		"unreachable":      {func(w *world, _ *Pin) { w.m.fail[layout.StoreJSON] = broken }, broken},
		"cannot be listed": {func(w *world, _ *Pin) { w.m.fail[layout.TrustPrefix] = broken }, broken},
		"damaged store":    {func(w *world, _ *Pin) { w.m.objects[layout.StoreJSON][20] ^= 1 }, ErrDamaged},
		"foreign store":    {func(w *world, _ *Pin) { w.m.objects[layout.StoreJSON] = []byte("{}") }, ErrDamaged},
		"newer store": {func(w *world, _ *Pin) {
			line := strings.Replace(lineOf(w.t, w.m.objects[layout.StoreJSON]), `"v":1`, `"v":2`, 1)
			w.m.objects[layout.StoreJSON] = forgePlain(w.t, w.owner, storeNamespace, line)
		}, ErrNewerFormat},
		"other owner": {func(_ *world, p *Pin) { p.Owner = keys.NewSigner().Public().Fingerprint() }, ErrOwnerChanged},
		"replaced by another owner": {func(w *world, p *Pin) {
			other := keys.NewSigner()
			b, err := EncodeStore(StoreDoc{Store: w.store, Owner: other.Public()}, other)
			w.must(err)
			w.m.objects[layout.StoreJSON] = b
		}, ErrOwnerChanged},
		"no trust":       {func(w *world, p *Pin) { *p = Pin{}; delete(w.m.objects, layout.Trust(1)) }, ErrDamaged},
		"trust gone":     {func(w *world, _ *Pin) { delete(w.m.objects, layout.Trust(1)) }, ErrDamaged},
		"trust older":    {func(_ *world, p *Pin) { p.TrustSeq = 2 }, ErrTrustRollback},
		"trust replaced": {func(_ *world, p *Pin) { p.TrustSum = Sum{1}.String() }, ErrTrustRollback},
		"trust damaged":  {func(w *world, _ *Pin) { w.m.objects[layout.Trust(1)][30] ^= 1 }, ErrDamaged},
		"trust by a host": {func(w *world, _ *Pin) {
			w.owner = w.signer
			w.trust.Seq, w.trust.Prev = 2, Sum{1}
			w.putTrust()
		}, ErrDamaged},
		"trust of another store": {func(w *world, _ *Pin) { w.trust.Store = layout.NewStoreID(); w.putTrust() }, ErrDamaged},
		"trust under another name": {func(w *world, _ *Pin) {
			w.m.objects[layout.Trust(2)] = w.m.objects[layout.Trust(1)]
		}, ErrDamaged},
		"next trust is garbage": {func(w *world, _ *Pin) { w.m.objects[layout.Trust(2)] = []byte("x") }, ErrDamaged},
		"seen trust is garbage": {func(w *world, p *Pin) {
			w.m.objects[layout.Trust(9)] = []byte("x")
			p.TrustSeq = 9
		}, ErrTrustRollback},
		"trust further on cannot be read": {func(w *world, _ *Pin) {
			w.m.objects[layout.Trust(9)] = []byte("x")
			w.m.fail[layout.Trust(9)] = broken
		}, broken},
		"newer trust": {func(w *world, _ *Pin) {
			line := strings.Replace(lineOf(w.t, w.m.objects[layout.Trust(1)]), `"required":[]`, `"required":["quorum"]`, 1)
			w.m.objects[layout.Trust(1)] = forge(w.t, w.owner, trustNamespace, line)
		}, ErrNewerFormat},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			pin := w.open().Pin()
			tt.change(w, &pin)
			if _, err := OpenStore(t.Context(), w.m, pin); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestStore_Manifests(t *testing.T) {
	w := newWorld(t)
	other := layout.NewSetID()
	var want []string
	for range 3 {
		want = append(want, w.snapshot(w.set).ID())
	}
	want = append(want, w.snapshot(other).ID())
	s := w.open()
	loaded, problems, err := s.Manifests(t.Context(), Filter{})
	if err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v", problems, err)
	}
	var got []string
	for i, l := range loaded {
		got = append(got, l.ID())
		if i > 0 && sameChain(loaded[i-1], l) && loaded[i-1].Seq >= l.Seq {
			t.Error("not sorted by seq")
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("ids %v, want %v", got, want)
	}
	for _, tt := range []struct {
		f Filter
		n int
	}{{Filter{Host: w.host}, 4}, {Filter{Set: other}, 1}, {Filter{Host: w.host, Set: w.set}, 3},
		{Filter{Host: layout.NewHostID()}, 0}, {Filter{Set: layout.NewSetID()}, 0}} {
		if loaded, _, err := s.Manifests(t.Context(), tt.f); err != nil || len(loaded) != tt.n {
			t.Errorf("%+v: %d manifests, %v, want %d", tt.f, len(loaded), err, tt.n)
		}
	}
	head, problems, err := s.Head(t.Context(), w.host, w.set)
	if err != nil || len(problems) > 0 || len(head) != 1 || head[0].Seq != 3 {
		t.Errorf("Head = %v, %v, %v", head, problems, err)
	}
	if head, problems, err := s.Head(t.Context(), w.host, layout.NewSetID()); err != nil || len(problems)+len(head) > 0 {
		t.Errorf("Head of a new set = %v, %v, %v", head, problems, err)
	}
	// The documented way, without this program.
	line := agetest.Run(t, w.m.objects[head[0].Key], "sh", "-c", "zstd -dc | head -n 1")
	sig := agetest.Run(t, w.m.objects[head[0].Key], "sh", "-c", "zstd -dc | tail -n +2")
	allowed := agetest.File(t, "allowed", []byte("host "+w.signer.Public().String()+"\n"))
	agetest.Run(t, line, "ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "host", "-n", "manifest@vaultik", "-s", agetest.File(t, "sig", sig))
}

func TestStore_Manifests_badOnes(t *testing.T) {
	type stranger struct {
		change func(w *world, second *Loaded) // of seq 2 out of 3
		want   error
		keep   bool // seq 2 is returned nevertheless
		gap    bool // the problem is reported at a place, not at an object
	}
	sign := func(w *world, m *Manifest, signer *keys.Signer) []byte {
		b, err := EncodeManifest(m, signer)
		w.must(err)
		return b
	}
	for name, tt := range map[string]stranger{
		"flipped":      {change: func(w *world, l *Loaded) { w.m.objects[l.Key][50] ^= 1 }, want: ErrDamaged},
		"truncated":    {change: func(w *world, l *Loaded) { w.m.objects[l.Key] = w.m.objects[l.Key][:99] }, want: ErrDamaged},
		"empty":        {change: func(w *world, l *Loaded) { w.m.objects[l.Key] = nil }, want: ErrDamaged},
		"unreadable":   {change: func(w *world, l *Loaded) { w.m.fail[l.Key] = fs.ErrPermission }, want: fs.ErrPermission},
		"deleted":      {change: func(w *world, l *Loaded) { delete(w.m.objects, l.Key) }, want: ErrGap, gap: true},
		"other signer": {change: func(w *world, l *Loaded) { w.m.objects[l.Key] = sign(w, l.Manifest, w.pruner) }, want: ErrSignature},
		"other store": {change: func(w *world, l *Loaded) {
			m := *l.Manifest
			m.Store = layout.NewStoreID()
			w.m.objects[l.Key] = sign(w, &m, w.signer)
		}, want: ErrDamaged},
		"replayed": {change: func(w *world, l *Loaded) {
			w.m.objects[l.Key] = w.m.objects[layout.Manifest(w.host, w.set, 1)]
		}, want: ErrDamaged},
		"another in its place": {change: func(w *world, l *Loaded) {
			m := *l.Manifest
			m.Complete = false
			w.m.objects[l.Key] = sign(w, &m, w.signer)
		}, want: ErrFork, keep: true, gap: true},
		"newer": {change: func(w *world, l *Loaded) {
			line := strings.Replace(lineOf(w.t, w.m.objects[l.Key]), `"v":1`, `"v":7`, 1)
			w.m.objects[l.Key] = forge(w.t, w.signer, manifestNamespace, line)
		}, want: ErrNewerFormat},
		"weak name of another": {change: func(w *world, l *Loaded) {
			w.m.objects[layout.Weak(layout.Manifest(w.host, w.set, 2), Sum{1})] = w.m.objects[l.Key]
			delete(w.m.objects, l.Key)
		}, want: ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.snapshot(w.set)
			second := w.snapshot(w.set)
			w.snapshot(w.set)
			w.snapshot(layout.NewSetID())
			tt.change(w, second)
			loaded, problems, err := w.open().Manifests(t.Context(), Filter{})
			w.must(err)
			if len(problems) != 1 || !errors.Is(problems[0], tt.want) || (problems[0].Key == "") != tt.gap {
				t.Errorf("problems %v, want one: %v", problems, tt.want)
			}
			if want := 3; len(loaded) != want && !(tt.keep && len(loaded) == want+1) {
				t.Errorf("%d manifests are left", len(loaded))
			}
		})
	}
}

func TestStore_Manifests_fork(t *testing.T) {
	w := newWorld(t)
	w.snapshot(w.set)
	a := w.snapshot(w.set)
	fork := *a.Manifest
	fork.Complete = false
	b, err := EncodeManifest(&fork, w.signer)
	w.must(err)
	weak := layout.Weak(layout.Manifest(w.host, w.set, 2), sumOf(b))
	w.m.objects[weak] = b
	w.snapshot(w.set) // continues from a
	// The same object under both forms of its name is no fork.
	first := w.m.objects[layout.Manifest(w.host, w.set, 1)]
	w.m.objects[layout.Weak(layout.Manifest(w.host, w.set, 1), sumOf(first))] = first
	loaded, problems, err := w.open().Manifests(t.Context(), Filter{})
	w.must(err)
	if len(loaded) != 4 || len(problems) != 1 || !errors.Is(problems[0], ErrFork) {
		t.Errorf("%d manifests, problems %v, want 4 and a fork", len(loaded), problems)
	}
	delete(w.m.objects, layout.Manifest(w.host, w.set, 3))
	head, problems, err := w.open().Head(t.Context(), w.host, w.set)
	if err != nil || len(head) != 2 || len(problems) != 1 || !errors.Is(problems[0], ErrFork) {
		t.Errorf("Head = %d manifests, %v, %v, want both sides of the fork", len(head), problems, err)
	}
}

func TestStore_Manifests_trust(t *testing.T) {
	w := newWorld(t)
	w.snapshot(w.set)
	late := w.manifest(w.set, nil)
	late.Time = testTime.AddDate(0, 1, 0)
	w.commit(late)
	w.trust.Hosts[0].Revoked = testTime.AddDate(0, 0, 1)
	w.putTrust()
	loaded, problems, err := w.open().Manifests(t.Context(), Filter{})
	if err != nil || len(loaded) != 0 || len(problems) != 0 {
		t.Errorf("revoked, and nothing stands: %d manifests, %v, %v", len(loaded), problems, err)
	}
	w.trust.Hosts[0].Revoked = time.Time{}
	w.trust.Hosts[0].Roles = []string{RolePrune}
	w.putTrust()
	loaded, problems, err = w.open().Manifests(t.Context(), Filter{})
	if err != nil || len(loaded) != 0 || len(problems) != 1 || !errors.Is(problems[0], ErrUntrusted) {
		t.Errorf("without the role: %d manifests, %v, %v", len(loaded), problems, err)
	}
}

func TestStore_Manifests_pruned(t *testing.T) {
	w := newWorld(t)
	var all []*Loaded
	for range 7 {
		all = append(all, w.snapshot(w.set))
	}
	remove := func(seqs ...int) {
		for _, n := range seqs {
			delete(w.m.objects, all[n-1].Key)
		}
	}
	record := func(from, to int) Pruned {
		return Pruned{Set: w.set, From: uint64(from), To: uint64(to), Prev: all[from-1].Prev, Sum: all[to-1].Sum}
	}
	problems := func() []Problem {
		t.Helper()
		_, problems, err := w.open().Manifests(t.Context(), Filter{})
		w.must(err)
		return problems
	}
	remove(1, 2, 4)
	if p := problems(); len(p) != 2 || !errors.Is(p[0], ErrGap) || !errors.Is(p[1], ErrGap) {
		t.Errorf("without records: %v, want two gaps", p)
	}
	w.gc(GC{Seq: 1, Pruned: []Pruned{record(1, 2), record(4, 4)}})
	if p := problems(); len(p) != 0 {
		t.Errorf("with records: %v", p)
	}
	// A run that was to be deleted, and of which some are still there.
	w.gc(GC{Seq: 2, Prev: Sum{1}, Pruned: []Pruned{record(1, 2), record(4, 6)}})
	for _, n := range []int{0, 5, 6} {
		if n > 0 {
			remove(n)
		}
		if p := problems(); len(p) != 0 {
			t.Errorf("half done, %d gone: %v", n, p)
		}
	}
	wrong := record(1, 2)
	wrong.Sum = Sum{1}
	w.gc(GC{Seq: 3, Prev: Sum{1}, Pruned: []Pruned{wrong, record(4, 6)}})
	if p := problems(); len(p) != 1 || !errors.Is(p[0], ErrFork) {
		t.Errorf("wrong sum: %v, want a fork", p)
	}
	w.m.objects[layout.GC(w.host, 4)] = []byte("x")
	if p := problems(); len(p) != 2 || !errors.Is(p[0], ErrGap) || !errors.Is(p[0], ErrDamaged) {
		t.Errorf("unreadable gc: %v, want two gaps and the reason", p)
	}
	// A bad object next to a gap is told once.
	delete(w.m.objects, layout.GC(w.host, 4))
	delete(w.m.objects, layout.GC(w.host, 3))
	w.m.objects[all[2].Key][40] ^= 1
	if p := problems(); len(p) != 1 || p[0].Key != all[2].Key {
		t.Errorf("bad object between pruned ones: %v", p)
	}
}

// What was seen must be there, unless a prune record says that it was deleted, and what.
func TestStore_CheckSeen(t *testing.T) {
	w := newWorld(t)
	var all []*Loaded
	for range 5 {
		all = append(all, w.snapshot(w.set))
	}
	pruned := func(from, to int, change func(*Pruned)) []Pruned {
		r := Pruned{Set: w.set, From: uint64(from), To: uint64(to), Prev: all[from-1].Prev, Sum: all[to-1].Sum}
		change(&r)
		return []Pruned{r}
	}
	same := func(*Pruned) {}
	for name, tt := range map[string]struct {
		loaded []*Loaded
		seq    int
		sum    Sum
		pruned []Pruned
		want   error
	}{
		"newest":                        {all, 5, all[4].Sum, nil, nil},
		"older":                         {all, 1, all[0].Sum, nil, nil},
		"missing":                       {all[:4], 5, all[4].Sum, nil, ErrRollback},
		"none":                          {nil, 5, all[4].Sum, nil, fs.ErrNotExist},
		"forked":                        {all, 2, all[0].Sum, nil, ErrFork},
		"gone":                          {all[3:], 2, all[1].Sum, nil, ErrRollback},
		"pruned":                        {all[3:], 3, all[2].Sum, pruned(1, 3, same), nil},
		"pruned, within a run":          {all[3:], 2, all[1].Sum, pruned(1, 3, same), nil},
		"another pruned":                {all[3:], 3, all[2].Sum, pruned(1, 3, func(r *Pruned) { r.Sum = Sum{1} }), ErrFork},
		"of another set":                {all[3:], 3, all[2].Sum, pruned(1, 3, func(r *Pruned) { r.Set = layout.NewSetID() }), ErrRollback},
		"pruned elsewhere":              {all[3:], 3, all[2].Sum, pruned(1, 2, same), ErrRollback},
		"pruned, none newer left":       {nil, 3, all[2].Sum, pruned(1, 3, same), ErrRollback},
		"pruned, newest is rolled back": {all[:2], 5, all[4].Sum, pruned(5, 5, same), ErrRollback},
	} {
		t.Run(name, func(t *testing.T) {
			delete(w.m.objects, layout.GC(w.host, 1))
			if tt.pruned != nil {
				w.gc(GC{Seq: 1, Pruned: tt.pruned})
			}
			p := Place{w.host, w.set, uint64(tt.seq)}
			if err := w.open().CheckSeen(t.Context(), tt.loaded, p, tt.sum); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if tt.pruned != nil { // an unsigned record says nothing
				w.m.objects[layout.GC(w.host, 1)] = forge(t, w.signer, gcNamespace, lineOf(t, w.m.objects[layout.GC(w.host, 1)]))
				if err := w.open().CheckSeen(t.Context(), tt.loaded, p, tt.sum); !errors.Is(err, ErrRollback) {
					t.Errorf("by a forged record: %v", err)
				}
			}
		})
	}
}

func TestStore_GC(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	if g, err := s.GC(t.Context(), w.host); g != nil || err != nil {
		t.Errorf("none: %v, %v", g, err)
	}
	w.gc(GC{Seq: 1})
	w.gc(GC{Seq: 2, Prev: Sum{1}, Condemned: []Condemned{{First: 1, Names: []string{testName(1)}}}})
	g, err := s.GC(t.Context(), w.host)
	if err != nil || g.Seq != 2 || g.Condemned[0].Names[0] != testName(1) {
		t.Errorf("GC = %+v, %v", g, err)
	}
	w.m.objects[layout.GC(w.host, 4)] = []byte("x")
	w.m.objects[layout.GC(w.host, layout.MaxSeq)] = []byte("x")
	if g, err := s.GC(t.Context(), w.host); err != nil || g.Seq != 2 {
		t.Errorf("with garbage further on: %+v, %v", g, err)
	}
	if strays := s.Strays(); len(strays) != 1 || strays[0].Count != 2 || strays[0].Kind != layout.KindGC || strays[0].Key != layout.GC(w.host, 4) {
		t.Errorf("strays %+v", strays)
	}
	w.m.objects[layout.GC(w.host, 3)] = []byte("x")
	if _, err := s.GC(t.Context(), w.host); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), layout.GC(w.host, 3)) {
		t.Errorf("garbage in the next place: %v", err)
	}
	delete(w.m.objects, layout.GC(w.host, 3))
	delete(w.m.objects, layout.GC(w.host, 4))
	delete(w.m.objects, layout.GC(w.host, layout.MaxSeq))
	good := w.m.objects[layout.GC(w.host, 2)]
	byHost, err := EncodeGC(g.GC, w.signer)
	w.must(err)
	for name, b := range map[string][]byte{"by a host": byHost, "old one": w.m.objects[layout.GC(w.host, 1)], "cut": good[:60]} {
		w.m.objects[layout.GC(w.host, 2)] = b
		if _, err := s.GC(t.Context(), w.host); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	w.m.objects[layout.GC(w.host, 2)] = good
}

func TestStore_Checkpoints(t *testing.T) {
	w := newWorld(t)
	put := func(c *Checkpoint, signer *keys.Signer, name string) {
		b, err := EncodeCheckpoint(c, signer)
		w.must(err)
		w.m.objects[layout.Checkpoint(w.host, name)] = b
	}
	var want []string
	for i := range 3 {
		c := &Checkpoint{Store: w.store, Host: w.host, Set: w.set, Seq: 1, ID: layout.NewULID(testTime.AddDate(0, 0, i)), Time: testTime,
			Needs: w.needs(testBlobs(9000, i))}
		put(c, w.signer, c.ID)
		want = append(want, c.ID)
		blobs, err := w.open().BlobsOf(t.Context(), w.host, &c.Needs)
		if err != nil || len(blobs) != 9000 {
			t.Errorf("BlobsOf = %d blobs, %v", len(blobs), err)
		}
		if i == 0 {
			put(c, w.pruner, layout.NewULID(testTime.AddDate(0, 0, 8)))
			put(c, w.signer, layout.NewULID(testTime.AddDate(0, 0, 9)))
		}
	}
	loaded, problems, err := checkpoints(t.Context(), w.open(), w.host, time.Time{})
	var got []string
	for _, c := range loaded {
		got = append(got, c.ID)
	}
	if err != nil || !slices.Equal(got, want) || len(problems) != 2 || !errors.Is(problems[0], ErrSignature) || !errors.Is(problems[1], ErrDamaged) {
		t.Errorf("Checkpoints = %v, %v, %v", got, problems, err)
	}
	// What cannot be proven may be that of a running backup, but not after 30 days.
	_, problems, err = checkpoints(t.Context(), w.open(), w.host, time.Time{}.Add(CheckpointLife))
	if err != nil || len(problems) > 0 {
		t.Errorf("old ones that prove nothing: %v, %v", problems, err)
	}
}

// checkpoints are all that a host has, at a time of the store.
func checkpoints(ctx context.Context, s *Store, host layout.HostID, now time.Time) (
	all []*LoadedCheckpoint, problems []Problem, err error) {
	problems, err = s.EachCheckpoint(ctx, host, now, func(string) bool { return false },
		func(c *LoadedCheckpoint) error { all = append(all, c); return nil })
	return all, problems, err
}

func TestStore_Blobs(t *testing.T) {
	w := newWorld(t)
	blobs := testBlobs(10000, 1)
	m := w.commit(w.manifest(w.set, blobs)).Manifest
	s := w.open()
	if len(m.Lists) < 2 || len(m.Blobs) == 0 {
		t.Fatalf("%d lists and %d blobs inline: the test tests nothing", len(m.Lists), len(m.Blobs))
	}
	if got, err := s.Blobs(t.Context(), m); err != nil || !slices.Equal(got, blobs) {
		t.Errorf("Blobs: %d, %v", len(got), err)
	}
	key := layout.BlobList(w.host, m.Lists[0].Name)
	good := w.m.objects[key]
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for name, tt := range map[string]struct {
		b    []byte
		want error
	}{
		"flipped": {flipped, ErrDamaged}, "truncated": {good[1:], ErrDamaged},
		"swapped": {w.m.objects[layout.BlobList(w.host, m.Lists[1].Name)], ErrDamaged},
	} {
		w.m.objects[key] = tt.b
		if _, err := w.open().Blobs(t.Context(), m); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v, want %v with the key", name, err, tt.want)
		}
	}
	delete(w.m.objects, key)
	if _, err := w.open().Blobs(t.Context(), m); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	w.m.objects[key] = good
	lie := *m
	lie.Bytes++
	if _, err := w.open().Blobs(t.Context(), &lie); !errors.Is(err, ErrDamaged) {
		t.Errorf("other sum: %v", err)
	}
	lie = *m
	lie.Lists = slices.Clone(m.Lists)
	lie.Lists[0].Count++
	if _, err := w.open().Blobs(t.Context(), &lie); !errors.Is(err, ErrDamaged) {
		t.Errorf("other count: %v", err)
	}
}

func TestStore_Root(t *testing.T) {
	w := newWorld(t)
	m := w.snapshot(w.set).Manifest
	s := w.open()
	ids, problems, err := s.Identities(t.Context(), m, w.identity)
	if err != nil || len(problems) > 0 || len(ids) != 2 {
		t.Fatalf("Identities = %d, %v, %v", len(ids), problems, err)
	}
	r, err := s.Root(t.Context(), m, ids)
	if err != nil || r.Hostname != "box" {
		t.Fatalf("Root = %v, %v", r, err)
	}
	if _, err := s.Root(t.Context(), m, nil); !errors.Is(err, keys.ErrWrongIdentity) {
		t.Errorf("without identity: %v", err)
	}
	// A root of the same host, but of another snapshot, sealed and pinned.
	sealed, name, err := SealRoot(w.root(2), w.recipients, w.epoch)
	w.must(err)
	lie := *m
	lie.Root = RootRef{name, int64(len(sealed))}
	w.m.objects[layout.Root(w.host, name)] = sealed
	if _, err := s.Root(t.Context(), &lie, ids); !errors.Is(err, ErrDamaged) {
		t.Errorf("root of another seq: %v", err)
	}
	key := layout.Root(w.host, m.Root.Name)
	good := w.m.objects[key]
	w.m.objects[key] = good[1:]
	if _, err := s.Root(t.Context(), m, ids); !errors.Is(err, ErrDamaged) {
		t.Errorf("truncated: %v", err)
	}
	// One that anybody with the recipient can make.
	forged, _, err := SealRoot(w.root(1), w.recipients, w.epoch)
	w.must(err)
	w.m.objects[key] = forged
	if _, err := s.Root(t.Context(), m, ids); !errors.Is(err, ErrDamaged) {
		t.Errorf("forged: %v", err)
	}
}

func TestStore_Identities(t *testing.T) {
	w := newWorld(t)
	m := w.snapshot(w.set).Manifest
	key := layout.EpochKey(w.host, w.epoch.ID, 0)
	good := w.m.objects[key]
	check := func(name string, id *keys.Identity, n int, want error) {
		t.Helper()
		ids, problems, err := w.open().Identities(t.Context(), m, id)
		w.must(err)
		if len(ids) != n {
			t.Errorf("%s: %d identities, want %d", name, len(ids), n)
		}
		if want == nil && len(problems) > 0 || want != nil && (len(problems) != 1 || !errors.Is(problems[0], want) || problems[0].Key != key) {
			t.Errorf("%s: problems %v, want %v", name, problems, want)
		}
		for _, p := range problems {
			if strings.Contains(strings.ToUpper(p.Error()), "AGE-SECRET") {
				t.Errorf("%s: a problem repeats a key", name)
			}
		}
	}
	check("good", w.identity, 2, nil)
	check("none", nil, 0, keys.ErrWrongIdentity)
	otherSecret, otherRecipient, err := keys.Generate(true)
	w.must(err)
	other, err := keys.ParseIdentity(otherSecret)
	w.must(err)
	check("other", other, 1, keys.ErrWrongIdentity)

	delete(w.m.objects, key)
	check("missing", w.identity, 1, fs.ErrNotExist)
	_, foreign, err := keys.NewEpoch(w.recipients, testTime)
	w.must(err)
	w.m.objects[key] = foreign
	check("replaced by another epoch's", w.identity, 1, ErrDamaged)

	// Wrapped anew for another recipient: opens what was sealed before.
	w.m.objects[key] = good
	line, err := keys.Decrypt(good, w.ids(), 1<<10)
	w.must(err)
	rs, err := keys.ParseRecipients([]string{otherRecipient})
	w.must(err)
	wrapped, err := keys.SealEpoch(rs, strings.TrimSpace(string(line)))
	w.must(err)
	w.m.objects[layout.EpochKey(w.host, w.epoch.ID, 1)] = wrapped
	check("rewrapped", other, 2, nil)
	if ids, _, err := w.open().Identities(t.Context(), m, other); err != nil {
		t.Error(err)
	} else if _, err := w.open().Root(t.Context(), m, ids); err != nil {
		t.Errorf("the added recipient cannot read the old root: %v", err)
	}
	delete(w.m.objects, key)
	check("pinned one lost, rewrapped one there", other, 2, fs.ErrNotExist)

	// Each epoch is opened once, however many snapshots use it: a hardware key
	// is touched once.
	w.m.objects[key] = good
	s := w.open()
	w.m.gets[key] = 0
	for range 3 {
		if _, _, err := s.Identities(t.Context(), m, w.identity); err != nil {
			t.Error(err)
		}
	}
	if n := w.m.gets[key]; n != 1 {
		t.Errorf("the epoch key was read %d times", n)
	}
}

func TestStore_cancelled(t *testing.T) {
	w := newWorld(t)
	m := w.snapshot(w.set).Manifest
	s := w.open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Manifests(ctx, Filter{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Manifests: %v", err)
	}
	if _, _, err := s.Identities(ctx, m, w.identity); !errors.Is(err, context.Canceled) {
		t.Errorf("Identities: %v", err)
	}
	if _, _, err := checkpoints(ctx, s, w.host, time.Time{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Checkpoints: %v", err)
	}
	if _, err := OpenStore(ctx, w.m, Pin{}); !errors.Is(err, context.Canceled) {
		t.Errorf("OpenStore: %v", err)
	}
}
