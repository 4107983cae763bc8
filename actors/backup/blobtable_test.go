package backup

import (
	"encoding/binary"
	"runtime"
	"testing"
	"unsafe"

	"vaultik/index"
	"vaultik/vault/blob"
)

func testName(i int) (n blob.Name) {
	binary.LittleEndian.PutUint64(n[:], uint64(i))
	binary.LittleEndian.PutUint64(n[8:], uint64(i)*0x9e3779b97f4a7c15>>7)
	return n
}

// TestBlobTable_Memory: what the bounds of a job count for a blob is enough, wherever
// the table has just grown, and to look one up allocates nothing.
func TestBlobTable_Memory(t *testing.T) {
	ix, err := index.Open(t.TempDir(), index.Options{Key: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	for _, n := range []int{92_000, 183_500, 184_000} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		table := newBlobTable(ix)
		for i := range n {
			name := testName(i)
			table.stored(name)
			table.need(name)
			table.mu.Lock()
			table.number(index.BlobNum(i+1), name)
			table.mu.Unlock()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
		if bound := blobMemory - 90.0; each > bound || each < bound/2 {
			t.Errorf("%d blobs take %.0f bytes each, %.0f are counted", n, each, bound)
		}
		i := 0
		if allocs := testing.AllocsPerRun(1000, func() {
			name := testName(i)
			if !table.needed(name) || !table.present(name) {
				t.Errorf("%d is not known", i)
			}
			table.need(name)
			if _, ok := table.info(index.BlobNum(i + 1)); !ok {
				t.Errorf("%d has no number", i)
			}
			i++
		}); allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
		if needed, all := table.count(); needed != n || all != n {
			t.Errorf("%d of %d are needed", needed, all)
		}
	}
	t.Logf("a record takes %d bytes", unsafe.Sizeof(knownBlob{}))
}

// TestBlobTable_Rounds: what is needed, and what the store has, is asked for anew.
func TestBlobTable_Rounds(t *testing.T) {
	table := newBlobTable(nil)
	a, b, c := testName(1), testName(2), testName(3)
	table.stored(a)
	table.need(a)
	table.need(b)
	if _, gone := table.unlisted(); len(gone) != 1 || gone[0] != b {
		t.Errorf("missing: %v", gone)
	}
	in := table.add(blob.Info{Name: b, Size: 7})
	table.uploaded(b)
	if own, gone := table.unlisted(); len(own)+len(gone) != 0 {
		t.Errorf("missing: %v %v", own, gone)
	}
	table.list()
	table.stored(a)
	if own, gone := table.unlisted(); len(gone) != 0 || len(own) != 1 || own[0] != b || !table.present(b) {
		t.Errorf("too new to be listed: %v, missing: %v", own, gone)
	}
	table.lost(b)
	if own, gone := table.unlisted(); len(own) != 0 || len(gone) != 1 || table.present(b) {
		t.Errorf("lost: %v %v", own, gone)
	}
	table.list()
	table.stored(b)
	if _, gone := table.unlisted(); len(gone) != 1 || gone[0] != a || table.present(a) || !table.present(b) || table.present(c) {
		t.Errorf("missing after it was listed again: %v", gone)
	}
	table.walk()
	if n, all := table.count(); n != 0 || all != 2 || table.needed(a) {
		t.Errorf("%d of %d are needed in a new round", n, all)
	}
	if again := table.add(blob.Info{Name: b, Size: 7}); again != in || again.Size != 7 {
		t.Errorf("two records of one blob")
	}
}
