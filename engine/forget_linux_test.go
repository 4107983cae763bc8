package engine_test

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vaultik/config"
	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/retention"
	"vaultik/vault/snapshot"
)

// keeper is a machine with sets of old snapshots, each with a blob of its own, in a directory.
// They are known by a letter.
type keeper struct {
	*machine
	host  *config.Host
	kit   string
	owner *keys.Signer
	ids   map[string]*snapshot.Loaded
	heads map[layout.SetID]*snapshot.Loaded
}

func newKeeper(t *testing.T) *keeper {
	m := newMachine(t, filepath.Join(t.TempDir(), "store"))
	m.key = nil
	k := &keeper{machine: m, kit: filepath.Join(m.dir, "conf", "recovery-kit.txt"),
		ids: map[string]*snapshot.Loaded{}, heads: map[layout.SetID]*snapshot.Loaded{}}
	var err error
	k.host, err = config.NewState(filepath.Join(m.dir, "conf")).LoadHost()
	m.must(err)
	text, err := os.ReadFile(k.kit)
	m.must(err)
	kit, err := keys.ParseKit(text)
	m.must(err)
	k.owner = kit.Owner
	return k
}

// old plants snapshots of a set as if they had been made that many days ago: "a40 b30 c20!"
// is three of them, the last of which is incomplete; ? lacks its blob, # has the tag x.
func (k *keeper) old(set, spec string) {
	k.Helper()
	state := config.NewState(filepath.Join(k.dir, "conf"))
	var id layout.SetID
	k.must(state.UpdateSets(func(s *config.Sets) error {
		id = s.Add(set, []string{"/" + set}).ID
		return nil
	}))
	for word := range strings.FieldsSeq(spec) {
		days := 0
		flags := strings.TrimLeft(word[1:], "0123456789")
		_, err := fmt.Sscanf(word[1:], "%d", &days)
		k.must(err)
		m := &snapshot.Manifest{Store: k.host.Store, Host: k.host.ID, Set: id, Seq: 1,
			Time:     time.Now().AddDate(0, 0, -days).Truncate(time.Second),
			Complete: !strings.Contains(flags, "!"), Root: snapshot.RootRef{Size: 64}}
		if h := k.heads[id]; h != nil {
			m.Seq, m.Prev = h.Seq+1, h.Sum
		}
		if strings.Contains(flags, "#") {
			m.Tags = []snapshot.TagID{snapshot.NewTag(k.host.Secret.Tag(), id, m.Seq, 0, "x")}
		}
		m.Root.Name = k.object(func(sum [32]byte) string { return layout.Root(k.host.ID, sum) })
		blob := k.object(func(sum [32]byte) string {
			if strings.Contains(flags, "?") {
				return "h/lost"
			}
			return layout.Blob(k.host.ID, sum)
		})
		m.Blobs, m.Count, m.Bytes = []snapshot.BlobSize{{Name: blob, Size: 64}}, 1, 64
		raw, err := snapshot.EncodeManifest(m, k.host.Signer)
		k.must(err)
		l := &snapshot.Loaded{Manifest: m, Sum: sha256.Sum256(raw), Key: layout.Manifest(m.Host, id, m.Seq)}
		k.put(l.Key, raw)
		k.must(os.Chtimes(filepath.Join(k.store, l.Key), m.Time, m.Time))
		k.ids[word[:1]], k.heads[id] = l, l
		k.must(state.UpdateSeen(func(s *config.Seen) error {
			s.NoteWritten(m.Store, m.Host, id, config.Point{Seq: m.Seq, Sum: l.ID()})
			return nil
		}))
	}
}

// object stores 64 random bytes.
func (k *keeper) object(key func(sum [32]byte) string) [32]byte {
	b := make([]byte, 64)
	_, _ = rand.Read(b)
	sum := sha256.Sum256(b)
	k.put(key(sum), b)
	return sum
}

func (k *keeper) put(key string, b []byte) {
	k.Helper()
	file := filepath.Join(k.store, filepath.FromSlash(key))
	k.must(os.MkdirAll(filepath.Dir(file), 0o700))
	k.must(os.WriteFile(file, b, 0o600))
}

