package page

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

// stored has the blobs of writers, each under a name of its own, and finds what is in
// them by id as an index does. A reference must be to where the page is.
type stored struct {
	cut      *Cutter
	infos    []*blob.Info
	content  map[placed][]byte
	found    map[chunk.ID]Ref
	branches map[[32]byte]Ref
	reads    int
}

// placed is a reference as a value: those of a page that was decoded have pointers of their own.
type placed struct {
	blob blob.Info
	span blob.Span
	id   chunk.ID
}

func newStored() *stored {
	return &stored{cut: NewCutter(cutKey), content: map[placed][]byte{}, found: map[chunk.ID]Ref{}, branches: map[[32]byte]Ref{}}
}

func (s *stored) writer() *Writer {
	return NewWriter(WriterOptions{
		Cut: s.cut, Hasher: chunk.NewHasher([32]byte{9}), Compressor: blob.NewCompressor(1),
		Buffer:       func() []byte { return nil },
		Stored:       func(id chunk.ID) (Ref, bool, error) { ref, ok := s.found[id]; return ref, ok, nil },
		StoredBranch: func(digest [32]byte) (Ref, bool) { ref, ok := s.branches[digest]; return ref, ok },
	})
}

// seal stores the open blob, and returns how many pages and the like were in it.
func (s *stored) seal(t *rapid.T, w *Writer) int {
	b := w.Close()
	if b == nil {
		return 0
	}
	b.Info = &blob.Info{Name: blob.Name{byte(len(s.infos)), 1}, Size: int64(b.Builder.Len())}
	s.infos = append(s.infos, b.Info)
	z := blob.NewDecompressor()
	rows := b.Builder.Rows()
	for _, r := range rows {
		raw, err := z.Frame(nil, b.Builder.Frame(r.FrameOff, r.FrameLen), -1)
		if err != nil {
			t.Fatalf("frame: %v", err)
		}
		s.content[placed{*b.Info, r.Span, r.ID}] = slices.Clone(raw[r.Off : r.Off+r.Len])
	}
	for _, r := range b.Rows() {
		ref := Ref{Blob: b.Info, Span: r.Span, ID: r.ID}
		s.found[r.ID] = ref
		// What is found by id is read without the blob it was written for.
		if p, err := Decode(s.content[placed{*b.Info, r.Span, r.ID}], nil); err == nil && refersToSelf(p) {
			t.Fatalf("a page that refers to self can be found by its id")
		}
	}
	for _, p := range b.Branches {
		s.branches[p.Digest] = p.Place.Ref(nil)
	}
	b.Release()
	return len(rows)
}

func refersToSelf(p *Page) bool {
	refs := p.Refs
	for i := range p.Items {
		refs = append(refs, p.Items[i].Ref)
	}
	for i := range p.Entries {
		refs = append(append(refs, p.Entries[i].Refs...), p.Entries[i].XattrRefs...)
	}
	return HasSelf(refs)
}

func (s *stored) fetch(_ context.Context, ref Ref) ([]byte, error) {
	s.reads++
	b, ok := s.content[placed{*ref.Blob, ref.Span, ref.ID}]
	if !ok {
		return nil, fmt.Errorf("fetch %+v: %w", ref, fs.ErrNotExist)
	}
	return b, nil
}

// write is what a backup does: leaves, blobs when they are full or, here, at any time,
// branches.
func (s *stored) write(t *rapid.T, entries []Entry, data *blob.Builder, sealAt func() bool) (top Ref, n int) {
	w := s.writer()
	if data != nil {
		w.Adopt(data)
	}
	var items []TreeItem
	for _, run := range cutLeaves(entries, s.cut) {
		run = slices.Clone(run)
		for i := range run {
			run[i].Refs = slices.Clone(run[i].Refs)
		}
		place, _, err := w.Leaf(run)
		if err != nil {
			t.Fatalf("leaf: %v", err)
		}
		items = append(items, TreeItem{run[len(run)-1].Path, place, int64(len(run))})
		if data == nil && (w.Full() || sealAt()) {
			n += s.seal(t, w)
		}
	}
	if data == nil && sealAt() {
		n += s.seal(t, w)
	}
	place, err := w.Branches(items)
	if err != nil {
		t.Fatalf("branches: %v", err)
	}
	n += s.seal(t, w)
	return place.Ref(nil), n
}

