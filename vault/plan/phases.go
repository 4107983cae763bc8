package plan

import (
	"errors"
	"fmt"
)

// state is what a phase knows. Each phase has its own type.
type state interface{ phase() Phase }

type (
	placing   struct{ held []Extent } // until it is known where they come from
	comparing struct {
		Wanted
		left             int // extents that are being compared
		present, lacking []Extent
	}
	fetching struct {
		Wanted
		left    int // extents that are neither there nor given up
		missing int // those that the source did not have
	}
	finishing struct {
		Wanted
		missing int
	}
	done struct{ Result }
)

func (*placing) phase() Phase   { return Placing }
func (*comparing) phase() Phase { return Comparing }
func (*fetching) phase() Phase  { return Fetching }
func (*finishing) phase() Phase { return Finishing }
func (*done) phase() Phase      { return Done }

// in is the state of a file that must be in the phase of S.
func in[S state](f *File, what string) S {
	s, ok := f.state.(S)
	if !ok {
		f.bug(what)
	}
	return s
}

func (f *File) bug(what string) {
	panic(fmt.Sprintf("internal error: %s a file that is %s (%d extents, %d past)",
		what, f.Phase(), f.extents, f.past))
}

// NewFile is a file with the first of its contents. It is one thing of its batch until it is done.
func NewFile(b *Batch, c Contents) (*File, Next) {
	f := &File{state: &placing{}, batch: b, alone: len(c.Extents) == 1 && !c.Open}
	var next Next
	f.add(c, &next)
	return f, next
}

// Add takes more contents of a file that is open. They are one thing of their batch.
func (f *File) Add(b *Batch, c Contents) Next {
	if !f.open {
		f.bug("more contents for")
	}
	var next Next
	f.later = append(f.later, laterBatch{b, f.extents + len(c.Extents)})
	f.add(c, &next)
	f.release(&next)
	return next
}

func (f *File) add(c Contents, next *Next) {
	before := f.extents
	f.extents += len(c.Extents)
	next.Several = before < 2 && f.extents >= 2
	for i := range c.Extents {
		f.data += int64(c.Extents[i].Ref.Span.Len)
	}
	f.open = c.Open
	f.fail(c.Err)
	switch s := f.state.(type) {
	case *placing:
		if n := len(c.Extents); s.held == nil {
			s.held = c.Extents[:n:n]
		} else {
			s.held = append(s.held, c.Extents...)
		}
	case *fetching:
		f.get(s, c.Extents, next)
	case *done:
		f.past = f.extents
		next.Slot = next.Several
	default:
		f.bug("more contents for")
	}
}

// Want begins to get the contents of a file that was placed.
func (f *File) Want(w Wanted) Next {
	held := in[*placing](f, "contents wanted of").held
	var next Next
	// Only if all extents are known can they all be compared before one is copied.
	if w.Keep && !f.open && len(held) > 0 {
		f.state = &comparing{Wanted: w, left: len(held)}
		next.Check = held
		return next
	}
	s := &fetching{Wanted: w}
	f.state = s
	f.get(s, held, &next)
	f.release(&next)
	return next
}

// get brings extents: from the source, if there is one, or from the store.
func (f *File) get(s *fetching, extents []Extent, next *Next) {
	if s.Source != NoSource {
		s.left += len(extents)
		next.Check = extents
	} else {
		next.Fetch = chunks(extents)
		s.left += len(next.Fetch)
		f.past += len(extents) - len(next.Fetch) // a new file has a hole where nothing is written
	}
	f.settle(s, next)
}

// chunks are extents without the holes.
func chunks(extents []Extent) []Extent {
	for i := range extents {
		if extents[i].Ref.Hole > 0 {
			kept := append(make([]Extent, 0, len(extents)-1), extents[:i]...)
			for _, e := range extents[i+1:] {
				if e.Ref.Hole == 0 {
					kept = append(kept, e)
				}
			}
			return kept
		}
	}
	return extents
}

// Checked takes what was found of extents that Next.Check asked for: the source
// has the present ones, and they are in their place; the missing ones it has not.
// Of a file that is Comparing nothing is in its place yet.
func (f *File) Checked(present, missing []Extent) Next {
	var next Next
	switch s := f.state.(type) {
	case *comparing:
		f.compared(s, present, missing, &next)
	case *fetching:
		f.taken(s, present, missing, &next)
	default:
		f.bug("checked extents of")
	}
	f.release(&next)
	return next
}

