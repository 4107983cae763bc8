package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"vaultik/internal/agetest"
	"vaultik/internal/testsize"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// note is one about a snapshot, which change completes.
func (w *world) note(l *Loaded, change func(*Note)) *Note {
	n := &Note{Store: w.store, Host: w.host, ID: layout.NewULID(testTime), Time: testTime, Set: l.Set,
		Seq: l.Seq, Sum: l.Sum}
	change(n)
	return n
}

func (w *world) putNote(n *Note, signer *keys.Signer) {
	w.t.Helper()
	b, err := EncodeNote(n, signer)
	w.must(err)
	w.m.objects[layout.Note(n.Host, n.ID)] = b
}

// marks reads all notes and says what a snapshot has: "tags 07, pins 1". Problems and strays
// are counted behind it.
func (w *world) marks(l *Loaded) string {
	w.t.Helper()
	s := w.open()
	var notes Notes
	problems, err := s.EachNote(w.t.Context(), w.host, nil, func(n *LoadedNote) error { notes.Add(n.Note); return nil })
	w.must(err)
	m := notes.Of(Place{l.Host, l.Set, l.Seq}, l.Sum, l.Tags)
	out := "tags"
	for _, t := range m.Tags {
		out += fmt.Sprintf(" %02x", t[0])
	}
	out += fmt.Sprintf(", pins %d", len(m.Pins))
	if len(problems) > 0 {
		out += fmt.Sprintf(", problems %d", len(problems))
	}
	for _, s := range s.Strays() {
		out += fmt.Sprintf(", strays %d", s.Count)
	}
	return out
}

