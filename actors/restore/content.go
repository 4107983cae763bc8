package restore

import (
	"context"
	"errors"

	"vaultik/vault/chunk"
	"vaultik/vault/page"
	"vaultik/vault/plan"
)

// file hands on anything but a directory.
func (w *walker) file(e *page.Entry) error {
	run := w.run
	dir := w.makeDirs()
	it := &restoreItem{Path: run.part.Place(e.Path), Entry: *e, Dir: dir}
	it.Fresh, it.Err, it.Entry.Refs = dir.Fresh, dir.Err, nil
	if n := len(w.stack); it.Err == nil && !run.part.File {
		w.touch.Enter(absIn(run.abs, it.Path))
		it.Err = w.clash(w.stack[n-1], dir, e.Path)
	}
	w.touch.Leave()
	w.batch.Items = append(w.batch.Items, contents{Item: it})
	run.spec.Progress.SetCurrent(e.Path)
	if e.HL != "" {
		it.LinkSum = w.linkSum(e)
	}
	if it.Err != nil {
		return w.flushIfFull()
	}
	w.held += weight(e)
	if e.Type != page.File {
		return w.flushIfFull()
	}
	if several := e.ListLevel > 0 ||
		dir.Doubt && len(e.Refs) > 1; several && !it.Fresh &&
		e.HL == "" {
		// Its list pages need not be read if the target has its contents.
		w.touch.Enter(absIn(run.abs, it.Path))
		o := compareItem(run, it)
		w.touch.Leave()
		if o.Doubt && o.Keep {
			// The planner sees some of its pieces at a time, and would make it anew.
			same, err := w.same(e)
			if err != nil {
				return err
			}
			if same {
				o = run.stays(it)
			}
		}
		if o.Status != 0 {
			it.Known = &o
			return w.flushIfFull()
		}
	}
	return w.content(e, it)
}

// linkSum is the LinkSum of an entry, from its list pages if it has such. What is damaged in
// them is reported when they are read for the content.
func (w *walker) linkSum(e *page.Entry) uint64 {
	return plan.LinkSum(e, func(yield func(page.Ref) bool) {
		_ = w.run.tree.Refs(w.run.ctx, e, func(r page.Ref) error {
			if !yield(r) {
				return errDiffers
			}
			return nil
		})
	})
}

// same reports whether a file has its contents already.
func (w *walker) same(e *page.Entry) (bool, error) {
	r := localReader{run: w.run, hasher: chunk.NewHasher(w.run.spec.Root.Secret.ChunkID())}
	path := absIn(w.run.abs, w.run.part.Place(e.Path))
	w.touch.Enter(path)
	defer w.touch.Leave()
	f, _, err := w.run.target.OpenRead(w.run.part.Place(e.Path))
	if err != nil {
		return false, nil // the contents come from the store
	}
	defer func() { _ = f.Close() }()
	at := int64(0)
	err = w.run.tree.Refs(w.run.ctx, e, func(ref page.Ref) error {
		c := checkPiece{Extent: plan.Extent{At: at, Ref: ref}}
		w.touch.Enter(path)
		if ref.Hole > 0 && !r.zero(f, &c) || ref.Hole == 0 && !r.same(f, &c) {
			return errDiffers
		}
		w.touch.Leave() // what comes next is waited for from the store
		at += ref.Length()
		return w.run.ctx.Err()
	})
	if w.run.ctx.Err() != nil {
		return false, context.Cause(w.run.ctx)
	}
	return err == nil, nil // damaged pages are reported when they are read for its content
}

var errDiffers = errors.New("its contents differ")

// content sends the references of a file, in several batches if they are many.
func (w *walker) content(e *page.Entry, it *restoreItem) error {
	var at int64
	s := sending{item: it, from: len(w.extents)}
	err := w.run.tree.Refs(w.run.ctx, e, func(ref page.Ref) error {
		if ref.Hole == 0 || !it.Fresh { // an existing file may have data in that hole
			if err := w.extent(&s, plan.Extent{At: at, Ref: ref}); err != nil {
				return err
			}
		}
		at += ref.Length()
		return nil
	})
	if err != nil {
		if err := w.fatal(err); err != nil {
			return err
		}
		if err := w.run.tree.Lost(e.Path, e.Path, err); err != nil {
			return err
		}
	}
	if w.put(&s, plan.Contents{Err: err}); !s.sent {
		it.Err = err
	}
	return w.flushIfFull()
}

// sending is the state of an item whose references are being read. Once it was
// sent the item is not changed any more.
type sending struct {
	item    *restoreItem
	extents int
	from    int // where those of this batch begin in walker.extents
	sent    bool
}

func (w *walker) extent(s *sending, e plan.Extent) error {
	s.extents++
	if s.extents == 2 && !w.run.parts.slots.TryAcquire() {
		// The planner must know all items that hold a slot, or it would free none.
		if err := w.sendOpen(s); err != nil {
			return err
		}
		if err := w.run.parts.slots.Acquire(w.run.ctx); err != nil {
			return err
		}
	}
	if len(w.extents) >= w.run.bounds.Pieces {
		if err := w.sendOpen(s); err != nil {
			return err
		}
	}
	if !s.sent {
		s.item.Content = true
	}
	if w.extents == nil {
		w.extents = make([]plan.Extent, 0, w.run.bounds.Items)
	}
	w.extents = append(w.extents, e)
	return nil
}

// put adds the item to the batch, with the extents that it has there.
func (w *walker) put(s *sending, c plan.Contents) {
	n := len(w.extents)
	c.Extents = w.extents[s.from:n:n]
	if s.sent {
		w.batch.Goes = &contents{s.item, c}
	} else {
		w.batch.Items[len(w.batch.Items)-1].Contents = c
	}
}

// sendOpen sends the batch in the middle of an item.
func (w *walker) sendOpen(s *sending) error {
	w.put(s, plan.Contents{Open: true})
	s.sent, s.from = true, 0
	return w.flush()
}

// weight is roughly how many bytes an entry takes, beside its references.
func weight(e *page.Entry) int {
	n := 200 + len(e.Path) + len(e.Target) + len(e.User) + len(e.Group)
	for i := range e.Xattrs {
		n += 40 + len(e.Xattrs[i].Name) + len(e.Xattrs[i].Value)
	}
	return n
}
