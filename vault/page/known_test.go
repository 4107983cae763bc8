package page

import (
	"context"
	"fmt"
	"testing"

	"vaultik/vault/blob"
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