// Who may say what about a snapshot, and what becomes of what nobody may.
func TestStore_EachNote(t *testing.T) {
	pin := func(n *Note) { n.Pin = true }
	tag := func(n *Note) { n.Tags, n.Sealed = []TagID{{9}}, []byte{1} }
	const as = "tags 07, pins 1" // it is from the start
	for name, c := range map[string]struct {
		with func(w *world, l *Loaded, pinned string)
		want string
	}{
		"nothing":         {func(*world, *Loaded, string) {}, as},
		"tag by the host": {func(w *world, l *Loaded, _ string) { w.putNote(w.note(l, tag), w.signer) }, "tags 07 09, pins 1"},
		"untag by the host": {func(w *world, l *Loaded, _ string) {
			w.putNote(w.note(l, func(n *Note) { n.Untags = []TagID{{7}} }), w.signer)
		}, "tags, pins 1"},
		"pin by a pruner": {func(w *world, l *Loaded, _ string) { w.putNote(w.note(l, pin), w.pruner) }, "tags 07, pins 2"},
		"unpin by a pruner": {func(w *world, l *Loaded, pinned string) {
			w.putNote(w.note(l, func(n *Note) { n.Unpins = []string{pinned} }), w.pruner)
		}, "tags 07, pins 0"},
		"unpin by the owner": {func(w *world, l *Loaded, pinned string) {
			w.putNote(w.note(l, func(n *Note) { n.Unpins = []string{pinned} }), w.owner)
		}, "tags 07, pins 0"},
		"unpin of another": {func(w *world, l *Loaded, _ string) {
			w.putNote(w.note(l, func(n *Note) { n.Unpins = []string{layout.NewULID(testTime)} }), w.pruner)
		}, as},
		"unpin by the host": {func(w *world, l *Loaded, pinned string) {
			w.putNote(w.note(l, func(n *Note) { n.Unpins = []string{pinned} }), w.signer)
		}, as + ", strays 1"},
		"unpin by a host that may prune": {func(w *world, l *Loaded, pinned string) {
			w.trust.Hosts[0].Roles = []string{RoleWrite, RolePrune}
			w.putTrust()
			w.putNote(w.note(l, func(n *Note) { n.Unpins = []string{pinned} }), w.signer)
		}, "tags 07, pins 0"},
		"a stranger": {func(w *world, l *Loaded, _ string) { w.putNote(w.note(l, pin), keys.NewSigner()) }, as + ", strays 1"},
		"another host": {func(w *world, l *Loaded, _ string) {
			other := keys.NewSigner()
			w.trust.Hosts = append(w.trust.Hosts, TrustHost{Host: layout.NewHostID(), Key: other.Public(), Roles: []string{RoleWrite}})
			w.putTrust()
			w.putNote(w.note(l, func(n *Note) { n.Untags = []TagID{{7}} }), other)
		}, as + ", strays 1"},
		"no host any more": {func(w *world, _ *Loaded, _ string) {
			w.trust.Hosts[0].Roles = []string{"later"}
			w.putTrust()
		}, "tags 07, pins 0, strays 1"},
		"another snapshot": {func(w *world, l *Loaded, _ string) {
			other := *l
			other.Sum = Sum{1}
			w.putNote(w.note(&other, func(n *Note) { n.Untags = []TagID{{7}} }), w.signer)
		}, as},
		"another place": {func(w *world, l *Loaded, _ string) {
			w.putNote(w.note(l, func(n *Note) { n.Seq, n.Untags = 2, []TagID{{7}} }), w.signer)
		}, as},
		"under another name": {func(w *world, l *Loaded, pinned string) {
			w.m.objects[layout.Note(w.host, layout.NewULID(testTime))] = w.m.objects[layout.Note(w.host, pinned)]
		}, as + ", problems 1"},
		"garbage": {func(w *world, l *Loaded, _ string) {
			w.m.objects[layout.Note(w.host, layout.NewULID(testTime))] = []byte("?")
		}, as + ", problems 1"},
		"cannot be read": {func(w *world, l *Loaded, pinned string) {
			w.m.fail[layout.Note(w.host, pinned)] = errors.New("timeout")
		}, "tags 07, pins 0, problems 1"},
		"of a revoked host": {func(w *world, l *Loaded, _ string) { // it adds, and takes nothing away
			w.putNote(w.note(l, func(n *Note) { tag(n); n.Untags = []TagID{{7}} }), w.signer)
			w.trust.Hosts[0].Revoked = testTime
			w.putTrust()
		}, "tags 07 09, pins 1"},
		"of a revoked pruner": {func(w *world, l *Loaded, pinned string) {
			w.putNote(w.note(l, func(n *Note) { n.Pin, n.Unpins = true, []string{pinned} }), w.pruner)
			w.trust.Hosts[1].Revoked = testTime
			w.putTrust()
		}, "tags 07, pins 2"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := w.manifest(w.set, nil)
			m.Tags = []TagID{{7}}
			l := w.commit(m)
			pinned := w.note(l, pin)
			w.putNote(pinned, w.signer)
			c.with(w, l, pinned.ID)
			if got := w.marks(l); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// Notes say the same in any order, however often they are read.
func TestNotes_AnyOrder(t *testing.T) {
	for seed := range testsize.Seeds(t, 20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var all []*Note
		for i := range 8 {
			n := &Note{ID: fmt.Sprint(i), Pin: r.IntN(2) == 0}
			for range r.IntN(3) {
				n.Tags = append(n.Tags, TagID{byte(r.IntN(5))})
				n.Untags = append(n.Untags, TagID{byte(r.IntN(9))})
				n.Unpins = append(n.Unpins, fmt.Sprint(r.IntN(20)))
			}
			all = append(all, n)
		}
		of := func() string {
			var ns Notes
			for _, n := range all {
				ns.Add(n)
			}
			return fmt.Sprint(ns.Of(Place{}, Sum{}, []TagID{{3}, {4}}))
		}
		want := of()
		all = append(all, all[r.IntN(len(all))])
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if got := of(); got != want {
			t.Errorf("seed %d: %s, before %s", seed, got, want)
		}
	}
}

func TestNote_Tags(t *testing.T) {
	w := newWorld(t)
	key := keys.NewHostSecret().Tag()
	named := func(set layout.SetID, seq uint64, n int, name string) Tag {
		return Tag{NewTag(key, set, seq, n, name), Text(name)}
	}
	tags := []Tag{named(w.set, 1, 0, "a"), named(w.set, 1, 1, "a"), named(w.set, 2, 0, "a"),
		named(layout.NewSetID(), 1, 0, "a"), named(w.set, 1, 0, "\xff")}
	slices.SortFunc(tags, func(a, b Tag) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	l := w.snapshot(w.set)
	for names, list := range map[string][]Tag{"5": tags, "1": tags[:1]} {
		sealed, err := SealTags(list, w.recipients, w.epoch.Recipient)
		w.must(err)
		n := w.note(l, func(n *Note) {
			n.Sealed = sealed
			for _, t := range list {
				n.Tags = append(n.Tags, t.ID)
			}
		})
		w.putNote(n, w.signer) // all ids differ, or it would be refused
		got, err := n.OpenTags(w.ids())
		if err != nil || !slices.Equal(got, list) {
			t.Errorf("%s names: %v, %v", names, got, err)
		}
		n.Tags = n.Tags[1:]
		if got, err := n.OpenTags(w.ids()); err != nil || !slices.Equal(got, list[1:]) {
			t.Errorf("%s names, one that is not the note's: %v, %v", names, got, err)
		}
		// Standard tools read it.
		key := agetest.File(t, "key", []byte(w.secret+"\n"))
		out := agetest.Run(t, agetest.Run(t, sealed, "age", "-d", "-i", key), "jq", "-r", ".tags | length")
		if strings.TrimSpace(string(out)) != names {
			t.Errorf("jq finds %s names, want %s", out, names)
		}
		if bytes.Contains(w.m.objects[layout.Note(w.host, n.ID)], []byte(`"a"`)) {
			t.Error("the name is in the clear")
		}
	}
	short, long := len(sealedName(t, w, "a")), len(sealedName(t, w, strings.Repeat("a", 100)))
	if short != long {
		t.Errorf("a name of 1 byte makes %d bytes, one of 100 makes %d", short, long)
	}
	if _, err := SealTags([]Tag{{TagID{1}, Text(strings.Repeat("a", maxTagNames))}}, w.recipients, ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("names that are too long: %v", err)
	}
}

func sealedName(t *testing.T, w *world, name string) []byte {
	t.Helper()
	b, err := SealTags([]Tag{{TagID{1}, Text(name)}}, w.recipients, "")
	w.must(err)
	return b
}
