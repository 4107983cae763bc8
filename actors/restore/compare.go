package restore

import (
	"github.com/asynkron/protoactor-go/actor"
)

// What the target has already need not be fetched. A file that is to be replaced
// or changed, or a part that an interrupted restore has left, is read where the
// snapshot's chunks would stand in it; those whose ids are right are taken from there.

const (
	checkBatch = 256      // pieces of one job
	checkBytes = 16 << 20 // about, of the pieces of one job, so that several writers read one large file
)

// compare has a piece compared with its source.
func (p *restorePlanner) compare(w *restorePiece) {
	s := &w.Item.State
	if len(s.Check) == 0 {
		p.check = append(p.check, w.Item)
	}
	s.Check = append(s.Check, *w)
	if s.Keep {
		s.Checks++
	}
}

// submitChecks gives the writers the pieces that are to be compared.
func (p *restorePlanner) submitChecks(c actor.Context) {
	var job []checkPiece
	bytes := int64(0)
	flush := func() {
		if len(job) > 0 {
			p.write(c, writing{Check: job})
		}
		job, bytes = nil, 0
	}
	for _, it := range p.check {
		s := &it.State
		for i := range s.Check {
			w := &s.Check[i]
			n := int64(w.Ref.Span.Len) // a hole costs little
			if len(job) >= checkBatch || len(job) > 0 && bytes+n > checkBytes {
				flush()
			}
			job = append(job, checkPiece{restorePiece: *w, Source: s.Source, Only: s.Keep, Whole: alone(s)})
			bytes += n
		}
		s.Check = nil
	}
	p.check = nil
	flush()
}

// checked takes what a writer says of the pieces of a job.
func (p *restorePlanner) checked(job *writing, missing []int) {
	if p.full != nil {
		return
	}
	for i := range job.Check {
		c := &job.Check[i]
		gone := len(missing) > 0 && missing[0] == i
		if gone {
			missing = missing[1:]
		}
		if gone {
			c.Item.State.Missing++
		}
		switch s := &c.Item.State; {
		case c.Only:
			p.compared(c, gone)
		case s.Err != nil:
			p.pieceFailed(c.Item, nil)
		case gone && c.Ref.Hole == 0:
			p.waiting.Add(&c.Ref, c.Item, c.At)
		case c.Whole && c.Source == fromFile && c.Ref.Hole == 0: // its outcome comes beside this
		default:
			p.reused(c)
		}
	}
}

// compared takes the answer on one piece of a file that stays if it has them all.
func (p *restorePlanner) compared(c *checkPiece, gone bool) {
	s := &c.Item.State
	if gone {
		s.Lacking = append(s.Lacking, c.restorePiece)
	} else {
		s.Present = append(s.Present, c.restorePiece)
	}
	if s.Checks--; s.Checks > 0 {
		return
	}
	if len(s.Lacking) == 0 {
		for i := range s.Present {
			p.run.result.BytesReused += int64(s.Present[i].Ref.Span.Len)
			p.pieceDone(c.Item, s.Present[i].Ref.Length(), false)
		}
		return
	}
	s.Keep = false // a new file, of what is there and what is not
	present, lacking := s.Present, s.Lacking
	s.Present, s.Lacking = nil, nil
	for i := range present {
		if w := &present[i]; w.Ref.Hole > 0 {
			p.pieceDone(w.Item, 0, false)
		} else {
			p.compare(w)
		}
	}
	for i := range lacking {
		if w := &lacking[i]; w.Ref.Hole > 0 {
			p.pieceDone(w.Item, 0, false)
		} else {
			p.waiting.Add(&w.Ref, w.Item, w.At)
		}
	}
}

// reused counts a piece that was had without the store.
func (p *restorePlanner) reused(c *checkPiece) {
	n := int64(c.Ref.Span.Len)
	p.run.result.BytesReused += n
	p.pieceDone(c.Item, n, c.Source == fromFile)
}
