package plan

// Batch counts what is left to do of entries that have come together.
type Batch struct{ left int }

// NewBatch is a batch of n things.
func NewBatch(n int) *Batch { return &Batch{left: n} }

// Done counts one thing as done. It reports whether that was the last.
func (b *Batch) Done() bool {
	if b.left--; b.left < 0 {
		panic("internal error: more was done of a batch than it had")
	}
	return b.left == 0
}

// Dir counts what is left to do in a directory, which is finished behind all of it.
type Dir struct {
	left   int
	closed bool
}

// Add counts one more thing in the directory.
func (d *Dir) Add() {
	if d.closed {
		panic("internal error: one more entry of a directory that was left")
	}
	d.left++
}

// Done counts one thing in it as done. It reports whether that was the last, so
// that the directory can be finished.
func (d *Dir) Done() bool {
	if d.left--; d.left < 0 {
		panic("internal error: more was done in a directory than it had")
	}
	return d.closed && d.left == 0
}

// Close says that nothing more will come. It reports whether all is done, so that
// the directory can be finished.
func (d *Dir) Close() bool {
	if d.closed {
		panic("internal error: a directory was left twice")
	}
	d.closed = true
	return d.left == 0
}
