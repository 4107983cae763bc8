package page

import (
	"errors"
	"fmt"
)

// Builder makes the branches over a stream of leaves and holds one open branch a level.
type Builder struct {
	cut    *Cutter
	put    func(level int, items []Item) (Ref, error)
	levels []branchLevel // of level 1 and up
}

type branchLevel struct {
	run    *Run
	open   []Item
	closed bool // a page of this level has been put
}

// NewBuilder returns a builder that stores its branches through put, children
// before parents. put encodes them (Encoder.Branch) or finds that the same
// branch is stored already (BranchDigest). It may change the references of
// items, for instance of blobs that were still open when the item was added, and
// must not keep the slice. [Store] is the plain put.
func NewBuilder(cut *Cutter, put func(level int, items []Item) (Ref, error)) *Builder {
	return &Builder{cut: cut, put: put}
}

// Store turns a function that stores a page's bytes, which it must not keep, into a put for
// NewBuilder.
func Store(enc *Encoder, put func(page []byte) (Ref, error)) func(level int, items []Item) (Ref, error) {
	var buf []byte
	return func(level int, items []Item) (Ref, error) {
		b, err := enc.Branch(buf[:0], level, items)
		if err != nil {
			return Ref{}, err
		}
		buf = b
		return put(b)
	}
}

// Add appends a leaf; leaves come in order.
func (b *Builder) Add(leaf Item) error { return b.add(0, leaf) }

func (b *Builder) add(i int, it Item) error {
	if i == MaxLevel {
		return fmt.Errorf("build tree: more than %d levels: %w", MaxLevel, ErrInvalid)
	}
	if i == len(b.levels) {
		b.levels = append(b.levels, branchLevel{run: b.cut.Run(i + 1)})
	}
	l := &b.levels[i]
	if n := len(l.open); n > 0 && Compare(l.open[n-1].Last, it.Last) >= 0 {
		return fmt.Errorf("build tree: %q is not after %q: %w", clip(it.Last), clip(l.open[n-1].Last), ErrInvalid)
	}
	l.open = append(l.open, it)
	if l.run.Add(it.Last) {
		return b.flush(i)
	}
	return nil
}

func (b *Builder) flush(i int) error {
	l := &b.levels[i]
	it := Item{Last: l.open[len(l.open)-1].Last}
	for k := range l.open {
		it.Entries += l.open[k].Entries
	}
	ref, err := b.put(i+1, l.open)
	if err != nil {
		return err
	}
	it.Ref = ref
	clear(l.open)
	l.open, l.closed = l.open[:0], true
	return b.add(i+1, it)
}

// Finish closes the open branches and returns the page that is left, with its
// last path and count. A single leaf is its own top. The builder is used up.
func (b *Builder) Finish() (Item, error) {
	for i := 0; i < len(b.levels); i++ {
		l := &b.levels[i]
		if !l.closed && len(l.open) == 1 {
			return l.open[0], nil
		}
		if len(l.open) > 0 {
			if err := b.flush(i); err != nil {
				return Item{}, err
			}
		}
	}
	return Item{}, errors.New("build tree: no pages")
}

// ListBuilder makes the list pages of one file from a stream of references, and
// holds at most one open page a level.
type ListBuilder struct {
	cut    *Cutter
	put    func(level int, refs []Ref) (Ref, error)
	levels []listLevel
}

type listLevel struct {
	open   []Ref
	closed bool
}

// NewListBuilder returns a builder that stores its pages through put, which
// encodes them (Encoder.List), may change the references and must not keep the slice.
func NewListBuilder(cut *Cutter, put func(level int, refs []Ref) (Ref, error)) *ListBuilder {
	return &ListBuilder{cut: cut, put: put}
}

// Add appends a reference to content.
func (b *ListBuilder) Add(r Ref) error { return b.add(0, r) }

func (b *ListBuilder) add(level int, r Ref) error {
	if level > MaxListLevel+1 {
		return fmt.Errorf("build list: more than %d levels: %w", MaxListLevel, ErrInvalid)
	}
	if level == len(b.levels) {
		b.levels = append(b.levels, listLevel{})
	}
	l := &b.levels[level]
	l.open = append(l.open, r)
	n := len(l.open)
	if n >= MaxItems || n >= minList && b.cut.ListEnds(l.open[n-2].ID, r.ID, level) {
		return b.flush(level)
	}
	return nil
}

func (b *ListBuilder) flush(level int) error {
	l := &b.levels[level]
	ref, err := b.put(level, l.open)
	if err != nil {
		return err
	}
	l.open, l.closed = l.open[:0], true
	return b.add(level+1, ref)
}

// Finish returns what the entry holds: its Refs, at most MaxInlineRefs, and its
// ListLevel. No references at all give none. The builder is used up.
func (b *ListBuilder) Finish() (refs []Ref, listLevel int, err error) {
	for level := 0; level < len(b.levels); level++ {
		l := &b.levels[level]
		if !l.closed && len(l.open) <= MaxInlineRefs {
			return l.open, level, nil
		}
		if len(l.open) > 0 {
			if err := b.flush(level); err != nil {
				return nil, 0, err
			}
		}
	}
	return nil, 0, nil
}
