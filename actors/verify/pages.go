package verify

import (
	"context"
	"fmt"
	"slices"

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

// pageWalk checks the pages of one snapshot.
type pageWalk struct {
	n       *inspector
	s       *inspected
	needs   []bool // by object: the manifest names it
	told    map[string]bool
	stack   []*openPage
	lists   map[chunk.ID]string // list pages of the last leaf, and whose they are
	failed  page.Ref            // the page read last: if reading fails, it is this one
	bad     map[int]int         // blobs known to be bad, and how many paths were named
	waiting plan.Blobs[string]
	t       tally
}

// openPage is a page some of whose children are still to come.
type openPage struct {
	level int
	key   pageKey
	blobs map[int]struct{}
	lossy bool // something in it or below it could not be checked
}

// pages checks every page of a snapshot that no other snapshot has brought up.
func (n *inspector) pages(ctx context.Context, s *inspected) error {
	w := &pageWalk{
		n: n, s: s, needs: make([]bool, n.run.survey.Inventory.Len()), told: map[string]bool{},
		lists: map[chunk.ID]string{}, bad: map[int]int{},
	}
	for _, l := range s.BlobLists {
		w.need(l)
	}
	w.need(&survey.List{Blobs: s.Blobs})
	for _, i := range n.run.survey.Bad() {
		w.bad[i] = 0
	}

	reader := read.New(actors.Objects{Store: n.run.spec.Store}, s.root, n.run.hosts[s.HostNum].ids)
	reader.OnDamage = w.damaged
	tree := &page.Tree{Top: s.root.Top.Ref(), Known: w.known, Lost: w.lost}
	tree.Fetch = func(ctx context.Context, ref page.Ref) ([]byte, error) {
		w.failed = ref // if it does, here or when it is decoded
		return reader.Chunk(ctx, ref)
	}
	key, ok := w.blob(tree.Top.Blob, "")
	counts := s.root.Counts
	w.t.entries = counts.Files + counts.Dirs + counts.Symlinks + counts.Other
	if p := n.known[pageKey{key, tree.Top.Span}]; ok && p != nil {
		w.use(p)
	} else if err := tree.WalkPages(ctx, w.page); err != nil {
		return err
	}
	w.close(-1)
	n.run.survey.Fetched.Add(reader.Fetched())
	n.aside.Tell(&w.t)
	return w.flush()
}

// damaged reports a blob of pages that is damaged, unless it is known to be.
func (w *pageWalk) damaged(info *blob.Info, err error) {
	inv := w.n.run.survey.Inventory
	i, ok := inv.FindBlob(w.s.HostNum, info.Name)
	if !ok {
		return
	}
	if _, isBad := w.bad[i]; !isBad {
		w.tell(survey.Of(err, inv.Key(i), w.n.run.survey.IDs(i)...))
	}
}

func (w *pageWalk) need(l *survey.List) {
	for _, b := range l.Blobs {
		if i, ok := w.n.run.survey.Inventory.FindBlob(w.s.HostNum, b.Name); ok {
			w.needs[i] = true
		}
	}
}

// known implements page.Tree.Known.
func (w *pageWalk) known(it *page.Item) bool {
	i, ok := w.n.run.survey.Inventory.FindBlob(w.s.HostNum, it.Ref.Blob.Name)
	if !ok {
		return false
	}
	p := w.n.known[pageKey{i, it.Ref.Span}]
	if p == nil {
		return false
	}
	w.use(p)
	return true
}

// use checks that the manifest names the blobs of a page that another snapshot has brought up.
func (w *pageWalk) use(p *knownPage) {
	w.close(p.level) // what it uses is used by the pages above it, not by the one before it
	for _, i := range p.blobs {
		if !w.needs[i] && !w.s.Partial {
			w.unnamed(w.n.run.survey.Inventory.Key(i), "")
		}
		if len(w.stack) > 0 {
			w.stack[len(w.stack)-1].blobs[i] = struct{}{}
		}
	}
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
	example := p.Last()
	if p.Kind == page.List {
		example = w.lists[ref.ID]
	} else {
		w.close(p.Level)
		clear(w.lists)
		i, _ := w.n.run.survey.Inventory.FindBlob(w.s.HostNum, ref.Blob.Name)
		w.stack = append(w.stack,
			&openPage{level: p.Level, key: pageKey{i, ref.Span}, blobs: map[int]struct{}{}})
	}
	anyBad := false
	for _, info := range append([]*blob.Info{ref.Blob}, p.Blobs...) {
		i, ok := w.blob(info, example)
		if ok {
			w.stack[len(w.stack)-1].blobs[i] = struct{}{}
			_, isBad := w.bad[i]
			anyBad = anyBad || isBad
		} else {
			w.stack[len(w.stack)-1].lossy = true
		}
	}
	w.content(p, example, anyBad)
	for w.waiting.Pieces() > checkRefs {
		if err := w.take(); err != nil {
			return err
		}
	}
	return nil
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
	if !ok || !w.needs[i] {
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

// refs notes the references to chunks of one entry.
func (w *pageWalk) refs(refs []page.Ref, path string, anyBad bool) {
	for i := range refs {
		r := &refs[i]
		if r.Hole > 0 {
			continue
		}
		n, ok := w.n.run.survey.Inventory.FindBlob(w.s.HostNum, r.Blob.Name)
		if !ok && !w.s.Partial {
			continue // reported already
		}
		if count, isBad := w.bad[n]; ok && anyBad && isBad {
			if count <= survey.MaxPaths {
				w.bad[n]++
				w.affected(n, path)
			}
			continue
		}
		w.waiting.Add(r, path, 0)
	}
}

// affected adds a path to what is known about a bad blob.
func (w *pageWalk) affected(blob int, path string) {
	w.n.aside.Tell(&pathAffected{key: w.n.run.survey.Inventory.Key(blob), path: path})
}

// take has the references to one blob checked.
func (w *pageWalk) take() error {
	l := w.waiting.Take()
	return w.n.submit(checking{
		Refs: &refsCheck{
			Snapshot: w.s.Num, Host: w.s.HostNum, Key: layout.Blob(w.s.Host, l.Info.Name), Lease: l,
		},
	})
}

func (w *pageWalk) flush() error {
	for w.waiting.Pieces() > 0 {
		if err := w.take(); err != nil {
			return err
		}
	}
	return nil
}

// close ends the pages that have no more children, those of this level and below.
func (w *pageWalk) close(level int) {
	for n := len(w.stack); n > 0 && (level < 0 || w.stack[n-1].level <= level); n = len(w.stack) {
		p := w.stack[n-1]
		w.stack = w.stack[:n-1]
		k := &knownPage{level: p.level, blobs: make([]int, 0, len(p.blobs))}
		for i := range p.blobs {
			k.blobs = append(k.blobs, i)
		}
		slices.Sort(k.blobs)
		if !p.lossy {
			w.n.known[p.key] = k
		}
		if n > 1 {
			up := w.stack[n-2]
			up.lossy = up.lossy || p.lossy
			for _, i := range k.blobs {
				up.blobs[i] = struct{}{}
			}
		}
	}
}
