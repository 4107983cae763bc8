package plan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"vaultik/internal/testsize"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// The model is a restore without actors: a walk that sends batches for credits,
// writers and downloaders that answer in any order, fail, and crash, so that they
// answer twice. Beside each file it keeps what really happened to each extent.
func TestModel(t *testing.T) {
	for seed := range testsize.Seeds(t, 400) {
		m := newModel(t, seed)
		m.run()
		if t.Failed() {
			return
		}
	}
}

const modelCredits = 3

type model struct {
	t       *testing.T
	r       *rand.Rand
	infos   []*blob.Info
	waiting Blobs[*modelFile]
	links   Links[*modelFile]
	jobs    []func() // whatever has not been answered
	fetches int      // leases that are not over
	walk    []func() // batches that have not been sent
	credits int      // that are free
	slots   int      // files of several extents that are not done
	files   []*modelFile
	dirs    []*modelDir
	fails   float64 // how often something fails
	dry     bool    // nothing is fetched: it is as if it came at once
}

type modelDir struct {
	Dir
	files    int // not done
	finished bool
}

type modelFile struct {
	*File
	name  string
	entry page.Entry
	dir   *modelDir
	rest  []Contents // not sent
	role  Role
	links bool
	group uint64

	all      []Extent
	brought  map[int64]int // by offset: how often an extent was put in its place
	lost     map[int64]int // how often one was given up
	told     Status        // what the last answer said, or promised
	failed   bool          // some answer was a failure
	half     bool
	keeps    bool // it was compared, and stays
	slot     int
	finished Finish
	ended    int
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, r: rand.New(rand.NewPCG(seed, 7)), credits: modelCredits}
	m.fails = []float64{0, 0.02, 0.3}[m.r.IntN(3)]
	m.dry = m.chance(0.2)
	for i := range 4 {
		m.infos = append(m.infos, &blob.Info{Name: blob.Name{byte(i)}, Size: 100_000})
	}
	for range 3 {
		m.dirs = append(m.dirs, &modelDir{})
	}
	for len(m.walk) < 3+m.r.IntN(12) {
		m.plan()
	}
	return m
}

func (m *model) chance(p float64) bool { return m.r.Float64() < p }
func (m *model) fault() bool           { return m.chance(m.fails) }

var errModel = errors.New("a failure of the model")

func (m *model) errorf(f *modelFile, format string, args ...any) {
	m.t.Helper()
	m.t.Errorf("%s (%s): %s", f.name, f.Phase(), fmt.Sprintf(format, args...))
}

// contents makes some extents, the first of them at an offset.
func (m *model) contents(at *int64, n int) (out []Extent) {
	for range n {
		e := Extent{At: *at}
		if m.chance(0.2) {
			e.Ref.Hole = 1 + m.r.Int64N(1000)
		} else {
			e.Ref = randomRef(m.r, m.infos)
			e.Ref.ID = chunk.ID{byte(m.r.Uint32())}
		}
		*at += e.Ref.Length()
		out = append(out, e)
	}
	return out
}

// plan makes a batch of files, the last of which may go on in batches behind it.
func (m *model) plan() {
	n := m.r.IntN(5)
	files := make([]*modelFile, n)
	var later []Contents
	for i := range files {
		at := int64(0)
		f := &modelFile{name: fmt.Sprintf("file %d", len(m.files)), dir: m.dirs[m.r.IntN(len(m.dirs))]}
		f.brought, f.lost = map[int64]int{}, map[int64]int{}
		f.entry = page.Entry{Path: f.name, Type: page.File}
		if f.links = m.chance(0.3); f.links {
			f.entry.HL = fmt.Sprintf("%016x", m.r.IntN(4))
		}
		c := Contents{Extents: m.contents(&at, []int{0, 1, 1, 2, 6}[m.r.IntN(5)])}
		f.all = append(f.all, c.Extents...)
		if i == n-1 && len(c.Extents) > 0 {
			for range m.r.IntN(5) {
				more := Contents{Extents: m.contents(&at, 1+m.r.IntN(5)), Open: true}
				f.all = append(f.all, more.Extents...)
				later = append(later, more)
			}
			if c.Open = len(later) > 0; c.Open {
				end := &later[len(later)-1]
				if end.Open = false; m.fault() {
					end.Err = errModel
				}
			}
		}
		f.rest = []Contents{c}
		files[i] = f
		m.files = append(m.files, f)
		f.dir.files++
		f.dir.Add()
	}
	m.walk = append(m.walk, func() { m.selected(files) })
	for _, c := range later {
		f := files[n-1]
		m.walk = append(m.walk, func() { m.goesOn(f, c) })
	}
}

