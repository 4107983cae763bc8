package page

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

// memory is a store of pages by id, which counts what is read.
type memory struct {
	pages map[chunk.ID][]byte
	reads map[chunk.ID]int
	info  *blob.Info
	enc   Encoder
	cut   *Cutter
	buf   []byte // what fetch returns is overwritten by the next call
}

func newMemory() *memory {
	return &memory{pages: map[chunk.ID][]byte{}, reads: map[chunk.ID]int{}, cut: NewCutter(cutKey), info: &blob.Info{Name: blob.Name{1}, Size: 1 << 40}}
}

func (m *memory) put(b []byte) (Ref, error) {
	r := Ref{Blob: m.info, ID: someID(string(b)), Span: blob.Span{FrameLen: 1, Len: uint32(len(b))}}
	m.pages[r.ID] = slices.Clone(b)
	return r, nil
}

func (m *memory) fetch(_ context.Context, ref Ref) ([]byte, error) {
	m.reads[ref.ID]++
	clear(m.buf)
	b, ok := m.pages[ref.ID]
	if !ok {
		return nil, fmt.Errorf("fetch page: %w", fs.ErrNotExist)
	}
	m.buf = append(m.buf[:0], b...)
	return m.buf, nil
}

// writer is one whose blobs close puts into m, all of one name.
func (m *memory) writer() *Writer {
	return NewWriter(WriterOptions{
		Cut: m.cut, Hasher: chunk.NewHasher([32]byte{9}), Compressor: blob.NewCompressor(1),
		Buffer:       func() []byte { return nil },
		Stored:       func(chunk.ID) (ref Ref, ok bool, err error) { return ref, false, nil },
		StoredBranch: func([32]byte) (ref Ref, ok bool) { return ref, false },
	})
}

// close keeps what the writer's open blob has.
func (m *memory) close(w *Writer) {
	b := w.Close()
	if b == nil {
		return
	}
	b.Info = m.info
	z := blob.NewDecompressor()
	for _, r := range b.Builder.Rows() {
		raw, err := z.Frame(nil, b.Builder.Frame(r.FrameOff, r.FrameLen), -1)
		if err != nil {
			panic(err)
		}
		m.pages[r.ID] = raw[r.Off : r.Off+r.Len]
	}
}

func (m *memory) tree(t interface{ Fatalf(string, ...any) }, entries []Entry) *Tree {
	w := m.writer()
	var items []TreeItem
	for _, run := range cutLeaves(entries, m.cut) {
		place, _, err := w.Leaf(run)
		if err != nil {
			t.Fatalf("%v", err)
		}
		items = append(items, TreeItem{run[len(run)-1].Path, place, int64(len(run))})
	}
	m.close(w)
	top, err := w.Branches(items)
	if err != nil {
		t.Fatalf("%v", err)
	}
	m.close(w)
	return &Tree{Fetch: m.fetch, Top: top.Ref(nil)}
}

func dirs(paths []string) []Entry {
	entries := make([]Entry, len(paths))
	for i, p := range paths {
		entries[i] = Entry{Path: p, Type: Dir}
	}
	return entries
}

func walked(t interface{ Fatalf(string, ...any) }, tree *Tree, from string, fn func(string) error) (paths []string) {
	err := tree.Walk(context.Background(), from, func(e *Entry) error {
		paths = append(paths, e.Path)
		return fn(e.Path)
	})
	if err != nil {
		t.Fatalf("walk: %v", err)
	}
	return paths
}

func goOn(string) error { return nil }

func TestTree_WalkReadsEachPageOnce(t *testing.T) {
	for _, n := range []int{1, 2, 300, 30_000} {
		paths := somePaths(uint64(n), n)
		m := newMemory()
		tree := m.tree(t, dirs(paths))
		if got := walked(t, tree, "", goOn); !slices.Equal(got, paths) {
			t.Errorf("%d entries: walked %d others", len(paths), len(got))
		}
		for id := range m.pages {
			if m.reads[id] != 1 {
				t.Errorf("%d entries: a page was read %d times", n, m.reads[id])
			}
		}
	}
}

