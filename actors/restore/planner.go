package restore

import (
	"errors"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/messages"
	"vaultik/vault/page"
	"vaultik/vault/plan"
)

// restorePlanner decides which blob gives what to which file, and keeps the
// accounts of a restore: it alone knows what is done. It never blocks.
type restorePlanner struct {
	run                  *restoreRun
	downloaders, writers *actor.PID

	files    map[*restoreItem]*filePlan // that are not over
	dirs     map[*restoreDir]*dirPlan   // that are not finished
	links    plan.Links[*restoreItem]
	waiting  plan.Blobs[*restoreItem]
	batches  int // that are not done
	leases   map[*plan.Lease[*restoreItem]]*plan.Fetch[*restoreItem]
	parts    int                   // items of several pieces that are not done
	writing  int                   // items, pieces and last steps with the writers
	frames   map[*messages.Buf]int // pieces that are being written, by the frame that has them
	place    []*restoreItem        // to be submitted
	check    []checkPiece          // to be submitted
	finish   []finishEntry         // to be submitted
	need     map[*fileSystem]*need // of a dry run
	walked   bool
	apart    int64  // names that are not linked to others of their group
	apartAt  string // the first of them
	unlinked bool   // that was said
	full     error  // the target takes no more; the job ends when the writers have reported
	closing  bool   // then: the writers have the last steps of directories
	failed   bool   // the job knows why
	reported bool
	listed   int // bytes of what is listed in the result
}

// need is what one file system has to take.
type need struct{ now, most, inodes int64 }

// filePlan is what the planner knows of an item.
type filePlan struct {
	*plan.File
	item  *restoreItem
	dir   *dirPlan
	name  nameKind
	group uint64 // of hard links, if it is the first name
}

// nameKind is which of the names of its file an item is.
type nameKind uint8

const (
	onlyName  nameKind = iota
	firstName          // that others wait for
	otherName          // that becomes a link
)

// dirPlan is what the planner knows of a directory.
type dirPlan struct {
	plan.Dir
	dir    *restoreDir
	parent *dirPlan
	failed bool
}

// restoreComplete says that everything has been done that could be.
type restoreComplete struct{}

func newRestorePlanner(run *restoreRun, downloaders, writers *actor.PID) actor.Actor {
	return &restorePlanner{
		run: run, downloaders: downloaders, writers: writers,
		files: map[*restoreItem]*filePlan{}, dirs: map[*restoreDir]*dirPlan{},
		leases: map[*plan.Lease[*restoreItem]]*plan.Fetch[*restoreItem]{},
		frames: map[*messages.Buf]int{},
	}
}

func (p *restorePlanner) Receive(c actor.Context) {
	if p.failed {
		return
	}
	switch m := c.Message().(type) {
	case *entriesSelected:
		p.selected(m)
	case *frameFetched:
		p.frame(c, m)
	case *messages.Finished[fetchBlob, blobFetched]:
		p.fetched(c, m)
	case *messages.Finished[writing, writingDone]:
		p.written(m)
	case *pagesLost:
		p.lost(m)
	case *leftoversRemoved:
		p.run.result.Leftovers += int64(m.n)
	case *walkEnded:
		p.walkEnded(c, m.Err)
	default:
		return
	}
	if p.full != nil {
		p.drain(c)
		return
	}
	p.submit(c)
	p.dispatch(c)
	if p.run.dry {
		p.submit(c) // what dispatch has brought about
	}
	p.end(c)
}

func (p *restorePlanner) walkEnded(c actor.Context, err error) {
	p.walked = true
	switch full := (*TargetFullError)(nil); {
	case errors.As(err, &full):
		p.targetFull(full.Err)
	case err != nil:
		p.fail(c, err)
	default:
		p.run.spec.Progress.TotalKnown.Store(true)
	}
}

// targetFull stops everything that would write more.
func (p *restorePlanner) targetFull(err error) {
	if p.full == nil {
		p.full = err
		p.run.full.Store(true)
	}
}

// drain ends the job when no writer has anything left, so that what was restored is counted.
// Attributes need no room, so the directories made so far still get theirs.
func (p *restorePlanner) drain(c actor.Context) {
	p.place, p.check, p.finish = nil, nil, nil
	if p.writing > 0 {
		return
	}
	if last := p.openDirs(); !p.closing && len(last) > 0 {
		p.closing = true
		p.write(c, writing{Finish: last})
		return
	}
	p.fail(c, p.fullError())
}