func (m *model) selected(files []*modelFile) {
	b := NewBatch(len(files) + 1)
	for _, f := range files {
		var next Next
		f.File, next = NewFile(b, f.rest[0])
		m.do(f, next)
		m.arrive(f)
	}
	m.batchDone(b)
}

func (m *model) goesOn(f *modelFile, c Contents) {
	b := NewBatch(2)
	f.failed = f.failed || c.Err != nil && f.Phase() != Done
	m.do(f, f.Add(b, c))
	m.batchDone(b)
}

func (m *model) batchDone(b *Batch) {
	if b.Done() {
		m.credits++
	}
}

func (m *model) arrive(f *modelFile) {
	if !f.links {
		m.place(f)
		return
	}
	j, err := m.links.Join(&f.entry, 0, f)
	f.role, f.group = j.Role, j.Group
	switch {
	case err != nil:
		m.errorf(f, "%v", err)
	case j.Role == Leads:
		m.place(f)
	case j.Role == Follows:
		m.jobs = append(m.jobs, func() { m.link(f, j.Link) })
	}
}

func (m *model) link(f *modelFile, to Link) {
	switch {
	case m.chance(0.2): // it cannot be a link
		f.links = false
		m.place(f)
	case m.fault():
		m.end(f, Ending{Status: StatusRestored, Err: errModel})
	default:
		if to.Path == "" || to.Path == f.name {
			m.errorf(f, "a link to %q", to.Path)
		}
		m.end(f, Ending{Status: StatusRestored})
	}
}

func (m *model) place(f *modelFile) {
	m.jobs = append(m.jobs, func() {
		status := []Status{StatusKept, StatusUnchanged, StatusIgnored, StatusRestored}[m.r.IntN(4)]
		switch {
		case m.fault():
			m.end(f, Ending{Status: status, Err: errModel})
		case len(f.all) == 0 || m.chance(0.3):
			m.end(f, Ending{Status: status})
		default:
			w := Wanted{Status: StatusReplaced, Source: Source(m.r.IntN(4)), There: fs.Stat{Ino: 1}}
			if w.Source == SourceInPlace {
				w.Status = StatusChanged
			}
			w.Keep = w.Source == FromFile && m.chance(0.7)
			f.told = w.Status
			m.do(f, f.Want(w))
		}
	})
}

// do is what the planner does.
func (m *model) do(f *modelFile, n Next) {
	if m.credits += n.Credits; m.credits > modelCredits {
		m.errorf(f, "a credit is returned twice")
	}
	if n.Several {
		f.slot++
		m.slots++
	}
	if n.Slot {
		f.slot--
		m.slots--
	}
	if f.slot < 0 || f.slot > 1 {
		m.errorf(f, "%d slots", f.slot)
	}
	m.check(f, n.Check)
	for i := range n.Fetch {
		if n.Fetch[i].Ref.Hole > 0 {
			m.errorf(f, "a hole is fetched")
		}
		m.waiting.Add(&n.Fetch[i].Ref, f, n.Fetch[i].At)
	}
	if n.Finish != NoFinish {
		m.finish(f, n.Finish)
	}
}

func (m *model) check(f *modelFile, extents []Extent) {
	for len(extents) > 0 { // several writers share them
		job := extents[:1+m.r.IntN(len(extents))]
		extents = extents[len(job):]
		only, alone, source := f.Phase() == Comparing, f.Alone(), f.Wanted().Source
		m.jobs = append(m.jobs, func() { m.checked(f, job, only, alone, source) })
	}
}

