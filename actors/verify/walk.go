package verify

import (
	"context"
	"fmt"

	"vaultik/actors/survey"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
	"vaultik/vault/page"
)

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

	needy string // the entry whose references are noted
	lacks []int  // bad blobs that it needs
}

// openPage is a page some of whose children are still to come.
type openPage struct {
	level int
	mark  mark
	blobs bitset
	lossy bool // something in it or below it could not be checked
}

// walk checks the pages of a snapshot that no other snapshot has brought up.
func (p *pages) walk(ctx context.Context, s *inspected) error {
	w := &pageWalk{
		pages: p, s: s, from: p.source(s), told: map[string]bool{},
		lists: map[chunk.ID]string{}, bad: map[int]int{},
	}
	clear(p.needs)
	for _, l := range s.BlobLists {
		w.need(l.Blobs)
	}
	w.need(s.Inline)
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

func (w *pageWalk) need(blobs []uint32) {
	for _, i := range blobs {
		w.needs.add(int(i))
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
