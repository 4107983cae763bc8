package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// shelf makes a catalog of manifests that nobody signed: find only looks at names.
type shelf struct {
	*testing.T
	j       *job
	c       *catalog
	me, you layout.HostID
	n       byte
}

func newShelf(t *testing.T) *shelf {
	e, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	j := e.begin("restore", events.Discard)
	me := layout.NewHostID()
	return &shelf{T: t, j: j, me: me, you: layout.NewHostID(),
		c: &catalog{hostname: "me", op: &opened{Sets: &config.Sets{}, Host: &config.Host{ID: me},
			Known: &config.Known{}}}}
}

func (f *shelf) set(name string) layout.SetID {
	return f.c.op.Sets.Add(name,
		[]string{"/" + name}).ID
}

// add puts a snapshot there; its id begins with prefix, hex.
func (f *shelf) add(h layout.HostID, set layout.SetID, seq uint64, prefix string) *row {
	f.n++
	sum := snapshot.Sum{31: f.n}
	text := []byte(sum.String())
	copy(text, prefix)
	if err := sum.UnmarshalText(text); err != nil {
		f.Fatal(err)
	}
	r := &row{Loaded: &snapshot.Loaded{Manifest: &snapshot.Manifest{Host: h, Set: set, Seq: seq,
		Time: time.Unix(int64(f.n), 0)}, Sum: sum}}
	f.c.rows = append(f.c.rows, r)
	return r
}

func (f *shelf) want(id string, p Pick, want *row) {
	f.Helper()
	got, err := f.j.find(f.Context(), f.c, id, p, nil)
	if err != nil || got != want {
		f.Errorf("find %s %+v: %v, %v", id, p, got, err)
	}
}

func (f *shelf) refused(id string, p Pick, code fault.Code, words ...string) {
	f.Helper()
	got, err := f.j.find(f.Context(), f.c, id, p, nil)
	if err == nil {
		f.Fatalf("find %s %+v: %v", id, p, got)
	}
	e := Explain(err)
	all := e.Message + "\n" + e.Hint + "\n" + strings.Join(e.Choices, "\n")
	for _, w := range words {
		if !strings.Contains(all, w) {
			f.Errorf("find %s %+v: %q is missing in\n%s", id, p, w, all)
		}
	}
	if e.Exit != code {
		f.Errorf("find %s %+v: exit %d, want %d", id, p, e.Exit, code)
	}
}

func TestFind_ByID(t *testing.T) {
	f := newShelf(t)
	a := f.set("a")
	x := f.add(f.me, a, 1, "abcd12")
	y := f.add(f.me, a, 2, "abcd34")
	f.want("abcd1", Pick{}, x)
	f.want(y.ID(), Pick{}, y)
	f.refused("abcd", Pick{}, fault.Usage, "abcd is ambiguous: 2 snapshots match",
		"vaultik restore abcd1200", "vaultik restore abcd3400")
	f.refused("ffff", Pick{}, fault.Failed, "no snapshot id begins with ffff", "vaultik snapshots")
	for _, id := range []string{"", "abc", "ABCD", "abcg", "Latest", strings.Repeat("a", 65)} {
		f.refused(id, Pick{}, fault.Usage, "is not a snapshot")
	}
	f.c.problems = []snapshot.Problem{{Key: "h/1/m", Err: snapshot.ErrDamaged}}
	f.refused("ffff", Pick{}, fault.Damage, "unreadable: h/1/m: damaged")
	other := f.add(f.you, layout.NewSetID(), 1, "ef01") // another host's, although this one has some
	f.refused("ef01", Pick{Host: "me"}, fault.Damage)
	f.want("ef01", Pick{}, other)
}

