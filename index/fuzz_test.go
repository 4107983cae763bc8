package index

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"vaultik/internal/fuzzbound"
	"vaultik/vault/blob"
)

// fuzzTable has blobs 1 to 9, of which 5 is gone, with fixed names.
func fuzzTable() (*blobTable, source) {
	r := source{rand.New(rand.NewPCG(1, 2))}
	t := newBlobTable()
	for n := BlobNum(1); n < 10; n++ {
		t.put(n, r.info())
	}
	t.drop(5)
	return t, r
}

// rowBound is how many bytes decoding a row may allocate.
func rowBound(b []byte) int64 { return 64<<10 + 200*int64(len(b)) }

func FuzzDecodeEntries(f *testing.F) {
	t, r := fuzzTable()
	for _, n := range []int{0, 1, 5, 256} {
		b, _ := t.appendEntries(nil, r.entries(n, []BlobNum{1, 2, 9}))
		f.Add(b)
	}
	t.put(5, r.info())
	b, _ := t.appendEntries(nil, r.entries(20, []BlobNum{5, 2, 9})) // 5 is another one for the fuzzer
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(tt *testing.T, b []byte) {
		t, _ := fuzzTable()
		var e []LeafEntry
		var gone, ok bool
		fuzzbound.Check(tt, rowBound(b), func() { e, gone, ok = t.decodeEntries(b) })
		if !ok {
			return
		}
		for i := range e {
			for _, ref := range e[i].Refs {
				if (ref.Hole == 0) == (t.get(ref.Loc.Blob) == nil) {
					tt.Fatalf("entry %d: %+v", i, ref)
				}
			}
		}
		again, ok := t.appendEntries(nil, e)
		if !ok {
			tt.Fatal("what was decoded does not encode")
		}
		if e2, gone2, ok := t.decodeEntries(again); !ok || gone2 || !sameEntries(e, e2) {
			tt.Fatalf("again: %v %v (gone %v)\n%+v\n%+v", ok, gone2, gone, e, e2)
		}
	})
}

func FuzzDecodeLeaf(f *testing.F) {
	t, r := fuzzTable()
	for _, l := range []Leaf{{}, r.leaf(1), r.leaf(9, 2, 1), {Blobs: []BlobNum{3}}} {
		b, _ := t.appendLeaf(nil, l)
		f.Add(b)
	}
	f.Fuzz(func(tt *testing.T, b []byte) {
		t, _ := fuzzTable()
		var l Leaf
		var gone, ok bool
		fuzzbound.Check(tt, rowBound(b), func() { l, gone, ok = t.decodeLeaf(b) })
		if !ok || gone {
			return
		}
		again, ok := t.appendLeaf(nil, l)
		if l2, gone, ok2 := t.decodeLeaf(again); !ok || !ok2 || gone || l2.Page != l.Page || l2.Digest != l.Digest || len(l2.Blobs) != len(l.Blobs) || !slices.Equal(l2.Live, l.Live) {
			tt.Fatalf("%+v became %+v", l, l2)
		}
	})
}

func FuzzDecodeBranch(f *testing.F) {
	t, r := fuzzTable()
	for _, br := range []Branch{{}, {Page: Loc{1, r.span()}, PageID: r.id(), Blobs: []BlobNum{1, 2}}} {
		b, _ := t.appendBranch(nil, br)
		f.Add(b)
	}
	f.Fuzz(func(tt *testing.T, b []byte) {
		t, _ := fuzzTable()
		var br Branch
		var gone, ok bool
		fuzzbound.Check(tt, rowBound(b), func() { br, gone, ok = t.decodeBranch(b) })
		if !ok || gone {
			return
		}
		again, ok := t.appendBranch(nil, br)
		if b2, gone, ok2 := t.decodeBranch(again); !ok || !ok2 || gone || b2.Page != br.Page || len(b2.Blobs) != len(br.Blobs) {
			tt.Fatalf("%+v became %+v", br, b2)
		}
	})
}

func FuzzDecodeChunkAndBlob(f *testing.F) {
	_, r := fuzzTable()
	f.Add(appendChunk(nil, Loc{1, r.span()}))
	f.Add(appendChunk(nil, Loc{inBatch - 1, blob.Span{FrameOff: 1<<32 - 1, FrameLen: 1<<32 - 1, Off: 1<<32 - 1, Len: 1<<32 - 1}}))
	f.Add(appendBlob(nil, r.info(), 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, ok := decodeChunk(b); ok {
			if l2, ok := decodeChunk(appendChunk(nil, l)); !ok || l2 != l {
				t.Fatalf("%+v became %+v", l, l2)
			}
		}
		if in, raw, ok := decodeBlob(b); ok && len(b) > 0 {
			if in2, raw2, ok := decodeBlob(appendBlob(nil, in, raw)); !ok || in2 != in || raw2 != raw {
				t.Fatalf("%+v became %+v", in, in2)
			}
		}
	})
}

// FuzzVerify feeds tables and logs to the checks that stand before Badger.
func FuzzVerify(f *testing.F) {
	r := newSource(f)
	x := open(f, f.TempDir())
	write(f, x, &Batch{Blobs: []StoredBlob{r.stored(20)}})
	log, err := os.ReadFile(filepath.Join(x.dir, dbName, "00001"+logExt))
	must(f, err)
	f.Add(log[:8<<10])
	must(f, x.Close())
	tables, err := filepath.Glob(filepath.Join(x.dir, dbName, "*"+tableExt))
	must(f, err)
	for _, name := range tables {
		b, err := os.ReadFile(name)
		must(f, err)
		f.Add(b)
	}
	f.Add(bytes.Repeat([]byte{255}, 100))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "file")
		must(t, os.WriteFile(path, b, 0o600))
		_, _ = guardedVerifyTable(path, int64(len(b)))
		if end, err := logEnd(path, int64(len(b))); err == nil && end > int64(len(b)) {
			t.Fatalf("a log of %d bytes ends at %d", len(b), end)
		}
	})
}

// guardedVerifyTable recovers, as verifyDir does.
func guardedVerifyTable(path string, size int64) (good, ok bool) {
	defer func() { _ = recover() }()
	_, err := verifyTable(path, size, nil)
	return err == nil, true
}

func FuzzDecodeUses(f *testing.F) {
	t, _ := fuzzTable()
	for _, u := range [][]Use{nil, {{1, 5, 0}}, {{9, 1 << 40, 20000}, {2, 0, 1}}} {
		b, _ := t.appendUses(nil, u)
		f.Add(b)
	}
	f.Fuzz(func(tt *testing.T, b []byte) {
		t, _ := fuzzTable()
		var uses []Use
		var ok bool
		fuzzbound.Check(tt, rowBound(b), func() { uses, ok = t.decodeUses(b) })
		if !ok {
			return
		}
		again, ok := t.appendUses(nil, uses)
		if u2, ok2 := t.decodeUses(again); !ok || !ok2 || !slices.Equal(u2, uses) {
			tt.Fatalf("%+v became %+v", uses, u2)
		}
	})
}
