package page

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// Fetch returns the bytes of a chunk, whose id it has checked. They may be
// overwritten by the next call. A tree calls it from the goroutine of its caller.
type Fetch func(ctx context.Context, ref Ref) ([]byte, error)

// Tree reads the entries of a snapshot. Methods may run beside each other if Fetch may.
//
// A page is refused (ErrDamaged) if it is not what its parent says: one level below,
// same last path, same count, and nothing in it at or before what came before. So each
// page is read at most once, levels fall with each step, and no input can cause a cycle
// or an endless walk.
type Tree struct {
	Fetch Fetch
	Top   Ref // as the root names it

	// Lost, if set, is told of each page that cannot be read, with the error and the
	// paths that are lost with it: those after `after`, up to and with `last` ("" for
	// the whole tree); of a list page, after and last are the path of the file whose
	// content is lost. If it returns nil the walk continues after them.
	Lost func(after, last string, err error) error

	// Known, if set, is asked by WalkPages before it reads a page below the top. If it
	// reports true, that page and all below it are skipped.
	Known func(it *Item) bool

	// KnownList is the same for a list page of that level: what it stands for is taken for
	// read. ListRead, if set, is told of each list page when all below it was read.
	KnownList func(ref Ref, level int) (ListSum, bool)
	ListRead  func(ref Ref, level int, sum ListSum)
}

// Walk calls fn for each entry at or after the path from, in order; "" and "."
// mean all. Pages wholly before it are not read. An error of fn ends the walk
// and is returned, but for SkipSubtree and SkipAll. fn may keep the entry.
func (t *Tree) Walk(ctx context.Context, from string, fn func(*Entry) error) error {
	w := walk{tree: t, ctx: ctx, from: from, entry: fn}
	return w.run()
}

// WalkWithin calls fn for the entry dir and all below it, in order, and otherwise does as Walk.
func (t *Tree) WalkWithin(ctx context.Context, dir string, fn func(*Entry) error) error {
	return t.Walk(ctx, dir, func(e *Entry) error {
		if !Within(dir, e.Path) {
			return SkipAll
		}
		return fn(e)
	})
}

// WalkPages calls fn for each page of the tree, parents first and in order, and
// after a leaf for the list pages of its entries. An error of fn ends the walk
// and is returned, but for SkipAll.
func (t *Tree) WalkPages(ctx context.Context, fn func(ref Ref, p *Page) error) error {
	w := walk{tree: t, ctx: ctx, page: fn}
	return w.run()
}

type walk struct {
	tree  *Tree
	ctx   context.Context
	from  string
	skip  string // "dir/" while entries below it are left out
	after string // the path that was last seen, or skipped
	file  bool   // after is that of an entry which is no directory
	entry func(*Entry) error
	page  func(Ref, *Page) error
}

func (w *walk) run() error {
	p, err := w.tree.load(w.ctx, w.tree.Top, nil, 0, "", false)
	if err == nil {
		err = w.visit(w.tree.Top, p)
	} else {
		err = w.lost("", err)
	}
	if errors.Is(err, SkipAll) {
		return nil
	}
	return err
}

func (w *walk) lost(last string, err error) error {
	if w.tree.Lost == nil || w.ctx.Err() != nil {
		return err
	}
	return w.tree.Lost(w.after, last, err)
}

