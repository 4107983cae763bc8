package restore

import (
	"vaultik/messages"
)

// opened takes a new directory.
func (p *restorePlanner) opened(d *restoreDir) {
	dp := &dirPlan{dir: d}
	p.dirs[d] = dp
	if d.Parent != nil {
		dp.parent = p.dirs[d.Parent]
		dp.parent.Add()
	}
}

// finishDir finishes a directory below which nothing is left to do.
func (p *restorePlanner) finishDir(d *dirPlan) {
	switch {
	case d.dir.Err != nil:
		d.failed = true
		p.dirProblem(d.dir, d.dir.Err)
		p.dirDone(d, "")
	case d.dir.Attrs:
		p.finish = append(p.finish, finishEntry{Dir: d.dir})
	default:
		p.dirDone(d, "")
	}
}

// dirPlaced takes a writer's report on a directory that is finished.
func (p *restorePlanner) dirPlaced(o *outcome) {
	d := p.dirs[o.Dir]
	p.run.result.Leftovers += int64(o.Removed)
	if o.Err != nil {
		d.failed = true
		p.dirProblem(o.Dir, o.Err)
	}
	if o.Fixed && o.Dir.Counts {
		p.run.result.Corrected++
	}
	p.dirDone(d, o.Why)
}

func (p *restorePlanner) dirDone(d *dirPlan, reason string) {
	delete(p.dirs, d.dir)
	if p.run.dry && d.dir.Fresh && !d.failed {
		p.accountDir(d.dir)
	}
	if d.dir.Counts {
		p.countDir(d, reason)
	}
	if d.parent != nil && d.parent.Done() {
		p.finishDir(d.parent)
	}
}

// countDir adds a directory to the result.
func (p *restorePlanner) countDir(d *dirPlan, reason string) {
	status := messages.StatusUnchanged
	switch {
	case d.failed:
		status = messages.StatusFailed
	case d.dir.Other:
		status = messages.StatusReplaced
	case d.dir.Fresh:
		status = messages.StatusRestored
	case !d.dir.Attrs:
		status = messages.StatusKept
	}
	if !d.failed {
		p.run.result.Counts.Dirs++
	}
	switch {
	case d.dir.Err != nil:
		reason = d.dir.Err.Error()
	case d.dir.Kernel != "":
		reason = "is the kernel's: " + d.dir.Kernel
	}
	if p.run.spec.OnItem != nil {
		p.item(p.run.origin(d.dir), status, reason)
	}
}
