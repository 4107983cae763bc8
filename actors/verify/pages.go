package verify

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/plan"
	"vaultik/vault/read"
)

// checkRefs is how many references wait for the table of their blob.
const checkRefs = 32 << 10

// Memory of a check of pages, in bytes. With ReadData buffers take the rest.
const (
	seenMemory  = 6 << 20
	tableMemory = 6 << 20
	frameMemory = 8 << 20
)

// pages is what the walks through all snapshots share: a page that several snapshots have is
// read once, and so is the table of a blob that pages of several snapshots refer to.
type pages struct {
	n       *inspector
	seen    *recent[mark, *seenPage]
	tables  *tables
	ahead   *ahead
	sources map[sourceKey]*source
	needs   bitset // by object: the manifest of the snapshot at hand names it
}

// source is where the pages of a host are read that were written under one secret.
type source struct {
	host    int // by number
	reader  *read.Reader
	waiting plan.Blobs[place] // references whose blob's table is to be read
}

type sourceKey struct {
	host   int
	secret [32]byte
}

// place is an entry of a snapshot.
type place struct {
	path     string
	snapshot int // by number
}

// pageWalk checks the pages of one snapshot.
type pageWalk struct {
	*pages
	from   *source
	s      *inspected
	told   map[string]bool
	stack  []*openPage
	inList []*openPage         // list pages some of whose children are still to come
	lists  map[chunk.ID]string // list pages of the last leaf, and whose they are
	failed page.Ref            // the page read last: if reading fails, it is this one
	bad    map[int]int         // blobs known to be bad, and how many paths were named
	t      tally

	topMark mark // under which the top is known to later snapshots

	blobAt *blob.Info // of the reference before
	table  []uint64   // of that blob; nil: not known
	num    int        // of that blob
	found  bool       // it has a number
}

// openPage is a page some of whose children are still to come.
type openPage struct {
	level int
	mark  mark
	blobs bitset
	lossy bool // something in it or below it could not be checked
}

// counted is a store whose bytes are counted.
type counted struct {
	actors.Objects
	count *atomic.Int64
}

func (c counted) Range(ctx context.Context, key string, off, n int64) ([]byte, error) {
	b, err := c.Objects.Range(ctx, key, off, n)
	c.count.Add(int64(len(b)))
	return b, err
}

func (c counted) Head(ctx context.Context, key string, n int64) ([]byte, error) {
	b, err := c.Objects.Head(ctx, key, n)
	c.count.Add(int64(len(b)))
	return b, err
}

func newPages(n *inspector) *pages {
	spare := n.run.Spare(n.run.spec.ReadData)
	p := &pages{n: n, seen: newRecent[mark, *seenPage](seenMemory + spare/8),
		tables: newTables(tableMemory + spare/8), sources: map[sourceKey]*source{},
		needs: newBitset(n.run.survey.Inventory.Len())}
	p.ahead = &ahead{parallel: n.run.Parallel, under: map[chunk.ID]*wanted{},
		skip: func(w *wanted) bool {
			_, known := p.seen.get(topMark(w.from.host, &w.ref))
			return w.top && known
		},
		read: func(ctx context.Context, w *wanted) {
			_, _ = p.read(ctx, w.from, w.ref) // the walk meets the error, too
		}}
	return p
}

// check checks every page of all snapshots once.
func (p *pages) check(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer p.ahead.wait.Wait()
	defer cancel()
	for i := range p.n.snaps {
		if s := &p.n.snaps[i]; s.root != nil && s.root.Top != nil {
			p.ahead.tops = append(p.ahead.tops,
				&wanted{ref: s.root.Top.Ref(), from: p.source(s), top: true})
		}
	}
	p.n.ofSnapshots("check pages")
	for i := range p.n.snaps {
		s := &p.n.snaps[i]
		if s.root == nil || s.root.Top == nil {
			continue
		}
		p.n.run.spec.Progress.FilesDone.Store(int64(i + 1))
		if err := p.walk(ctx, s); err != nil {
			return err
		}
		s.root = nil // there may be thousands of them
	}
	for _, from := range p.sources {
		for from.waiting.Pieces() > 0 {
			if err := p.take(from); err != nil {
				return err
			}
		}
	}
	return nil
}

