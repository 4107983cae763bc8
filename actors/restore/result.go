package restore

import (
	"vaultik/actors"
	"vaultik/messages"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/plan"
)

// statuses are what has become of an item, in words.
var statuses = [...]messages.Status{
	plan.StatusRestored:  messages.StatusRestored,
	plan.StatusReplaced:  messages.StatusReplaced,
	plan.StatusChanged:   messages.StatusChanged,
	plan.StatusUnchanged: messages.StatusUnchanged,
	plan.StatusKept:      messages.StatusKept,
	plan.StatusIgnored:   messages.StatusIgnored,
	plan.StatusFailed:    messages.StatusFailed,
}

// count adds an item to the result.
func (p *restorePlanner) count(f *filePlan, done *plan.Result) {
	prog, e := p.run.spec.Progress, &f.item.Entry
	if p.run.dry {
		p.account(f, done)
	}
	*p.counter(done.Status)++
	if done.Status == plan.StatusFailed {
		p.problem(e.Path, done.Err)
	}
	if done.Status.InSnapshot() {
		p.countEntry(e)
	}
	if e.Type == page.File {
		prog.FilesDone.Add(1)
		prog.BytesDone.Add(e.Size - f.Counted())
	}
	reason := done.Why
	if done.Err != nil {
		reason = done.Err.Error()
	}
	p.item(e.Path, statuses[done.Status], reason)
}

// counter is where items of a status are counted.
func (p *restorePlanner) counter(s plan.Status) *int64 {
	r := &p.run.result
	switch s {
	case plan.StatusRestored:
		return &r.Restored
	case plan.StatusReplaced:
		return &r.Replaced
	case plan.StatusChanged:
		return &r.Changed
	case plan.StatusUnchanged:
		return &r.Unchanged
	case plan.StatusKept:
		return &r.Kept
	case plan.StatusIgnored:
		return &r.Ignored
	}
	return &r.Failed
}

func (p *restorePlanner) countEntry(e *page.Entry) {
	c := &p.run.result.Counts
	switch e.Type {
	case page.File:
		c.Files++
		c.Bytes += e.Size
	case page.Symlink:
		c.Symlinks++
	default:
		c.Others++
	}
}

func (p *restorePlanner) item(path string, status messages.Status, reason string) {
	if p.run.spec.OnItem != nil {
		p.run.spec.OnItem(path, status, reason)
	}
}

// attrs counts the attributes that could not be set.
func (p *restorePlanner) attrs(o *outcome) {
	for _, a := range o.Attrs {
		switch {
		case o.Dir == nil:
			p.attr(o.Item.Entry.Path, a)
		case o.Dir.Counts:
			p.attr(p.run.origin(o.Dir), a)
		default:
			p.run.result.MetaAbove++
		}
	}
}

// maxAttrKinds bounds the kinds of attributes that are told apart in the result.
const maxAttrKinds = 50

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

func (p *restorePlanner) problem(path string, err error) {
	p.problemAt(func() string { return path }, err)
}

// dirProblem is problem of a directory, whose path may be long and asked for by nobody.
func (p *restorePlanner) dirProblem(d *restoreDir, err error) {
	p.run.result.Failed++
	p.problemAt(func() string { return p.run.origin(d) }, err)
}

func (p *restorePlanner) problemAt(path func() string, err error) {
	r := &p.run.result
	p.run.spec.Progress.Errors.Add(1)
	if len(r.Problems) < actors.MaxResultList && p.listed < actors.MaxResultBytes {
		problem := Problem{Path: path(), Reason: err.Error(), Err: err}
		p.listed += len(problem.Path) + 2*len(problem.Reason) // Err has it too
		r.Problems = append(r.Problems, problem)
	}
}

// lost notes entries that cannot be known.
func (p *restorePlanner) lost(m *pagesLost) {
	r := &p.run.result
	to := &r.Lost
	if actors.Unreadable(m.Err) {
		to = &r.Unread
		if r.NotRead == nil {
			r.NotRead = m.Err
		}
	} else {
		r.Damaged = true
	}
	if len(*to) < actors.MaxResultList && p.listed < actors.MaxResultBytes {
		lost := page.LostPaths{After: m.After, Last: m.Last, Reason: m.Err.Error()}
		p.listed += len(lost.After) + len(lost.Last) + len(lost.Reason)
		*to = append(*to, lost)
	}
	p.run.spec.Progress.Errors.Add(1)
}

// fullError says what was done until the target took no more.
func (p *restorePlanner) fullError() error {
	n := p.run.spec.Progress
	done := n.BytesDone.Load()
	for _, it := range p.run.parts.items() {
		if f := p.files[it]; f != nil && f.Phase() != plan.Done {
			done -= f.Counted() // it will be thrown away
		}
	}
	return &TargetFullError{
		FilesDone: n.FilesDone.Load(), FilesLeft: max(0, n.FilesTotal.Load()-n.FilesDone.Load()),
		BytesLeft: max(0, n.BytesTotal.Load()-done), Err: p.full,
	}
}