// openDirs are the directories that are to get their attributes yet, from the bottom up.
func (p *restorePlanner) openDirs() (last []finishEntry) {
	for d := range p.dirs {
		if d.Err == nil && d.Attrs {
			last = append(last, finishEntry{Dir: d})
		}
	}
	depth := func(f *finishEntry) (n int) {
		for d := f.Dir; d.Parent != nil; d = d.Parent {
			n++
		}
		return n
	}
	slices.SortFunc(last, func(a, b finishEntry) int { return depth(&b) - depth(&a) })
	return last
}

// fail ends the job.
func (p *restorePlanner) fail(c actor.Context, err error) {
	if !p.failed {
		p.failed = true
		c.Send(c.Parent(), &messages.StageFailed{Err: err})
	}
}

// end tells the job when nothing is under way any more.
func (p *restorePlanner) end(c actor.Context) {
	idle := p.walked && p.batches == 0 && len(p.leases) == 0 && p.writing == 0
	if idle && !p.failed && !p.reported {
		p.needs()
		p.sayApart()
		p.reported = true
		c.Send(c.Parent(), &restoreComplete{})
	}
}

// selected takes a batch of the walk.
func (p *restorePlanner) selected(b *entriesSelected) {
	p.batches++
	things := len(b.Items) + 1 // one for what is done here
	if b.Goes != nil {
		things++
	}
	batch := plan.NewBatch(things)
	for _, d := range b.Opened {
		p.opened(d)
	}
	if g := b.Goes; g != nil {
		f := p.file(g.Item)
		p.do(f, f.Add(batch, g.Contents))
		p.forget(f)
	}
	prog := p.run.spec.Progress
	for i := range b.Items {
		it := b.Items[i].Item
		if it.Entry.Type == page.File && !p.run.whole {
			prog.FilesTotal.Add(1)
			prog.BytesTotal.Add(it.Entry.Size)
		}
		p.arrive(batch, &b.Items[i])
	}
	for _, d := range b.Left {
		if dp := p.dirs[d]; dp.Close() {
			p.finishDir(dp)
		}
	}
	if batch.Done() {
		p.batchDone()
	}
}

// batchDone gives the walker a credit back.
func (p *restorePlanner) batchDone() {
	p.batches--
	p.run.batches.Release()
}

// dispatch sends blobs to the downloaders: when enough waits for blobs to be
// wanted as a whole, or when nothing more will come before some is done.
func (p *restorePlanner) dispatch(c actor.Context) {
	for len(p.leases) <= p.run.limits.parallel && p.waiting.Pieces() > 0 {
		b := &p.run.bounds
		more := !p.walked && p.batches < b.Batches && p.parts < b.Parts // the walker can go on
		if more && p.waiting.Pieces() < b.PlanPieces && p.waiting.Bytes() < b.PlanBytes {
			return
		}
		l := p.waiting.Take()
		if p.run.dry {
			p.pretend(l)
			continue
		}
		p.leases[l] = plan.NewFetch(l)
		job := fetchBlob{Lease: l, Count: len(l.Frames)}
		c.Request(p.downloaders, &messages.Submit[fetchBlob]{Job: job})
	}
}

// submit gives the writers what the message under way has brought about.
func (p *restorePlanner) submit(c actor.Context) {
	for len(p.place) > 0 {
		n := min(len(p.place), placeBatch)
		p.write(c, writing{Place: p.place[:n:n]})
		p.place = p.place[n:]
	}
	p.submitChecks(c)
	for len(p.finish) > 0 {
		n := min(len(p.finish), placeBatch)
		p.write(c, writing{Finish: p.finish[:n:n]})
		p.finish = p.finish[n:]
	}
	p.place, p.finish = nil, nil
}

// placeBatch is how many entries a writer gets at once, so that all writers have something.
const placeBatch = 64

func (p *restorePlanner) write(c actor.Context, job writing) {
	p.writing += units(&job)
	c.Request(p.writers, &messages.Submit[writing]{Job: job})
}

