package restore

import (
	"fmt"

	"vaultik/actors"
	"vaultik/messages"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// arrive takes a new item. Of the names of one file the first gets the content,
// the others become links to it.
func (p *restorePlanner) arrive(it *restoreItem) {
	hl := it.Entry.HL
	switch {
	case it.Err != nil:
		p.done(it, messages.StatusFailed, it.Err)
	case hl == "":
		p.begin(it)
	default:
		g := p.groups[hl]
		if g == nil {
			g = &linkGroup{Type: it.Entry.Type}
			p.groups[hl] = g
		}
		if g.Type != it.Entry.Type {
			p.done(it, messages.StatusFailed, fmt.Errorf("%w: another name of the same file is a %s", page.ErrDamaged, g.Type))
			return
		}
		it.State.Group = g
		p.join(it, g)
	}
}

func (p *restorePlanner) join(it *restoreItem, g *linkGroup) {
	switch {
	case g.Path != "":
		p.finish = append(p.finish, finishEntry{Link: it, To: g.Path, Anew: g.Anew})
	case g.Leader != nil:
		g.Waiting = append(g.Waiting, it)
	default:
		g.Leader = it
		p.begin(it)
	}
}

// begin finds out what is to be done for an item by itself.
func (p *restorePlanner) begin(it *restoreItem) {
	switch {
	case it.Known != nil:
		p.placed(it.Known)
	case it.Fresh && it.Content:
		p.want(it, &outcome{New: messages.StatusRestored})
	default:
		p.place = append(p.place, it)
	}
}

// want gets the content of an item: from the store, or from what is there.
func (p *restorePlanner) want(it *restoreItem, o *outcome) {
	s := &it.State
	s.Status, s.Decided, s.Source, s.There, s.Why = o.New, true, o.Source, o.There, o.Why
	// Only if all pieces are known can they all be compared before one is copied.
	s.Keep = o.Keep && !s.Open
	held := s.Held
	s.Held = nil
	for i := range held {
		p.plan(&held[i])
	}
	p.settle(it)
}

// piece takes one chunk of an item.
func (p *restorePlanner) piece(w *restorePiece) {
	s := &w.Item.State
	s.Data += int64(w.Ref.Span.Len)
	if s.Seen++; s.Seen == 2 {
		p.parts++ // the walker has taken a slot
		if s.Done {
			p.releasePart()
		}
	}
	switch {
	case s.Done:
	case !s.Decided:
		s.Held = append(s.Held, *w)
	default:
		p.plan(w)
	}
}

func (p *restorePlanner) releasePart() {
	p.parts--
	p.run.parts.slots.Release()
}

func (p *restorePlanner) plan(w *restorePiece) {
	s := &w.Item.State
	switch {
	case s.Source != noSource:
		s.Left++
		p.compare(w)
	case w.Ref.Hole > 0:
		p.came(w.Item) // a new file has a hole where nothing is written
	default:
		s.Left++
		p.waiting.Add(&w.Ref, w.Item, w.At)
	}
}

// alone reports whether an item has only one piece, so that it can be made in one go.
func alone(s *restoreState) bool {
	return s.Seen == 1 && !s.Open && s.Source != fromPart
}

// pieceDone counts a chunk of n bytes as there; written, if it was not before.
func (p *restorePlanner) pieceDone(it *restoreItem, n int64, written bool) {
	s := &it.State
	s.Left--
	if s.Err == nil && it.Entry.Type == page.File {
		s.Counted += n
		p.run.spec.Progress.BytesDone.Add(n)
		if written {
			p.run.result.BytesWritten += n
		}
	}
	p.came(it)
	p.settle(it)
}

// pieceFailed counts a chunk as one that never will be there.
func (p *restorePlanner) pieceFailed(it *restoreItem, err error) {
	s := &it.State
	s.Left--
	if s.Err == nil {
		s.Err = err
	}
	p.came(it)
	p.settle(it)
}

// came ends the batches all of whose pieces are there or given up.
func (p *restorePlanner) came(it *restoreItem) {
	s := &it.State
	s.Came++
	for len(s.More) > 0 && s.More[0].UpTo <= s.Came {
		p.batchDone(s.More[0].Batch)
		s.More = s.More[1:]
	}
}

// settle ends an item that is put together from pieces, when all are there.
func (p *restorePlanner) settle(it *restoreItem) {
	s := &it.State
	if s.Done || s.Settled || !s.Decided || s.Open || s.Left > 0 {
		return
	}
	s.Settled = true
	switch {
	case s.Err != nil:
		p.finish = append(p.finish, finishEntry{Abort: it})
	case s.Keep || p.run.dry && s.Source == sourceInPlace && s.Missing == 0 && s.There.Size == it.Entry.Size:
		p.finish = append(p.finish, finishEntry{Keep: it, There: s.There})
	default:
		p.finish = append(p.finish, finishEntry{Commit: it, Source: s.Source, There: s.There})
	}
}

// placed takes what a writer says of an item or a directory.
func (p *restorePlanner) placed(o *outcome) {
	it := o.Item
	for _, a := range o.Attrs {
		switch {
		case o.Dir == nil:
			p.attr(it.Entry.Path, a)
		case o.Dir.Counts:
			p.attr(p.run.origin(o.Dir), a)
		default:
			p.run.result.MetaAbove++
		}
	}
	switch {
	case o.Dir != nil:
		p.run.result.Leftovers += int64(o.Removed)
		if o.Err != nil {
			o.Dir.Failed = true
			p.dirProblem(o.Dir, o.Err)
		}
		if o.Fixed && o.Dir.Counts {
			p.run.result.Corrected++
		}
		p.dirDone(o.Dir, o.Why)
	case o.NoLink:
		if !p.unlinked {
			p.unlinked = true
			p.run.spec.warn("hard links cannot be made there; each name gets a copy of its own")
		}
		it.State.Group = nil
		p.begin(it)
	case o.Status == "":
		p.want(it, o)
	default:
		status := o.Status
		if status == statusAsPlanned {
			status = it.State.Status
		} else {
			it.State.Why, it.State.There = o.Why, o.There
		}
		if o.Fixed {
			p.run.result.Corrected++
		}
		if o.Err == nil {
			p.run.result.BytesWritten += o.Written
			p.run.result.BytesReused += o.Reused
		}
		if o.Half && it.State.Err != nil {
			it.State.Err = fmt.Errorf("%w%s", it.State.Err, halfDone)
		} else if o.Half {
			o.Err = fmt.Errorf("%w%s", o.Err, halfDone)
		}
		p.done(it, status, o.Err)
	}
}

// halfDone is what is to be said of a file that could not be changed in place as a whole.
const halfDone = "; it is left changed in part, and one byte too long"

// maxAttrKinds bounds the kinds of attributes that are told apart in the result.
const maxAttrKinds = 50

// attr counts an attribute that could not be set.
func (p *restorePlanner) attr(path string, a vfs.MetaProblem) {
	m, what := p.run.result.Meta, a.What
	if m[what] == nil && len(m) >= maxAttrKinds {
		what = "others"
	}
	if m[what] == nil {
		m[what] = &MetaLoss{Path: path, Err: a.Err}
	}
	m[what].Entries++
}

// statusAsPlanned is the outcome of a piece or last step that went as it should.
const statusAsPlanned messages.Status = "as planned"

// done ends an item.
func (p *restorePlanner) done(it *restoreItem, status messages.Status, err error) {
	s := &it.State
	if s.Done {
		return
	}
	s.Done = true
	if s.Err == nil {
		s.Err = err
	}
	if s.Err != nil && status != messages.StatusIgnored {
		status = messages.StatusFailed
	}
	p.count(it, status)
	if s.Settled {
		p.run.parts.drop(it)
	}
	if s.Seen > 1 {
		p.releasePart()
	}
	for _, m := range s.More {
		p.batchDone(m.Batch)
	}
	s.More, s.Held, s.Check, s.Present, s.Lacking = nil, nil, nil, nil, nil
	if g := s.Group; g != nil && g.Leader == it {
		p.led(g, it, status)
	}
	p.batchDone(it.Batch)
	it.Dir.Pending--
	p.leave(it.Dir)
}

// led ends the wait of the other names of a file.
func (p *restorePlanner) led(g *linkGroup, it *restoreItem, status messages.Status) {
	g.Leader = nil
	waiting := g.Waiting
	g.Waiting = nil
	if asInSnapshot(status) {
		g.Path = it.Path
		g.Anew = status == messages.StatusRestored || status == messages.StatusReplaced
	}
	for _, w := range waiting {
		p.join(w, g)
	}
}

// asInSnapshot reports whether an item of this status now is what the snapshot has.
func asInSnapshot(s messages.Status) bool {
	return s == messages.StatusRestored || s == messages.StatusReplaced || s == messages.StatusChanged || s == messages.StatusUnchanged
}

// count adds an item to the result.
func (p *restorePlanner) count(it *restoreItem, status messages.Status) {
	r, prog, e := &p.run.result, p.run.spec.Progress, &it.Entry
	reason := it.State.Why
	if it.State.Err != nil {
		reason = it.State.Err.Error()
	}
	if p.run.dry {
		p.account(it, status)
	}
	switch status {
	case messages.StatusRestored:
		r.Restored++
	case messages.StatusReplaced:
		r.Replaced++
	case messages.StatusChanged:
		r.Changed++
	case messages.StatusUnchanged:
		r.Unchanged++
	case messages.StatusKept:
		r.Kept++
	case messages.StatusIgnored:
		r.Ignored++
	default:
		p.problem(e.Path, it.State.Err)
	}
	if asInSnapshot(status) {
		switch e.Type {
		case page.File:
			r.Counts.Files++
			r.Counts.Bytes += e.Size
		case page.Symlink:
			r.Counts.Symlinks++
		default:
			r.Counts.Others++
		}
	}
	if e.Type == page.File {
		prog.FilesDone.Add(1)
		prog.BytesDone.Add(e.Size - it.State.Counted)
	}
	p.item(e.Path, status, reason)
}

func (p *restorePlanner) item(path string, status messages.Status, reason string) {
	if p.run.spec.OnItem != nil {
		p.run.spec.OnItem(path, status, reason)
	}
}

func (p *restorePlanner) problem(path string, err error) {
	p.problemAt(func() string { return path }, err)
}

// dirProblem is problem of a directory, whose path may be long and asked for by nobody.
func (p *restorePlanner) dirProblem(d *restoreDir, err error) {
	p.problemAt(func() string { return p.run.origin(d) }, err)
}

func (p *restorePlanner) problemAt(path func() string, err error) {
	r := &p.run.result
	r.Failed++
	p.run.spec.Progress.Errors.Add(1)
	if len(r.Problems) < actors.MaxResultList && p.listed < actors.MaxResultBytes {
		problem := Problem{Path: path(), Reason: err.Error(), Err: err}
		p.listed += len(problem.Path) + 2*len(problem.Reason) // Err has it too
		r.Problems = append(r.Problems, problem)
	}
}

// leave finishes a directory below which nothing is left to do.
func (p *restorePlanner) leave(d *restoreDir) {
	if !d.Left || d.Pending > 0 {
		return
	}
	switch {
	case d.Err != nil:
		d.Failed = true
		p.dirProblem(d, d.Err)
		p.dirDone(d, "")
	case d.Attrs:
		p.finish = append(p.finish, finishEntry{Dir: d})
	default:
		p.dirDone(d, "")
	}
}

func (p *restorePlanner) dirDone(d *restoreDir, reason string) {
	if p.run.dry && d.Fresh && !d.Failed {
		p.accountDir(d)
	}
	if d.Counts {
		status := messages.StatusUnchanged
		switch {
		case d.Failed:
			status = messages.StatusFailed
		case d.Other:
			status = messages.StatusReplaced
		case d.Fresh:
			status = messages.StatusRestored
		case !d.Attrs:
			status = messages.StatusKept
		}
		if !d.Failed {
			p.run.result.Counts.Dirs++
		}
		if d.Err != nil {
			reason = d.Err.Error()
		}
		if p.run.spec.OnItem != nil {
			p.item(p.run.origin(d), status, reason)
		}
	}
	if d.Parent != nil {
		d.Parent.Pending--
		p.leave(d.Parent)
	}
}