func (m *model) checked(f *modelFile, job []Extent, only, alone bool, source Source) {
	var present, missing []Extent
	made := Ending{Status: AsPlanned}
	whole := false
	for _, e := range job {
		switch {
		case m.chance(0.3):
			missing = append(missing, e)
			continue
		case only:
		case alone && source == FromFile && e.Ref.Hole == 0:
			if whole = true; m.fault() {
				made.Err = errModel
			}
		case m.fault():
			f.failed = true
			f.Fail(errModel)
		}
		present = append(present, e)
	}
	err := f.Err() // from here on nothing counts
	m.do(f, f.Checked(present, missing))
	for _, e := range present {
		if !only && err == nil && !whole {
			f.brought[e.At]++
		} else if !only && err != nil {
			f.lost[e.At]++
		}
	}
	for _, e := range missing {
		if !only && err != nil {
			f.lost[e.At]++
		}
	}
	if whole {
		f.brought[job[0].At]++
		m.end(f, made)
	}
}

func (m *model) finish(f *modelFile, how Finish) {
	if f.finished != NoFinish {
		m.errorf(f, "finished twice")
	}
	if (how == Abort) != f.failed {
		m.errorf(f, "last step %d, failed %v", how, f.failed)
	}
	f.finished = how
	m.jobs = append(m.jobs, func() {
		switch {
		case how == Abort:
			f.half = f.Wanted().Source == SourceInPlace && m.chance(0.5)
			m.end(f, Ending{Status: StatusFailed, Half: f.half})
		case m.fault():
			m.end(f, Ending{Status: AsPlanned, Err: errModel})
		case m.dry && f.Missing() == 0 && f.Wanted().Source == SourceInPlace:
			m.end(f, Ending{Status: StatusUnchanged}) // nothing of it would be changed
		case how == Keep:
			f.keeps = true
			m.end(f, Ending{Status: StatusUnchanged})
		default:
			m.end(f, Ending{Status: AsPlanned})
		}
	})
}

func (m *model) end(f *modelFile, e Ending) {
	if e.Status != AsPlanned {
		f.told = e.Status
	}
	f.failed = f.failed || e.Err != nil
	m.do(f, f.End(e))
	f.ended++
	r := f.Result()
	if f.links && f.role == Leads {
		var at *Link
		if r.Status.InSnapshot() {
			at = &Link{Path: f.name}
		}
		for _, w := range m.links.Led(f.group, at) {
			m.arrive(w)
		}
	}
	f.dir.files--
	if f.dir.Done() {
		m.finishDir(f.dir)
	}
	want := f.told
	if f.failed && want != StatusIgnored {
		want = StatusFailed
	}
	if r.Status != want || f.failed != (r.Err != nil) {
		m.errorf(f, "%d, %v; want %d", r.Status, r.Err, want)
	}
}

func (m *model) finishDir(d *modelDir) {
	if d.files > 0 || d.finished {
		m.t.Errorf("a directory is finished too early, or twice: %d files", d.files)
	}
	d.finished = true
}

// fetch takes the next blob, whose frames come in order, some of them twice.
func (m *model) fetch() {
	l := m.waiting.Take()
	if m.dry {
		m.pretend(l)
		return
	}
	f := NewFetch(l)
	m.fetches++
	crash, split := m.chance(0.3), m.chance(0.3)
	var deliver []func()
	for i := range l.Frames {
		lost := m.fault()
		frame := func() {
			if f.Came(i) {
				m.frame(&l.Frames[i], lost)
			}
		}
		if crash {
			deliver = append(deliver, frame) // and once more
		}
		if !lost || m.chance(0.5) { // a frame that cannot be had is told, or left out
			deliver = append(deliver, frame)
		}
	}
	ended := func(first, n int) {
		for _, fr := range f.Ended(first, n) {
			m.frame(fr, true)
		}
		if f.Over() {
			m.fetches--
		}
	}
	if split {
		for i := range l.Frames {
			m.jobs = append(m.jobs, func() { ended(i, 1) })
		}
		m.jobs = append(m.jobs, deliver...)
		return
	}
	m.jobs = append(m.jobs, func() {
		for _, d := range deliver {
			d()
		}
		ended(0, len(l.Frames))
	})
}