// someFiles are files with content in blob b, nil for the writer's own.
func someFiles(r *rand.Rand, n int, b *blob.Info, frames int) []Entry {
	var entries []Entry
	for i, p := range somePaths(r.Uint64(), n) {
		e := Entry{Path: p, Type: Dir}
		if p != "." {
			e.Type = File
			many := r.IntN(3)
			if i%97 == 5 {
				many = 17 + r.IntN(3000)
			}
			for k := range many {
				ref := Ref{Blob: b, ID: someID(fmt.Sprint(p, k)), Span: blob.Span{FrameLen: 1, Len: 1000 + r.Uint32N(100)}}
				if b == nil {
					ref.Span.FrameOff = uint32(r.IntN(frames)) //nolint:gosec // small
				}
				e.Refs = append(e.Refs, ref)
				e.Size += ref.Length()
			}
			if i%50 == 3 {
				e.Xattrs = []Xattr{{Name: "user.a", Value: slices.Repeat([]byte{byte(i)}, 6000)}}
			}
		}
		entries = append(entries, e)
	}
	return entries
}

// read walks the tree and makes entries as they were written.
func (s *stored) read(t *rapid.T, top Ref) (entries []Entry) {
	tree := &Tree{Fetch: s.fetch, Top: top}
	err := tree.Walk(context.Background(), "", func(e *Entry) error {
		got := Entry{Path: e.Path, Type: e.Type, Size: e.Size, Xattrs: slices.Clone(e.Xattrs)}
		if err := tree.Refs(context.Background(), e, func(r Ref) error { got.Refs = append(got.Refs, r); return nil }); err != nil {
			return err
		}
		if len(e.XattrRefs) > 0 {
			b, err := s.fetch(context.Background(), e.XattrRefs[0])
			if err != nil {
				return err
			}
			if got.Xattrs, err = DecodeXattrs(b); err != nil {
				return err
			}
		}
		entries = append(entries, got)
		return nil
	})
	if err != nil {
		t.Fatalf("walk: %v", err)
	}
	return entries
}

// TestLaw_Writer: what is written is what a walk finds, wherever blobs end; and what is
// written again is in the store already, in the end all of it.
func TestLaw_Writer(t *testing.T) {
	other := &blob.Info{Name: blob.Name{0xff}, Size: 1 << 40}
	rapid.Check(t, func(t *rapid.T) {
		s := newStored()
		n := rapid.SampledFrom([]int{1, 2, 300, 1500}).Draw(t, "entries")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)) //nolint:gosec // data
		entries := someFiles(r, n, other, 0)
		often := rapid.IntRange(1, 4).Draw(t, "seals")
		top, made := s.write(t, entries, nil, func() bool { return r.IntN(often) == 0 })
		if got := s.read(t, top); !reflect.DeepEqual(got, entries) {
			t.Fatalf("%d entries are read, others than the %d written", len(got), len(entries))
		}
		if made < len(cutLeaves(entries, s.cut)) {
			t.Fatalf("%d pages", made)
		}
		// Each time, pages are found that referred to self before, and then those above.
		for range 6 {
			if top, made = s.write(t, entries, nil, func() bool { return false }); made == 0 {
				break
			}
		}
		if got := s.read(t, top); !reflect.DeepEqual(got, entries) || made > 0 {
			t.Fatalf("written again and again, %d entries are read, %d pages are new", len(got), made)
		}
	})
}

