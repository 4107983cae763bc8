package backup

import (
	"vaultik/index"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// leafRow is what the index will know of a leaf: first where the content of its
// files is, once their blobs are stored, then the page, once its own is.
type leafRow struct {
	key, last  [16]byte // where the leaf begins, and its last path
	digest     [32]byte
	incomplete bool       // an entry is missing or racy: the page may not be carried over
	entries    []rowEntry // until they are written
	place      *page.Place
	self       bool
	blobs      map[blob.Name]int64    // that the page and its lists use, self left out: bytes of it
	missing    map[blob.Name]struct{} // of these, not yet indexed
	home       *page.OpenBlob         // the blob under construction that self means
	files      int64
	bytes      int64
}

type rowEntry struct {
	key     [16]byte
	sum     fs.StatSum
	content []page.Ref // before they went to list pages, which are made again from them
}

func newLeafRow(m *leafScanned) *leafRow {
	return &leafRow{
		key: m.Key, last: m.Keys[len(m.Keys)-1], digest: m.Digest,
		blobs: map[blob.Name]int64{}, incomplete: m.Digest == [32]byte{},
	}
}

// add takes entry i of m, which will be in the page. content are its references
// before they went to list pages.
func (r *leafRow) add(h *fs.StatHasher, m *leafScanned, i int, d *entryDone, content []page.Ref) {
	sum := m.Sums[i]
	if d.Status != messages.StatusUnchanged || d.Racy || !d.Read.Clock.IsZero() {
		var now fs.StatSum
		switch {
		case d.Racy:
		case d.Read.Clock.IsZero():
			now = sum // there was nothing to read
		default:
			now = h.Sum(d.Entry.Path, &d.Stat, d.Read)
		}
		if now != sum {
			r.incomplete = true
		}
		sum = now
	}
	for j := range content {
		if b := content[j].Blob; b != nil {
			r.blobs[b.Name] += content[j].Length()
		}
	}
	for _, refs := range [][]page.Ref{d.Entry.Refs, d.Entry.XattrRefs} {
		for j := range refs {
			if b := refs[j].Blob; b != nil {
				r.blobs[b.Name] += 0 // counted as contents, or when they were found to be stored
			}
		}
	}
	if d.Entry.Type != page.File {
		return
	}
	r.files++
	r.bytes += d.Entry.Size
	r.entries = append(r.entries, rowEntry{key: m.Keys[i], sum: sum, content: content})
}

// rowKeeper holds rows back until what they name is stored.
type rowKeeper struct {
	ix      *index.Index
	run     *backupRun
	hash    *fs.StatHasher
	waiting []*leafRow // for blobs with content
	done    []*leafRow // content indexed, entries row to be written
	pages   []*leafRow // page indexed, leaf row to be written
	branch  []index.BranchRow
	homes   map[*page.OpenBlob][]*leafRow // until the blob is in the index
}

func (k *rowKeeper) init(run *backupRun) {
	k.ix, k.run, k.homes = run.spec.Index, run, map[*page.OpenBlob][]*leafRow{}
	k.hash = fs.NewStatHasher(run.spec.Host.Secret.IndexPath())
	k.hash.Ignore = run.spec.Ignore
}

// add takes the row of a leaf whose page has been written.
func (k *rowKeeper) add(r *leafRow) {
	r.missing = map[blob.Name]struct{}{}
	for n := range r.blobs {
		if _, ok := k.ix.Num(n); !ok {
			r.missing[n] = struct{}{}
		}
	}
	if r.home = r.place.Owner(); r.home != nil {
		k.homes[r.home] = append(k.homes[r.home], r)
	} else {
		k.pages = append(k.pages, r)
	}
	switch {
	case r.usesSelf():
		// written with the page, when self has a name
	case len(r.missing) == 0:
		k.done = append(k.done, r)
	default:
		k.waiting = append(k.waiting, r)
	}
}

func (r *leafRow) usesSelf() bool {
	for i := range r.entries {
		if page.HasSelf(r.entries[i].content) {
			return true
		}
	}
	return false
}

// indexed is called when a blob with content is in the index.
func (k *rowKeeper) indexed(n blob.Name) {
	rest := k.waiting[:0]
	for _, r := range k.waiting {
		delete(r.missing, n)
		if len(r.missing) == 0 {
			k.done = append(k.done, r)
		} else {
			rest = append(rest, r)
		}
	}
	clear(k.waiting[len(rest):])
	k.waiting = rest
}

// pagesIndexed is called when a blob with pages is in the index.
func (k *rowKeeper) pagesIndexed(b *page.OpenBlob, branches []page.BranchPlace) {
	for _, r := range k.homes[b] {
		if r.usesSelf() {
			k.done = append(k.done, r)
		}
		k.pages = append(k.pages, r)
	}
	delete(k.homes, b)
	for _, p := range branches {
		ref := p.Place.Ref(nil)
		if loc, ok := k.loc(&ref, nil); ok {
			k.branch = append(k.branch, index.BranchRow{
				BranchKey: index.BranchKey{Set: k.run.spec.Set, Digest: p.Digest},
				Branch: index.Branch{
					Page: loc, PageID: p.Place.ID(), Blobs: []index.BlobNum{loc.Blob},
				},
			})
		}
	}
}

// rowBatch is how many rows are written together while a run goes on.
const rowBatch = 16

// batch returns rows to write, or nil if they are too few yet.
func (k *rowKeeper) batch(all bool) *index.Batch {
	n := len(k.done) + len(k.pages) + len(k.branch)
	if n == 0 || n < rowBatch && !all {
		return nil
	}
	b := &index.Batch{Branches: k.branch}
	for _, r := range k.done {
		if row, ok := k.entriesRow(r); ok {
			b.Entries = append(b.Entries, row)
		}
		r.entries = nil // a run of small files has many leaves waiting for one blob of pages
	}
	for _, r := range k.pages {
		if row, ok := k.leafRow(r); ok {
			b.Leaves = append(b.Leaves, row)
		}
	}
	k.done, k.pages, k.branch = nil, nil, nil
	return b
}

func (k *rowKeeper) entriesRow(r *leafRow) (row index.EntriesRow, ok bool) {
	row.LeafKey = index.LeafKey{Set: k.run.spec.Set, Last: r.key}
	defer func() {
		// The scanner goes by the last entry to the row after this one.
		last := index.PathKey(r.last)
		if n := len(row.Entries); n == 0 || row.Entries[n-1].Path != last {
			row.Entries = append(row.Entries, index.LeafEntry{Path: last})
		}
	}()
	for i := range r.entries {
		e := &r.entries[i]
		le := index.LeafEntry{Path: e.key, Stat: e.sum}
		for j := range e.content {
			ref := &e.content[j]
			if ref.Hole > 0 {
				le.Refs = append(le.Refs, index.LeafRef{Hole: ref.Hole})
				continue
			}
			loc, ok := k.loc(ref, r.home)
			if !ok {
				return row, false
			}
			le.Refs = append(le.Refs, index.LeafRef{Loc: loc, ID: ref.ID})
		}
		row.Entries = append(row.Entries, le)
	}
	return row, true
}

func (k *rowKeeper) leafRow(r *leafRow) (row index.LeafRow, ok bool) {
	row.LeafKey = index.LeafKey{Set: k.run.spec.Set, Last: r.key}
	row.Digest, row.Self, row.PageID = r.digest, r.self, r.place.ID()
	row.Files, row.Bytes = r.files, r.bytes
	if r.incomplete {
		row.Digest = [32]byte{}
	}
	ref := r.place.Ref(nil)
	if row.Page, ok = k.loc(&ref, r.home); !ok {
		return row, false
	}
	if r.home != nil {
		r.blobs[r.home.Info.Name] += int64(ref.Span.Len)
	}
	for n, bytes := range r.blobs {
		num, ok := k.ix.Num(n)
		if !ok {
			return row, false
		}
		row.Blobs, row.Live = append(row.Blobs, num), append(row.Live, bytes)
	}
	return row, true
}

// loc is a reference as the index stores it.
func (k *rowKeeper) loc(ref *page.Ref, home *page.OpenBlob) (index.Loc, bool) {
	info := ref.Blob
	if info == nil && home != nil {
		info = home.Info
	}
	if info == nil {
		return index.Loc{}, false
	}
	n, ok := k.ix.Num(info.Name)
	return index.Loc{Blob: n, Span: ref.Span}, ok
}
