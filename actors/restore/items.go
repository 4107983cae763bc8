package restore

import (
	"fmt"

	"vaultik/internal/words"
	"vaultik/vault/plan"
)

// file is the plan of an item that is not over.
func (p *restorePlanner) file(it *restoreItem) *filePlan {
	f := p.files[it]
	if f == nil {
		panic("internal error: an answer for an item that is over: " + it.Path)
	}
	return f
}

// forget lets go of an item that is over.
func (p *restorePlanner) forget(f *filePlan) {
	if f.Over() {
		delete(p.files, f.item)
	}
}

// arrive takes a new item.
func (p *restorePlanner) arrive(batch *plan.Batch, c *contents) {
	it := c.Item
	file, next := plan.NewFile(batch, c.Contents)
	f := &filePlan{File: file, item: it, dir: p.dirs[it.Dir]}
	p.files[it] = f
	f.dir.Add()
	p.do(f, next)
	switch {
	case it.Err != nil:
		p.done(f, plan.Ending{Status: plan.StatusFailed, Err: it.Err})
	case it.Entry.HL != "":
		p.join(f, true)
	default:
		p.begin(f)
	}
}

// join takes one of the names of a file, first or again. The first of them gets the content,
// the others become links to it.
func (p *restorePlanner) join(f *filePlan, first bool) {
	it := f.item
	j, err := p.links.Join(&it.Entry, it.LinkSum, it)
	if err != nil {
		p.done(f, plan.Ending{Status: plan.StatusFailed, Err: err})
		return
	}
	if j.Apart && first {
		if p.apart++; p.apart == 1 {
			p.apartAt = it.Entry.Path
		}
	}
	f.name = otherName
	switch j.Role {
	case plan.Leads:
		f.name, f.group, it.Apart = firstName, j.Group, j.Apart
		p.begin(f)
	case plan.Follows:
		p.finish = append(p.finish, finishEntry{Item: it, Link: &j.Link})
	}
}

// sayApart warns of names that are no links, though they are said to be of one file.
func (p *restorePlanner) sayApart() {
	if p.apart == 0 || p.run.spec.quick {
		return
	}
	p.run.spec.warn(fmt.Sprintf("%s not linked to other names of the same file, since the "+
		"snapshot has other contents or attributes there; first: %q",
		words.Plural(p.apart, "hard link was", "hard links were"), "/"+p.apartAt))
}

// begin finds out what is to be done for an item by itself.
func (p *restorePlanner) begin(f *filePlan) {
	switch it := f.item; {
	case it.Known != nil:
		p.placed(it.Known)
	case it.Fresh && it.Content:
		p.do(f, f.Want(plan.Wanted{Status: plan.StatusRestored}))
	default:
		p.place = append(p.place, it)
	}
}

// do does what comes next for an item.
func (p *restorePlanner) do(f *filePlan, n plan.Next) {
	p.run.spec.Progress.BytesDone.Add(n.Counted)
	p.run.result.BytesWritten += n.Written
	p.run.result.BytesReused += n.Reused
	if n.Several {
		p.parts++ // the walker has taken a slot
	}
	if n.Slot {
		p.parts--
		p.run.parts.slots.Release()
	}
	if len(n.Check) > 0 {
		p.compare(f, n.Check)
	}
	for i := range n.Fetch {
		p.waiting.Add(&n.Fetch[i].Ref, f.item, n.Fetch[i].At)
	}
	if n.Finish != plan.NoFinish {
		w := f.Wanted()
		p.finish = append(p.finish, finishEntry{
			Item: f.item, Last: n.Finish,
			Source: w.Source, There: w.There, Missing: f.Missing(),
		})
	}
	for range n.Credits {
		p.batchDone()
	}
}

// placed takes a writer's report on an item or a directory.
func (p *restorePlanner) placed(o *outcome) {
	p.attrs(o)
	if o.Dir != nil {
		p.dirPlaced(o)
		return
	}
	f := p.file(o.Item)
	switch {
	case o.NoLink:
		if !p.unlinked {
			p.unlinked = true
			p.run.spec.warn("hard links are not possible there; each name gets its own copy")
		}
		f.name = onlyName
		p.begin(f)
	case o.Status == 0:
		w := plan.Wanted{Status: o.New, Source: o.Source, Keep: o.Keep, There: o.There, Why: o.Why}
		p.do(f, f.Want(w))
	default:
		if o.Fixed {
			p.run.result.Corrected++
		}
		if o.Err == nil {
			p.run.result.BytesWritten += o.Written
			p.run.result.BytesReused += o.Reused
		}
		p.done(f,
			plan.Ending{Status: o.Status, There: o.There, Why: o.Why, Err: o.Err, Half: o.Half})
	}
}

// done ends an item.
func (p *restorePlanner) done(f *filePlan, e plan.Ending) {
	if f.Phase() == plan.Finishing {
		p.run.parts.drop(f.item)
	}
	next := f.End(e)
	r := f.Result()
	p.count(f, &r)
	p.do(f, next)
	p.forget(f)
	if f.name == firstName {
		p.led(f, r.Status)
	}
	if f.dir.Done() {
		p.finishDir(f.dir)
	}
}

// led ends the wait of the other names of a file.
func (p *restorePlanner) led(f *filePlan, s plan.Status) {
	var at *plan.Link
	if s.InSnapshot() {
		made := s == plan.StatusRestored || s == plan.StatusReplaced
		at = &plan.Link{Path: f.item.Path, Anew: made}
	}
	waiting := p.links.Led(f.group, at)
	p.run.charge(p.links.Memory())
	for _, it := range waiting {
		p.join(p.file(it), false)
	}
}
