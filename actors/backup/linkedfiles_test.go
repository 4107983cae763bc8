package backup

import (
	"slices"
	"testing"

	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// nameOf is a batch of one name.
func nameOf(leaf uint64, index int) readEntries {
	return readEntries{Leaf: leaf, Tasks: []entryTask{{Index: index}}}
}

// Names that come during a reading come again when it ends, as few batches; if it failed, one
// of them reads. When the last name has come nothing is remembered.
func TestLinkedFiles_Aside(t *testing.T) {
	var l linkedFiles
	st := vfs.Stat{Ino: 7, Nlink: 5, Size: 9}
	f, mine := l.claim(&st, nameOf(1, 0))
	if f == nil || !mine {
		t.Fatal("the first does not read")
	}
	for i, leaf := range []uint64{1, 1, 2} {
		st.Blocks++ // as it was written to the disk
		if f, mine := l.claim(&st, nameOf(leaf, i+1)); f != nil || mine {
			t.Errorf("name %d is not put aside", i+1)
		}
	}
	again := l.end(f, &linkedReading{chunks: []linkedChunk{{n: 5}}}) // it failed
	if len(again) != 2 || len(again[0].Tasks) != 2 || again[1].Leaf != 2 {
		t.Fatalf("%+v", again)
	}
	if f, mine = l.claim(&st, nameOf(1, 1)); !mine {
		t.Fatal("nobody reads what was not read")
	}
	l.end(f, &linkedReading{whole: true, chunks: []linkedChunk{{n: 5}}})
	for i := range 4 {
		f, mine := l.claim(&st, nameOf(1, i))
		if mine || f == nil || !slices.Equal(f.chunks, []linkedChunk{{n: 5}}) {
			t.Errorf("name %d: %+v, %v", i, f, mine)
		}
	}
	if len(l.files) != 0 || l.size != 0 {
		t.Errorf("%d files, %d chunks are left", len(l.files), l.size)
	}
}

// What is remembered is bounded, of one file and of all; a reading that is forgotten, or of
// a round before, ends all the same.
func TestLinkedFiles_Bounds(t *testing.T) {
	r := &linkedReading{}
	for range 2 * maxLinked {
		r.add(chunk.ID{1}, 1)
	}
	if len(r.chunks) != maxLinked+1 { // one too many says that it is not whole
		t.Errorf("%d chunks of a file", len(r.chunks))
	}
	var l linkedFiles
	under := vfs.Stat{Nlink: 3}
	reading, _ := l.claim(&under, nameOf(1, 0))
	if f, _ := l.claim(&under, nameOf(1, 1)); f != nil {
		t.Error("not put aside")
	}
	for i := range uint64(100_000) {
		st := vfs.Stat{Ino: 1 + i, Nlink: 2}
		f, mine := l.claim(&st, nameOf(1, 0))
		if !mine {
			t.Fatal("taken for another file")
		}
		l.end(f, &linkedReading{whole: true, chunks: make([]linkedChunk, 1+i%100)})
		if l.size > maxAllLinked+linkedCost+100 {
			t.Fatalf("%d chunks are remembered", l.size)
		}
		if i%1000 != 0 {
			continue
		}
		sum := 0
		for _, f := range l.files {
			sum += linkedCost + len(f.chunks)
		}
		if sum != l.size {
			t.Fatalf("%d chunks, counted as %d", sum, l.size)
		}
	}
	size := l.size
	again := l.end(reading, &linkedReading{whole: true, chunks: make([]linkedChunk, 9)})
	if len(again) != 1 || l.size != size {
		t.Errorf("%d names came again; size %d, was %d", len(again), l.size, size)
	}
	st := vfs.Stat{Ino: 1 << 40, Nlink: 2}
	f, _ := l.claim(&st, nameOf(1, 0))
	l.forget()
	l.end(f, &linkedReading{whole: true})
	if _, mine := l.claim(&st, nameOf(1, 0)); !mine {
		t.Error("what an earlier round read is taken for stored")
	}
}

// A name that was put aside in a batch whose chunker then panicked is read by two at a time:
// what is saved is all of what one of them has read.
func TestTreeBuilder_TwoReadOneEntry(t *testing.T) {
	p := func(id byte) placed {
		return placed{Ref: page.Ref{ID: chunk.ID{id}, Span: blob.Span{Len: 1}}}
	}
	older := []*entriesPlaced{
		{Attempt: 3, Pieces: []placed{p(1)}}, {Attempt: 3, Pieces: []placed{p(2)}},
		{Attempt: 3, Done: []entryDone{{Status: messages.StatusUnchanged}}},
	}
	newer := []*entriesPlaced{
		{Attempt: 5, Pieces: []placed{p(3)}}, {Attempt: 5, Pieces: []placed{p(4)}},
		{Attempt: 5, Done: []entryDone{{Status: messages.StatusUnchanged}}},
	}
	for order := range 1 << 6 { // which of the two is next
		l := &leafState{
			m: &leafScanned{}, entries: make([]entryState, 1), left: 1,
			frames: map[uint64]resolvedFrame{},
		}
		b := &treeBuilder{
			run:    &backupRun{spec: &Spec{Progress: &messages.Progress{}}},
			leaves: map[uint64]*leafState{0: l},
		}
		queues := [2][]*entriesPlaced{older, newer}
		for i := range 6 {
			q := order >> i & 1
			if len(queues[q]) == 0 {
				q = 1 - q
			}
			b.entriesPlaced(nil, queues[q][0])
			queues[q] = queues[q][1:]
		}
		got := ""
		for _, r := range l.refs(l.entries[0].pieces) {
			got += string('0' + r.ID[0])
		}
		if l.left != 0 || got != "12" && got != "34" {
			t.Errorf("order %06b: chunks %s, %d entries left", order, got, l.left)
		}
	}
}
