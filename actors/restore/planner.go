package restore

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/messages"
	"vaultik/vault/page"
	"vaultik/vault/plan"
	"vaultik/vault/read"
)

// restorePlanner decides which blob gives what to which file, and keeps the
// accounts of a restore: it alone knows what is done. It never blocks.
type restorePlanner struct {
	run                  *restoreRun
	downloaders, writers *actor.PID

	waiting  plan.Blobs[*restoreItem]
	batches  int // that are not done
	leases   map[*plan.Lease[*restoreItem]]*fetching
	parts    int // items of several pieces that are not done
	writing  int // items, pieces and last steps with the writers
	groups   map[string]*linkGroup
	place    []*restoreItem        // to be submitted
	check    []*restoreItem        // with State.Check, to be submitted
	finish   []finishEntry         // to be submitted
	need     map[*fileSystem]*need // of a dry run
	walked   bool
	unlinked bool  // that was said
	full     error // the target takes no more; the job ends when the writers have said what they did
	failed   bool  // the job knows why
	reported bool
	listed   int // bytes of what is listed in the result
}

// fetching is a lease that a downloader has.
type fetching struct {
	came []bool // by frame
	left int    // frames whose job has not ended
}

// restoreComplete says that everything has been done that could be.
type restoreComplete struct{}

