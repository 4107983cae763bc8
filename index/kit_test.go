package index

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"vaultik/internal/testsize"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
)

var testKey = [32]byte{1, 2, 3}

func open(t testing.TB, dir string) *Index {
	t.Helper()
	x, err := Open(dir, Options{Key: testKey})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

func reopen(t testing.TB, x *Index) *Index {
	t.Helper()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, x.dir)
}

func write(t testing.TB, x *Index, b *Batch) []BlobNum {
	t.Helper()
	nums, err := x.Write(b)
	if err != nil {
		t.Fatal(err)
	}
	return nums
}

// source makes what tests write. Everything follows from the seed.
type source struct{ *rand.Rand }

func newSource(t testing.TB) source {
	return source{rand.New(rand.NewPCG(testsize.Seed(t), 1))}
}

func (r source) fill(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, r.Uint64())
		b = b[8:]
	}
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

func (r source) id() (id chunk.ID)     { r.fill(id[:]); return }
func (r source) path() (p PathKey)     { r.fill(p[:]); return }
func (r source) set() (s layout.SetID) { r.fill(s[:]); return }

func (r source) span() blob.Span {
	return blob.Span{FrameOff: r.Uint32N(1 << 24), FrameLen: r.Uint32N(1 << 20), Off: r.Uint32N(1 << 20), Len: r.Uint32N(1 << 20)}
}

func (r source) info() (in blob.Info) {
	r.fill(in.Name[:])
	r.fill(in.Hdr[:])
	r.fill(in.Epoch[:])
	in.Size = r.Int64N(1 << 40)
	return in
}

func (r source) stored(rows int) StoredBlob {
	s := StoredBlob{Info: r.info(), Rows: make([]blob.Row, rows)}
	for i := range s.Rows {
		s.Rows[i] = blob.Row{ID: r.id(), Span: r.span()}
	}
	return s
}

// entries makes n entries that use the blobs, as a leaf has them: mostly one
// reference, runs in one frame, some holes, some long lists.
func (r source) entries(n int, blobs []BlobNum) []LeafEntry {
	out := make([]LeafEntry, n)
	var s blob.Span
	for i := range out {
		e := &out[i]
		e.Path = r.path()
		if r.IntN(10) > 0 {
			r.fill(e.Stat[:])
		}
		e.ListLevel = max(0, r.IntN(20)-17)
		refs := 1
		if r.IntN(8) == 0 {
			refs = r.IntN(20)
		}
		for range refs {
			ref := LeafRef{}
			if r.IntN(20) == 0 {
				ref.Hole = 1 + r.Int64N(1<<40)
			} else {
				switch r.IntN(4) {
				case 0:
					s = r.span()
				case 1:
					s = blob.Span{FrameOff: s.FrameOff + s.FrameLen, FrameLen: r.Uint32N(1 << 20), Len: r.Uint32N(1 << 18)}
				default:
					s.Off, s.Len = s.Off+s.Len, r.Uint32N(1<<14)
				}
				ref = LeafRef{Loc: Loc{Blob: blobs[r.IntN(len(blobs))], Span: s}, ID: r.id()}
			}
			e.Refs = append(e.Refs, ref)
		}
	}
	return out
}

func (r source) leaf(blobs ...BlobNum) Leaf {
	l := Leaf{Page: Loc{Blob: blobs[0], Span: r.span()}, PageID: r.id(), Self: r.IntN(2) == 0,
		Blobs: slices.Clone(blobs), Files: r.Int64N(1000), Bytes: r.Int64N(1 << 40)}
	r.fill(l.Digest[:])
	for range blobs {
		l.Live = append(l.Live, r.Int64N(1<<40))
	}
	return l
}

func lookup(t testing.TB, x *Index, s StoredBlob) []Loc {
	t.Helper()
	ids := make([]chunk.ID, len(s.Rows))
	for i, row := range s.Rows {
		ids[i] = row.ID
	}
	out := make([]Loc, len(ids))
	if err := x.Chunks(ids, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// wantChunks checks that all chunks of a blob are found, or none.
func wantChunks(t testing.TB, x *Index, s StoredBlob, n BlobNum) {
	t.Helper()
	for i, loc := range lookup(t, x, s) {
		want := Loc{}
		if n != 0 {
			want = Loc{Blob: n, Span: s.Rows[i].Span}
		}
		if loc != want {
			t.Fatalf("chunk %d: got %+v, want %+v", i, loc, want)
		}
	}
}

// pageRow is a row that tells of a page, and how it is read.
type pageRow struct {
	key  []byte
	read func() bool // false: it is not there
}

// pageRows writes one of each kind, by kind; they use the blobs.
func (r source) pageRows(t testing.TB, x *Index, blobs []BlobNum) map[string]pageRow {
	t.Helper()
	key, bkey := LeafKey{r.set(), r.path()}, BranchKey{Set: r.set()}
	write(t, x, &Batch{
		Leaves:   []LeafRow{{key, r.leaf(blobs...)}},
		Entries:  []EntriesRow{{key, r.entries(5, blobs)}},
		Branches: []BranchRow{{bkey, Branch{Page: Loc{Blob: blobs[0]}}}},
		Uses:     []UseRow{{key.Set, []Use{{Blob: blobs[0], Live: 7}}}},
	})
	return map[string]pageRow{
		"leaf":    {appendLeafKey(nil, x.gen, kindLeaf, key), func() bool { _, ok := x.Leaf(key); return ok }},
		"entries": {appendLeafKey(nil, x.gen, kindEntries, key), func() bool { _, ok := x.LeafEntries(key); return ok }},
		"branch":  {appendBranchKey(nil, x.gen, bkey), func() bool { _, ok := x.Branch(bkey); return ok }},
		"uses":    {appendUsesKey(nil, x.gen, key.Set), func() bool { return len(x.Uses()[key.Set]) > 0 }},
	}
}