func TestFind_Latest(t *testing.T) {
	f := newShelf(t)
	f.refused("latest", Pick{}, fault.Failed, "no snapshot yet")
	theirs := layout.NewSetID()
	other := f.add(f.you, theirs, 4, "01")
	f.want("latest", Pick{}, other) // the only set there is
	a, b := f.set("a b"), f.set("b")
	f.add(f.me, a, 1, "02")
	x := f.add(f.me, a, 2, "03")
	f.want("latest", Pick{}, x) // this host's before others
	f.want("latest", Pick{Host: f.you.String()}, other)
	f.want("latest", Pick{Set: theirs.String()}, other)
	y := f.add(f.me, b, 1, "04")
	f.refused("latest", Pick{}, fault.Usage, "latest is ambiguous: 2 sets match",
		"vaultik restore latest --set 'a b'", "vaultik restore latest --set b")
	f.want("latest", Pick{Set: "b"}, y)
	f.want("latest", Pick{Set: a.String(), Host: "me"}, x)
	f.refused("latest", Pick{Set: "zz"}, fault.Failed, "snapshot of that set and host")
	again := f.c.op.Sets.Add("b", []string{"/elsewhere"}).ID // same name, other paths
	f.add(f.me, again, 1, "05")
	f.refused("latest", Pick{Set: "b"}, fault.Usage, "--set "+b.String(), "--set "+again.String())
}

func TestFind_LatestNeverFallsBack(t *testing.T) {
	f := newShelf(t)
	a := f.set("a")
	older := f.add(f.me, a, 1, "0a")
	f.c.problems = []snapshot.Problem{{Key: "k", Host: f.me, Set: a, Seq: 2,
		Err: snapshot.ErrDamaged}}
	f.refused("latest", Pick{}, fault.Damage, "newest snapshot of set a is not available: k: damaged",
		older.short(), "vaultik restore "+older.short())
	f.want("0a00", Pick{}, older)
	newest := f.add(f.me, a, 3, "0c")
	f.want("latest", Pick{}, newest) // the damaged one is not the newest
	f.c.problems = slices.Concat(f.c.problems, []snapshot.Problem{{Key: "k2", Host: f.me, Set: a,
		Seq: 3, Err: snapshot.ErrFork}})
	f.refused("latest", Pick{}, fault.Damage, "two manifests at one position")
	f.c.rows = nil
	f.refused("latest", Pick{}, fault.Damage, "is not available")
	f.c.op.Host = nil
	f.refused("latest", Pick{}, fault.Damage)
}

// Each choice is another one, and when it is pasted it finds one set: also where hosts, or
// sets of one host, have the same name, and whatever was asked for before.
func TestFind_Choices(t *testing.T) {
	f := newShelf(t)
	third := layout.NewHostID()
	for _, h := range []struct {
		id   layout.HostID
		name snapshot.Text
		sets []snapshot.Text
	}{{f.you, "web", []snapshot.Text{"x y"}}, {third, "web", []snapshot.Text{"x y", "z"}},
		{layout.NewHostID(), "db", []snapshot.Text{"x y", "x y"}}} {
		for _, set := range h.sets {
			f.add(h.id, layout.NewSetID(), 1, "").Root = &snapshot.Root{Hostname: h.name, SetName: set}
		}
	}
	f.add(f.me, f.set("x y"), 1, "")
	f.add(f.me, f.set("b"), 1, "")
	tried := 0
	var paste func(p Pick, depth int)
	paste = func(p Pick, depth int) {
		_, err := f.j.find(f.Context(), f.c, latest, p, nil)
		if err == nil {
			tried++
			return
		}
		ways := Explain(err).Choices
		if len(ways) < 2 || depth > 0 {
			t.Fatalf("%+v: %v\n%s", p, err, strings.Join(ways, "\n"))
		}
		slices.Sort(ways)
		if got := len(slices.Compact(slices.Clone(ways))); got != len(ways) {
			t.Errorf("%+v: the same choice twice in\n%s", p, strings.Join(ways, "\n"))
		}
		for _, way := range ways {
			way = strings.ReplaceAll(strings.ReplaceAll(way, "'x y'", "x_y"), " -", "\n-")
			var q Pick
			for line := range strings.SplitSeq(way, "\n") {
				flag, value, _ := strings.Cut(line, " ")
				switch value = strings.ReplaceAll(value, "_", " "); flag {
				case "--set":
					q.Set = value
				case "--host":
					q.Host = value
				}
			}
			paste(q, depth+1)
		}
	}
	for _, p := range []Pick{{}, {Host: "web"}, {Host: "db"}, {Host: third.String()},
		{Host: "web", Set: "x y"}, {Host: "db", Set: "x y"}} {
		paste(p, 0)
	}
	if tried != 2+3+2+2+2+2 {
		t.Errorf("%d choices were tried", tried)
	}
	f.c.op.Host = nil // a machine that is no host
	paste(Pick{Set: "x y"}, 0)
}
