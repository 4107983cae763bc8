package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

// snapshotOf makes a snapshot of files, each with some chunks, a large one among
// them; every page has a blob of its own, or stands in that of its first chunk.
type snapshotOf struct {
	known Known
	refs  []page.Ref          // of all chunks and pages that can be told apart
	pages map[chunk.ID][]byte // what the tree reads
	self  []chunk.ID          // pages that name their own blob
}

func (r source) snapshot(t *testing.T, files int, shared []page.Ref) *snapshotOf {
	t.Helper()
	s := &snapshotOf{pages: map[chunk.ID][]byte{}}
	newBlob := func() *blob.Info {
		in := r.info()
		in.Size = 1 + in.Size%(1<<40)
		s.known.Blobs = append(s.known.Blobs, in.Name)
		return &in
	}
	place := func(b *blob.Info) page.Ref {
		sp := blob.Span{FrameOff: r.Uint32N(1 << 24), FrameLen: 1 + r.Uint32N(1<<20), Off: r.Uint32N(1 << 10), Len: 1 + r.Uint32N(1<<20)}
		return page.Ref{Blob: b, Span: sp, ID: r.id()}
	}
	store := func(b *blob.Info, data []byte, self bool) page.Ref {
		ref := place(b)
		s.pages[ref.ID] = slices.Clone(data)
		if self {
			s.self = append(s.self, ref.ID)
		} else {
			s.refs = append(s.refs, ref)
		}
		return ref
	}
	for _, ref := range shared {
		s.known.Blobs = append(s.known.Blobs, ref.Blob.Name)
	}
	var b *blob.Info
	cut := page.NewCutter([32]byte{7})
	var enc page.Encoder
	var items []page.Item
	var leaf []page.Entry
	run := cut.Run(0)
	for i := range files {
		if b == nil {
			b = newBlob()
		}
		e := page.Entry{Path: fmt.Sprintf("f%06d", i), Type: page.File}
		n := 1 + r.IntN(3)
		if i == files/2 {
			n = 3000
		}
		for range n {
			ref := place(b)
			if len(shared) > 0 && r.IntN(4) == 0 {
				ref = shared[r.IntN(len(shared))]
			}
			s.refs = append(s.refs, ref)
			e.Refs = append(e.Refs, ref)
			e.Size += ref.Length()
		}
		if r.IntN(10) == 0 {
			e.Refs = append(e.Refs, page.Ref{Hole: 1 << 20})
			e.Size += 1 << 20
		}
		if r.IntN(10) == 0 {
			ref := place(b)
			s.refs, e.XattrRefs = append(s.refs, ref), []page.Ref{ref}
		}
		for len(e.Refs) > page.MaxInlineRefs {
			var up []page.Ref
			for _, part := range page.CutLists(e.Refs, e.ListLevel, cut) {
				data, err := enc.List(nil, e.ListLevel, part)
				if err != nil {
					t.Fatal(err)
				}
				up = append(up, store(b, data, false))
			}
			e.Refs, e.ListLevel = up, e.ListLevel+1
		}
		leaf = append(leaf, e)
		if !run.Add(e.Path) && i < files-1 {
			continue
		}
		self := r.IntN(2) == 0
		if enc.Self = nil; self {
			enc.Self = b
		}
		data, err := enc.Leaf(nil, leaf)
		enc.Self = nil
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, page.Item{Last: e.Path, Ref: store(b, data, self), Entries: int64(len(leaf))})
		leaf, b = nil, nil
	}
	for level := 1; len(items) > 1; level++ {
		var up []page.Item
		for _, part := range page.CutBranch(items, level, cut) {
			data, err := enc.Branch(nil, level, part)
			if err != nil {
				t.Fatal(err)
			}
			it := page.Item{Last: part[len(part)-1].Last, Ref: store(newBlob(), data, false)}
			for i := range part {
				it.Entries += part[i].Entries
			}
			up = append(up, it)
		}
		items = up
	}
	s.known.Tree = &page.Tree{Top: items[0].Ref, Fetch: func(_ context.Context, ref page.Ref) ([]byte, error) {
		data, ok := s.pages[ref.ID]
		if !ok {
			return nil, page.ErrDamaged
		}
		return data, nil
	}}
	return s
}