// TestLaw_WriterSelf: a small run is one blob, with its data; and one that would have
// a page refer to a frame that is not there is refused.
func TestLaw_WriterSelf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStored()
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2)) //nolint:gosec // data
		frames := rapid.IntRange(1, 5).Draw(t, "frames")
		data := blob.NewBuilder(nil)
		z := blob.NewCompressor(1)
		var spans []blob.Span
		for i := range frames {
			b := fmt.Appendf(nil, "data %01000d", i)
			off, size := data.AddFrame(z.Frame(nil, b), []blob.Row{{ID: someID(string(b)), Span: blob.Span{Len: uint32(len(b))}}})
			spans = append(spans, blob.Span{FrameOff: off, FrameLen: size, Len: uint32(len(b))})
		}
		entries := someFiles(r, rapid.SampledFrom([]int{2, 40, 200}).Draw(t, "entries"), nil, frames)
		for i := range entries {
			e := &entries[i]
			e.Size = 0
			for k := range e.Refs {
				at := int(e.Refs[k].Span.FrameOff)
				e.Refs[k] = Ref{ID: someID(fmt.Sprintf("data %01000d", at)), Span: spans[at]}
				e.Size += e.Refs[k].Length()
			}
		}
		top, _ := s.write(t, entries, data, nil)
		if len(s.infos) != 1 {
			t.Fatalf("%d blobs", len(s.infos))
		}
		for i := range entries {
			for k := range entries[i].Refs {
				entries[i].Refs[k].Blob = s.infos[0]
			}
		}
		got := s.read(t, top)
		if !reflect.DeepEqual(got, entries) {
			t.Fatalf("%d entries are read, others than the %d written", len(got), len(entries))
		}
		for i := range got {
			for _, ref := range got[i].Refs {
				if b, err := s.fetch(context.Background(), ref); err != nil || someID(string(b)) != ref.ID {
					t.Fatalf("%s: %q, %v", got[i].Path, b, err)
				}
			}
		}
		far := Entry{Path: "a", Type: File, Size: 1, Refs: []Ref{{ID: someID("far"), Span: blob.Span{FrameOff: 1 << 20, FrameLen: 9, Len: 1}}}}
		if _, _, err := s.writer().Leaf([]Entry{far}); !errors.Is(err, errNotSelf) {
			t.Fatalf("a frame that is not there: %v", err)
		}
	})
}

// TestWriter_Adopt: data that comes after pages moves behind them, and keeps its rows.
func TestWriter_Adopt(t *testing.T) {
	s := newStored()
	w := s.writer()
	if _, _, err := w.Leaf(dirs([]string{"a"})); err != nil {
		t.Fatal(err)
	}
	data, z := blob.NewBuilder(nil), blob.NewCompressor(1)
	rows := []blob.Row{{ID: someID("xy"), Span: blob.Span{Len: 2}}, {ID: someID("z"), Span: blob.Span{Off: 2, Len: 1}}}
	first, _ := data.AddFrame(z.Frame(nil, []byte("xyz")), rows)
	second, _ := data.AddFrame(z.Frame(nil, []byte("more")), []blob.Row{{ID: someID("more"), Span: blob.Span{Len: 4}}})
	moved := w.Adopt(data)
	if len(moved) != 2 || moved[first] == 0 || moved[second] <= moved[first] {
		t.Errorf("moved: %v", moved)
	}
	b := w.Close()
	all := b.Builder.Rows()
	if len(all) != 4 || all[1].ID != rows[0].ID || all[1].FrameOff != moved[first] || all[3].FrameOff != moved[second] {
		t.Errorf("rows: %+v", all)
	}
	raw, err := blob.NewDecompressor().Frame(nil, b.Builder.Frame(all[2].FrameOff, all[2].FrameLen), -1)
	if err != nil || string(raw) != "xyz" {
		t.Errorf("%q, %v", raw, err)
	}
}