// source is where a snapshot's pages are read.
func (p *pages) source(s *inspected) *source {
	run := p.n.run
	k := sourceKey{s.HostNum, s.root.Secret.ChunkID()}
	from := p.sources[k]
	if from == nil {
		store := counted{actors.Objects{Store: run.spec.Store}, &run.survey.Fetched}
		from = &source{host: s.HostNum,
			reader: read.New(store, s.root, run.hosts[s.HostNum].ids)}
		from.reader.Keep(2*run.Parallel+openBlobs, frameMemory)
		from.reader.OnDamage = func(info *blob.Info, err error) { p.damaged(from, info, err) }
		p.sources[k] = from
	}
	return from
}

// openBlobs is how many blobs stay open beside those that are read ahead, for which there is
// room twice: one that was pushed out before the walk came to it is opened again, and without
// room for both it would push out the next.
const openBlobs = 16

// tableOf returns the sums of the table of a blob, which it reads unless they are known.
func (p *pages) tableOf(ctx context.Context, from *source, info *blob.Info) ([]uint64, error) {
	k := tableKey{from.host, *info}
	if sums, ok := p.tables.get(k); ok {
		return sums, nil
	}
	rows, err := from.reader.Table(ctx, *info)
	if err != nil {
		return nil, err
	}
	return p.tables.put(k, rows), nil
}

// read reads a page, and the table of its blob while that is open.
func (p *pages) read(ctx context.Context, from *source, ref page.Ref) ([]byte, error) {
	b, err := from.reader.Chunk(ctx, ref)
	if err == nil {
		_, _ = p.tableOf(ctx, from, ref.Blob) // an error comes again where the table is needed
	}
	return b, err
}

// walk checks the pages of a snapshot that no other snapshot has brought up.
func (p *pages) walk(ctx context.Context, s *inspected) error {
	w := &pageWalk{
		pages: p, s: s, from: p.source(s), told: map[string]bool{},
		lists: map[chunk.ID]string{}, bad: map[int]int{},
	}
	clear(p.needs)
	for _, l := range s.BlobLists {
		w.need(l)
	}
	w.need(&survey.List{Blobs: s.Blobs})
	for _, i := range p.n.run.survey.Bad() {
		w.bad[i] = 0
	}
	top := s.root.Top.Ref()
	tree := &page.Tree{Top: top, Known: w.known, Lost: w.lost,
		KnownList: w.knownList, ListRead: w.listRead}
	tree.Fetch = func(ctx context.Context, ref page.Ref) ([]byte, error) {
		p.ahead.fill(ctx)
		w.failed = ref // if it does, here or when it is decoded
		return p.read(ctx, w.from, ref)
	}
	p.ahead.next()
	if len(p.ahead.tops) > 0 && p.ahead.tops[0].ref.ID == top.ID {
		p.ahead.tops = p.ahead.tops[1:]
	}
	counts := s.root.Counts
	w.t.entries = counts.Files + counts.Dirs + counts.Symlinks + counts.Other
	w.topMark = topMark(s.HostNum, &top)
	_, named := w.blob(top.Blob, "")
	if seen, ok := p.seen.get(w.topMark); ok && named {
		w.use(seen)
	} else if err := tree.WalkPages(ctx, w.page); err != nil {
		return err
	}
	w.close(-1)
	p.n.aside.Tell(&w.t)
	return nil
}

// damaged reports a blob of pages that is damaged, unless it is known to be. It is called
// from any goroutine.
func (p *pages) damaged(from *source, info *blob.Info, err error) {
	sv := p.n.run.survey
	if i, ok := sv.Inventory.FindBlob(from.host, info.Name); ok && !slices.Contains(sv.Bad(), i) {
		p.n.aside.Tell(&problemFound{survey.Of(err, sv.Inventory.Key(i), sv.IDs(i)...)})
	}
}

func (w *pageWalk) need(l *survey.List) {
	for _, b := range l.Blobs {
		if i, ok := w.n.run.survey.Inventory.FindBlob(w.s.HostNum, b.Name); ok {
			w.needs.add(i)
		}
	}
}

// known implements page.Tree.Known.
func (w *pageWalk) known(it *page.Item) bool {
	seen, ok := w.seen.get(markOf(w.s.HostNum, &it.Ref, it.Last, it.Entries))
	if ok {
		w.use(seen)
	}
	return ok
}

// use checks that the manifest names the blobs of a page that another snapshot has brought up.
func (w *pageWalk) use(seen *seenPage) {
	w.close(seen.level) // what it uses is used by the pages above it, not by the one before it
	w.useBlobs(seen.blobs)
}

