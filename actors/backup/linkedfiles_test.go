package backup

import (
	"slices"
	"testing"

	"vaultik/vault/chunk"
	vfs "vaultik/vault/fs"
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
	f, mine, whole := l.claim(&st)
	if !mine || whole {
		t.Fatal("the first does not read")
	}
	for i, leaf := range []uint64{1, 1, 2} {
		st.Blocks++ // as it was written to the disk
		f, mine, whole := l.claim(&st)
		if mine || whole || !l.putAside(f, nameOf(leaf, i+1)) {
			t.Errorf("name %d is not put aside", i+1)
		}
	}
	again := l.end(f, &linkedReading{chunks: []linkedChunk{{n: 5}}}) // it failed
	if len(again) != 2 || len(again[0].Tasks) != 2 || again[1].Leaf != 2 {
		t.Fatalf("%+v", again)
	}
	if l.putAside(f, nameOf(1, 4)) {
		t.Error("put aside for a reading that has ended")
	}
	if f, mine, _ = l.claim(&st); !mine {
		t.Fatal("nobody reads what was not read")
	}
	l.end(f, &linkedReading{whole: true, chunks: []linkedChunk{{n: 5}}})
	for i := range 4 {
		f, mine, whole := l.claim(&st)
		if mine || !whole || !slices.Equal(f.chunks, []linkedChunk{{n: 5}}) {
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
	reading, _, _ := l.claim(&under)
	if !l.putAside(reading, nameOf(1, 1)) {
		t.Error("not put aside")
	}
	for i := range uint64(100_000) {
		st := vfs.Stat{Ino: 1 + i, Nlink: 2}
		f, mine, _ := l.claim(&st)
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
	f, _, _ := l.claim(&st)
	l.forget()
	l.end(f, &linkedReading{whole: true})
	if _, mine, _ := l.claim(&st); !mine {
		t.Error("what an earlier round read is taken for stored")
	}
}
