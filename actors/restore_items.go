package actors

import (
	"vaultik/messages"
	"vaultik/vault/page"
)

// arrive takes a new item. Of the names of one file the first gets the content,
// the others become links to it.
func (p *restorePlanner) arrive(it *messages.RestoreItem) {
	hl := it.Entry.HL
	switch {
	case it.Err != nil:
		p.done(it, messages.StatusFailed, it.Err)
	case hl == "":
		p.begin(it)
	default:
		g := p.groups[hl]
		if g == nil {
			g = &messages.LinkGroup{}
			p.groups[hl] = g
		}
		it.State.Group = g
		p.join(it, g)
	}
}

func (p *restorePlanner) join(it *messages.RestoreItem, g *messages.LinkGroup) {
	switch {
	case g.Path != "":
		p.finish = append(p.finish, messages.FinishEntry{Link: it, To: g.Path})
	case g.Leader != nil:
		g.Waiting = append(g.Waiting, it)
	default:
		g.Leader = it
		p.begin(it)
	}
}

// begin finds out what is to be done for an item by itself.
func (p *restorePlanner) begin(it *messages.RestoreItem) {
	switch {
	case it.Known != nil:
		p.placed(it.Known)
	case it.Fresh && it.Content:
		p.want(it, messages.StatusRestored)
	default:
		p.place = append(p.place, it)
	}
}

// want fetches the content of an item.
func (p *restorePlanner) want(it *messages.RestoreItem, status messages.Status) {
	s := &it.State
	s.Status, s.Decided = status, true
	held := s.Held
	s.Held = nil
	for i := range held {
		p.plan(&held[i])
	}
	p.settle(it)
}

// piece takes one chunk of an item.
func (p *restorePlanner) piece(w *messages.RestorePiece) {
	s := &w.Item.State
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
	p.run.parts.slots.release()
}

func (p *restorePlanner) plan(w *messages.RestorePiece) {
	s := &w.Item.State
	s.Planned++
	s.Left++
	p.waiting.Add(&w.Ref, w.Item, w.At)
}

// pieceDone counts a chunk as written, or as one that never will be.
func (p *restorePlanner) pieceDone(it *messages.RestoreItem, n int64, err error) {
	s := &it.State
	s.Left--
	s.Came++
	if err != nil && s.Err == nil {
		s.Err = err
	}
	if n > 0 && s.Err == nil && it.Entry.Type == page.File {
		s.Counted += n
		p.run.spec.Progress.BytesDone.Add(n)
		p.run.result.BytesWritten += n
	}
	for len(s.More) > 0 && s.More[0].UpTo <= s.Came {
		p.batchDone(s.More[0].Batch)
		s.More = s.More[1:]
	}
	p.settle(it)
}

// settle ends an item that is put together from pieces, when all are there.
func (p *restorePlanner) settle(it *messages.RestoreItem) {
	s := &it.State
	if s.Done || s.Settled || !s.Decided || s.Open || s.Left > 0 {
		return
	}
	s.Settled = true
	if s.Err != nil {
		p.finish = append(p.finish, messages.FinishEntry{Abort: it})
	} else {
		p.finish = append(p.finish, messages.FinishEntry{Commit: it})
	}
}

// placed takes what a writer says of an item or a directory.
func (p *restorePlanner) placed(o *messages.Outcome) {
	for _, a := range o.Attrs {
		if o.Dir != nil && !o.Dir.Counts {
			p.run.result.MetaAbove++
		} else {
			p.attr(a.What)
		}
	}
	it := o.Item
	switch {
	case o.Dir != nil:
		if o.Err != nil {
			o.Dir.Failed = true
			p.problem(o.Dir.Entry.Path, o.Err)
		}
		p.dirDone(o.Dir)
	case o.NoLink:
		if !p.unlinked {
			p.unlinked = true
			p.run.spec.warn("hard links cannot be made there; each name gets a copy of its own")
		}
		it.State.Group = nil
		p.begin(it)
	case o.Status == "":
		p.want(it, o.New)
	default:
		status := o.Status
		if status == statusAsPlanned {
			status = it.State.Status
		}
		p.run.result.BytesWritten += o.Written
		p.done(it, status, o.Err)
	}
}

// maxAttrKinds bounds the kinds of attributes that are told apart in the result.
const maxAttrKinds = 50

// attr counts an attribute that could not be set.
func (p *restorePlanner) attr(what string) {
	m := p.run.result.Meta
	if _, ok := m[what]; !ok && len(m) >= maxAttrKinds {
		what = "others"
	}
	m[what]++
}

// statusAsPlanned is the outcome of a piece or last step that went as it should.
const statusAsPlanned messages.Status = "as planned"

// done ends an item.
func (p *restorePlanner) done(it *messages.RestoreItem, status messages.Status, err error) {
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
	s.More, s.Held = nil, nil
	if g := s.Group; g != nil && g.Leader == it {
		p.led(g, it, status)
	}
	p.batchDone(it.Batch)
	it.Dir.Pending--
	p.leave(it.Dir)
}

// led ends the wait of the other names of a file.
func (p *restorePlanner) led(g *messages.LinkGroup, it *messages.RestoreItem, status messages.Status) {
	g.Leader = nil
	waiting := g.Waiting
	g.Waiting = nil
	if status == messages.StatusRestored || status == messages.StatusReplaced || status == messages.StatusUnchanged {
		g.Path = it.Path
	}
	for _, w := range waiting {
		p.join(w, g)
	}
}

// count adds an item to the result.
func (p *restorePlanner) count(it *messages.RestoreItem, status messages.Status) {
	r, prog, e := &p.run.result, p.run.spec.Progress, &it.Entry
	reason := ""
	if it.State.Err != nil {
		reason = it.State.Err.Error()
	}
	switch status {
	case messages.StatusRestored:
		r.Restored++
	case messages.StatusReplaced:
		r.Replaced++
	case messages.StatusUnchanged:
		r.Unchanged++
	case messages.StatusKept:
		r.Kept++
	case messages.StatusIgnored:
		r.Ignored++
	default:
		p.problem(e.Path, it.State.Err)
	}
	if status == messages.StatusRestored || status == messages.StatusReplaced || status == messages.StatusUnchanged {
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
	r := &p.run.result
	r.Failed++
	p.run.spec.Progress.Errors.Add(1)
	if len(r.Problems) < maxResultList {
		r.Problems = append(r.Problems, RestoreProblem{Path: path, Reason: err.Error(), Err: err})
	}
}

// leave finishes a directory below which nothing is left to do.
func (p *restorePlanner) leave(d *messages.RestoreDir) {
	if !d.Left || d.Pending > 0 {
		return
	}
	switch {
	case d.Err != nil:
		d.Failed = true
		p.problem(d.Entry.Path, d.Err)
		p.dirDone(d)
	case d.Attrs:
		p.finish = append(p.finish, messages.FinishEntry{Dir: d})
	default:
		p.dirDone(d)
	}
}

func (p *restorePlanner) dirDone(d *messages.RestoreDir) {
	if d.Counts {
		status := messages.StatusUnchanged
		switch {
		case d.Failed:
			status = messages.StatusFailed
		case d.Fresh:
			status = messages.StatusRestored
		case !d.Attrs:
			status = messages.StatusKept
		}
		if !d.Failed {
			p.run.result.Counts.Dirs++
		}
		reason := ""
		if d.Err != nil {
			reason = d.Err.Error()
		}
		p.item(d.Entry.Path, status, reason)
	}
	if d.Parent != nil {
		d.Parent.Pending--
		p.leave(d.Parent)
	}
}