func (m *model) pretend(l *Lease[*modelFile]) {
	for i := range l.Frames {
		for k := range l.Frames[i].Pieces {
			p := &l.Frames[i].Pieces[k]
			p.To.brought[p.At]++
			m.do(p.To, p.To.Wrote(int64(p.Len)))
		}
	}
}

func (m *model) frame(fr *Frame[*modelFile], lost bool) {
	for i := range fr.Pieces {
		p := &fr.Pieces[i]
		f := p.To
		if lost || m.fault() || f.Err() != nil {
			f.failed = true
			f.lost[p.At]++
			m.do(f, f.GiveUp(errModel))
			continue
		}
		alone := f.Alone()
		m.jobs = append(m.jobs, func() { m.wrote(p, alone) })
	}
}

func (m *model) wrote(p *Piece[*modelFile], alone bool) {
	f := p.To
	f.brought[p.At]++
	switch {
	case alone && m.fault():
		m.end(f, Ending{Status: AsPlanned, Err: errModel})
	case alone:
		m.end(f, Ending{Status: AsPlanned})
	default:
		if m.fault() {
			f.failed = true
			f.Fail(errModel)
		}
		m.do(f, f.Wrote(int64(p.Len)))
	}
}

// step does one thing; false if nothing is left.
func (m *model) step() bool {
	switch {
	case len(m.walk) > 0 && m.credits > 0 && m.chance(0.3):
	case m.waiting.Pieces() > 0 && m.chance(0.1):
		m.fetch()
		return true
	case len(m.jobs) > 0:
		i := m.r.IntN(len(m.jobs))
		job := m.jobs[i]
		m.jobs = append(m.jobs[:i:i], m.jobs[i+1:]...)
		job()
		return true
	case m.waiting.Pieces() > 0:
		m.fetch()
		return true
	case len(m.walk) == 0:
		return false
	case m.credits == 0:
		m.t.Error("the walk waits for a credit, and nothing is under way")
		return false
	}
	m.credits--
	next := m.walk[0]
	m.walk = m.walk[1:]
	next()
	return true
}

func (m *model) run() {
	for !m.t.Failed() && m.step() {
	}
	if m.t.Failed() {
		return
	}
	if m.credits != modelCredits || m.slots != 0 || m.fetches != 0 {
		m.t.Errorf("%d credits, %d slots, %d leases at the end", m.credits, m.slots, m.fetches)
	}
	for _, d := range m.dirs {
		if d.Close() {
			m.finishDir(d)
		}
		if !d.finished {
			m.t.Error("a directory is never finished")
		}
	}
	for _, f := range m.files {
		m.atTheEnd(f)
	}
}

// atTheEnd looks at what really happened to a file.
func (m *model) atTheEnd(f *modelFile) {
	if f.ended != 1 || !f.Over() || f.slot != 0 {
		m.errorf(f, "ended %d times, %d slots", f.ended, f.slot)
		return
	}
	r := f.Result()
	put := r.Status == StatusReplaced || r.Status == StatusChanged // from its extents
	written := int64(0)
	for i := range f.all {
		e := &f.all[i]
		brought, lost := f.brought[e.At], f.lost[e.At]
		if brought+lost > 1 {
			m.errorf(f, "the extent at %d was brought %d times, and lost %d times", e.At, brought, lost)
		}
		if put && e.Ref.Hole == 0 && brought != 1 {
			m.errorf(f, "the extent at %d was not brought", e.At)
		}
		if e.Ref.Hole == 0 && brought == 1 {
			written += int64(e.Ref.Span.Len)
		}
	}
	switch {
	case f.keeps && (len(f.brought) > 0 || f.Counted() != size(f.all)):
		m.errorf(f, "it stayed, %d extents were brought, %d bytes counted", len(f.brought), f.Counted())
	case put && f.finished == Commit && f.Counted() != written:
		m.errorf(f, "%d bytes counted, %d written", f.Counted(), written)
	}
}

func size(extents []Extent) (n int64) {
	for i := range extents {
		n += extents[i].Ref.Length()
	}
	return n
}
