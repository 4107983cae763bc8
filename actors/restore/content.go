package restore

import (
	"vaultik/vault/page"
)

// file hands on anything but a directory.
func (w *walker) file(e *page.Entry) error {
	run := w.run
	dir := w.makeDirs()
	it := &restoreItem{Path: run.part.Place(e.Path), Entry: *e, Batch: w.batch, Dir: dir, Fresh: dir.Fresh, Err: dir.Err}
	it.Entry.Refs = nil
	if n := len(w.stack); it.Err == nil && !run.part.File {
		it.Err = w.clash(w.stack[n-1], dir, e.Path)
	}
	w.batch.Items = append(w.batch.Items, it)
	run.spec.Progress.SetCurrent(e.Path)
	if it.Err != nil {
		return w.flushIfFull()
	}
	w.held += weight(e)
	if e.Type != page.File {
		return w.flushIfFull()
	}
	if e.ListLevel > 0 && !it.Fresh && e.HL == "" {
		// Its list pages need not be read if it is there.
		if o := compareItem(run, it); o.Status != "" {
			it.Known = &o
			return w.flushIfFull()
		}
	}
	return w.content(e, it)
}

// content sends the references of a file, over several batches if they are many.
func (w *walker) content(e *page.Entry, it *restoreItem) error {
	var at int64
	s := sending{item: it}
	err := w.run.tree.Refs(w.run.ctx, e, func(ref page.Ref) error {
		if ref.Hole == 0 || !it.Fresh { // what is there may not have that hole
			if err := w.piece(&s, restorePiece{Item: it, At: at, Ref: ref}); err != nil {
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
	if s.sent {
		w.batch.Goes, w.batch.Ended, w.batch.Err = it, true, err
	} else {
		it.Err = err
	}
	return w.flushIfFull()
}

// sending is the state of an item whose references are being read. Once it was
// sent the item belongs to the planner.
type sending struct {
	item   *restoreItem
	pieces int
	sent   bool
}

func (w *walker) piece(s *sending, p restorePiece) error {
	s.pieces++
	if s.pieces == 2 && !w.run.parts.slots.TryAcquire() {
		// The planner must know all those that hold a slot, or none would come free.
		if err := w.sendOpen(s); err != nil {
			return err
		}
		if err := w.run.parts.slots.Acquire(w.run.ctx); err != nil {
			return err
		}
	}
	if len(w.batch.Pieces) >= w.run.bounds.Pieces {
		if err := w.sendOpen(s); err != nil {
			return err
		}
	}
	if !s.sent {
		p.Item.Content = true
	}
	w.batch.Pieces = append(w.batch.Pieces, p)
	return nil
}

// sendOpen sends the batch in the middle of an item.
func (w *walker) sendOpen(s *sending) error {
	if !s.sent {
		s.item.State.Open = true
	}
	s.sent = true
	if err := w.flush(); err != nil {
		return err
	}
	w.batch.Goes = s.item
	return nil
}

// weight is roughly how many bytes an entry takes, beside its references.
func weight(e *page.Entry) int {
	n := 200 + len(e.Path) + len(e.Target) + len(e.User) + len(e.Group)
	for i := range e.Xattrs {
		n += 40 + len(e.Xattrs[i].Name) + len(e.Xattrs[i].Value)
	}
	return n
}