// From anywhere, with any subtrees left out, a walk is the filtered list, and
// reads no page that holds nothing of it, but for one a level.
func TestLaw_Walk(t *testing.T) {
	paths := somePaths(5, 20_000)
	m := newMemory()
	tree := m.tree(t, dirs(paths))
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.OneOf(rapid.SampledFrom(paths), genPath(), rapid.SampledFrom([]string{"", ".", "home", "home/d20", "zz"})).Draw(t, "from")
		skip := rapid.SliceOfN(rapid.SampledFrom(paths), 0, 3).Draw(t, "skip")
		stop := rapid.SampledFrom(paths).Draw(t, "stop")
		var want []string
		for _, p := range paths {
			below := slices.ContainsFunc(skip, func(s string) bool { return Compare(s, from) >= 0 && s != p && Within(s, p) })
			if below || Compare(p, from) < 0 {
				continue
			}
			want = append(want, p)
			if p == stop {
				break
			}
		}
		got := walked(t, tree, from, func(p string) error {
			switch {
			case p == stop:
				return SkipAll
			case slices.Contains(skip, p):
				return SkipSubtree
			}
			return nil
		})
		if !slices.Equal(got, want) {
			t.Fatalf("got %d paths, want %d", len(got), len(want))
		}
	})
}

func TestTree_SkipSubtreeReadsNothingOfIt(t *testing.T) {
	paths := append(somePaths(6, 20_000), "home", "tail")
	slices.SortFunc(paths, Compare)
	m := newMemory()
	tree := m.tree(t, dirs(paths))
	got := walked(t, tree, "", func(p string) error {
		if p == "home" {
			return SkipSubtree
		}
		return nil
	})
	if !slices.Equal(got, []string{".", "home", "tail"}) {
		t.Errorf("got %q", got)
	}
	if n := len(m.reads); n > 8 {
		t.Errorf("%d pages read of %d", n, len(m.pages))
	}
	clear(m.reads)
	if got := walked(t, tree, "tail", goOn); !slices.Equal(got, []string{"tail"}) || len(m.reads) > 4 {
		t.Errorf("from the end: got %q, %d pages read", got, len(m.reads))
	}
}

func TestTree_Find(t *testing.T) {
	paths := somePaths(7, 20_000)
	m := newMemory()
	tree := m.tree(t, dirs(paths))
	for i := 0; i < len(paths); i += 37 {
		clear(m.reads)
		e, err := tree.Find(context.Background(), paths[i])
		if err != nil || e.Path != paths[i] {
			t.Fatalf("find %q: got %v, %v", paths[i], e, err)
		}
		if len(m.reads) > 4 {
			t.Errorf("find %q read %d pages", paths[i], len(m.reads))
		}
	}
	for _, p := range []string{"", "!", "home", "home/d20/", "zz"} {
		if _, err := tree.Find(context.Background(), p); !errors.Is(err, ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("find %q: got %v, want ErrNotFound", p, err)
		}
	}
}

// leaf stores a leaf of these paths and returns the item for it.
func (m *memory) leaf(paths ...string) Item {
	b, err := m.enc.Leaf(nil, dirs(paths))
	if err != nil {
		panic(err)
	}
	ref, _ := m.put(b)
	return Item{Last: paths[len(paths)-1], Ref: ref, Entries: int64(len(paths))}
}

func (m *memory) branch(level int, items ...Item) Item {
	b, err := m.enc.Branch(nil, level, items)
	if err != nil {
		panic(err)
	}
	ref, _ := m.put(b)
	it := Item{Last: items[len(items)-1].Last, Ref: ref}
	for i := range items {
		it.Entries += items[i].Entries
	}
	return it
}

func TestTree_RefusesWhatDisagrees(t *testing.T) {
	m := newMemory()
	ab, cd, bc := m.leaf("a", "b"), m.leaf("c", "d"), m.leaf("b", "c")
	list, _ := m.enc.List(nil, 0, []Ref{{Hole: 1}})
	listRef, _ := m.put(list)
	renamed, counted := cd, cd
	renamed.Last, counted.Entries = "e", 3
	overlap := m.branch(1, m.leaf("a", "b"), bc)
	again := m.branch(1, m.leaf("b0", "b1"), cd)
	loop := m.branch(1, ab, cd)
	m.pages[ab.Ref.ID] = m.pages[loop.Ref.ID] // the branch is its own first child
	loopTree := loop.Ref
	for name, top := range map[string]Ref{
		"cycle":               loopTree,
		"other last path":     m.branch(1, bc, renamed).Ref,
		"other count":         m.branch(1, bc, counted).Ref,
		"overlapping leaves":  overlap.Ref,
		"overlap of branches": m.branch(2, m.branch(1, m.leaf("a"), m.leaf("b0")), again).Ref,
		"a level left out":    m.branch(2, bc, cd).Ref,
		"a level twice":       m.branch(1, m.branch(1, bc, cd)).Ref,
		"a list for a top":    listRef,
		"a list for a child":  m.branch(1, Item{Last: "a", Ref: listRef, Entries: 1}).Ref,
	} {
		tree := &Tree{Fetch: m.fetch, Top: top}
		if err := tree.Walk(context.Background(), "", func(*Entry) error { return nil }); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: walk: got %v, want ErrDamaged", name, err)
		}
		if err := tree.WalkPages(context.Background(), func(Ref, *Page) error { return nil }); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: walk pages: got %v, want ErrDamaged", name, err)
		}
	}
}

