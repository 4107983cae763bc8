package plan

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"vaultik/internal/testsize"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

func newRand(t *testing.T) *rand.Rand {
	return rand.New(rand.NewPCG(testsize.Seed(t), 1))
}

// randomRef names one of few blobs and frames, so that much is shared.
func randomRef(r *rand.Rand, infos []*blob.Info) page.Ref {
	frame := uint32(r.IntN(20))
	ref := page.Ref{Blob: infos[r.IntN(len(infos))], Span: blob.Span{FrameOff: frame * 1000, FrameLen: 900, Off: uint32(r.IntN(50)) * 10, Len: 10}}
	ref.ID = chunk.ID{byte(frame), byte(ref.Span.Off), ref.Blob.Name[0]}
	return ref
}

// What is added comes out, once, by blob, in order.
func TestBlobs_GivesBackWhatWasAdded(t *testing.T) {
	r := newRand(t)
	var infos []*blob.Info
	for i := range 12 {
		infos = append(infos, &blob.Info{Name: blob.Name{byte(i / 2)}, Hdr: [32]byte{byte(i % 2)}, Size: 100_000})
	}
	var b Blobs[int]
	want := map[int]page.Ref{}
	bytes := int64(0)
	take := func() {
		before := b.Pieces()
		l := b.Take()
		if l == nil {
			t.Fatal("nothing to take")
		}
		n := 0
		for i, f := range l.Frames {
			if i > 0 && l.Frames[i-1].Off >= f.Off {
				t.Fatal("frames are not in order")
			}
			for k, p := range f.Pieces {
				ref, ok := want[p.To]
				if !ok || *ref.Blob != *l.Info || ref.ID != p.ID || ref.Span != (blob.Span{FrameOff: f.Off, FrameLen: f.Len, Off: p.Off, Len: p.Len}) || p.At != int64(p.To)*7 {
					t.Fatalf("piece %+v of %+v was not added so", p, f)
				}
				delete(want, p.To)
				if k > 0 && (f.Pieces[k-1].Off > p.Off || f.Pieces[k-1].Off == p.Off && f.Pieces[k-1].To > p.To) {
					t.Fatal("pieces are not in order")
				}
				n++
			}
		}
		if n != l.Pieces || b.Pieces() != before-n || l.Bytes != int64(n)*10 {
			t.Fatalf("%d pieces, counted as %d", n, l.Pieces)
		}
		bytes -= l.Bytes
	}
	for i := range 3000 {
		ref := randomRef(r, infos)
		want[i] = ref
		b.Add(&ref, i, int64(i)*7)
		bytes += 10
		if b.Bytes() != bytes || b.Pieces() != len(want) {
			t.Fatalf("%d pieces of %d bytes wait, not %d of %d", b.Pieces(), b.Bytes(), len(want), bytes)
		}
		if r.IntN(100) == 0 {
			take()
		}
	}
	for b.Pieces() > 0 {
		take()
	}
	if len(want) != 0 || b.Bytes() != 0 || b.Take() != nil {
		t.Errorf("%d pieces never came", len(want))
	}
}

func TestBlobs_TakesTheOneUsedLongestAgo(t *testing.T) {
	var b Blobs[int]
	add := func(name byte) {
		b.Add(&page.Ref{Blob: &blob.Info{Name: blob.Name{name}}, Span: blob.Span{FrameLen: 1, Len: 1}}, 0, 0)
	}
	for _, n := range []byte{1, 2, 3, 1, 4, 2} {
		add(n)
	}
	var got []byte
	for l := b.Take(); l != nil; l = b.Take() {
		got = append(got, l.Info.Name[0])
	}
	if !slices.Equal(got, []byte{3, 1, 4, 2}) {
		t.Error(got)
	}
}

func TestLease_Ranges(t *testing.T) {
	r := newRand(t)
	for range 500 {
		l := Lease[int]{Info: &blob.Info{Size: 64 << 20}}
		for off := uint32(r.IntN(1000)); off < 60<<20 && len(l.Frames) < 1+r.IntN(60); {
			n := 1 + uint32(r.IntN(3<<20))
			l.Frames = append(l.Frames, Frame[int]{Off: off, Len: n})
			off += n + uint32(r.IntN(2)*r.IntN(1<<20))
		}
		next := 0
		for _, g := range l.Ranges() {
			if g.First != next || g.Count < 1 {
				t.Fatalf("range %+v, want from frame %d on", g, next)
			}
			for _, f := range l.Frames[g.First : g.First+g.Count] {
				if int64(f.Off) < g.Off || int64(f.Off)+int64(f.Len) > g.Off+g.Len {
					t.Fatalf("frame %+v is not in %+v", f, g)
				}
			}
			if g.Len > MaxRange && g.Count > 1 {
				t.Fatalf("%+v is too long", g)
			}
			next += g.Count
		}
		if next != len(l.Frames) {
			t.Fatalf("%d of %d frames", next, len(l.Frames))
		}
	}
	near := Lease[int]{Info: &blob.Info{}, Frames: []Frame[int]{{Off: 0, Len: 10}, {Off: 10 + maxGap, Len: 10}, {Off: 21 + 2*maxGap, Len: 10}}}
	if got := near.Ranges(); len(got) != 2 || got[0].Count != 2 {
		t.Errorf("%+v", got)
	}
}

