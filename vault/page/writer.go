package page

import (
	"errors"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

// blobTarget is where a blob of pages is sealed: small, so that browsing reads little.
const blobTarget = 4 << 20

// BlobBuffer is the size in bytes of a buffer in which a blob of pages is built and sealed.
var BlobBuffer = blob.BufferSize(blobTarget + blob.FrameTarget)

// Writer makes the pages of a tree and puts them into frames, and frames into blobs. It
// knows neither a store nor an index: whoever owns it seals and stores the blobs that
// Close gives away, and tells it what is stored already. It belongs to one goroutine.
//
// A page may refer to earlier frames of its own blob as self. So what a page
// refers to is flushed before the page is encoded, and a leaf, with its list
// pages and attribute chunks, never spans two blobs.
type Writer struct {
	opt WriterOptions
	enc Encoder

	blob  *OpenBlob // nil until a page needs it
	raw   []byte    // of the open frame
	frame *frame
	buf   []byte
	comp  []byte
}

// WriterOptions are all needed.
type WriterOptions struct {
	Cut        *Cutter
	Hasher     *chunk.Hasher
	Compressor *blob.Compressor

	// Buffer returns an empty buffer, for a blob of its own until that is stored; one
	// smaller than BlobBuffer is grown.
	Buffer func() []byte
	// Stored finds a page, or the like, in an earlier blob.
	Stored func(id chunk.ID) (ref Ref, ok bool, err error)
	// StoredBranch finds a branch by its digest in an earlier blob.
	StoredBranch func(digest [32]byte) (Ref, bool)
}

// NewWriter returns a writer without an open blob.
func NewWriter(opt WriterOptions) *Writer { return &Writer{opt: opt} }

// OpenBlob is a blob with pages: only pages, or all of a small run.
type OpenBlob struct {
	Builder  *blob.Builder
	Buf      []byte        // that it works in; nil: one that Adopt took over
	Info     *blob.Info    // its owner's to set, once sealed
	Branches []BranchPlace // in it that may be carried over

	adopted bool                  // leaves that are still to come refer to it as self: it stays open
	self    map[chunk.ID]struct{} // pages that refer to self: no dedup
}

// Rows are the rows of all that may be found by id again: of what refers to self,
// nothing may.
func (b *OpenBlob) Rows() []blob.Row {
	rows := make([]blob.Row, 0, len(b.Builder.Rows()))
	for _, r := range b.Builder.Rows() {
		if _, self := b.self[r.ID]; !self {
			rows = append(rows, r)
		}
	}
	return rows
}

// Release gives up everything but the blob's name, and returns its buffer, if that was
// its own: places of pages keep the blob until the branches are made.
func (b *OpenBlob) Release() []byte {
	buf := b.Buf
	b.Builder, b.Buf, b.Branches, b.self = nil, nil, nil, nil
	return buf
}

// BranchPlace is where a branch went.
type BranchPlace struct {
	Digest [32]byte
	Place  *Place
}

type frame struct {
	blob     *OpenBlob
	off, len uint32
	rows     []blob.Row
}

// Place is where a page went, or stands already.
type Place struct {
	known *Ref // stands in an earlier blob
	frame *frame
	off   uint32
	len   uint32
	id    chunk.ID
}

// At is the place of a page that stands in an earlier blob.
func At(ref Ref) *Place { return &Place{known: &ref, id: ref.ID} }

// ID is the page's.
func (p *Place) ID() chunk.ID { return p.id }

// Ref is the reference for use in a page of blob from: self where it is the same.
func (p *Place) Ref(from *OpenBlob) Ref {
	if p.known != nil {
		return *p.known
	}
	f := p.frame
	r := Ref{ID: p.id, Span: blob.Span{FrameOff: f.off, FrameLen: f.len, Off: p.off, Len: p.len}}
	if f.blob != from {
		r.Blob = f.blob.Info
	}
	return r
}

// Owner is the blob under construction that holds the page, or nil.
func (p *Place) Owner() *OpenBlob {
	if p.known != nil {
		return nil
	}
	return p.frame.blob
}

func (w *Writer) open() *OpenBlob {
	if w.blob == nil {
		buf := w.opt.Buffer()
		w.blob = &OpenBlob{Builder: blob.NewBuilder(buf), Buf: buf, self: map[chunk.ID]struct{}{}}
	}
	return w.blob
}

// Adopt takes over an unsealed blob with data, so that a small run is one blob. It
// returns where its frames are now, by where they were, if they had to be moved: pages
// that were written before stay put, since they may refer to each other as self.
func (w *Writer) Adopt(b *blob.Builder) (moved map[uint32]uint32) {
	if w.blob == nil && w.frame == nil {
		w.blob = &OpenBlob{Builder: b, adopted: true, self: map[chunk.ID]struct{}{}}
		return nil
	}
	w.flush()
	w.open().adopted = true
	moved = map[uint32]uint32{}
	for rows := b.Rows(); len(rows) > 0; {
		n, off := 0, rows[0].FrameOff
		for n < len(rows) && rows[n].FrameOff == off {
			n++
		}
		moved[off], _ = w.open().Builder.AddFrame(b.Frame(off, rows[0].FrameLen), rows[:n])
		rows = rows[n:]
	}
	return moved
}

// put places one chunk of a page's kind; self says that it refers to its own blob.
// Others may stand in the store already.
func (w *Writer) put(data []byte, self bool) (*Place, error) {
	id := w.opt.Hasher.ID(data)
	if !self {
		ref, ok, err := w.opt.Stored(id)
		if err != nil {
			return nil, err
		}
		if ok {
			return At(ref), nil
		}
	}
	b := w.open()
	if w.frame != nil && len(w.raw)+len(data) > blob.FrameTarget {
		w.flush()
	}
	if w.frame == nil {
		w.frame = &frame{blob: b}
	}
	if self {
		b.self[id] = struct{}{}
	}
	p := &Place{frame: w.frame, off: uint32(len(w.raw)), len: uint32(len(data)), id: id}
	w.raw = append(w.raw, data...)
	w.frame.rows = append(w.frame.rows, blob.Row{ID: id, Span: blob.Span{Off: p.off, Len: p.len}})
	return p, nil
}

// flush ends the open frame, so that its pages can be referred to.
func (w *Writer) flush() {
	if w.frame == nil {
		return
	}
	w.comp = w.opt.Compressor.Frame(w.comp[:0], w.raw)
	f := w.frame
	f.off, f.len = f.blob.Builder.AddFrame(w.comp, f.rows)
	f.rows = nil
	w.frame, w.raw = nil, w.raw[:0]
}

// Full reports whether the open blob should be closed.
func (w *Writer) Full() bool {
	return w.blob != nil && !w.blob.adopted && w.blob.Builder.Len()+len(w.raw)/4 >= blobTarget
}

// Close gives the open blob away to be sealed; nil if there is none.
func (w *Writer) Close() *OpenBlob {
	w.flush()
	b := w.blob
	w.blob = nil
	if b == nil || b.Builder.Empty() {
		return nil
	}
	return b
}

// Content writes list pages until the references of an entry fit into it, and
// its attributes into a chunk where they do not.
func (w *Writer) Content(e *Entry) error {
	for len(e.Refs) > MaxInlineRefs {
		var places []*Place
		for _, part := range CutLists(e.Refs, e.ListLevel, w.opt.Cut) {
			data, err := w.enc.List(w.buf[:0], e.ListLevel, part)
			if err != nil {
				return err
			}
			w.buf = data
			p, err := w.put(data, HasSelf(part))
			if err != nil {
				return err
			}
			places = append(places, p)
		}
		w.flush()
		e.Refs = make([]Ref, len(places))
		for i, p := range places {
			e.Refs[i] = p.Ref(w.blob)
		}
		e.ListLevel++
	}
	if len(e.Xattrs) > 0 && !XattrsFit(e.Xattrs) {
		p, err := w.put(EncodeXattrs(nil, e.Xattrs), false)
		if err != nil {
			return err
		}
		w.flush()
		e.Xattrs, e.XattrRefs = nil, []Ref{p.Ref(w.blob)}
	}
	return nil
}

// HasSelf reports whether one of the references is to the blob of its page.
func HasSelf(refs []Ref) bool {
	for i := range refs {
		if refs[i].Hole == 0 && refs[i].Blob == nil {
			return true
		}
	}
	return false
}

// errNotSelf is a bug: a page would have been written that cannot be read.
var errNotSelf = errors.New("internal error: a page refers to a frame that its blob has not")

// holds makes sure that what refs call self is in the open blob.
func (w *Writer) holds(refs []Ref) error {
	n := int64(w.open().Builder.Len())
	for i := range refs {
		s := refs[i].Span
		if HasSelf(refs[i:i+1]) && int64(s.FrameOff)+int64(s.FrameLen) > n {
			return errNotSelf
		}
	}
	return nil
}

// Leaf writes one leaf page; self says that it refers to its own blob. References of
// entries without a blob are to frames of the open one.
func (w *Writer) Leaf(entries []Entry) (p *Place, self bool, err error) {
	for i := range entries {
		if err := w.Content(&entries[i]); err != nil {
			return nil, false, err
		}
	}
	data, err := w.enc.Leaf(w.buf[:0], entries)
	if err != nil {
		return nil, false, err
	}
	w.buf = data
	for i := range entries {
		for _, refs := range [][]Ref{entries[i].Refs, entries[i].XattrRefs} {
			if !HasSelf(refs) {
				continue
			}
			self = true
			if err := w.holds(refs); err != nil {
				return nil, false, err
			}
		}
	}
	p, err = w.put(data, self)
	return p, self, err
}

// TreeItem is one page of a level while the levels above it are built.
type TreeItem struct {
	Last    string // path
	Place   *Place
	Entries int64
}

// Branches writes the levels above the leaves, at least one, and returns the top page.
// Blobs that were closed before must have been sealed.
func (w *Writer) Branches(items []TreeItem) (*Place, error) {
	for level := 1; len(items) > 1; level++ {
		w.flush()
		w.open()
		refs := make([]Item, len(items))
		for i, it := range items {
			refs[i] = Item{Last: it.Last, Ref: it.Place.Ref(w.blob), Entries: it.Entries}
		}
		var up []TreeItem
		for _, part := range CutBranch(refs, level, w.opt.Cut) {
			it, err := w.branch(level, part)
			if err != nil {
				return nil, err
			}
			up = append(up, it)
		}
		items = up
	}
	w.flush()
	return items[0].Place, nil
}

func (w *Writer) branch(level int, part []Item) (TreeItem, error) {
	it := TreeItem{Last: part[len(part)-1].Last}
	self := false
	for i := range part {
		it.Entries += part[i].Entries
		self = self || part[i].Ref.Blob == nil
	}
	digest := BranchDigest(part)
	if !self {
		if r, ok := w.opt.StoredBranch(digest); ok {
			it.Place = At(r)
			return it, nil
		}
	}
	data, err := w.enc.Branch(w.buf[:0], level, part)
	if err != nil {
		return it, err
	}
	w.buf = data
	it.Place, err = w.put(data, self)
	if err == nil && !self && it.Place.known == nil {
		b := it.Place.frame.blob
		b.Branches = append(b.Branches, BranchPlace{digest, it.Place})
	}
	return it, err
}
