package backup

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/index"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
	"vaultik/vault/page"
)

// maxPageBlobs is how many blobs of pages may be on their way to the store.
const maxPageBlobs = 2

// leavesWaiting is how many leaves may wait for the packer's open blob before it
// is asked to seal it. Half of the leaf credit, so that the scanner never waits
// for a blob that waits for the scanner.
const leavesWaiting = maxLeaves / 2

// committer turns leaves into pages when the places of their chunks are known,
// pages into blobs, and tells the index what is stored. At the end it builds the
// branches and commits the snapshot (commit.go).
type committer struct {
	run                       *backupRun
	packer                    *actor.PID // told by the job: the two know each other
	sealers, uploaders, store *actor.PID

	cut   *page.Cutter
	pages pageWriter

	leaves   map[uint64]*leafState
	first    uint64     // leaf of the round
	items    []treeItem // by leaf, from the first
	total    int        // leaves announced by the end of the walk; -1: not known
	ready    []*leafState
	resolved map[uint64]resolvedFrame
	waiting  map[uint64][]*leafState // by frame
	blocked  int                     // leaves that wait for frames only

	sealing   map[*seal]*pageBlob
	uploading map[[32]byte]*pageBlob
	writing   []func() // what to do when the store answers, in order
	rows      rowKeeper
	row       *leafRow // of the leaf whose page is being written

	needed    map[blob.Name]struct{}
	top       *pagePlace
	finishing bool
	told      bool // entriesComplete
	sealAsked bool // SealNow, not answered yet
	flushing  bool // the job ends early: write the rows that are ready
}

func newCommitter(run *backupRun, sealers, uploaders, store *actor.PID) actor.Actor {
	secret := run.spec.Host.Secret
	k := &committer{
		run: run, sealers: sealers, uploaders: uploaders, store: store,
		cut: page.NewCutter(secret.PageCut()),
		pages: pageWriter{
			ix: run.spec.Index, z: blob.NewCompressor(run.spec.CompressionLevel), hasher: chunk.NewHasher(secret.ChunkID()),
		},
		sealing: map[*seal]*pageBlob{}, uploading: map[[32]byte]*pageBlob{},
	}
	k.pages.uses = k.uses
	k.rows.init(run)
	k.reset(0)
	return k
}

// reset begins a round.
func (k *committer) reset(first uint64) {
	k.first = first
	k.leaves, k.items, k.total = map[uint64]*leafState{}, nil, -1
	k.resolved, k.waiting, k.blocked = map[uint64]resolvedFrame{}, map[uint64][]*leafState{}, 0
	k.needed = map[blob.Name]struct{}{}
	k.top, k.ready = nil, nil
	k.finishing, k.told, k.sealAsked = false, false, false
}

// packerIs introduces the packer.
type packerIs struct{ pid *actor.PID }

// entriesComplete says that every entry of every leaf of the round has been placed.
type entriesComplete struct{}

func (k *committer) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *packerIs:
		k.packer = m.pid
	case *scanRoots:
		k.reset(m.First)
	case *leafScanned:
		k.run.faults.Committer()
		k.leafScanned(c, m)
	case *messages.Finished[readEntries, batchRead]:
		k.batchFinished(c, m)
	case *entriesPlaced:
		k.entriesPlaced(c, m)
	case *blobSealed:
		k.sealAsked = false
		k.resolve(m.Frames, m.Info)
	case *blobIndexed:
		for _, f := range m.Frames {
			delete(k.resolved, f.Frame)
		}
		k.rows.indexed(m.Info.Name)
		k.keepFinished(c, partialBytes)
	case *handedOver:
		k.resolve(k.pages.adopt(m.Builder, m.Frames), nil)
	case *scanDone:
		k.total = m.Leaves
	case *finishTree:
		k.finishing = true
	case *flushRows:
		k.flushing = true
		k.keepFinished(c, 1)
	case *messages.Finished[sealing, sealingDone]:
		k.blobSealed(c, m)
	case *messages.Finished[storeObject, objectStored]:
		k.blobStored(c, m)
	case *rowsWritten:
		if m.err != nil {
			k.fail(c, m.err)
			return
		}
		then := k.writing[0]
		k.writing = k.writing[1:]
		if then != nil {
			then()
		}
	default:
		return
	}
	k.advance(c)
}

func (k *committer) fail(c actor.Context, err error) {
	c.Send(c.Parent(), &messages.StageFailed{Err: err})
}

