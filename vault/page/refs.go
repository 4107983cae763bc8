package page

import (
	"context"
	"errors"
	"fmt"
)

// Refs calls fn for each reference to the content of a file, holes included, in
// order. It holds one list page a level. Lengths that do not sum to the file's
// size are ErrDamaged: too much is noticed before fn sees it, too little at the
// end. An error of fn ends it and is returned, but for SkipAll.
func (t *Tree) Refs(ctx context.Context, e *Entry, fn func(Ref) error) error {
	return t.flatten(ctx, e, nil, fn)
}

// walkLists calls fn for each list page of an entry.
func (t *Tree) walkLists(ctx context.Context, e *Entry, fn func(Ref, *Page) error) error {
	if e.ListLevel == 0 {
		return nil
	}
	err := t.flatten(ctx, e, fn, nil)
	if err == nil || t.Lost == nil || ctx.Err() != nil || !errors.Is(err, errList) {
		return err
	}
	return t.Lost(e.Path, e.Path, err)
}

// errList marks errors of reading list pages, against those of callbacks.
var errList = errors.New("read list page")

// maxRefs is how many references a file of size bytes can have. The smallest average of
// a chunker makes no chunk under 1 KiB but where data ends, and a hole is no shorter
// than 64 KiB. Otherwise pages that name one list page again and again could turn a few
// bytes into endless references.
func maxRefs(size int64) int64 { return size/512 + 16 }

type flattener struct {
	tree  *Tree
	ctx   context.Context
	left  int64 // bytes of the file that no reference has covered yet
	count int64 // references that may still come
	hole  bool  // the last one was a hole
	page  func(Ref, *Page) error
	chunk func(Ref) error
}

func (t *Tree) flatten(ctx context.Context, e *Entry, page func(Ref, *Page) error, chunk func(Ref) error) error {
	f := flattener{tree: t, ctx: ctx, left: e.Size, count: maxRefs(e.Size), page: page, chunk: chunk}
	_, err := f.refs(e.Refs, e.ListLevel)
	if err == nil && f.left != 0 {
		err = fmt.Errorf("%w: %d bytes are missing: %w", errList, f.left, ErrDamaged)
	}
	switch {
	case errors.Is(err, SkipAll) && page == nil:
		return nil
	case errors.Is(err, errList):
		return fmt.Errorf("read content of %q: %w", clip(e.Path), err)
	}
	return err
}

// ListSum is what a list page and all below it stand for.
type ListSum struct {
	Bytes, Refs         int64
	HoleFirst, HoleLast bool // the first, the last reference is a hole
}

// and is the sum of two that follow each other.
func (s ListSum) and(next ListSum) ListSum {
	if s.Refs == 0 {
		return next
	}
	return ListSum{s.Bytes + next.Bytes, s.Refs + next.Refs, s.HoleFirst, next.HoleLast}
}

// take checks what comes next in the file.
func (f *flattener) take(next ListSum) error {
	f.left -= next.Bytes
	f.count -= next.Refs
	switch {
	case f.left < 0:
		return fmt.Errorf("%w: more bytes than the file has: %w", errList, ErrDamaged)
	case f.count < 0:
		return fmt.Errorf("%w: too many references for its size: %w", errList, ErrDamaged)
	case next.HoleFirst && f.hole:
		return fmt.Errorf("%w: a hole after a hole: %w", errList, ErrDamaged)
	}
	f.hole = next.HoleLast
	return nil
}

// refs goes through references to list pages of level-1, or to content at level 0.
func (f *flattener) refs(refs []Ref, level int) (sum ListSum, err error) {
	for i := range refs {
		var next ListSum
		if level == 0 {
			next, err = f.content(refs[i])
		} else {
			next, err = f.list(refs[i], level-1)
		}
		if err != nil {
			return sum, err
		}
		sum = sum.and(next)
	}
	return sum, nil
}

// content goes through one reference to content.
func (f *flattener) content(ref Ref) (ListSum, error) {
	hole := ref.Hole > 0
	sum := ListSum{ref.Length(), 1, hole, hole}
	if err := f.take(sum); err != nil || f.chunk == nil {
		return sum, err
	}
	return sum, f.chunk(ref)
}

// list goes through one list page, unless it is known.
func (f *flattener) list(ref Ref, level int) (ListSum, error) {
	if f.page != nil && f.tree.KnownList != nil {
		if sum, ok := f.tree.KnownList(ref, level); ok {
			return sum, f.take(sum)
		}
	}
	p, err := f.tree.read(f.ctx, ref)
	if err != nil {
		return ListSum{}, fmt.Errorf("%w: %w", errList, err)
	}
	if p.Kind != List || p.Level != level {
		return ListSum{}, fmt.Errorf("%w: a %s page of level %d: %w", errList, p.Kind, p.Level,
			ErrDamaged)
	}
	if f.page != nil {
		if err := f.page(ref, p); err != nil {
			return ListSum{}, err
		}
	}
	sum, err := f.refs(p.Refs, level)
	if err == nil && f.page != nil && f.tree.ListRead != nil {
		f.tree.ListRead(ref, level, sum)
	}
	return sum, err
}

// Xattrs returns the extended attributes of an entry, read from chunks where
// they are not in the entry itself.
func (t *Tree) Xattrs(ctx context.Context, e *Entry) ([]Xattr, error) {
	if len(e.XattrRefs) == 0 {
		return e.Xattrs, nil
	}
	if sum := total(e.XattrRefs); sum > MaxXattrs {
		return nil, fmt.Errorf("read xattrs of %q: %d bytes: %w", clip(e.Path), sum, ErrDamaged)
	}
	var all []byte
	for _, ref := range e.XattrRefs {
		b, err := t.Fetch(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("read xattrs of %q: %w", clip(e.Path), err)
		}
		all = append(all, b...)
		if len(all) > MaxXattrs {
			return nil, fmt.Errorf("read xattrs of %q: over %d bytes: %w", clip(e.Path), MaxXattrs, ErrDamaged)
		}
	}
	list, err := DecodeXattrs(all)
	if err != nil {
		return nil, fmt.Errorf("read xattrs of %q: %w", clip(e.Path), err)
	}
	return list, nil
}
