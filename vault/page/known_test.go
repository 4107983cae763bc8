package page

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

func TestTree_KnownPagesAreNotRead(t *testing.T) {
	var entries []Entry
	for i := range 5000 {
		entries = append(entries, Entry{Path: fmt.Sprintf("%04d", i), Type: Dir})
	}
	m := newMemory()
	tree := m.tree(t, entries)
	var last string
	all := 0
	if err := tree.WalkPages(context.Background(), func(_ Ref, p *Page) error {
		if all++; all == 2 {
			last = p.Last()
		}
		return nil
	}); err != nil || all < 10 {
		t.Fatal(all, err)
	}
	clear(m.reads)
	tree.Known = func(it *Item) bool { return it.Last != last }
	n := 0
	if err := tree.WalkPages(context.Background(), func(Ref, *Page) error { n++; return nil }); err != nil || n != 2 || len(m.reads) != 2 {
		t.Errorf("%d pages visited, %d read, %v", n, len(m.reads), err)
	}
	n = 0
	if err := tree.Walk(context.Background(), "", func(*Entry) error { n++; return nil }); err != nil || n != len(entries) {
		t.Errorf("Walk saw %d entries, %v", n, err)
	}
}

func TestDecode_SelfReferencePastItsBlob(t *testing.T) {
	e := Entry{Path: "a", Type: File, Size: 5, Refs: []Ref{{ID: someID("x"), Span: blob.Span{FrameOff: 90, FrameLen: 11, Len: 5}}}}
	b, err := EncodeLeaf(nil, []Entry{e})
	if err != nil {
		t.Fatal(err)
	}
	for size, ok := range map[int64]bool{100: false, 101: true} {
		if _, err := Decode(b, &blob.Info{Name: blob.Name{1}, Size: size}); (err == nil) != ok {
			t.Errorf("in a blob of %d bytes: %v", size, err)
		}
	}
}

// List pages that are known are not read, and count as what they stand for.
func TestTree_KnownListsAreNotRead(t *testing.T) {
	m := newMemory()
	tree := m.tree(t, []Entry{{Path: ".", Type: Dir}, m.file("a", 20_000), m.file("b", 3)})
	type place struct {
		id    chunk.ID
		level int
	}
	known := map[place]ListSum{}
	tree.KnownList = func(ref Ref, level int) (ListSum, bool) {
		sum, ok := known[place{ref.ID, level}]
		return sum, ok
	}
	tree.ListRead = func(ref Ref, level int, sum ListSum) { known[place{ref.ID, level}] = sum }
	walk := func() (lists int) {
		t.Helper()
		err := tree.WalkPages(context.Background(), func(_ Ref, p *Page) error {
			if p.Kind == List {
				lists++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return lists
	}
	all := walk()
	if all < 50 || len(known) != all {
		t.Fatalf("%d list pages, %d of them told", all, len(known))
	}
	if n := walk(); n != 0 {
		t.Errorf("%d list pages were read again", n)
	}
	// Of a file that is a little longer, those that changed are read.
	tree = &Tree{Fetch: m.fetch, KnownList: tree.KnownList, ListRead: tree.ListRead,
		Top: m.tree(t, []Entry{{Path: ".", Type: Dir}, m.file("a", 20_010)}).Top}
	if n := walk(); n == 0 || n > 10 {
		t.Errorf("%d list pages of %d were read", n, all)
	}
	// A sum that is not that of the file is noticed.
	for k, sum := range known {
		sum.Bytes++
		known[k] = sum
	}
	err := tree.WalkPages(context.Background(), func(Ref, *Page) error { return nil })
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}