func units(j *writing) int {
	return len(j.Place) + len(j.Check) + len(j.Finish) + len(j.Pieces)
}

// frame takes a decoded frame, the first time that it comes.
func (p *restorePlanner) frame(c actor.Context, m *frameFetched) {
	l := p.leases[m.Lease]
	if l == nil || p.full != nil || !l.Came(m.Index) {
		p.releaseFrame(m.Buf)
		return
	}
	pieces := m.Lease.Frames[m.Index].Pieces
	var job []writePiece
	if m.Err == nil {
		job = make([]writePiece, 0, len(pieces))
	}
	for i := range pieces {
		f, err := p.file(pieces[i].To), m.Err
		if err == nil && m.Bad != nil {
			err = m.Bad[i]
		}
		if err != nil || f.Err() != nil {
			p.do(f, f.GiveUp(err))
			continue
		}
		job = append(job, writePiece{Piece: pieces[i], Source: f.Wanted().Source, Whole: f.Alone()})
	}
	if len(job) == 0 {
		p.releaseFrame(m.Buf)
		return
	}
	p.frames[m.Buf] = len(job)
	p.write(c, writing{Frame: m.Buf, Pieces: job})
}

func (p *restorePlanner) releaseFrame(b *messages.Buf) {
	if b != nil {
		p.run.frames.Release(b)
	}
}

// fetched ends a lease, or a part of one that was split. What has not come has failed.
func (p *restorePlanner) fetched(c actor.Context, m *messages.Finished[fetchBlob, blobFetched]) {
	l := p.leases[m.Job.Lease]
	if l == nil || p.full != nil {
		return
	}
	p.run.result.BlobsRead++
	p.run.spec.Progress.BytesRead.Add(m.Result.Bytes)
	if m.Result.Fatal {
		p.fail(c, m.Result.Err)
		return
	}
	err := m.Err
	if err == nil {
		err = m.Result.Err
	}
	for _, frame := range l.Ended(m.Job.First, m.Job.Count) {
		if err == nil {
			err = errors.New("internal error: a frame was skipped")
		}
		for i := range frame.Pieces {
			f := p.file(frame.Pieces[i].To)
			p.do(f, f.GiveUp(err))
		}
	}
	if l.Over() {
		delete(p.leases, m.Job.Lease)
	}
}

// written takes the result of a writer.
func (p *restorePlanner) written(m *messages.Finished[writing, writingDone]) {
	job := &m.Job
	p.writing -= units(job)
	if m.Result.Full != nil {
		p.targetFull(m.Result.Full)
	}
	if m.Err != nil {
		m.Result = failedWriting(job, m.Err)
	}
	for i := range m.Result.Failed {
		p.file(m.Result.Failed[i].Item).Fail(m.Result.Failed[i].Err)
	}
	for i := range job.Pieces {
		if w := &job.Pieces[i]; !w.Whole && p.full == nil {
			f := p.file(w.To)
			p.do(f, f.Wrote(int64(w.Len)))
		}
	}
	p.checked(job.Check, m.Result.Missing)
	for i := range m.Result.Placed {
		p.placed(&m.Result.Placed[i])
	}
	if b := job.Frame; b != nil {
		if p.frames[b] -= len(job.Pieces); p.frames[b] == 0 {
			delete(p.frames, b)
			p.releaseFrame(b)
		}
	}
}

// failedWriting is the result of a job whose writer crashed each time.
func failedWriting(job *writing, err error) (r writingDone) {
	for _, it := range job.Place {
		r.Placed = append(r.Placed, outcome{Item: it, Status: plan.StatusFailed, Err: err})
	}
	for i := range job.Check { // whatever is wrong there, the store can help
		r.Missing = append(r.Missing, i)
	}
	for _, f := range job.Finish {
		o := outcome{Item: f.Item, Dir: f.Dir, Status: plan.StatusFailed, Err: err}
		r.Placed = append(r.Placed, o)
	}
	for i := range job.Pieces {
		w := &job.Pieces[i]
		o := outcome{Item: w.To, Status: plan.StatusFailed, Err: err}
		if w.Whole {
			r.Placed = append(r.Placed, o)
		} else {
			r.Failed = append(r.Failed, o)
		}
	}
	return r
}
