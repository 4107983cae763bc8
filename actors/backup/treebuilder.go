package backup

import (
	"fmt"
	"math"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/index"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

// leavesWaiting is how many leaves may wait for the packer's open blob before it
// is asked to seal it. Half of the leaf credit, so that the scanner never waits
// for a blob that waits for the scanner.
const leavesWaiting = maxLeaves / 2

// treeBuilder turns leaves into pages when the places of their chunks are known,
// pages into blobs, and tells the indexer what is stored. At the end it builds the
// branches and hands the top page to the job, for the committer.
type treeBuilder struct {
	run                         *backupRun
	packer                      *actor.PID // told by the job: the two know each other
	sealers, uploaders, indexer *actor.PID

	pages *page.Writer
	free  [][]byte // buffers of blobs of pages that are stored

	leaves   map[uint64]*leafState
	first    uint64          // leaf of the round
	items    []page.TreeItem // by leaf, from the first
	total    int             // leaves announced by the end of the walk; -1: not known
	ready    []*leafState
	resolved map[uint64]resolvedFrame
	waiting  map[uint64][]*leafState // by frame
	blocked  int                     // leaves that wait for frames only

	sealing   map[*seal]*page.OpenBlob
	uploading map[[32]byte]*page.OpenBlob
	writing   []func() // what to do when the indexer answers, in order
	rows      rowKeeper
	row       *leafRow // of the leaf whose page is being written

	top       *page.Place
	finishing bool
	counted   bool // what the snapshot uses was counted
	told      bool // entriesComplete
	sealAsked bool // sealNow, not answered yet
	flushing  bool // the job ends early: write the rows that are ready
}

func newTreeBuilder(run *backupRun, sealers, uploaders, indexer *actor.PID) actor.Actor {
	secret := run.spec.Host.Secret
	t := &treeBuilder{
		run: run, sealers: sealers, uploaders: uploaders, indexer: indexer,
		sealing: map[*seal]*page.OpenBlob{}, uploading: map[[32]byte]*page.OpenBlob{},
	}
	t.pages = page.NewWriter(page.WriterOptions{
		Cut: page.NewCutter(secret.PageCut()), Hasher: chunk.NewHasher(secret.ChunkID()),
		Compressor: blob.NewCompressor(run.spec.CompressionLevel),
		Buffer:     t.buffer, Stored: t.storedPage, StoredBranch: t.storedBranch,
	})
	t.rows.init(run)
	t.reset(0)
	return t
}

// reset begins a round.
func (t *treeBuilder) reset(first uint64) {
	t.first = first
	t.run.blobs.walk()
	t.leaves, t.items, t.total = map[uint64]*leafState{}, nil, -1
	t.resolved, t.waiting, t.blocked = map[uint64]resolvedFrame{}, map[uint64][]*leafState{}, 0
	t.top, t.ready = nil, nil
	t.finishing, t.counted, t.told, t.sealAsked = false, false, false, false
}

// packerIs introduces the packer.
type packerIs struct{ pid *actor.PID }

// entriesComplete says that every entry of every leaf of the round has been placed.
type entriesComplete struct{}

func (t *treeBuilder) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *packerIs:
		t.packer = m.pid
	case *scanRoots:
		t.reset(m.First)
	case *leafScanned:
		t.run.faults.Builder()
		t.leafScanned(c, m)
	case *messages.Finished[readEntries, batchRead]:
		t.batchFinished(c, m)
	case *entriesPlaced:
		t.entriesPlaced(c, m)
	case *blobSealed:
		t.sealAsked = false
		t.resolve(m.Frames, m.Info)
	case *blobIndexed:
		t.blobIndexed(c, m)
	case *handedOver:
		t.adopt(m)
	case *scanDone:
		t.total = m.Leaves
	case *finishTree:
		t.finishing = true
	case *flushRows:
		t.flushing = true
		t.keepFinished(c, 1)
	case *messages.Finished[sealing, sealingDone]:
		t.blobSealed(c, m)
	case *messages.Finished[storeObject, objectStored]:
		t.blobStored(c, m)
	case *rowsWritten:
		if !t.rowsWritten(c, m) {
			return
		}
	default:
		return
	}
	t.advance(c)
}

func (t *treeBuilder) fail(c actor.Context, err error) {
	c.Send(c.Parent(), &messages.StageFailed{Err: err})
}