func (f *File) compared(s *comparing, present, missing []Extent, next *Next) {
	s.present, s.lacking = append(s.present, present...), append(s.lacking, missing...)
	if s.left -= len(present) + len(missing); s.left > 0 {
		return
	}
	if s.left < 0 {
		f.bug("too many extents compared of")
	}
	if len(s.lacking) == 0 {
		f.past += len(s.present)
		for i := range s.present {
			next.Reused += int64(s.present[i].Ref.Span.Len)
			f.count(s.present[i].Ref.Length(), false, next)
		}
		f.finish(s.Wanted, Keep, 0, next)
		return
	}
	// A new file, of what is there and what is not.
	to := &fetching{Wanted: s.Wanted}
	f.state = to
	next.Check, next.Fetch = chunks(s.present), chunks(s.lacking)
	to.left = len(next.Check) + len(next.Fetch)
	f.past += len(s.present) + len(s.lacking) - to.left
	f.settle(to, next)
}

func (f *File) taken(s *fetching, present, missing []Extent, next *Next) {
	if s.Source == NoSource {
		f.bug("checked extents of")
	}
	s.missing += len(missing)
	if f.err != nil {
		f.pass(s, len(present)+len(missing), next)
		return
	}
	next.Fetch = chunks(missing)
	for i := range present {
		ref := &present[i].Ref
		if f.Alone() && s.Source == FromFile && ref.Hole == 0 {
			return // all of the file was made at once: End says how that went
		}
		next.Reused += int64(ref.Span.Len)
		f.count(int64(ref.Span.Len), s.Source == FromFile, next)
	}
	f.pass(s, len(present)+len(missing)-len(next.Fetch), next)
}

// Wrote takes that one extent of n bytes, which was to be fetched, is in its place.
func (f *File) Wrote(n int64) Next {
	s := in[*fetching](f, "an extent written of")
	var next Next
	if f.err == nil {
		f.count(n, true, &next)
	}
	f.pass(s, 1, &next)
	f.release(&next)
	return next
}

// GiveUp takes that one extent, which was to be fetched, cannot be had, or is not
// wanted any more because of what Err says.
func (f *File) GiveUp(err error) Next {
	s := in[*fetching](f, "an extent given up of")
	if f.fail(err); f.err == nil {
		f.bug("an extent given up without a reason of")
	}
	var next Next
	f.pass(s, 1, &next)
	f.release(&next)
	return next
}

// Fail notes that something of a file could not be written. The extents that are
// under way are still answered for.
func (f *File) Fail(err error) {
	in[*fetching](f, "a failure of")
	f.fail(err)
}

func (f *File) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *File) count(n int64, written bool, next *Next) {
	f.counted += n
	next.Counted += n
	if written {
		next.Written += n
	}
}

// pass counts extents as there or given up.
func (f *File) pass(s *fetching, n int, next *Next) {
	f.past += n
	if s.left -= n; s.left < 0 {
		f.bug("too many extents of")
	}
	f.settle(s, next)
}

// settle goes on to the last step when nothing is left to bring.
func (f *File) settle(s *fetching, next *Next) {
	if !f.open && s.left == 0 {
		f.finish(s.Wanted, Commit, s.missing, next)
	}
}

func (f *File) finish(w Wanted, how Finish, missing int, next *Next) {
	if f.err != nil {
		how = Abort
	}
	f.state = &finishing{Wanted: w, missing: missing}
	next.Finish = how
}

// release counts the batches all of whose extents are past.
func (f *File) release(next *Next) {
	for len(f.later) > 0 && f.later[0].upTo <= f.past {
		if f.later[0].batch.Done() {
			next.Credits++
		}
		f.later = f.later[1:]
	}
}

// End takes what has become of a file: when it was placed without contents, when
// the one extent of a file that is Alone was made into all of it, or after the last step.
func (f *File) End(e Ending) Next {
	switch s := f.state.(type) {
	case *placing, *finishing:
	case *fetching:
		if !f.Alone() || s.left != 1 {
			f.bug("the end of")
		}
	default:
		f.bug("the end of")
	}
	r := Result{Status: e.Status, There: e.There, Why: e.Why}
	if e.Status == AsPlanned {
		w := f.Wanted()
		r = Result{Status: w.Status, There: w.There, Why: w.Why}
	}
	f.fail(e.Err)
	if r.Err = f.err; r.Err != nil && e.Half {
		r.Err = fmt.Errorf("%w"+HalfDone, r.Err)
	}
	if r.Err != nil && r.Status != StatusIgnored {
		r.Status = StatusFailed
	}
	if r.Status == StatusFailed && r.Err == nil {
		r.Err = errors.New("internal error: it failed without a reason")
	}
	return f.end(r)
}

func (f *File) end(r Result) Next {
	next := Next{Slot: f.extents > 1}
	f.state, f.past, f.err = &done{r}, f.extents, r.Err
	f.release(&next)
	if f.batch.Done() {
		next.Credits++
	}
	return next
}