func (w *walk) visit(ref Ref, p *Page) error {
	if w.page != nil {
		if err := w.page(ref, p); err != nil {
			return err
		}
	}
	for i := range p.Items {
		it := &p.Items[i]
		if !w.skips(it.Last) && !w.knows(it) {
			child, err := w.tree.load(w.ctx, it.Ref, it, p.Level, w.after, w.file)
			if err == nil {
				err = w.visit(it.Ref, child)
			} else {
				err = w.lost(it.Last, err)
			}
			if err != nil {
				return err
			}
		}
		if w.after != it.Last {
			w.after, w.file = it.Last, false // not read
		}
	}
	for i := range p.Entries {
		if err := w.visitEntry(&p.Entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) visitEntry(e *Entry) error {
	w.after, w.file = e.Path, e.Type != Dir
	if w.entry == nil {
		return w.tree.walkLists(w.ctx, e, w.page)
	}
	if w.skips(e.Path) {
		return nil
	}
	err := w.entry(e)
	if !errors.Is(err, SkipSubtree) {
		return err
	}
	if e.Path == "." {
		return SkipAll
	}
	w.skip = e.Path + "/"
	return nil
}

// skips reports whether the entry of this path, or the page with this last path,
// is left out: all of a page's paths are then before it, and after what was left out so far.
func (w *walk) skips(path string) bool {
	return w.from != "" && Compare(path, w.from) < 0 || w.skip != "" && strings.HasPrefix(path, w.skip)
}

func (w *walk) knows(it *Item) bool {
	return w.page != nil && w.tree.Known != nil && w.tree.Known(it)
}

// load reads one page of the tree and checks it against the item that names it (nil:
// the top), its parent's level, and the path that all of it must come after; file says
// that nothing can be below that path.
func (t *Tree) load(ctx context.Context, ref Ref, it *Item, parent int, after string, file bool) (*Page, error) {
	p, err := t.read(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("read page after %q: %w", clip(after), err)
	}
	problem := ""
	switch {
	case p.Kind == List:
		problem = "a list"
	case it != nil && p.Level != parent-1:
		problem = "of the wrong level"
	case it != nil && p.Last() != it.Last:
		problem = "with another last path"
	case it != nil && p.Count() != it.Entries:
		problem = "with another number of entries"
	case Compare(p.First(), after) <= 0:
		problem = "out of order"
	case file && p.Kind == Leaf && below(after, p.First()):
		problem = fmt.Sprintf("with %q, below something that is not a directory,", clip(p.First()))
	}
	if problem != "" {
		return nil, fmt.Errorf("read page after %q: a page %s: %w", clip(after), problem, ErrDamaged)
	}
	return p, nil
}

func (t *Tree) read(ctx context.Context, ref Ref) (*Page, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := t.Fetch(ctx, ref)
	if err != nil {
		return nil, err
	}
	return Decode(b, ref.Blob)
}

// Pick returns one entry of the tree, and reads one page a level: pick is given the number of
// all entries and returns that of one, from 0 in their order. A tree has at least one.
func (t *Tree) Pick(ctx context.Context, pick func(entries int64) int64) (*Entry, error) {
	p, err := t.load(ctx, t.Top, nil, 0, "", false)
	if err != nil {
		return nil, fmt.Errorf("pick an entry: %w", err)
	}
	n, after := pick(p.Count()), ""
	for p.Kind != Leaf {
		i := 0
		for ; i < len(p.Items)-1 && n >= p.Items[i].Entries; i++ {
			n -= p.Items[i].Entries
			after = p.Items[i].Last
		}
		it := &p.Items[i]
		if p, err = t.load(ctx, it.Ref, it, p.Level, after, false); err != nil {
			return nil, fmt.Errorf("pick an entry: %w", err)
		}
	}
	return &p.Entries[min(n, int64(len(p.Entries)-1))], nil
}

// Find returns the entry of a path and reads one page a level. The error is
// ErrNotFound where there is none.
func (t *Tree) Find(ctx context.Context, path string) (*Entry, error) {
	ref, after := t.Top, ""
	var item *Item
	level := 0
	for {
		p, err := t.load(ctx, ref, item, level, after, false)
		if err != nil {
			return nil, fmt.Errorf("find %q: %w", clip(path), err)
		}
		if p.Kind == Leaf {
			i := sort.Search(len(p.Entries), func(i int) bool { return Compare(p.Entries[i].Path, path) >= 0 })
			if i == len(p.Entries) || p.Entries[i].Path != path {
				return nil, fmt.Errorf("find %q: %w", clip(path), ErrNotFound)
			}
			return &p.Entries[i], nil
		}
		i := sort.Search(len(p.Items), func(i int) bool { return Compare(p.Items[i].Last, path) >= 0 })
		if i == len(p.Items) {
			return nil, fmt.Errorf("find %q: %w", clip(path), ErrNotFound)
		}
		if i > 0 {
			after = p.Items[i-1].Last
		}
		item, level = &p.Items[i], p.Level
		ref = item.Ref
	}
}
