package restore

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/plan"
)

// A dry run does what a restore does, but with a target that cannot be changed: the walker
// looks directories up instead of making them, writers report what they would do, and
// what would be fetched is counted instead.

// pretend counts what would be fetched, and treats it as if it had come.
func (p *restorePlanner) pretend(l *plan.Lease[*restoreItem]) {
	p.run.result.BytesFetch += l.Cost()
	for i := range l.Frames {
		for k := range l.Frames[i].Pieces {
			w := &l.Frames[i].Pieces[k]
			f := p.file(w.To)
			p.do(f, f.Wrote(int64(w.Len)))
		}
	}
}

// wouldPlace says what place would do.
func (w *restoreWriter) wouldPlace(o outcome) outcome {
	it := o.Item
	if it.Content {
		return o
	}
	o.Status = o.New
	if o.Source == plan.SourceInPlace && o.There.Size == 0 {
		return w.wouldKeep(it)
	}
	if it.Entry.Type == page.Socket {
		o.Status, o.Err = plan.StatusIgnored, vfs.ErrSocket
	}
	return o
}

// wouldBeRefused fails what cannot be made or changed since its file system is read-only.
func (r *restoreRun) wouldBeRefused(o *outcome) {
	if o.Item == nil || o.Err != nil || o.Keep {
		return
	}
	switch o.Status {
	case plan.StatusUnchanged, plan.StatusKept, plan.StatusIgnored, plan.StatusFailed:
		return
	}
	it := o.Item
	readOnly := it.Dir.ReadOnly
	if o.There.Mount {
		space, err := vfs.SpaceAt(absIn(r.abs, it.Path))
		readOnly = err == nil && space.ReadOnly
	}
	if readOnly {
		o.Status, o.Err = plan.StatusFailed, readOnlyError(absIn(r.abs, it.Path))
	}
}

// readOnlyError is what the kernel would say.
func readOnlyError(path string) error {
	return &os.PathError{Op: "create", Path: path, Err: syscall.EROFS}
}

// wouldKeep says which attributes a file that stays would get.
func (w *restoreWriter) wouldKeep(it *restoreItem) outcome {
	o := outcome{Item: it, Status: plan.StatusUnchanged}
	o.Why, o.Fixed = w.run.corrections(it.Path, &it.Entry)
	return o
}

// corrections are the attributes that would be set, in words.
func (r *restoreRun) corrections(path string, e *page.Entry) (why string, fixed bool) {
	if r.spec.quick {
		return "", false
	}
	what, err := r.target.Differs(path, e)
	if err != nil || len(what) == 0 {
		return "", false // the restore itself reports what is unreadable
	}
	return "would get: " + strings.Join(what, ", "), true
}

// wouldFind reports whether a piece could be had from its source.
func (w *restoreWriter) wouldFind(c *checkPiece) bool {
	r := &w.compare
	open := r.open(c.Item, c.Source)
	switch {
	case c.Ref.Hole > 0:
		return c.Source == plan.FromFile && !c.Only || open && r.zero(r.file, c)
	case !open || !r.same(r.file, c):
		return false
	case c.Whole && c.Source == plan.FromFile && !c.Only:
		n := int64(c.Ref.Span.Len)
		w.placed(outcome{Item: c.Item, Status: plan.AsPlanned, Written: n, Reused: n})
	}
	return true
}

// wouldFinish says what finish would do.
func (w *restoreWriter) wouldFinish(f *finishEntry) outcome {
	switch {
	case f.Link != nil:
		return w.linkStatus(f)
	case f.Last == plan.Abort:
		return outcome{Item: f.Item, Status: plan.StatusFailed}
	case f.Last == plan.Keep, f.Last == plan.Commit && f.allThere():
		return w.wouldKeep(f.Item)
	case f.Last == plan.Commit:
		return outcome{Item: f.Item, Status: plan.AsPlanned}
	}
	o := outcome{Dir: f.Dir}
	if !f.Dir.Fresh {
		o.Why, o.Fixed = w.run.corrections(f.Dir.Path(), &f.Dir.Entry)
	}
	return o
}

// allThere reports whether nothing of a file would be changed in place.
func (f *finishEntry) allThere() bool {
	return f.Source == plan.SourceInPlace && f.Missing == 0 && f.There.Size == f.Item.Entry.Size
}

// SpaceError refuses a restore that the target has no room for. Nothing was changed.
type SpaceError struct {
	Dir  string // absolute
	Need SpaceNeed
}

func (e *SpaceError) Error() string {
	if n := &e.Need; n.Free >= 0 && n.Bytes > n.Free {
		return fmt.Sprintf("not enough space at %s: %d bytes needed, %d free", e.Dir, n.Bytes,
			n.Free)
	}
	return fmt.Sprintf("not enough inodes at %s: %d needed, %d free", e.Dir, e.Need.Inodes,
		e.Need.Space.Inodes)
}

// blockSize is what files take a whole number of, in bytes, nearly everywhere.
const blockSize = 4096

func blocks(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

func (p *restorePlanner) needOf(fs *fileSystem) *need {
	if p.need == nil {
		p.need = map[*fileSystem]*need{}
	}
	if p.need[fs] == nil {
		p.need[fs] = &need{}
	}
	return p.need[fs]
}

// take counts bytes that are written before others, that they replace, are given up.
func (n *need) take(bytes, giveUp int64) {
	n.most = max(n.most, n.now+bytes)
	n.now += bytes - giveUp
}

// account counts what an item takes.
func (p *restorePlanner) account(f *filePlan, r *plan.Result) {
	fs := f.item.Dir.FS
	if fs == nil || f.name == otherName || !r.Status.InSnapshot() ||
		r.Status == plan.StatusUnchanged {
		return
	}
	n, bytes := p.needOf(fs), blocks(f.Data())
	switch r.Status {
	case plan.StatusRestored:
		n.inodes++
		n.take(bytes, 0)
	case plan.StatusReplaced:
		old := int64(0)
		if r.There.Nlink == 1 {
			old = r.There.Blocks
		}
		n.take(bytes, old)
	default:
		n.take(max(0, bytes-r.There.Blocks), 0)
	}
}

func (p *restorePlanner) accountDir(d *restoreDir) {
	if d.FS != nil && (d.Parent != nil || p.run.madeTop) {
		n := p.needOf(d.FS)
		n.inodes++
		n.take(blockSize, 0)
	}
}

// needs adds what was counted to the result.
func (p *restorePlanner) needs() {
	for fs, n := range p.need {
		space, err := vfs.SpaceAt(absIn(p.run.abs, fs.Path))
		if err != nil {
			space = vfs.Space{Free: -1, Inodes: -1}
		}
		p.run.result.Space = append(p.run.result.Space,
			SpaceNeed{Path: fs.Path, Bytes: n.most, Inodes: n.inodes, Space: space})
	}
}