// advance does what has become possible.
func (t *treeBuilder) advance(c actor.Context) {
	for len(t.ready) > 0 && len(t.sealing)+len(t.uploading) < maxPageBlobs {
		l := t.ready[0]
		t.ready[0] = nil
		t.ready = t.ready[1:]
		if err := t.write(l); err != nil {
			t.fail(c, fmt.Errorf("write page that ends with %q: %w", l.m.Last, err))
			return
		}
		t.run.leaves.Release()
		if t.pages.Full() {
			t.seal(c)
		}
	}
	t.writeRows(c)
	if t.total >= 0 && !t.told && len(t.items) == t.total && t.left() == 0 {
		t.told = true
		c.Send(c.Parent(), &entriesComplete{})
	}
	if t.blocked >= leavesWaiting && !t.sealAsked {
		t.sealAsked = true
		c.Send(t.packer, &sealNow{})
	}
	if t.finishing && len(t.leaves) == 0 {
		t.finishTree(c)
	}
}

// left counts leaves with entries that are not placed yet.
func (t *treeBuilder) left() (n int) {
	for _, l := range t.leaves {
		if l.left > 0 {
			n++
		}
	}
	return n
}

func (t *treeBuilder) leafScanned(c actor.Context, m *leafScanned) {
	i := int(m.Seq - t.first)
	for len(t.items) <= i {
		t.items = append(t.items, page.TreeItem{})
	}
	if cp := m.Carried; cp != nil {
		ref := cp.Ref
		t.items[i] = page.TreeItem{Last: m.Last, Place: page.At(ref), Entries: int64(m.Entries)}
		t.need(ref.Blob)
		for i, b := range cp.Blobs {
			live := int64(math.MaxInt64)
			if cp.Live != nil {
				live = cp.Live[i]
			}
			t.run.blobs.use(b.Name, live)
		}
		t.run.tally.add(m.Counts)
		p := t.run.spec.Progress
		p.FilesDone.Add(m.Counts.Files)
		p.BytesDone.Add(m.Counts.Bytes)
		t.run.leaves.Release()
		return
	}
	t.leaves[m.Seq] = &leafState{
		m: m, entries: make([]entryState, m.Entries), left: m.Entries,
		frames: map[uint64]resolvedFrame{},
	}
}

func (t *treeBuilder) need(b *blob.Info) {
	if b != nil {
		t.run.blobs.need(b.Name)
	}
}

// batchFinished hears of batches only when something went wrong with them.
func (t *treeBuilder) batchFinished(c actor.Context, m *messages.Finished[readEntries, batchRead]) {
	if m.Result.err != nil {
		if t.run.interrupted() {
			return
		}
		t.fail(c, m.Result.err)
		return
	}
	if m.Err == nil {
		return
	}
	done := make([]entryDone, 0, len(m.Job.Tasks))
	for i := range m.Job.Tasks {
		task := &m.Job.Tasks[i]
		d := entryDone{
			Index: task.Index, Stat: task.Stat, Status: messages.StatusFailed, Dropped: true,
			Reason: "internal error: " + m.Err.Error(),
		}
		d.Entry.Path, d.Entry.Type = task.Path, task.Stat.Type
		done = append(done, d)
	}
	t.entriesPlaced(c,
		&entriesPlaced{Leaf: m.Job.Leaf, Attempt: actors.MaxAttempts + 1, Done: done})
}

// write makes the leaf's page.
func (t *treeBuilder) write(l *leafState) error {
	t.run.faults.Builder()
	delete(t.leaves, l.m.Seq)
	defer func() { t.run.tally.add(l.counts) }()
	row := newLeafRow(l.m)
	t.row = row
	defer func() { t.row = nil }()
	entries, err := t.entries(l, row)
	if err != nil || len(entries) == 0 {
		return err
	}
	place, self, err := t.pages.Leaf(entries)
	if err != nil {
		return err
	}
	t.items[l.m.Seq-t.first] = page.TreeItem{
		Last: entries[len(entries)-1].Path, Place: place, Entries: int64(len(entries)),
	}
	for name, bytes := range row.blobs {
		t.run.blobs.use(name, bytes)
	}
	row.place, row.self = place, self
	t.rows.add(row)
	return nil
}

// entries are those of a leaf's page, which row is to describe.
func (t *treeBuilder) entries(l *leafState, row *leafRow) ([]page.Entry, error) {
	entries := make([]page.Entry, 0, len(l.entries))
	for i := range l.entries {
		e := &l.entries[i]
		d := e.done
		if d.Dropped {
			row.incomplete = true
			continue
		}
		if d.Entry.Refs == nil {
			d.Entry.Refs = l.refs(e.pieces)
		}
		content := d.Entry.Refs
		if err := t.pages.Content(&d.Entry); err != nil {
			return nil, err
		}
		if err := d.Entry.Check(); err != nil {
			// No page may hold it; the others of the page are not to suffer for that.
			d.Status, d.Dropped, d.Reason = messages.StatusFailed, true, err.Error()
			t.run.tally.problem(d)
			row.incomplete = true
			continue
		}
		if !d.Entry.Implied {
			count(&l.counts, d.Entry.Type, d.Entry.Size, d.Status)
		}
		for _, refs := range [][]page.Ref{content, d.Entry.Refs, d.Entry.XattrRefs} {
			for j := range refs {
				t.need(refs[j].Blob)
			}
		}
		row.add(t.rows.hash, l.m, i, d, content)
		entries = append(entries, d.Entry)
	}
	return entries, nil
}

