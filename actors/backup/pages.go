package backup

import (
	"errors"

	"vaultik/index"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

// pageBlobTarget is where a blob of pages is sealed: small, so that browsing reads little.
const pageBlobTarget = 4 << 20

// pageWriter puts pages into frames and frames into blobs. It knows nothing of
// actors: whoever owns it seals and stores the blobs that it closes.
//
// A page may refer to earlier frames of its own blob as self. So what a page
// refers to is flushed before the page is encoded, and a leaf, with its list
// pages and attribute chunks, never spans two blobs.
type pageWriter struct {
	ix     *index.Index
	uses   func(*blob.Info) // is told of each blob where a page was found
	enc    page.Encoder
	z      *blob.Compressor
	hasher *chunk.Hasher

	blob  *pageBlob // open; nil until a page needs it
	raw   []byte    // of the open frame
	frame *pageFrame
	buf   []byte
	comp  []byte
}

// pageBlob is a blob with pages: only pages, or all of a small run.
type pageBlob struct {
	builder *blob.Builder
	adopted bool                  // leaves that are still to come refer to it as self: it stays open
	self    map[chunk.ID]struct{} // pages that refer to self: no dedup
	info    *blob.Info            // once sealed
	leaves  []*leafRow
	branch  []branchPlace
}

// release gives up everything but the blob's name.
func (b *pageBlob) release() { b.builder, b.self = nil, nil }

type branchPlace struct {
	digest [32]byte
	place  *pagePlace
}

type pageFrame struct {
	blob     *pageBlob
	off, len uint32
	rows     []blob.Row
}

// pagePlace is where a page went, or stands already.
type pagePlace struct {
	known *page.Ref // stands in an earlier blob
	frame *pageFrame
	off   uint32
	len   uint32
	id    chunk.ID
}

// ref is the reference for use in a page of blob from: self where it is the same.
func (p *pagePlace) ref(from *pageBlob) page.Ref {
	if p.known != nil {
		return *p.known
	}
	r := page.Ref{ID: p.id, Span: blob.Span{FrameOff: p.frame.off, FrameLen: p.frame.len, Off: p.off, Len: p.len}}
	if p.frame.blob != from {
		r.Blob = p.frame.blob.info
	}
	return r
}

// owner is the blob under construction that holds the page, or nil.
func (p *pagePlace) owner() *pageBlob {
	if p.known != nil {
		return nil
	}
	return p.frame.blob
}

func (w *pageWriter) open() *pageBlob {
	if w.blob == nil {
		w.blob = &pageBlob{
			builder: blob.NewBuilder(make([]byte, 0, blob.BufferSize(pageBlobTarget+blob.FrameTarget))),
			self:    map[chunk.ID]struct{}{},
		}
	}
	return w.blob
}

// adopt takes over an unsealed blob with data, so that a small run is one blob.
// It returns where the frames are now: pages that were written before stay put,
// since they may refer to each other as self.
func (w *pageWriter) adopt(b *blob.Builder, frames []framePlace) []framePlace {
	if w.blob == nil && w.frame == nil {
		w.blob = &pageBlob{builder: b, adopted: true, self: map[chunk.ID]struct{}{}}
		return frames
	}
	w.flush()
	w.open().adopted = true
	rows := b.Rows()
	moved := make([]framePlace, len(frames))
	for i, f := range frames {
		n := 0
		for n < len(rows) && rows[n].FrameOff == f.Off {
			n++
		}
		off, size := w.open().builder.AddFrame(b.Frame(f.Off, f.Len), rows[:n])
		moved[i] = framePlace{Frame: f.Frame, Off: off, Len: size}
		rows = rows[n:]
	}
	return moved
}

// put places one chunk of a page's kind; self says that it refers to its own blob.
// Others may stand in the store already.
func (w *pageWriter) put(data []byte, self bool) (*pagePlace, error) {
	id := w.hasher.ID(data)
	if !self {
		ids, locs := [1]chunk.ID{id}, [1]index.Loc{}
		if err := w.ix.Chunks(ids[:], locs[:]); err != nil {
			return nil, err
		}
		if info, ok := w.ix.Blob(locs[0].Blob); ok && locs[0].Blob != 0 {
			w.uses(&info)
			return &pagePlace{known: &page.Ref{Blob: &info, Span: locs[0].Span, ID: id}, id: id}, nil
		}
	}
	b := w.open()
	if w.frame != nil && len(w.raw)+len(data) > blob.FrameTarget {
		w.flush()
	}
	if w.frame == nil {
		w.frame = &pageFrame{blob: b}
	}
	if self {
		b.self[id] = struct{}{}
	}
	p := &pagePlace{frame: w.frame, off: uint32(len(w.raw)), len: uint32(len(data)), id: id}
	w.raw = append(w.raw, data...)
	w.frame.rows = append(w.frame.rows, blob.Row{ID: id, Span: blob.Span{Off: p.off, Len: p.len}})
	return p, nil
}

// flush ends the open frame, so that its pages can be referred to.
func (w *pageWriter) flush() {
	if w.frame == nil {
		return
	}
	w.comp = w.z.Frame(w.comp[:0], w.raw)
	f := w.frame
	f.off, f.len = f.blob.builder.AddFrame(w.comp, f.rows)
	f.rows = nil
	w.frame, w.raw = nil, w.raw[:0]
}

// full reports whether the open blob should be closed.
func (w *pageWriter) full() bool {
	return w.blob != nil && !w.blob.adopted && w.blob.builder.Len()+len(w.raw)/4 >= pageBlobTarget
}

// close gives the open blob away to be sealed; nil if there is none.
func (w *pageWriter) close() *pageBlob {
	w.flush()
	b := w.blob
	w.blob = nil
	if b == nil || b.builder.Empty() {
		return nil
	}
	return b
}

// content writes list pages until the references of an entry fit into it, and
// its attributes into a chunk where they do not.
func (w *pageWriter) content(e *page.Entry, cut *page.Cutter) error {
	for len(e.Refs) > page.MaxInlineRefs {
		var places []*pagePlace
		for _, part := range page.CutLists(e.Refs, e.ListLevel, cut) {
			data, err := w.enc.List(w.buf[:0], e.ListLevel, part)
			if err != nil {
				return err
			}
			w.buf = data
			p, err := w.put(data, hasSelf(part))
			if err != nil {
				return err
			}
			places = append(places, p)
		}
		w.flush()
		e.Refs = make([]page.Ref, len(places))
		for i, p := range places {
			e.Refs[i] = p.ref(w.blob)
		}
		e.ListLevel++
	}
	if len(e.Xattrs) > 0 && !page.XattrsFit(e.Xattrs) {
		p, err := w.put(page.EncodeXattrs(nil, e.Xattrs), false)
		if err != nil {
			return err
		}
		w.flush()
		e.Xattrs, e.XattrRefs = nil, []page.Ref{p.ref(w.blob)}
	}
	return nil
}

func hasSelf(refs []page.Ref) bool {
	for i := range refs {
		if refs[i].Hole == 0 && refs[i].Blob == nil {
			return true
		}
	}
	return false
}

// errNotSelf is a bug: a page would have been written that cannot be read.
var errNotSelf = errors.New("internal error: a page refers to a frame that is not in its blob")

// holds makes sure that what refs call self is in the open blob.
func (w *pageWriter) holds(refs []page.Ref) error {
	n := int64(w.open().builder.Len())
	for i := range refs {
		if s := refs[i].Span; refs[i].Hole == 0 && refs[i].Blob == nil && int64(s.FrameOff)+int64(s.FrameLen) > n {
			return errNotSelf
		}
	}
	return nil
}

// leaf writes one leaf page.
func (w *pageWriter) leaf(entries []page.Entry, cut *page.Cutter) (*pagePlace, bool, error) {
	for i := range entries {
		if err := w.content(&entries[i], cut); err != nil {
			return nil, false, err
		}
	}
	data, err := w.enc.Leaf(w.buf[:0], entries)
	if err != nil {
		return nil, false, err
	}
	w.buf = data
	self := false
	for i := range entries {
		for _, refs := range [][]page.Ref{entries[i].Refs, entries[i].XattrRefs} {
			if !hasSelf(refs) {
				continue
			}
			self = true
			if err := w.holds(refs); err != nil {
				return nil, false, err
			}
		}
	}
	p, err := w.put(data, self)
	return p, self, err
}

// treeItem is one page of a level while the levels above it are built.
type treeItem struct {
	last    string
	place   *pagePlace
	entries int64
}

// branches writes the levels above the leaves and returns the top page. Blobs
// that were closed before must have been sealed.
func (w *pageWriter) branches(items []treeItem, cut *page.Cutter, known func([32]byte) (*page.Ref, bool)) (*pagePlace, error) {
	for level := 1; len(items) > 1; level++ {
		w.flush()
		w.open()
		refs := make([]page.Item, len(items))
		for i, it := range items {
			refs[i] = page.Item{Last: it.last, Ref: it.place.ref(w.blob), Entries: it.entries}
		}
		var up []treeItem
		for _, part := range page.CutBranch(refs, level, cut) {
			it, err := w.branch(level, part, known)
			if err != nil {
				return nil, err
			}
			up = append(up, it)
		}
		items = up
	}
	w.flush()
	return items[0].place, nil
}

func (w *pageWriter) branch(level int, part []page.Item, known func([32]byte) (*page.Ref, bool)) (treeItem, error) {
	it := treeItem{last: part[len(part)-1].Last}
	self := false
	for i := range part {
		it.entries += part[i].Entries
		self = self || part[i].Ref.Blob == nil
	}
	digest := page.BranchDigest(part)
	if !self {
		if r, ok := known(digest); ok {
			it.place = &pagePlace{known: r, id: r.ID}
			return it, nil
		}
	}
	data, err := w.enc.Branch(w.buf[:0], level, part)
	if err != nil {
		return it, err
	}
	w.buf = data
	it.place, err = w.put(data, self)
	if err == nil && !self && it.place.known == nil {
		b := it.place.frame.blob
		b.branch = append(b.branch, branchPlace{digest, it.place})
	}
	return it, err
}
