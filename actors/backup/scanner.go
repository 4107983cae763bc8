package backup

import (
	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/index"
	"vaultik/messages"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// Limits of one readEntries batch. One file a message costs twice the time.
const (
	batchEntries = 256
	batchBytes   = 1 << 20
)

// scanner walks the sources in path order and cuts the walk into leaves. A leaf
// whose digest the index knows is carried over; of any other, each entry is sent
// to a chunker, with what the index remembers of its content.
type scanner struct {
	run      *backupRun
	chunkers *actor.PID
	builder  *actor.PID

	cut    *page.Cutter
	cuts   *page.Run
	stats  *fs.StatHasher
	leaf   []entryTask
	keys   [][16]byte
	sums   []fs.StatSum
	links  []string // hard-link ids
	ended  bool     // the leaf is full; an error of its last entry may still follow
	first  uint64   // leaf of the round
	leaves int
	sent   int
	start  [16]byte // key of the last path before the leaf: what its rows go by

	memory *index.Recall

	streamed bool // the stream has been read
	touch    *actors.Touch
}

func newScanner(run *backupRun, chunkers, builder *actor.PID) actor.Actor {
	return &scanner{run: run, chunkers: chunkers, builder: builder, touch: run.watch.Touch()}
}

func (s *scanner) Receive(c actor.Context) {
	if m, ok := c.Message().(*scanRoots); ok {
		s.first = m.First
		s.run.links.forget()
		s.scan(c)
	}
}

// scan blocks until the walk is over: its credit is taken inside.
func (s *scanner) scan(c actor.Context) {
	secret := s.run.spec.Host.Secret
	s.cut = page.NewCutter(secret.PageCut())
	s.cuts = s.cut.Run(0)
	s.stats = fs.NewStatHasher(secret.IndexPath())
	s.stats.Ignore = s.run.spec.Ignore
	s.leaf, s.keys, s.sums, s.links = nil, nil, nil, nil
	s.leaves, s.sent, s.ended = 0, 0, false
	s.start, s.memory = [16]byte{}, s.run.spec.Index.Recall(s.run.spec.Set)

	err := s.walk(c)
	if err == nil && len(s.leaf) > 0 {
		err = s.endLeaf(c)
	}
	s.run.spec.Progress.TotalKnown.Store(err == nil && s.run.spec.Stream == nil)
	c.Send(c.Parent(), &scanDone{Leaves: s.leaves, Batches: s.sent, Err: err})
}

func (s *scanner) walk(c actor.Context) error {
	if s.run.spec.Stream != nil {
		return s.scanStream(c)
	}
	opt := fs.WalkOptions{
		OneFS: s.run.spec.OneFS, Touch: func(path string) { s.touch.Enter("/" + path) },
	}
	defer s.touch.Leave()
	if choose := s.run.spec.Choose; choose != nil {
		opt.Choose = choose()
	}
	return fs.Walk(s.run.reading, s.run.spec.Paths, opt,
		func(it fs.WalkItem) error { return s.item(c, it) })
}

func (s *scanner) item(c actor.Context, it fs.WalkItem) error {
	s.touch.Leave()
	if err := s.run.reading.Err(); err != nil {
		return err // the call may have hung so long that the job has abandoned it
	}
	if n := len(s.leaf); it.Err != nil && n > 0 && s.leaf[n-1].Path == it.Path {
		// A directory that could be looked at but not read: one entry, with its reason.
		s.leaf[n-1].Unlisted = it.Err
		s.sums[n-1] = fs.StatSum{}
		return nil
	}
	if it.Mount {
		s.run.crosses("/"+it.Path, it.Kernel)
	}
	if s.ended {
		if err := s.endLeaf(c); err != nil {
			return err
		}
	}
	hash := s.cut.Hash(it.Path)
	key := [16]byte(hash[16:])
	t := entryTask{
		Index: len(s.leaf), Path: it.Path, Stat: it.Stat, Implied: it.Implied, Failed: it.Err,
		Unseen: it.Unseen,
	}
	s.leaf = append(s.leaf, t)
	s.keys = append(s.keys, key)
	s.sums = append(s.sums, s.sum(&it))
	link := ""
	if it.Err == nil {
		link = s.run.hardLink(&it.Stat, it.Path)
	}
	s.links = append(s.links, link)
	p := s.run.spec.Progress
	if it.Stat.Type == page.File && it.Err == nil {
		p.FilesTotal.Add(1)
		p.BytesTotal.Add(it.Stat.Size)
	}
	s.ended = s.cuts.Add(it.Path)
	return nil
}

// sum is the item's stat sum; zero if it could not be looked at.
func (s *scanner) sum(it *fs.WalkItem) (sum fs.StatSum) {
	if it.Err != nil {
		return sum
	}
	m := s.run.moment(it.Stat.Dev)
	sum = s.stats.Sum(it.Path, &it.Stat, m)
	s.run.clocks.Saw(&it.Stat, m.Clock)
	if it.Implied && !sum.IsZero() {
		sum[0] ^= 1 // the same directory, now a source itself, is another entry
	}
	return sum
}

// endLeaf decides what of the leaf must be read, and announces it.
func (s *scanner) endLeaf(c actor.Context) error {
	if err := s.run.leaves.Acquire(s.run.reading); err != nil {
		return err
	}
	s.run.faults.Scanner()
	s.ended = false
	n := len(s.leaf)
	m := &leafScanned{
		Seq: s.first + uint64(s.leaves), Last: s.leaf[n-1].Path, Entries: n,
		Key: s.start, Digest: s.digest(),
	}
	s.leaves++
	row := index.LeafKey{Set: s.run.spec.Set, Last: s.start}
	s.start = s.keys[n-1]
	if leaf, ok := s.run.spec.Index.Leaf(row); ok && !s.due() && s.carry(m, leaf) {
		s.memory.Forget()
		c.Send(s.builder, m)
		s.leaf, s.keys, s.sums, s.links = s.leaf[:0], s.keys[:0], s.sums[:0], s.links[:0]
		return nil
	}
	if err := s.recall(row.Last); err != nil {
		return err
	}
	m.Keys, m.Sums = s.keys, s.sums
	c.Send(s.builder, m)
	s.submit(c, m.Seq)
	s.leaf, s.keys, s.sums, s.links = nil, nil, nil, s.links[:0]
	return nil
}

// digest is that of the leaf, zero if it may not be carried over. A page that was made
// with other attributes is another one, though its files are known.
func (s *scanner) digest() [32]byte {
	d := s.stats.Leaf(s.keys, s.sums, s.links)
	if d != [32]byte{} && s.run.spec.Attrs == fs.NoXattrs {
		d[0] ^= 1
	}
	return d
}

// due reports whether a file of the leaf is read again.
func (s *scanner) due() bool {
	if s.run.spec.Reread == nil {
		return false
	}
	for i := range s.leaf {
		if s.leaf[i].Stat.Type == page.File && s.run.spec.Reread(s.keys[i]) {
			return true
		}
	}
	return false
}

// carry fills in m from the row if the page can stay as it is.
func (s *scanner) carry(m *leafScanned, row index.Leaf) bool {
	if m.Digest == ([32]byte{}) || row.Digest != m.Digest || row.Self || row.Page.Blob == 0 {
		return false
	}
	info, ok := s.run.blobs.info(row.Page.Blob)
	if !ok {
		return false
	}
	if s.run.compaction.rewrites(&row) {
		return false
	}
	ref := page.Ref{Blob: info, Span: row.Page.Span, ID: row.PageID}
	p := &carriedPage{Ref: ref, Live: row.Live}
	for _, n := range row.Blobs {
		b, ok := s.run.blobs.info(n)
		if !ok {
			return false
		}
		p.Blobs = append(p.Blobs, b)
	}
	m.Carried = p
	for i := range s.leaf {
		if s.leaf[i].Implied {
			continue
		}
		count(&m.Counts, s.leaf[i].Stat.Type, s.leaf[i].Stat.Size, messages.StatusUnchanged)
	}
	return true
}

// recall looks up what the index knows of the files of the leaf, which begins there.
func (s *scanner) recall(start index.PathKey) (err error) {
	s.memory.Leaf(start)
	for i := range s.leaf {
		t := &s.leaf[i]
		if t.Stat.Type != page.File {
			continue
		}
		row := s.memory.Find(index.PathKey(s.keys[i]))
		t.Seen = row != nil
		if t.Seen && s.stats.Vouches(fs.StatSum(row.Stat), s.sums[i], t.Path, &t.Stat) {
			t.Known = s.known(row)
			t.Reread = t.Known != nil && s.run.spec.Reread != nil && s.run.spec.Reread(s.keys[i])
		}
		if t.Known != nil && !t.Reread {
			if t.Anew, err = s.run.compaction.move(t.Known.Refs); err != nil {
				return err
			}
		}
	}
	return nil
}

// known turns a row into references; nil if a blob of it is missing.
func (s *scanner) known(row *index.LeafEntry) *known {
	k := &known{Refs: make([]page.Ref, 0, len(row.Refs))}
	for _, r := range row.Refs {
		if r.Hole > 0 {
			k.Refs = append(k.Refs, page.Ref{Hole: r.Hole})
			continue
		}
		info, ok := s.run.blobs.info(r.Loc.Blob)
		if !ok {
			return nil
		}
		k.Refs = append(k.Refs, page.Ref{Blob: info, Span: r.Loc.Span, ID: r.ID})
	}
	return k
}

// submit sends the leaf's entries to the chunkers, whose pool answers the tree builder.
func (s *scanner) submit(c actor.Context, leaf uint64) {
	var batch []entryTask
	var size int64
	flush := func() {
		if len(batch) == 0 {
			return
		}
		s.sent++
		c.RequestWithCustomSender(s.chunkers, &messages.Submit[readEntries]{
			Job: readEntries{Leaf: leaf, Tasks: batch},
		}, s.builder)
		batch, size = nil, 0
	}
	for i := range s.leaf {
		t := s.leaf[i]
		cost := int64(0)
		if t.readsContent() || t.Anew {
			cost = t.Stat.Size
		}
		if len(batch) > 0 && (len(batch) >= batchEntries || size+cost > batchBytes) {
			flush()
		}
		batch = append(batch, t)
		size += cost
	}
	flush()
}

func count(n *messages.Counts, t page.Type, size int64, st messages.Status) {
	switch t {
	case page.File:
		n.Files++
		n.Bytes += size
		switch st {
		case messages.StatusNew:
			n.New++
		case messages.StatusUnchanged:
			n.Unchanged++
		default:
			n.Changed++
		}
	case page.Dir:
		n.Dirs++
	case page.Symlink:
		n.Symlinks++
	default:
		n.Others++
	}
}