// found counts the references that an index answers, and fails on a wrong answer.
func (s *snapshotOf) found(t *testing.T, x *Index) (n int) {
	t.Helper()
	for _, ref := range s.refs {
		loc := make([]Loc, 1)
		if err := x.Chunks([]chunk.ID{ref.ID}, loc); err != nil {
			t.Fatal(err)
		}
		if loc[0].Blob == 0 {
			continue
		}
		if in, ok := x.Blob(loc[0].Blob); !ok || in != *ref.Blob || loc[0].Span != ref.Span {
			t.Fatalf("chunk %s is said to be at %v of %v", ref.ID, loc[0].Span, in)
		}
		n++
	}
	return n
}

func TestIndex_Rebuild(t *testing.T) {
	r := newSource(t)
	one := r.snapshot(t, 3000, nil)
	two := r.snapshot(t, 500, []page.Ref{one.refs[0], one.refs[len(one.refs)/2]})
	x := open(t, t.TempDir())
	done, err := x.Rebuild(t.Context(), []Known{one.known, two.known})
	if err != nil {
		t.Fatal(err)
	}
	x = reopen(t, x)
	for _, s := range []*snapshotOf{one, two} {
		if n := s.found(t, x); n != len(s.refs) {
			t.Errorf("%d of %d chunks and pages are known", n, len(s.refs))
		}
		var last BlobNum
		for _, name := range s.known.Blobs[len(s.known.Blobs)/2:] {
			n, ok := x.Num(name)
			if !ok || n <= last {
				t.Fatalf("blob %s has number %d after %d", name, n, last)
			}
			last = n
		}
		for _, id := range s.self {
			loc := make([]Loc, 1)
			if err := x.Chunks([]chunk.ID{id}, loc); err != nil || loc[0].Blob != 0 {
				t.Fatalf("a page that names its own blob could be carried over: %v, %v", loc, err)
			}
		}
	}
	if st := x.Stats(); st.Blobs != done.Blobs || st.BadRows+st.GoneRows != 0 {
		t.Errorf("%+v after %+v", st, done)
	}
	if _, err := x.Rebuild(t.Context(), []Known{one.known}); err == nil {
		t.Error("an index with rows was rebuilt")
	}
}

// TestIndex_RebuildDamaged: pages that cannot be read, and blobs that the manifest
// does not name, cost their rows and nothing else.
func TestIndex_RebuildDamaged(t *testing.T) {
	r := newSource(t)
	s := r.snapshot(t, 2000, nil)
	below := slices.DeleteFunc(slices.SortedFunc(maps.Keys(s.pages), func(a, b chunk.ID) int { return bytes.Compare(a[:], b[:]) }),
		func(id chunk.ID) bool { return id == s.known.Tree.Top.ID })
	for _, i := range r.Perm(len(below))[:1+len(below)/20] {
		delete(s.pages, below[i])
	}
	unnamed := s.known.Blobs[r.IntN(len(s.known.Blobs))]
	s.known.Blobs = slices.DeleteFunc(s.known.Blobs, func(n blob.Name) bool { return n == unnamed })

	if _, err := open(t, t.TempDir()).Rebuild(t.Context(), []Known{s.known}); !errors.Is(err, page.ErrDamaged) {
		t.Errorf("damage that nobody accepted: %v", err)
	}
	s.known.Tree.Lost = func(_, _ string, _ error) error { return nil }
	x := open(t, t.TempDir())
	if _, err := x.Rebuild(t.Context(), []Known{s.known}); err != nil {
		t.Fatal(err)
	}
	if n := s.found(t, x); n == 0 || n == len(s.refs) {
		t.Errorf("%d of %d chunks and pages are known", n, len(s.refs))
	}
	if _, ok := x.Num(unnamed); ok {
		t.Error("a blob that the manifest does not name is known")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, t.TempDir()).Rebuild(ctx, []Known{s.known}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestMerge(t *testing.T) {
	names := func(s string) (out []blob.Name) {
		for _, c := range []byte(s) {
			out = append(out, blob.Name{c})
		}
		return out
	}
	for _, c := range [][3]string{
		{"", "", ""}, {"ab", "", "ab"}, {"", "ab", "ab"}, {"abc", "abc", "abc"},
		{"acd", "abd", "acbd"}, {"ad", "abcd", "abcd"}, {"abcd", "bd", "abcd"}, {"ab", "cd", "abcd"},
		{"ab", "ba", "ab"}, // a contradiction: the first list wins
	} {
		if got := merge(names(c[0]), names(c[1])); !slices.Equal(got, names(c[2])) {
			t.Errorf("%q and %q: got %v", c[0], c[1], got)
		}
	}
}