func (w *pageWalk) useBlobs(packed []byte) {
	open := w.open()
	unpack(packed, func(i int) {
		if !w.needs.has(i) && !w.s.Partial {
			w.unnamed(w.n.run.survey.Inventory.Key(i), "")
		}
		if open != nil {
			open.blobs.add(i)
		}
	})
}

// open is the page that is being read, nil before the top.
func (w *pageWalk) open() *openPage {
	for _, stack := range [][]*openPage{w.inList, w.stack} {
		if n := len(stack); n > 0 {
			return stack[n-1]
		}
	}
	return nil
}

// knownList implements page.Tree.KnownList.
func (w *pageWalk) knownList(ref page.Ref, level int) (page.ListSum, bool) {
	seen, ok := w.seen.get(listMark(w.s.HostNum, &ref, level))
	if !ok {
		return page.ListSum{}, false
	}
	w.useBlobs(seen.blobs)
	return seen.list, true
}

// listRead implements page.Tree.ListRead.
func (w *pageWalk) listRead(ref page.Ref, level int, sum page.ListSum) {
	p := w.inList[len(w.inList)-1]
	w.inList = w.inList[:len(w.inList)-1]
	if !p.lossy {
		seen := &seenPage{blobs: p.blobs.pack(), list: sum}
		w.seen.put(listMark(w.s.HostNum, &ref, level), seen, seenCost+len(seen.blobs))
	}
	up := w.open()
	up.lossy = up.lossy || p.lossy
	up.blobs.addAll(p.blobs)
}

func (w *pageWalk) unnamed(key, path string) {
	p := survey.Problem{
		Kind: survey.ProblemReference, Key: key, Snapshots: []string{w.s.ID()},
		Reason: "a page refers to it, but the manifest does not list it",
	}
	if path != "" {
		p.Paths = []string{path}
	}
	w.tell(p)
}

// tell reports a problem once a snapshot and path.
func (w *pageWalk) tell(p survey.Problem) {
	id := fmt.Sprint(p.Kind, p.Key, p.Paths)
	if !w.told[id] {
		w.told[id] = true
		w.n.aside.Tell(&problemFound{p})
	}
}

// lost implements page.Tree.Lost.
func (w *pageWalk) lost(after, last string, err error) error {
	if err := survey.Fatal(w.n.run.Ctx, err); err != nil {
		return err
	}
	for _, p := range w.stack {
		p.lossy = true
	}
	w.inList = nil
	lost := page.LostPaths{After: after, Last: last}
	if i, ok := w.n.run.survey.Inventory.FindBlob(w.s.HostNum, w.failed.Blob.Name); ok {
		if _, isBad := w.bad[i]; isBad {
			w.n.aside.Tell(&pathAffected{key: w.n.run.survey.Inventory.Key(i), lost: &lost})
			return nil
		}
	}
	p := survey.Of(err, layout.Blob(w.s.Host, w.failed.Blob.Name), w.s.ID())
	p.Reason = "a page in it is unreadable: " + p.Reason
	p.Lost = []page.LostPaths{lost}
	w.n.aside.Tell(&problemFound{p})
	return nil
}

// page is called for every page, parents first.
func (w *pageWalk) page(ref page.Ref, p *page.Page) error {
	w.n.run.faults.Scanner()
	w.t.pages++
	w.ahead.visited(ref.ID)
	example := p.Last()
	if p.Kind == page.List {
		example = w.lists[ref.ID]
		w.inList = append(w.inList, &openPage{blobs: newBitset(len(w.needs) * 64)})
	} else {
		w.close(p.Level)
		clear(w.lists)
		w.stack = append(w.stack, &openPage{level: p.Level,
			mark:  markOf(w.s.HostNum, &ref, p.Last(), p.Count()),
			blobs: newBitset(len(w.needs) * 64)})
	}
	w.children(p)
	anyBad := false
	for _, info := range append([]*blob.Info{ref.Blob}, p.Blobs...) {
		i, ok := w.blob(info, example)
		if ok {
			w.open().blobs.add(i)
			_, isBad := w.bad[i]
			anyBad = anyBad || isBad
		} else {
			w.open().lossy = true
		}
	}
	w.content(p, example, anyBad)
	for w.from.waiting.Pieces() > checkRefs {
		if err := w.take(w.from); err != nil {
			return err
		}
	}
	return nil
}

