package restore

import (
	"context"
	"os"

	vfs "vaultik/vault/fs"
	"vaultik/vault/plan"
)

// localBuffer is how much is read at a time where a chunk need not be kept.
const localBuffer = 256 << 10

// check compares pieces with their sources, and takes them from there.
func (w *restoreWriter) check(pieces []checkPiece) {
	defer w.compare.close()
	for i := range pieces {
		if w.stopped() {
			return
		}
		w.touch.Enter(absIn(w.run.abs, pieces[i].Item.Path))
		w.run.faults.Writer()
		if !w.checkPiece(&pieces[i]) {
			w.done.Missing = append(w.done.Missing, i)
		}
	}
}

// checkPiece reports whether a piece is in its place, or was put there.
func (w *restoreWriter) checkPiece(c *checkPiece) bool {
	run, r := w.run, &w.compare
	if run.dry {
		return w.wouldFind(c)
	}
	if c.Source == plan.FromPart {
		f, err := run.parts.get(run.target, c.Item, c.Source)
		if err != nil {
			w.failed(c.Item, err)
			return true
		}
		return w.inItsPlace(f.Handle(), c)
	}
	if !r.open(c.Item, c.Source) {
		return w.noFile(c)
	}
	switch {
	case c.Source == plan.SourceInPlace:
		return w.inItsPlace(r.file, c)
	case c.Ref.Hole > 0:
		return !c.Only || r.zero(r.file, c)
	case c.Only:
		return r.same(r.file, c)
	}
	b := r.read(c)
	if b == nil {
		return false
	}
	if c.Whole {
		o := w.file(c.Item, plan.NoSource, b, c.At)
		o.Reused = int64(len(b))
		w.placed(o)
	} else {
		w.failed(c.Item, run.parts.write(run.target, c.Item, c.Source, b, c.At))
	}
	return true
}

// noFile is the answer for a piece whose source is unreadable. A hole that
// should be in a file that is changed in place is made without looking.
func (w *restoreWriter) noFile(c *checkPiece) bool {
	switch {
	case c.Ref.Hole == 0 || c.Only:
		return false
	case c.Source == plan.SourceInPlace:
		w.punch(c)
	}
	return true
}

// inItsPlace compares a piece with what stands where it belongs. A hole is made.
func (w *restoreWriter) inItsPlace(f *os.File, c *checkPiece) bool {
	if c.Ref.Hole == 0 {
		return w.compare.same(f, c)
	}
	if !w.compare.zero(f, c) {
		w.punch(c)
	}
	return true
}

func (w *restoreWriter) punch(c *checkPiece) {
	f, err := w.run.parts.get(w.run.target, c.Item, c.Source)
	if err == nil {
		err = f.PunchHole(c.At, c.Ref.Hole)
	}
	w.failed(c.Item, err)
}

// open opens the source of an item for reading; false if it cannot be read.
func (r *localReader) open(it *restoreItem, from plan.Source) bool {
	if r.item != it {
		r.close()
		r.item = it
		if from == plan.FromPart {
			r.file, _ = r.run.target.ReadPart(it.Path)
		} else {
			r.file, _, _ = r.run.target.OpenRead(it.Path)
		}
	}
	return r.file != nil
}

func (r *localReader) close() {
	if r.file != nil {
		_ = r.file.Close() // only read
	}
	r.item, r.file = nil, nil
}

// room returns a buffer of n bytes.
func (r *localReader) room(n int) []byte {
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	return r.buf[:n]
}

// same reports whether a chunk is in its place.
func (r *localReader) same(f *os.File, c *checkPiece) bool {
	r.hasher.Reset()
	b := r.room(localBuffer)
	at, left := c.At, int64(c.Ref.Span.Len)
	for left > 0 {
		n := min(left, int64(len(b)))
		if _, err := f.ReadAt(b[:n], at); err != nil {
			return false // too short, or unreadable: the chunk comes from the store
		}
		_, _ = r.hasher.Write(b[:n])
		at, left = at+n, left-n
	}
	return r.hasher.Sum() == c.Ref.ID
}

// read returns the chunk that is in its place, or nil.
func (r *localReader) read(c *checkPiece) []byte {
	b := r.room(int(c.Ref.Span.Len))
	if _, err := r.file.ReadAt(b, c.At); err != nil || r.hasher.ID(b) != c.Ref.ID {
		return nil
	}
	return b
}

// zero reports whether there are only zeros in the place of a hole.
func (r *localReader) zero(f *os.File, c *checkPiece) bool {
	zero, err := zeros(r.run.ctx, f, c.At, c.Ref.Hole, r.room(localBuffer))
	return err == nil && zero
}

// zeroStep is how many bytes are looked at for zeros before an interruption is
// noticed: a target may know no holes, and then all of them are read.
const zeroStep = 64 << 20

// zeros reports whether n bytes of f are zeros. What are holes there is not read.
func zeros(ctx context.Context, f *os.File, at, n int64, buf []byte) (bool, error) {
	for end := at + n; at < end; at += zeroStep {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if zero, err := vfs.IsZero(f, at, min(zeroStep, end-at), buf); err != nil || !zero {
			return false, err
		}
	}
	return true, nil
}
