package page

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"vaultik/internal/testsize"
	"vaultik/vault/chunk"
)

// put stores a page and returns the reference to it.
func (m *memory) mustPut(t *testing.T, b []byte, err error) Ref {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := m.put(b)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// fetched is how many pages were read.
func (m *memory) fetched() (n int) {
	for _, k := range m.reads {
		n += k
	}
	return n
}

// Branches whose items all name one child claim 10 to the 15th entries in a few
// pages. Paths only ever increase, so the second time a child is out of order, and
// each page is read at most once more than its parent has items.
func TestTree_SharedChildren(t *testing.T) {
	testsize.Long(t)
	m := newMemory()
	leafPage, err := m.enc.Leaf(nil, dirs([]string{"m"}))
	ref, entries := m.mustPut(t, leafPage, err), int64(1)
	for level := 1; level <= 5; level++ {
		items := make([]Item, MaxItems)
		for i := range items {
			items[i] = Item{Last: fmt.Sprintf("m%04d", i), Ref: ref, Entries: entries}
		}
		items[0].Last = "m"
		b, err := m.enc.Branch(nil, level, items)
		ref, entries = m.mustPut(t, b, err), entries*MaxItems
	}
	lost, seen := 0, 0
	tree := &Tree{Fetch: m.fetch, Top: ref, Lost: func(_, _ string, err error) error {
		if lost++; !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		return nil
	}}
	if err := tree.Walk(t.Context(), "", func(*Entry) error { seen++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n := m.fetched(); seen > 1 || lost == 0 || n > 5*MaxItems+1 {
		t.Errorf("%d entries, %d pages lost, %d reads", seen, lost, n)
	}
}

// List pages may well repeat: a file of 16 TiB may be the same 4 MiB again and
// again. How many references they come to is bounded by the size all the same.
func TestTree_SharedLists(t *testing.T) {
	for name, c := range map[string]struct {
		inner Ref
		ends  int // at most so many references
	}{
		"holes of one byte": {Ref{Hole: 1}, 1},
		"chunks of a byte":  {Ref{}, (1<<40)/512 + 16},
	} {
		m := newMemory()
		refs := make([]Ref, MaxItems)
		for i := range refs {
			refs[i] = c.inner
			if c.inner.Hole == 0 {
				refs[i] = Ref{Blob: m.info, ID: chunk.ID{7}}
				refs[i].Span.FrameLen, refs[i].Span.Len = 1, 1
			}
		}
		b, err := m.enc.List(nil, 0, refs)
		top, size := m.mustPut(t, b, err), int64(len(refs))
		for level := 1; level <= 3; level++ {
			for i := range refs {
				refs[i] = top
			}
			b, err := m.enc.List(nil, level, refs)
			top, size = m.mustPut(t, b, err), size*MaxItems
		}
		tree := &Tree{Fetch: m.fetch}
		e := &Entry{Path: "f", Type: File, Size: size, ListLevel: 4, Refs: []Ref{top}}
		if name == "chunks of a byte" {
			e.Size = 1 << 20 // it would take too long to try more
			c.ends = int(maxRefs(e.Size))
		}
		n := 0
		err = tree.Refs(t.Context(), e, func(Ref) error { n++; return nil })
		if !errors.Is(err, ErrDamaged) || n > c.ends {
			t.Errorf("%s: %d references, %v", name, n, err)
		}
	}
}

// What a chunker makes is within the bound.
func TestMaxRefs(t *testing.T) {
	for _, size := range []int64{0, 1, 512, 1 << 10, 64 << 10, 1 << 53} {
		const smallest, hole = 1 << 10, 64 << 10
		worst := size/smallest + 1 + 2*(size/hole+1) // chunks, and at each hole one that ends early
		if size == 0 {
			worst = 0
		}
		if maxRefs(size) < worst {
			t.Errorf("%d bytes: %d references at most, %d are possible", size, maxRefs(size), worst)
		}
	}
}

// Entries below something that is not a directory: in one page, and over the end of one.
func TestTree_BelowAFile(t *testing.T) {
	file := func(p string) Entry { return Entry{Path: p, Type: Symlink, Target: "/etc"} }
	bad := []Entry{file("a"), {Path: "a/passwd", Type: FIFO}}
	if _, err := new(Encoder).Leaf(nil, bad); !errors.Is(err, ErrInvalid) {
		t.Errorf("encode: %v", err)
	}
	m := newMemory()
	one, err := m.enc.Leaf(nil, bad[:1])
	first := m.mustPut(t, one, err)
	two, err := m.enc.Leaf(nil, []Entry{bad[1], {Path: "a/x/y", Type: FIFO}})
	second := m.mustPut(t, two, err)
	three, err := m.enc.Leaf(nil, dirs([]string{"a0", "b"}))
	third := m.mustPut(t, three, err)
	// A level more above the second, so that the order is also kept across branches.
	b, err := m.enc.Branch(nil, 1, []Item{{"a", first, 1}})
	left := m.mustPut(t, b, err)
	b, err = m.enc.Branch(nil, 1, []Item{{"a/x/y", second, 2}, {"b", third, 2}})
	right := m.mustPut(t, b, err)
	b, err = m.enc.Branch(nil, 2, []Item{{"a", left, 1}, {"b", right, 4}})
	top := m.mustPut(t, b, err)

	var lost []string
	tree := &Tree{Fetch: m.fetch, Top: top, Lost: func(after, last string, err error) error {
		if !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		lost = append(lost, after+" to "+last)
		return nil
	}}
	if got := fmt.Sprint(walked(t, tree, "", goOn)); got != "[a a0 b]" || fmt.Sprint(lost) != "[a to a/x/y]" {
		t.Errorf("walked %s, lost %q", got, lost)
	}
	lost = nil
	if err := tree.WalkPages(context.Background(), func(Ref, *Page) error { return nil }); err != nil || fmt.Sprint(lost) != "[a to a/x/y]" {
		t.Errorf("pages: lost %q, %v", lost, err)
	}
}