// advance does what has become possible.
func (k *committer) advance(c actor.Context) {
	for len(k.ready) > 0 && len(k.sealing)+len(k.uploading) < maxPageBlobs {
		l := k.ready[0]
		k.ready[0] = nil
		k.ready = k.ready[1:]
		if err := k.write(l); err != nil {
			k.fail(c, fmt.Errorf("write page that ends with %q: %w", l.m.Last, err))
			return
		}
		k.run.leaves.Release()
		if k.pages.full() {
			k.seal(c)
		}
	}
	k.writeRows(c)
	if k.total >= 0 && !k.told && len(k.items) == k.total && k.left() == 0 {
		k.told = true
		c.Send(c.Parent(), &entriesComplete{})
	}
	if k.blocked >= leavesWaiting && !k.sealAsked {
		k.sealAsked = true
		c.Send(k.packer, &sealNow{})
	}
	if k.finishing && len(k.leaves) == 0 {
		k.finishTree(c)
	}
}

// left counts leaves with entries that are not placed yet.
func (k *committer) left() (n int) {
	for _, l := range k.leaves {
		if l.left > 0 {
			n++
		}
	}
	return n
}

func (k *committer) leafScanned(c actor.Context, m *leafScanned) {
	i := int(m.Seq - k.first)
	for len(k.items) <= i {
		k.items = append(k.items, treeItem{})
	}
	if cp := m.Carried; cp != nil {
		ref := cp.Ref
		k.items[i] = treeItem{last: m.Last, place: &pagePlace{known: &ref, id: ref.ID}, entries: int64(m.Entries)}
		k.need(ref.Blob)
		for _, n := range cp.Blobs {
			k.needed[n] = struct{}{}
		}
		k.run.counts.Add(m.Counts)
		p := k.run.spec.Progress
		p.FilesDone.Add(m.Counts.Files)
		p.BytesDone.Add(m.Counts.Bytes)
		k.run.leaves.Release()
		return
	}
	k.leaves[m.Seq] = &leafState{
		m: m, entries: make([]entryState, m.Entries), left: m.Entries, frames: map[uint64]resolvedFrame{},
	}
}

func (k *committer) need(b *blob.Info) {
	if b != nil {
		k.needed[b.Name] = struct{}{}
	}
}

// uses hears of pages that stand in earlier blobs: a leaf, a list page at any
// level below it, a branch.
func (k *committer) uses(b *blob.Info) {
	k.need(b)
	if k.row != nil {
		k.row.blobs[b.Name] = struct{}{}
	}
}

// batchFinished hears of batches only when something went wrong with them.
func (k *committer) batchFinished(c actor.Context, m *messages.Finished[readEntries, batchRead]) {
	if m.Result.err != nil {
		if k.run.interrupted() {
			return
		}
		k.fail(c, m.Result.err)
		return
	}
	if m.Err == nil {
		return
	}
	done := make([]entryDone, 0, len(m.Job.Tasks))
	for _, t := range m.Job.Tasks {
		d := entryDone{Index: t.Index, Status: messages.StatusFailed, Dropped: true, Reason: "internal error: " + m.Err.Error()}
		d.Entry.Path, d.Entry.Type, d.Stat = t.Path, t.Stat.Type, t.Stat
		done = append(done, d)
	}
	k.entriesPlaced(c, &entriesPlaced{Leaf: m.Job.Leaf, Attempt: actors.MaxAttempts + 1, Done: done})
}

// write makes the leaf's page.
func (k *committer) write(l *leafState) error {
	k.run.faults.Committer()
	delete(k.leaves, l.m.Seq)
	defer func() { k.run.counts.Add(l.counts) }()
	entries := make([]page.Entry, 0, len(l.entries))
	row := newLeafRow(l.m)
	k.row = row
	defer func() { k.row = nil }()
	k.pages.open()
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
		if err := k.pages.content(&d.Entry, k.cut); err != nil {
			return err
		}
		if err := d.Entry.Check(); err != nil {
			// No page may hold it; the others of the page are not to suffer for that.
			d.Status, d.Dropped, d.Reason = messages.StatusFailed, true, err.Error()
			k.run.problem(d)
			row.incomplete = true
			continue
		}
		if !d.Entry.Implied {
			count(&l.counts, d.Entry.Type, d.Entry.Size, d.Status)
		}
		for j := range content {
			k.need(content[j].Blob)
		}
		for j := range d.Entry.Refs {
			k.need(d.Entry.Refs[j].Blob)
		}
		for j := range d.Entry.XattrRefs {
			k.need(d.Entry.XattrRefs[j].Blob)
		}
		row.add(k.rows.hash, l.m, i, d, content)
		entries = append(entries, d.Entry)
	}
	if len(entries) == 0 {
		return nil
	}
	place, self, err := k.pages.leaf(entries, k.cut)
	if err != nil {
		return err
	}
	k.items[l.m.Seq-k.first] = treeItem{last: entries[len(entries)-1].Path, place: place, entries: int64(len(entries))}
	row.place, row.self = place, self
	k.rows.add(row, k.pages.blob)
	return nil
}

