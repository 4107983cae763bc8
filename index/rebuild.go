package index

import (
	"context"
	"errors"
	"fmt"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

// Known is what one snapshot says of the store.
type Known struct {
	Blobs []blob.Name // all that it needs, in the order they were made
	Tree  *page.Tree  // its pages, of which those that Lost accepts are passed over
}

// Rebuilt counts what Rebuild wrote.
type Rebuilt struct {
	Blobs  int
	Chunks int64
}

// rebuildRows bounds what Rebuild holds back, beside 200 bytes a blob: 1 MiB.
const rebuildRows = 16 << 10

// Rebuild fills a new index with what snapshots of its host say: blob rows in the
// order in which the blobs were made, so that blob lists stay as they are, and
// the rows of all chunks and pages that the snapshots use. Leaves and their
// entries cannot be known again: what tells an unchanged file (ctime, inode) is
// in no page. So the next backup reads everything and stores next to nothing.
//
// Each page is read twice, since only pages tell a blob's header, and a blob gets
// its number before its chunks. Errors are those of the trees and of Write.
func (x *Index) Rebuild(ctx context.Context, known []Known) (Rebuilt, error) {
	r := rebuild{x: x, infos: map[blob.Name]blob.Info{}, rows: map[blob.Name][]blob.Row{}}
	if !x.Empty() {
		return r.done, errors.New("rebuild index: it is not empty")
	}
	for _, k := range known {
		if err := k.Tree.WalkPages(ctx, r.learn); err != nil {
			return r.done, fmt.Errorf("rebuild index: %w", err)
		}
	}
	if err := r.writeBlobs(known); err != nil {
		return r.done, err
	}
	for _, k := range known {
		if err := k.Tree.WalkPages(ctx, r.page); err != nil {
			return r.done, fmt.Errorf("rebuild index: %w", err)
		}
	}
	return r.done, r.flush()
}

type rebuild struct {
	x     *Index
	infos map[blob.Name]blob.Info
	rows  map[blob.Name][]blob.Row // not written yet
	held  int
	done  Rebuilt
}

// learn notes the blobs that a page names.
func (r *rebuild) learn(ref page.Ref, p *page.Page) error {
	r.infos[ref.Blob.Name] = *ref.Blob
	for _, b := range p.Blobs {
		if old, ok := r.infos[b.Name]; ok && old != *b {
			return fmt.Errorf("two pages differ in the header or size of blob %s: %w", b.Name, page.ErrDamaged)
		}
		r.infos[b.Name] = *b
	}
	return nil
}

// writeBlobs numbers the blobs that are both needed and known.
func (r *rebuild) writeBlobs(known []Known) error {
	var order []blob.Name
	for _, k := range known {
		order = merge(order, k.Blobs)
	}
	var b Batch
	for i, name := range order {
		if in, ok := r.infos[name]; ok {
			b.Blobs = append(b.Blobs, StoredBlob{Info: in})
			r.done.Blobs++
		}
		if len(b.Blobs) == txnRows || i == len(order)-1 {
			if _, err := r.x.Write(&b); err != nil {
				return err
			}
			b.Blobs = b.Blobs[:0]
		}
	}
	return nil
}

// merge joins two lists of blobs so that the order of each is kept wherever they
// do not contradict each other.
func merge(a, b []blob.Name) []blob.Name {
	place := make(map[blob.Name]int, len(b))
	for i, n := range b {
		place[n] = i
	}
	out := make([]blob.Name, 0, len(a)+len(b))
	next := 0 // of b
	inA := make(map[blob.Name]struct{}, len(a))
	for _, n := range a {
		inA[n] = struct{}{}
	}
	take := func(end int) {
		for ; next < end; next++ {
			if _, twice := inA[b[next]]; !twice {
				out = append(out, b[next])
			}
		}
	}
	for _, n := range a {
		if i, ok := place[n]; ok {
			take(i)
		}
		out = append(out, n)
	}
	take(len(b))
	return out
}

// page adds the rows of a page and of the chunks that it names.
func (r *rebuild) page(ref page.Ref, p *page.Page) error {
	if !p.Self { // else its bytes mean something else in any other blob
		r.add(ref)
	}
	if p.Kind == page.List && p.Level == 0 {
		r.addAll(p.Refs)
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		if e.ListLevel == 0 {
			r.addAll(e.Refs)
		}
		r.addAll(e.XattrRefs)
	}
	if r.held < rebuildRows {
		return nil
	}
	return r.flush()
}

func (r *rebuild) addAll(refs []page.Ref) {
	for i := range refs {
		r.add(refs[i])
	}
}

func (r *rebuild) add(ref page.Ref) {
	if ref.Hole > 0 {
		return
	}
	if _, ok := r.x.Num(ref.Blob.Name); !ok {
		return // the manifest does not name it: nobody vouches for it
	}
	r.rows[ref.Blob.Name] = append(r.rows[ref.Blob.Name], blob.Row{ID: ref.ID, Span: ref.Span})
	r.held++
}

// flush writes the rows that are held, each chunk once.
func (r *rebuild) flush() error {
	var b Batch
	for name, rows := range r.rows {
		fresh, err := r.unknown(rows)
		if err != nil {
			return err
		}
		r.done.Chunks += int64(len(fresh))
		b.Blobs = append(b.Blobs,
			StoredBlob{Info: r.infos[name], Rows: fresh, Part: true})
	}
	clear(r.rows)
	r.held = 0
	_, err := r.x.Write(&b)
	return err
}

// unknown leaves out rows that are written already or occur twice.
func (r *rebuild) unknown(rows []blob.Row) ([]blob.Row, error) {
	ids, locs := make([]chunk.ID, len(rows)), make([]Loc, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	if err := r.x.Chunks(ids, locs); err != nil {
		return nil, err
	}
	seen := make(map[chunk.ID]struct{}, len(rows))
	fresh := rows[:0]
	for i := range rows {
		if _, twice := seen[rows[i].ID]; twice || locs[i].Blob != 0 {
			continue
		}
		seen[rows[i].ID] = struct{}{}
		fresh = append(fresh, rows[i])
	}
	return fresh, nil
}