// children has the pages below one read ahead.
func (w *pageWalk) children(p *page.Page) {
	var refs []page.Ref
	for i := range p.Items {
		it := &p.Items[i]
		if _, known := w.seen.get(markOf(w.s.HostNum, &it.Ref, it.Last, it.Entries)); !known {
			refs = append(refs, it.Ref)
		}
	}
	w.ahead.want(w.from, refs)
}

// content notes the chunks that a page refers to, and its list pages.
func (w *pageWalk) content(p *page.Page, example string, anyBad bool) {
	lists := func(refs []page.Ref, path string) {
		for k := range refs {
			w.lists[refs[k].ID] = path
		}
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		w.n.run.spec.Progress.SetCurrent(e.Path)
		w.refs(e.XattrRefs, e.Path, anyBad)
		if e.ListLevel == 0 {
			w.refs(e.Refs, e.Path, anyBad)
		} else {
			lists(e.Refs, e.Path)
		}
	}
	switch {
	case p.Kind != page.List:
	case p.Level == 0:
		w.refs(p.Refs, example, anyBad)
	default:
		lists(p.Refs, example)
	}
}

// blob checks a blob that a page names, and returns its number.
func (w *pageWalk) blob(info *blob.Info, path string) (int, bool) {
	key := layout.Blob(w.s.Host, info.Name)
	i, ok := w.n.run.survey.Inventory.FindBlob(w.s.HostNum, info.Name)
	if !ok || !w.needs.has(i) {
		if !w.told[key] && !w.s.Partial {
			w.told[key] = true
			w.unnamed(key, path)
		}
		return 0, false
	}
	if size := w.n.run.survey.Inventory.At(i).Size; size != info.Size {
		w.tell(survey.Problem{
			Kind:      survey.ProblemReference,
			Key:       key,
			Snapshots: []string{w.s.ID()},
			Reason: fmt.Sprintf("it has %d bytes according to a page, %d according to the manifest",
				info.Size, size),
		})
		return 0, false
	}
	return i, true
}

// refs notes the references to chunks of one entry, unless a table that is known has them.
func (w *pageWalk) refs(refs []page.Ref, path string, anyBad bool) {
	for i := range refs {
		r := &refs[i]
		if r.Hole > 0 {
			continue
		}
		if r.Blob != w.blobAt {
			w.blobAt = r.Blob
			w.num, w.found = w.n.run.survey.Inventory.FindBlob(w.s.HostNum, r.Blob.Name)
			w.table, _ = w.tables.get(tableKey{w.s.HostNum, *r.Blob})
		}
		if !w.found && !w.s.Partial {
			continue // reported already
		}
		if count, isBad := w.bad[w.num]; w.found && anyBad && isBad {
			if count <= survey.MaxPaths {
				w.bad[w.num]++
				w.affected(w.num, path)
			}
			continue
		}
		if !w.tables.in(w.table, r.Span, r.ID[:]) {
			w.from.waiting.Add(r, place{path, w.s.Num}, 0)
		}
	}
}

// affected adds a path to what is known about a bad blob.
func (w *pageWalk) affected(blob int, path string) {
	w.n.aside.Tell(&pathAffected{key: w.n.run.survey.Inventory.Key(blob), path: path})
}

// take has the references to one blob checked.
func (p *pages) take(from *source) error {
	l := from.waiting.Take()
	host := p.n.run.survey.Inventory.Hosts()[from.host]
	return p.n.submit(checking{
		Refs: &refsCheck{From: from, Pages: p, Key: layout.Blob(host, l.Info.Name), Lease: l},
	})
}

// close ends the pages that have no more children, those of this level and below.
func (w *pageWalk) close(level int) {
	for n := len(w.stack); n > 0 && (level < 0 || w.stack[n-1].level <= level); n = len(w.stack) {
		p := w.stack[n-1]
		w.stack = w.stack[:n-1]
		if !p.lossy {
			seen := &seenPage{level: p.level, blobs: p.blobs.pack()}
			w.seen.put(p.mark, seen, seenCost+len(seen.blobs))
			if n == 1 {
				w.seen.put(w.topMark, seen, seenCost)
			}
		}
		if n > 1 {
			up := w.stack[n-2]
			up.lossy = up.lossy || p.lossy
			up.blobs.addAll(p.blobs)
		}
	}
}