// left are the letters of the snapshots whose manifests are in the store.
func (k *keeper) left() string {
	var out []string
	for letter, l := range k.ids {
		if _, err := os.Stat(filepath.Join(k.store, l.Key)); err == nil {
			out = append(out, letter)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// files are all that is in the store.
func (k *keeper) files() (out []string) {
	k.must(filepath.WalkDir(k.store, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		out = append(out, fmt.Sprint(path, info.Size(), info.ModTime()))
		return err
	}))
	return out
}

func (k *keeper) annotate(letter string, change func(*engine.AnnotateOptions)) error {
	o := engine.AnnotateOptions{Snapshot: k.ids[letter].ID()}
	change(&o)
	_, err := k.engine(nil).Annotate(k.Context(), o, events.Discard)
	return err
}

func pin(o *engine.AnnotateOptions)   { o.Pin = true }
func unpin(o *engine.AnnotateOptions) { o.Unpin = true }

// note plants a note about a snapshot that anybody has signed.
func (k *keeper) note(letter string, signer *keys.Signer, change func(*snapshot.Note)) {
	k.Helper()
	l := k.ids[letter]
	n := &snapshot.Note{Store: l.Store, Host: l.Host, ID: layout.NewULID(time.Now()), Time: time.Now(),
		Set: l.Set, Seq: l.Seq, Sum: l.Sum}
	change(n)
	b, err := snapshot.EncodeNote(n, signer)
	k.must(err)
	k.put(layout.Note(n.Host, n.ID), b)
}

// pins are the ids of the notes that are there.
func (k *keeper) pins() (out []string) {
	files, err := filepath.Glob(filepath.Join(k.store, layout.NotePrefix(k.host.ID), "*"))
	k.must(err)
	for _, f := range files {
		out = append(out, strings.TrimSuffix(filepath.Base(f), ".json.zst"))
	}
	return out
}

// trust writes the next trust list as the owner, as edit changes it.
func (k *keeper) trust(edit func(*snapshot.Trust)) {
	k.Helper()
	var t snapshot.Trust
	for seq := uint64(1); ; seq++ {
		b, err := os.ReadFile(filepath.Join(k.store, layout.Trust(seq)))
		if err != nil {
			t.Seq = seq
			break
		}
		t, err = snapshot.DecodeTrust(b, k.owner.Public())
		k.must(err)
		t.Prev = sha256.Sum256(b)
	}
	edit(&t)
	b, err := snapshot.EncodeTrust(t, k.owner)
	k.must(err)
	k.put(layout.Trust(t.Seq), b)
}

// rules are written like "last 2 tag x".
func rules(text string) (out []engine.Rule) {
	words := strings.Fields(text)
	for i := 0; i < len(words); i += 2 {
		out = append(out, engine.Rule{Name: words[i], Value: words[i+1]})
	}
	return out
}

// text is what a policy says of each snapshot: "a: -; b: last".
func (k *keeper) text(res engine.ForgetResult) string {
	var out []string
	for _, s := range res.Sets {
		for _, v := range s.List {
			letter := "?"
			for l, m := range k.ids {
				if m.ID() == v.ID {
					letter = l
				}
			}
			reasons := strings.Join(v.Reasons, ", ")
			if !v.Keep {
				reasons = "-"
			}
			if !v.Whole {
				reasons += " (lacks)"
			}
			out = append(out, letter+": "+reasons)
		}
	}
	return strings.Join(out, "; ")
}

// What is kept, and why; a dry run says the same and changes nothing.
func TestForget(t *testing.T) {
	const head = ", newest"
	for _, c := range []struct {
		name, set, policy string
		prepare           func(k *keeper)
		want, left        string
		fails             string // a part of the error; "" goes through
	}{
		{"last", "a40 b30 c20 d10 e5", "last 2", nil, "a: -; b: -; c: -; d: last; e: last" + head, "de", ""},
		{"young", "a40 b30 c0 d0 e0", "last 1 within 15d", nil,
			"a: -; b: -; c: within 15d, less than 24h old; d: within 15d, less than 24h old; " +
				"e: last, within 15d" + head + ", less than 24h old", "cde", ""},
		{"worse ones push out nothing", "a40 b30 c20! d10? e5!", "last 1", nil,
			"a: -; b: last, newest complete; c: -; d: - (lacks); e: last, newest", "be",
			""},
		{"pinned", "a40 b30 c20 d10 e5", "last 2", func(k *keeper) { k.must(k.annotate("b", pin)) },
			"a: -; b: pinned; c: -; d: last; e: last" + head, "bde", ""},
		{"unpinned", "a40 b30 c20 d10 e5", "last 2", func(k *keeper) {
			k.must(k.annotate("b", pin))
			k.must(k.annotate("b", unpin))
		}, "a: -; b: -; c: -; d: last; e: last" + head, "de", ""},
		{"tagged", "a40 b30 c20# d10# e5", "last 1 tag x", func(k *keeper) {
			k.must(k.annotate("a", func(o *engine.AnnotateOptions) { o.Tags = []string{"x", "y"} }))
			k.must(k.annotate("b", func(o *engine.AnnotateOptions) { o.Tags = []string{"y"} }))
			k.must(k.annotate("c", func(o *engine.AnnotateOptions) { o.Untags = []string{"x"} }))
			k.must(k.annotate("d", func(o *engine.AnnotateOptions) { o.Untags = []string{"x"} }))
			k.must(k.annotate("d", func(o *engine.AnnotateOptions) { o.Tags = []string{"x"} })) // again
		}, "a: tag x; b: -; c: -; d: tag x; e: last" + head, "ade", ""},
		{"hostile notes", "a40 b30 c20 d10 e5", "last 2", func(k *keeper) {
			k.must(k.annotate("b", pin))
			away := func(n *snapshot.Note) { n.Unpins = k.pins() }
			other := keys.NewSigner()
			k.trust(func(t *snapshot.Trust) {
				t.Hosts = append(t.Hosts, snapshot.TrustHost{Host: layout.NewHostID(), Key: other.Public(),
					Roles: []string{snapshot.RoleWrite}})
			})
			k.note("b", keys.NewSigner(), away)
			k.note("b", other, away)
			k.note("a", keys.NewSigner(), func(n *snapshot.Note) { n.Pin = true })
			gone := *k.ids["b"]
			gone.Sum = snapshot.Sum{1}
			k.ids["z"] = &gone
			k.note("z", k.host.Signer, away) // about none that is there
			delete(k.ids, "z")
		}, "a: -; b: pinned; c: -; d: last; e: last" + head, "bde", ""},
		{"too much", "a40 b30 c20 d10 e5", "last 1", nil, "a: -; b: -; c: -; d: -; e: last" + head, "abcde",
			`set "s": the policy would remove too much at once: 4 of 5 snapshots, all but the newest`},
		{"a note that cannot be read", "a40 b30 c20 d10 e5", "last 2", func(k *keeper) {
			k.put(layout.Note(k.host.ID, layout.NewULID(time.Now())), []byte("?"))
		}, "", "abcde", "h/"},
		{"a damaged snapshot", "a40 b30 c20 d10 e5", "last 2", func(k *keeper) {
			k.put(k.ids["b"].Key, []byte("?"))
		}, "", "abcde", "b/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeeper(t)
			k.old("s", c.set)
			if c.prepare != nil {
				c.prepare(k)
			}
			before := k.files()
			o := engine.ForgetOptions{Rules: rules(c.policy), DryRun: true}
			for _, o.DryRun = range []bool{true, false} {
				res, err := k.engine(nil).Forget(t.Context(), o, events.Discard)
				switch {
				case c.fails == "":
					k.must(err)
				case err == nil || c.want != "" && !strings.Contains(err.Error(), c.fails):
					t.Errorf("error %v, want %s", err, c.fails)
				case c.want == "" && engine.Explain(err).Exit != fault.Damage:
					t.Errorf("error %v is no damage", err)
				}
				if got := k.text(res); got != c.want {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
				if want := strings.Count(c.want, ": -"); c.fails == "" && res.Sets[0].Removed != want {
					t.Errorf("%d are said to be removed, want %d", res.Sets[0].Removed, want)
				}
				if o.DryRun && !slices.Equal(k.files(), before) {
					t.Error("a dry run has changed the store")
				}
			}
			if got := k.left(); got != c.left {
				t.Errorf("left are %s, want %s", got, c.left)
			}
		})
	}
}

// A set that is refused does not stop another; a policy comes from the configuration; and what
// is removed gives back its space and leaves a store that verifies and takes a backup.
func TestForget_Sets(t *testing.T) {
	k := newKeeper(t)
	k.old("many", "a40 b30 c20 d10 e5")
	k.old("few", "f40 g30")
	k.old("all", "h40 i30 j20")
	file := filepath.Join(k.dir, "conf", "config.yaml")
	text, err := os.ReadFile(file)
	k.must(err)
	config := string(text) + "\nretention: {keep_last: 3}\nsnapshots:\n" +
		"  few: {paths: [/few], retention: {keep_last: 1}}\n" +
		"  all: {paths: [/all], retention: {keep_daily: unlimited}}\n"
	k.must(os.WriteFile(file, []byte(config), 0o600))
	res, err := k.engine(nil).Forget(t.Context(), engine.ForgetOptions{Prune: true}, events.Discard)
	if !errors.Is(err, retention.ErrTooMuch) || !strings.Contains(err.Error(), `"few"`) {
		t.Errorf("%v, want a refusal of few", err)
	}
	if got := k.left(); got != "cdefghij" {
		t.Errorf("left are %s", got)
	}
	if len(res.Pruned) != 1 || res.Pruned[0].Result.Condemned.Objects != 4 { // two roots, two blobs
		t.Errorf("%+v", res.Pruned)
	}
	for _, yes := range []bool{false, true} {
		asked := 0
		res, err = k.engine(nil).Forget(t.Context(), engine.ForgetOptions{
			Agree: func(told engine.ForgetResult) bool {
				asked += len(told.Sets)
				return yes
			}}, events.Discard)
		left := map[bool]string{false: "cdefghij", true: "cdeghij"}[yes]
		if errors.Is(err, retention.ErrTooMuch) == yes || asked != 3 || k.left() != left {
			t.Errorf("%t: left are %s, want %s; asked of %d; %v", yes, k.left(), left, asked, err)
		}
	}
	if len(res.Sets) != 1 || res.Sets[0].Removed != 1 {
		t.Errorf("agreed to %+v", res.Sets)
	}
	k.write("src/a", "a")
	_, err = k.engine(nil).Backup(t.Context(), engine.BackupOptions{Paths: []string{filepath.Join(k.dir, "src")}},
		events.Discard)
	k.must(err)
	_, err = k.engine(nil).Verify(t.Context(), engine.VerifyOptions{}, events.Discard)
	k.must(err)
}

// A host that may only write removes nothing and unpins nothing: it is told who can.
func TestForget_WriteOnly(t *testing.T) {
	k := newKeeper(t)
	k.old("s", "a40 b30 c20")
	pruner := snapshot.TrustHost{Host: layout.NewHostID(), Key: keys.NewSigner().Public(), Roles: []string{snapshot.RolePrune}}
	k.trust(func(t *snapshot.Trust) {
		t.Hosts[0].Roles = []string{snapshot.RoleWrite}
		t.Hosts = append(t.Hosts, pruner)
	})
	k.must(k.annotate("a", pin))
	_, forget := k.engine(nil).Forget(t.Context(), engine.ForgetOptions{Rules: rules("last 2")}, events.Discard)
	_, remove := k.engine(nil).Remove(t.Context(), engine.RemoveOptions{Snapshots: []string{k.ids["b"].ID()}}, events.Discard)
	for what, err := range map[string]error{"forget": forget, "remove": remove, "unpin": k.annotate("a", unpin)} {
		if err == nil || !strings.Contains(err.Error(), "("+pruner.Host.String()+")") {
			t.Errorf("%s: %v does not name %s", what, err, pruner.Host)
		}
	}
	list := func() (pinned int) {
		res, err := k.engine(nil).Snapshots(t.Context(), engine.Pick{}, events.Discard)
		k.must(err)
		for _, s := range res.List {
			if s.Pinned {
				pinned++
			}
		}
		return pinned
	}
	if n := list(); n != 1 {
		t.Errorf("%d are pinned", n)
	}
	k.must(k.annotate("a", func(o *engine.AnnotateOptions) { o.Unpin, o.Kit = true, k.kit }))
	if n := list(); n != 0 {
		t.Errorf("%d are pinned after the owner has unpinned it", n)
	}
	if got := k.left(); got != "abc" {
		t.Errorf("left are %s", got)
	}
}

// What may be removed by name.
func TestRemove(t *testing.T) {
	k := newKeeper(t)
	k.old("s", "a40 b30? c20 d10? e5?")
	k.old("t", "f40 g30")
	k.must(k.annotate("b", pin))
	e := k.engine(nil)
	remove := func(o engine.RemoveOptions) error {
		_, err := e.Remove(t.Context(), o, events.Discard)
		return err
	}
	id := func(letters string) (o engine.RemoveOptions) {
		for _, l := range letters {
			o.Snapshots = append(o.Snapshots, k.ids[string(l)].ID()[:12])
		}
		return o
	}
	for letters, want := range map[string]string{
		"e": "is the newest of its set", "b": "is pinned", "ac": "no other would be left that is whole",
		"fg": "is the newest of its set",
	} {
		if err := remove(id(letters)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", letters, err, want)
		}
	}
	o := id("a")
	o.Agree = func() bool { return false }
	if err := remove(o); !errors.Is(err, engine.ErrNotAgreed) {
		t.Errorf("not agreed: %v", err)
	}
	if got := k.left(); got != "abcdefg" {
		t.Fatalf("left are %s", got)
	}
	k.must(remove(id("ad")))
	k.must(remove(engine.RemoveOptions{Pick: engine.Pick{Set: "t"}}))
	if err := remove(engine.RemoveOptions{Pick: engine.Pick{Set: "s"}}); err == nil ||
		!strings.Contains(err.Error(), "of this set is pinned") {
		t.Errorf("a set with a pin: %v", err)
	}
	if got := k.left(); got != "bce" {
		t.Fatalf("left are %s", got)
	}
	// A removed set goes on where it was, if it is backed up again.
	k.write("t/a", "a")
	k.old("u", "h40")
	sink := &heard{}
	_, err := e.Backup(t.Context(), engine.BackupOptions{Paths: []string{filepath.Join(k.dir, "t")}, Set: "v"}, sink)
	k.must(err)
	k.must(remove(engine.RemoveOptions{Pick: engine.Pick{Set: "v"}}))
	pruned, err := e.Prune(t.Context(), engine.PruneOptions{}, events.Discard)
	k.must(err)
	if n := pruned.Hosts[0].Result.Deleted.Objects; n == 0 {
		t.Error("prune has deleted nothing") // of what the index knows
	}
	for _, dry := range []bool{true, false} {
		_, err = e.Backup(t.Context(), engine.BackupOptions{Paths: []string{filepath.Join(k.dir, "t")},
			Set: "v", DryRun: dry}, sink)
		k.must(err)
	}
	for _, w := range eventsOf[events.Warning](sink) {
		if strings.Contains(w.Message, "manifest") || strings.Contains(w.Message, "the index knows") {
			t.Errorf("warned of what was removed: %s", w.Message)
		}
	}
	list, err := e.Snapshots(t.Context(), engine.Pick{Set: "v"}, events.Discard)
	k.must(err)
	if len(list.List) != 1 || list.List[0].Seq != 2 {
		t.Errorf("%+v", list.List)
	}
}

// What is damaged for good is dropped by name; before that nothing is removed.
func TestRemove_Damaged(t *testing.T) {
	for _, letter := range []string{"a", "b", "e"} {
		k := newKeeper(t)
		k.old("s", "a40 b30 c20 d10 e5")
		e, key := k.engine(nil), k.ids[letter].Key
		k.put(key, []byte("?"))
		policy := engine.ForgetOptions{Rules: rules("last 3")}
		_, err := e.Forget(t.Context(), policy, events.Discard)
		if x := engine.Explain(err); x.Exit != fault.Damage || !strings.Contains(x.Hint, "snapshot remove --damaged "+key) {
			t.Errorf("%s: %+v names no way out", letter, x)
		}
		_, err = e.Remove(t.Context(), engine.RemoveOptions{Snapshots: []string{"h/none"}, Damaged: true}, events.Discard)
		if engine.Explain(err).Exit != fault.Usage {
			t.Errorf("another name: %v", err)
		}
		_, err = e.Remove(t.Context(), engine.RemoveOptions{Snapshots: []string{k.ids["c"].ID()}, Damaged: true},
			events.Discard)
		if err == nil || !strings.Contains(err.Error(), "is not damaged") {
			t.Errorf("one that is whole: %v", err)
		}
		_, err = e.Remove(t.Context(), engine.RemoveOptions{Snapshots: []string{key}, Damaged: true}, events.Discard)
		k.must(err)
		_, err = e.Verify(t.Context(), engine.VerifyOptions{}, events.Discard)
		k.must(err)
		_, err = e.Forget(t.Context(), policy, events.Discard)
		k.must(err)
		if want := map[string]string{"a": "cde", "b": "cde", "e": "bcd"}[letter]; k.left() != want {
			t.Errorf("%s: left are %s, want %s", letter, k.left(), want)
		}
	}
}

// Of a fork the side that nothing continues from can be dropped, by its id.
func TestRemove_Fork(t *testing.T) {
	k := newKeeper(t)
	k.old("s", "a40 b30 c20 d10 e5")
	other := *k.ids["c"].Manifest
	other.Time = other.Time.Add(time.Hour)
	raw, err := snapshot.EncodeManifest(&other, k.host.Signer)
	k.must(err)
	sum := snapshot.Sum(sha256.Sum256(raw))
	key := layout.Weak(layout.Manifest(other.Host, other.Set, other.Seq), sum)
	k.put(key, raw)
	policy := engine.ForgetOptions{Rules: rules("last 3")}
	_, err = k.engine(nil).Forget(t.Context(), policy, events.Discard)
	if x := engine.Explain(err); x.Exit != fault.Damage ||
		!strings.Contains(x.Hint, "snapshot remove --damaged ") {
		t.Errorf("%+v names no way out", x)
	}
	drop := func(id string) error {
		_, err := k.engine(nil).Remove(t.Context(), engine.RemoveOptions{Snapshots: []string{id},
			Damaged: true}, events.Discard)
		return err
	}
	if err := drop(k.ids["c"].ID()); err == nil ||
		!strings.Contains(err.Error(), "later snapshots continue from") {
		t.Errorf("the side that goes on: %v", err)
	}
	k.must(drop(key))
	_, err = k.engine(nil).Forget(t.Context(), policy, events.Discard)
	k.must(err)
	_, err = k.engine(nil).Verify(t.Context(), engine.VerifyOptions{}, events.Discard)
	k.must(err)
	if k.left() != "cde" {
		t.Errorf("left are %s", k.left())
	}
}

// A machine that only prunes forgets for all hosts; one of them for itself, unless it is asked.
func TestForget_Pruner(t *testing.T) {
	own := newMachine(t, filepath.Join(t.TempDir(), "store"))
	g := &group{own, filepath.Join(own.dir, "conf", "recovery-kit.txt"), own.key.Recipients()}
	m, pruner := g.added(), g.added(snapshot.RolePrune)
	for range 2 {
		g.must(g.backup())
		g.must(m.backup())
	}
	old := time.Now().AddDate(0, 0, -3)
	g.must(filepath.WalkDir(g.store, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, old, old)
	}))
	o := engine.ForgetOptions{Rules: rules("last 1"), DryRun: true, Force: true}
	res, err := g.engine(nil).Forget(t.Context(), o, events.Discard)
	if g.must(err); len(res.Sets) != 1 {
		t.Errorf("%+v", res.Sets)
	}
	o.DryRun = false
	res, err = pruner.engine(nil).Forget(t.Context(), o, events.Discard)
	if g.must(err); len(res.Sets) != 2 || res.Sets[0].Removed+res.Sets[1].Removed != 2 {
		t.Errorf("%+v", res.Sets)
	}
	g.must(m.backup()) // it goes on from what was removed
	if ids, exit := g.snapshots(); len(ids) != 3 || exit != 0 {
		t.Errorf("%v, exit %d", ids, exit)
	}
}