func TestTree_Lost(t *testing.T) {
	paths := somePaths(8, 20_000)
	m := newMemory()
	tree := m.tree(t, dirs(paths))
	var items []Item
	err := tree.WalkPages(context.Background(), func(_ Ref, p *Page) error {
		if p.Level == 1 {
			items = append(items, p.Items...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	gone, last := items[9], items[8].Last
	delete(m.pages, gone.Ref.ID)
	var lost []string
	tree.Lost = func(after, last string, err error) error {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("lost: %v", err)
		}
		lost = append(lost, after, last)
		return nil
	}
	want := slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return Compare(p, last) > 0 && Compare(p, gone.Last) <= 0 })
	if got := walked(t, tree, "", goOn); !slices.Equal(got, want) || !slices.Equal(lost, []string{last, gone.Last}) {
		t.Errorf("walked %d of %d, lost %q", len(got), len(want), lost)
	}
	tree.Top.ID[0]++
	lost = nil
	if got := walked(t, tree, "", goOn); len(got) != 0 || !slices.Equal(lost, []string{"", ""}) {
		t.Errorf("walked %d, lost %q", len(got), lost)
	}
	tree.Lost = nil
	if err := tree.Walk(context.Background(), "", func(*Entry) error { return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestTree_StopsWithItsContext(t *testing.T) {
	m := newMemory()
	tree := m.tree(t, dirs(somePaths(9, 5000)))
	tree.Lost = func(string, string, error) error { return nil }
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	err := tree.Walk(ctx, "", func(*Entry) error {
		cancel()
		n++
		return nil
	})
	if !errors.Is(err, context.Canceled) || n > MaxItems {
		t.Errorf("got %v after %d entries", err, n)
	}
	mine := errors.New("mine")
	if err := tree.Walk(context.Background(), "", func(*Entry) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
}

// file stores a file of n references and returns its entry.
func (m *memory) file(path string, n int) Entry {
	e := Entry{Path: path, Type: File}
	for _, r := range someRefs(n) {
		if r.Hole == 0 {
			r.Blob = m.info
		}
		e.Size += r.Length()
		e.Refs = append(e.Refs, r)
	}
	w := m.writer()
	if err := w.Content(&e); err != nil {
		panic(err)
	}
	m.close(w)
	for i := range e.Refs {
		if e.Refs[i].Hole == 0 {
			e.Refs[i].Blob = m.info
		}
	}
	return e
}

func TestTree_Refs(t *testing.T) {
	m := newMemory()
	tree := &Tree{Fetch: m.fetch}
	for _, n := range []int{0, 1, 16, 17, 2000, 30_000} {
		e := m.file("f", n)
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
		var got []Ref
		collect := func(r Ref) error { got = append(got, r); return nil }
		if err := tree.Refs(context.Background(), &e, collect); err != nil || len(got) != n {
			t.Fatalf("%d references: got %d, %v", n, len(got), err)
		}
		for i, want := range someRefs(n) {
			if got[i].ID != want.ID || got[i].Length() != want.Length() {
				t.Fatalf("%d references: number %d is %v, want %v", n, i, got[i], want)
			}
		}
		for _, wrong := range []int64{-1, 1} {
			bad := e
			bad.Size += wrong
			var sum int64
			err := tree.Refs(context.Background(), &bad, func(r Ref) error { sum += r.Length(); return nil })
			if !errors.Is(err, ErrDamaged) || sum > max(bad.Size, 0) {
				t.Errorf("%d references, size %+d: got %v after %d bytes", n, wrong, err, sum)
			}
		}
		if n > 0 {
			calls := 0
			if err := tree.Refs(context.Background(), &e, func(Ref) error { calls++; return SkipAll }); err != nil || calls != 1 {
				t.Errorf("%d references: stopped with %v after %d calls", n, err, calls)
			}
		}
	}
	wrong := m.file("f", 2000)
	wrong.ListLevel++
	if err := tree.Refs(context.Background(), &wrong, func(Ref) error { return nil }); !errors.Is(err, ErrDamaged) {
		t.Errorf("list of another level: got %v", err)
	}
}

func TestTree_WalkPagesVisitsLists(t *testing.T) {
	m := newMemory()
	tree := m.tree(t, []Entry{{Path: ".", Type: Dir}, m.file("a", 20_000), m.file("b", 3)})
	seen := map[Kind]int{}
	visit := func(ref Ref, p *Page) error {
		seen[p.Kind]++
		m.reads[ref.ID] = -1
		return nil
	}
	if err := tree.WalkPages(context.Background(), visit); err != nil {
		t.Fatal(err)
	}
	for id := range m.pages {
		if m.reads[id] != -1 {
			t.Error("a page was not visited")
		}
	}
	if seen[Leaf] == 0 || seen[List] < 20 {
		t.Errorf("visited %v", seen)
	}
	if err := tree.WalkPages(context.Background(), func(_ Ref, p *Page) error {
		if p.Kind == List {
			return SkipAll
		}
		return nil
	}); err != nil {
		t.Errorf("stopped with %v", err)
	}
	for id, b := range m.pages {
		if strings.Contains(string(b), `"list"`) {
			delete(m.pages, id)
			break
		}
	}
	var lost string
	tree.Lost = func(after, last string, err error) error { lost = after + " " + last; return nil }
	if err := tree.WalkPages(context.Background(), visit); err != nil || lost != "a a" {
		t.Errorf("got %v, lost %q", err, lost)
	}
}

func TestTree_Xattrs(t *testing.T) {
	m := newMemory()
	want := []Xattr{{Name: "user.a", Value: make([]byte, 30_000)}, {Name: "user.b"}}
	if XattrsFit(want) {
		t.Fatal("30 KB fit in an entry")
	}
	all := EncodeXattrs(nil, want)
	one, _ := m.put(all[:10_000])
	two, _ := m.put(all[10_000:])
	tree := &Tree{Fetch: m.fetch}
	same := func(a, b Xattr) bool { return a.Name == b.Name && string(a.Value) == string(b.Value) }
	e := Entry{Path: "a", Type: Dir, XattrRefs: []Ref{one, two}}
	if got, err := tree.Xattrs(context.Background(), &e); err != nil || !slices.EqualFunc(got, want, same) {
		t.Errorf("got %d, %v", len(got), err)
	}
	e.XattrRefs = []Ref{two, one}
	if _, err := tree.Xattrs(context.Background(), &e); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
	e.XattrRefs = nil
	e.Xattrs = want[1:]
	if got, err := tree.Xattrs(context.Background(), &e); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestTree_WalkWithin(t *testing.T) {
	paths := []string{".", "a", "a/b", "a/b/c", "a/b-c", "a/c", "ab", "b"}
	tree := newMemory().tree(t, dirs(paths))
	for dir, want := range map[string][]string{
		".": paths, "a/b": {"a/b", "a/b/c"}, "b": {"b"}, "a": paths[1:6], "aa": nil, "a/b/d": nil,
	} {
		var got []string
		err := tree.WalkWithin(context.Background(), dir, func(e *Entry) error {
			got = append(got, e.Path)
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", dir, got, err)
		}
	}
	var got []string
	err := tree.WalkWithin(context.Background(), "a", func(e *Entry) error {
		if got = append(got, e.Path); e.Path == "a/b" {
			return SkipSubtree
		}
		return nil
	})
	if want := []string{"a", "a/b", "a/b-c", "a/c"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("without a/b: %q, %v", got, err)
	}
}

func TestLostPaths(t *testing.T) {
	for want, l := range map[string]LostPaths{
		"all entries":                            {},
		`the contents of "/a/b"`:                 {After: "a/b", Last: "a/b"},
		`all entries up to "/a"`:                 {Last: "a"},
		`all entries after "/", up to "/b"`:      {After: ".", Last: "b"},
		`all entries after "/a", up to "/b\xff"`: {After: "a", Last: "b\xff", Reason: "why"},
	} {
		if got := l.String(); got != want {
			t.Errorf("%+v: %s, want %s", l, got, want)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		dir, path string
		want      bool
	}{
		{".", "a", true}, {".", ".", true}, {"a", "a", true}, {"a", "a/b", true}, {"a", "ab", false}, {"a/b", "a", false}, {"a", "b/a", false},
	} {
		if got := Within(c.dir, c.path); got != c.want {
			t.Errorf("Within(%q, %q) = %v", c.dir, c.path, got)
		}
	}
}