// seal sends the open blob of pages on its way.
func (k *committer) seal(c actor.Context) {
	b := k.pages.close()
	if b == nil {
		return
	}
	m := &seal{Builder: b.builder}
	k.sealing[m] = b
	c.Request(k.sealers, &messages.Submit[sealing]{Job: sealing{Seal: m}})
}

func (k *committer) blobSealed(c actor.Context, m *messages.Finished[sealing, sealingDone]) {
	b := k.sealing[m.Job.Seal]
	delete(k.sealing, m.Job.Seal)
	s, err := sealed(m)
	if err != nil {
		k.fail(c, err)
		return
	}
	info := s.Info
	b.info = &info
	k.need(b.info)
	k.uploading[info.Name] = b
	c.Request(k.uploaders, &messages.Submit[storeObject]{Job: storeObject{
		Key: layout.Blob(k.run.spec.Host.ID, info.Name), Bytes: s.Bytes, Sum: info.Name,
	}})
}

func (k *committer) blobStored(c actor.Context, m *messages.Finished[storeObject, objectStored]) {
	if err := stored(m); err != nil {
		k.fail(c, err)
		return
	}
	b := k.uploading[m.Job.Sum]
	delete(k.uploading, m.Job.Sum)
	defer b.release() // places of pages keep the blob until the branches are made
	k.run.accepted(int64(len(m.Job.Bytes)), &b.info.Name)
	rows := make([]blob.Row, 0, len(b.builder.Rows()))
	for _, r := range b.builder.Rows() {
		if _, self := b.self[r.ID]; !self {
			rows = append(rows, r)
		}
	}
	k.ask(c, &index.Batch{Blobs: []index.StoredBlob{{Info: *b.info, Rows: rows}}}, func() {
		k.rows.pagesIndexed(b)
	})
}

// ask sends rows to the store; then runs when they are written.
func (k *committer) ask(c actor.Context, b *index.Batch, then func()) {
	k.writing = append(k.writing, then)
	c.Request(k.store, &writeRows{Batch: b})
}

// writeRows brings rows that became complete into the index: in batches while
// the run goes on, all of them when the tree is finished.
func (k *committer) writeRows(c actor.Context) {
	all := k.finishing || k.told || k.flushing
	if b := k.rows.batch(all); b != nil {
		k.ask(c, b, nil)
	}
	if k.flushing && len(k.writing) == 0 {
		k.flushing = false
		c.Send(c.Parent(), &rowsFlushed{})
	}
}

// finishTree builds the branches once every page blob before them has its name,
// and answers when everything is stored and known to the index.
func (k *committer) finishTree(c actor.Context) {
	if len(k.sealing)+len(k.uploading)+len(k.writing) > 0 {
		return
	}
	if k.top == nil {
		items := make([]treeItem, 0, len(k.items))
		for _, it := range k.items {
			if it.place != nil {
				items = append(items, it)
			}
		}
		if len(items) == 0 {
			k.fail(c, errNothingToSave)
			return
		}
		top, err := k.pages.branches(items, k.cut, k.knownBranch)
		if err != nil {
			k.fail(c, fmt.Errorf("write branches: %w", err))
			return
		}
		k.top, k.items = top, nil
		k.seal(c)
		if len(k.sealing) > 0 {
			return
		}
	}
	if b := k.rows.batch(true); b != nil {
		k.ask(c, b, nil)
		return
	}
	k.finishing = false
	c.Send(c.Parent(), &treeWritten{top: k.top.ref(nil), needed: k.needed})
}

// treeWritten hands the finished tree to the job.
type treeWritten struct {
	top    page.Ref
	needed map[blob.Name]struct{}
}

func (k *committer) knownBranch(digest [32]byte) (*page.Ref, bool) {
	row, ok := k.run.spec.Index.Branch(index.BranchKey{Set: k.run.spec.Set, Digest: digest})
	if !ok || row.Page.Blob == 0 {
		return nil, false
	}
	info, ok := k.run.spec.Index.Blob(row.Page.Blob)
	if !ok {
		return nil, false
	}
	k.need(&info)
	return &page.Ref{Blob: &info, Span: row.Page.Span, ID: row.PageID}, true
}