// seal sends the open blob of pages on its way.
func (t *treeBuilder) seal(c actor.Context) {
	b := t.pages.Close()
	if b == nil {
		return
	}
	m := &seal{Builder: b.Builder}
	t.sealing[m] = b
	c.Request(t.sealers, &messages.Submit[sealing]{Job: sealing{Seal: m}})
}

func (t *treeBuilder) blobSealed(c actor.Context, m *messages.Finished[sealing, sealingDone]) {
	b := t.sealing[m.Job.Seal]
	delete(t.sealing, m.Job.Seal)
	s, err := sealed(m)
	if err != nil {
		t.fail(c, err)
		return
	}
	b.Info = t.run.blobs.add(s.Info)
	t.need(b.Info)
	t.uploading[s.Name] = b
	c.Request(t.uploaders, &messages.Submit[storeObject]{Job: t.run.blobObject(s)})
}

func (t *treeBuilder) blobStored(c actor.Context, m *messages.Finished[storeObject, objectStored]) {
	if err := stored(m); err != nil {
		t.fail(c, err)
		return
	}
	b := t.uploading[m.Job.Sum]
	delete(t.uploading, m.Job.Sum)
	t.run.acceptedBlob(m)
	branches := b.Branches
	t.ask(c, &index.Batch{Blobs: []index.StoredBlob{{Info: *b.Info, Rows: b.Rows()}}}, func() {
		t.rows.pagesIndexed(b, branches)
	})
	if buf := b.Release(); buf != nil {
		t.free = append(t.free, buf)
	}
}

func (t *treeBuilder) blobIndexed(c actor.Context, m *blobIndexed) {
	for _, f := range m.Frames {
		delete(t.resolved, f.Frame)
	}
	t.rows.indexed(m.Info.Name)
	t.keepFinished(c, partialBytes)
}

// rowsWritten runs what waited for the oldest rows sent to the indexer; false if they
// could not be written, which ends the job.
func (t *treeBuilder) rowsWritten(c actor.Context, m *rowsWritten) bool {
	if m.err != nil {
		t.fail(c, m.err)
		return false
	}
	then := t.writing[0]
	t.writing = t.writing[1:]
	if then != nil {
		then()
	}
	return true
}

// ask sends rows to the indexer; then runs when they are written.
func (t *treeBuilder) ask(c actor.Context, b *index.Batch, then func()) {
	t.writing = append(t.writing, then)
	c.Request(t.indexer, &writeRows{Batch: b})
}

// writeRows brings rows that became complete into the index: in batches while
// the run goes on, all of them when the tree is finished.
func (t *treeBuilder) writeRows(c actor.Context) {
	all := t.finishing || t.told || t.flushing
	if b := t.rows.batch(all); b != nil {
		t.ask(c, b, nil)
	}
	if t.flushing && len(t.writing) == 0 {
		t.flushing = false
		c.Send(c.Parent(), &rowsFlushed{})
	}
}

// finishTree builds the branches once every page blob before them has its name,
// and answers when everything is stored and known to the index.
func (t *treeBuilder) finishTree(c actor.Context) {
	if len(t.sealing)+len(t.uploading)+len(t.writing) > 0 {
		return
	}
	if t.top == nil {
		items := make([]page.TreeItem, 0, len(t.items))
		for _, it := range t.items {
			if it.Place != nil {
				items = append(items, it)
			}
		}
		if len(items) == 0 {
			t.fail(c, errNothingToSave)
			return
		}
		top, err := t.pages.Branches(items)
		if err != nil {
			t.fail(c, fmt.Errorf("write branches: %w", err))
			return
		}
		t.top, t.items = top, nil
		t.seal(c)
		if len(t.sealing) > 0 {
			return
		}
	}
	if b := t.rows.batch(true); b != nil {
		t.ask(c, b, nil)
		return
	}
	if p := &t.run.compaction; t.run.spec.CompactBudget > 0 && !t.counted {
		t.counted = true
		if uses, changed := p.uses(); changed {
			t.ask(c, &index.Batch{Uses: []index.UseRow{{Set: t.run.spec.Set, Uses: uses}}}, nil)
			return
		}
	}
	t.finishing = false
	c.Send(c.Parent(), &treeWritten{t.top.Ref(nil)})
}

// treeWritten hands the finished tree to the job.
type treeWritten struct{ top page.Ref }
