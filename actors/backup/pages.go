package backup

import (
	"vaultik/index"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

// The functions that the tree builder gives to page.NewWriter.

// buffer returns a buffer for a blob of pages: a free one, or a new one.
func (t *treeBuilder) buffer() []byte {
	n := len(t.free)
	if n == 0 {
		return t.run.Mem.Make(page.BlobBuffer)
	}
	buf := t.free[n-1]
	t.free = t.free[:n-1]
	return buf
}

// storedPage finds a page by its id: a leaf, a list page at any level below one, a branch.
func (t *treeBuilder) storedPage(id chunk.ID) (ref page.Ref, ok bool, err error) {
	ids, locs := [1]chunk.ID{id}, [1]index.Loc{}
	if err := t.run.spec.Index.Chunks(ids[:], locs[:]); err != nil {
		return ref, false, err
	}
	info, ok := t.run.blobs.info(locs[0].Blob)
	if !ok || t.run.compaction.leaves(info) {
		return ref, false, nil
	}
	t.need(info)
	if t.row != nil {
		t.row.blobs[info.Name] += int64(locs[0].Span.Len)
	} else {
		t.run.blobs.use(info.Name, int64(locs[0].Span.Len))
	}
	return page.Ref{Blob: info, Span: locs[0].Span, ID: id}, true, nil
}

func (t *treeBuilder) storedBranch(digest [32]byte) (ref page.Ref, ok bool) {
	row, ok := t.run.spec.Index.Branch(index.BranchKey{Set: t.run.spec.Set, Digest: digest})
	if !ok {
		return ref, false
	}
	info, ok := t.run.blobs.info(row.Page.Blob)
	if !ok || t.run.compaction.leaves(info) {
		return ref, false
	}
	t.run.blobs.use(info.Name, int64(row.Page.Span.Len))
	return page.Ref{Blob: info, Span: row.Page.Span, ID: row.PageID}, true
}

// adopt takes over the only blob of a small run.
func (t *treeBuilder) adopt(m *handedOver) {
	if moved := t.pages.Adopt(m.Builder); moved != nil {
		for i := range m.Frames {
			m.Frames[i].Off = moved[m.Frames[i].Off]
		}
	}
	t.resolve(m.Frames, nil)
}