func TestLease_Whole(t *testing.T) {
	for _, c := range []struct {
		frames []Frame[int]
		want   bool
	}{
		{[]Frame[int]{{Off: 0, Len: 100}}, false},
		{[]Frame[int]{{Off: 0, Len: 12<<20 - 2*maxGap - 1}}, false},
		{[]Frame[int]{{Off: 0, Len: 12<<20 - 2*maxGap}}, true},
		{[]Frame[int]{{Off: 0, Len: 6 << 20}, {Off: 8 << 20, Len: 6<<20 - 3*maxGap}}, true},
		{[]Frame[int]{{Off: 0, Len: 6 << 20}, {Off: 8 << 20, Len: 6<<20 - 3*maxGap - 1}}, false},
		{[]Frame[int]{{Off: 0, Len: 4 << 20}, {Off: 0, Len: 4<<20 + 1}, {Off: 1 << 20, Len: 2 << 20}, {Off: 3 << 20, Len: 2 << 20}}, false}, // overlaps count once
	} {
		l := Lease[int]{Info: &blob.Info{Size: 16 << 20}, Frames: c.frames}
		if l.Whole() != c.want {
			t.Errorf("%v", c.frames)
		}
		if cost := l.Cost(); cost > 16<<20 || l.Whole() != (cost == 16<<20) || !c.want && cost > 12<<20 {
			t.Errorf("%v: %d bytes", c.frames, cost)
		}
	}
	small := Lease[int]{Info: &blob.Info{Size: 2 * maxGap}, Frames: []Frame[int]{{Off: 0, Len: 1}}}
	if !small.Whole() {
		t.Error("a small blob is not worth several requests")
	}
}

func TestSelect(t *testing.T) {
	for _, c := range []struct {
		from  string
		paths []string
		tops  []string
	}{
		{"", nil, []string{"."}},
		{".", []string{"b", "a/x", "a", "a.b", "a/y"}, []string{"a", "a.b", "b"}},
		{"a", nil, []string{"a"}},
		{"a", []string{"a/b/c", "a/b", "a/c"}, []string{"a/b", "a/c"}},
		{"a", []string{"a", "a/b"}, []string{"a"}},
	} {
		s, err := Select(c.from, c.paths)
		if err != nil || !slices.Equal(s.Tops, c.tops) {
			t.Errorf("%q %q: %q, %v", c.from, c.paths, s.Tops, err)
		}
	}
	for _, c := range []struct {
		from  string
		paths []string
		want  error
	}{
		{"/a", nil, page.ErrInvalid},
		{"a", []string{"b"}, ErrOutside},
		{"a", []string{"ab"}, ErrOutside},
		{"a", []string{"a/../b"}, page.ErrInvalid},
		{"", []string{""}, page.ErrInvalid},
	} {
		if _, err := Select(c.from, c.paths); !errors.Is(err, c.want) {
			t.Errorf("%q %q: %v", c.from, c.paths, err)
		}
	}
}

func TestSelection_PlaceAndAbove(t *testing.T) {
	for _, c := range []struct {
		from, path string
		file       bool
		place      string
		above      []string
	}{
		{".", ".", false, ".", nil},
		{".", "a", false, "a", []string{"."}},
		{".", "a/b/c", false, "a/b/c", []string{".", "a", "a/b"}},
		{"a/b", "a/b", false, ".", nil},
		{"a/b", "a/b/c", false, "c", []string{"a/b"}},
		{"a/b", "a/b/c/d", false, "c/d", []string{"a/b", "a/b/c"}},
		{"a/b", "a/b", true, "b", nil},
	} {
		s := Selection{From: c.from, File: c.file}
		if got := s.Place(c.path); got != c.place {
			t.Errorf("%+v: place %q", c, got)
		}
		if got := s.Origin(c.place); got != c.path {
			t.Errorf("%+v: origin %q", c, got)
		}
		if got := s.Above(c.path); !slices.Equal(got, c.above) {
			t.Errorf("%+v: above %q", c, got)
		}
	}
}