func newRestorePlanner(run *restoreRun, downloaders, writers *actor.PID) actor.Actor {
	return &restorePlanner{
		run: run, downloaders: downloaders, writers: writers,
		leases: map[*plan.Lease[*restoreItem]]*fetching{},
		groups: map[string]*linkGroup{},
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
		p.written(c, m)
	case *pagesLost:
		p.lost(m)
	case *leftoversRemoved:
		p.run.result.Leftovers += int64(m.n)
	case *walkEnded:
		p.walked = true
		if targetFull(m.Err) {
			p.targetFull(m.Err)
		} else if m.Err != nil {
			p.fail(c, m.Err)
		} else {
			p.run.spec.Progress.TotalKnown.Store(true)
		}
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

// targetFull stops all that would write more.
func (p *restorePlanner) targetFull(err error) {
	if p.full == nil {
		p.full = err
		p.run.full.Store(true)
	}
}

// drain ends the job when no writer has anything left, so that what was restored is counted.
func (p *restorePlanner) drain(c actor.Context) {
	p.place, p.check, p.finish = nil, nil, nil
	if p.writing == 0 {
		p.fail(c, p.fullError())
	}
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
		p.reported = true
		c.Send(c.Parent(), &restoreComplete{})
	}
}

// selected takes a batch of the walk.
func (p *restorePlanner) selected(b *entriesSelected) {
	p.batches++
	b.Pending = len(b.Items) + 1 // one for what is done here
	if b.Goes != nil {
		b.Pending++ // its pieces
	}
	for _, d := range b.Opened {
		if d.Parent != nil {
			d.Parent.Pending++
		}
	}
	for i := range b.Pieces {
		p.piece(&b.Pieces[i])
	}
	prog := p.run.spec.Progress
	for _, it := range b.Items {
		it.Dir.Pending++
		if it.Entry.Type == page.File && !p.run.whole {
			prog.FilesTotal.Add(1)
			prog.BytesTotal.Add(it.Entry.Size)
		}
		p.arrive(it)
	}
	if it := b.Goes; it != nil {
		s := &it.State
		if s.Done {
			p.batchDone(b)
		} else {
			s.More = append(s.More, morePieces{Batch: b, UpTo: s.Seen})
		}
		if b.Ended {
			s.Open = false
			if b.Err != nil && s.Err == nil {
				s.Err = b.Err
			}
			p.settle(it)
		}
	}
	for _, d := range b.Left {
		d.Left = true
		p.leave(d)
	}
	p.batchDone(b)
}

// batchDone counts one thing of a batch as done.
func (p *restorePlanner) batchDone(b *entriesSelected) {
	if b.Pending--; b.Pending == 0 {
		p.batches--
		p.run.batches.Release()
	}
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
		p.leases[l] = &fetching{came: make([]bool, len(l.Frames)), left: len(l.Frames)}
		c.Request(p.downloaders, &messages.Submit[fetchBlob]{Job: fetchBlob{Lease: l, Count: len(l.Frames)}})
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
	if l == nil || l.came[m.Index] || p.full != nil {
		p.releaseFrame(m.Buf)
		return
	}
	l.came[m.Index] = true
	f := &m.Lease.Frames[m.Index]
	var pieces []writePiece
	if m.Err == nil {
		pieces = make([]writePiece, 0, len(f.Pieces))
	}
	for i := range f.Pieces {
		it := f.Pieces[i].To
		err := m.Err
		if err == nil && m.Bad != nil {
			err = m.Bad[i]
		}
		switch s := &it.State; {
		case err != nil || s.Err != nil:
			p.pieceFailed(it, err)
		default:
			pieces = append(pieces, writePiece{Piece: f.Pieces[i], Source: s.Source, Whole: alone(s)})
		}
	}
	if len(pieces) == 0 {
		p.releaseFrame(m.Buf)
		return
	}
	p.write(c, writing{Frame: &frameBuf{Buf: m.Buf, Left: len(pieces)}, Pieces: pieces})
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
	for i := m.Job.First; i < m.Job.First+m.Job.Count; i++ {
		if !l.came[i] {
			l.came[i] = true
			if err == nil {
				err = errors.New("internal error: a frame was left out")
			}
			for k := range m.Job.Lease.Frames[i].Pieces {
				p.pieceFailed(m.Job.Lease.Frames[i].Pieces[k].To, err)
			}
		}
	}
	if l.left -= m.Job.Count; l.left == 0 {
		delete(p.leases, m.Job.Lease)
	}
}

// written takes the result of a writer.
func (p *restorePlanner) written(c actor.Context, m *messages.Finished[writing, writingDone]) {
	job := &m.Job
	p.writing -= units(job)
	if m.Result.Full != nil {
		p.targetFull(m.Result.Full)
	}
	if m.Err != nil {
		m.Result = failedWriting(job, m.Err)
	}
	for i := range m.Result.Failed {
		f := &m.Result.Failed[i]
		if f.Item.State.Err == nil {
			f.Item.State.Err = f.Err
		}
	}
	for i := range job.Pieces {
		if w := &job.Pieces[i]; !w.Whole && p.full == nil {
			p.pieceDone(w.To, int64(w.Len), true)
		}
	}
	p.checked(job, m.Result.Missing)
	for i := range m.Result.Placed {
		p.placed(&m.Result.Placed[i])
	}
	if job.Frame != nil {
		if job.Frame.Left -= len(job.Pieces); job.Frame.Left == 0 {
			p.releaseFrame(job.Frame.Buf)
		}
	}
}

// failedWriting is the result of a job whose writer crashed each time.
func failedWriting(job *writing, err error) (r writingDone) {
	for _, it := range job.Place {
		r.Placed = append(r.Placed, outcome{Item: it, Status: messages.StatusFailed, Err: err})
	}
	for i := range job.Check { // whatever is wrong there, the store can help
		r.Missing = append(r.Missing, i)
	}
	for _, f := range job.Finish {
		o := outcome{Dir: f.Dir, Status: messages.StatusFailed, Err: err}
		for _, it := range []*restoreItem{f.Commit, f.Abort, f.Keep, f.Link} {
			if it != nil {
				o.Item = it
			}
		}
		r.Placed = append(r.Placed, o)
	}
	for i := range job.Pieces {
		w := &job.Pieces[i]
		o := outcome{Item: w.To, Status: messages.StatusFailed, Err: err}
		if w.Whole {
			r.Placed = append(r.Placed, o)
		} else {
			r.Failed = append(r.Failed, o)
		}
	}
	return r
}

func (p *restorePlanner) fullError() error {
	n := p.run.spec.Progress
	done := n.BytesDone.Load() - p.run.parts.unfinished()
	return &TargetFullError{
		FilesDone: n.FilesDone.Load(), FilesLeft: max(0, n.FilesTotal.Load()-n.FilesDone.Load()),
		BytesLeft: max(0, n.BytesTotal.Load()-done), Err: p.full,
	}
}

func (p *restorePlanner) lost(m *pagesLost) {
	r := &p.run.result
	r.Damaged = true
	if len(r.Lost) < actors.MaxResultList && p.listed < actors.MaxResultBytes {
		lost := read.LostPaths{After: m.After, Last: m.Last, Reason: m.Err.Error()}
		p.listed += len(lost.After) + len(lost.Last) + len(lost.Reason)
		r.Lost = append(r.Lost, lost)
	}
	p.run.spec.Progress.Errors.Add(1)
}
