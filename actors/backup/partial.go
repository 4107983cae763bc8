package backup

import (
	"github.com/asynkron/protoactor-go/actor"

	"vaultik/index"
	"vaultik/vault/page"
)

// keepFinished brings files of unfinished leaves into the index, of those leaves
// where at least so many bytes are new to it.
func (t *treeBuilder) keepFinished(c actor.Context, least int64) {
	var b index.Batch
	for _, l := range t.leaves {
		if row, ok := t.partialRow(l, least); ok {
			b.Entries = append(b.Entries, row)
		}
	}
	if len(b.Entries) > 0 {
		t.ask(c, &b, nil)
	}
}

// partialRow is the leaf's row as far as its files are stored; what the index
// knew of the others is kept.
func (t *treeBuilder) partialRow(l *leafState, least int64) (row index.EntriesRow, ok bool) {
	r := newLeafRow(l.m)
	size := int64(0)
	for i := range l.entries {
		e := &l.entries[i]
		if e.done == nil || e.done.Dropped || e.done.Entry.Type != page.File || len(e.pieces) == 0 {
			continue
		}
		if refs, ok := t.stored(l, e); ok {
			size += e.done.Entry.Size
			r.add(t.rows.hash, l.m, i, e.done, refs)
		}
	}
	if size-l.kept < least {
		return row, false
	}
	l.kept = size
	row, ok = t.rows.entriesRow(r)
	if !ok {
		return row, false
	}
	known := make(map[index.PathKey]bool, len(row.Entries))
	for i := range row.Entries {
		known[row.Entries[i].Path] = true
	}
	last := row.Entries[len(row.Entries)-1] // says where the next row begins
	row.Entries = row.Entries[:len(row.Entries)-1]
	old, _ := t.run.spec.Index.LeafEntries(row.LeafKey)
	for _, e := range old {
		if !known[e.Path] {
			row.Entries = append(row.Entries, e)
		}
	}
	row.Entries = append(row.Entries, last)
	return row, true
}

// stored are the references of a finished file, if all its blobs are in the index.
func (t *treeBuilder) stored(l *leafState, e *entryState) ([]page.Ref, bool) {
	for i := range e.pieces {
		if f := e.pieces[i].Frame; f != 0 && l.frames[f].info == nil {
			return nil, false
		}
	}
	refs := l.refs(e.pieces)
	for i := range refs {
		if refs[i].Blob == nil {
			continue
		}
		if _, ok := t.run.spec.Index.Num(refs[i].Blob.Name); !ok {
			return nil, false
		}
	}
	return refs, true
}
