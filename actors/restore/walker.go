package restore

import (
	"context"
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/plan"
)

// walker reads the pages of a snapshot in path order, makes directories, and
// hands everything else to the planner, in batches. It blocks, under its credit.
type walker struct {
	run     *restoreRun
	planner *actor.PID
	c       actor.Context

	stack   []*walkDir // from the target down to where the walk is
	path    string     // of the last of the stack, of which those above are parts; "" for "."
	batch   *entriesSelected
	extents []plan.Extent          // of the batch
	held    int                    // bytes of the entries in batch
	found   int64                  // entries so far
	lost    int64                  // directories made without knowing their entries
	spaces  map[uint64]*fileSystem // of a dry run, by device
	ends    error                  // why the walk ends: for instance, the target is full
	touch   *actors.Touch
}

// walkDir is a directory of the snapshot on the way to where the walk is.
type walkDir struct {
	entry    page.Entry // without its path
	path     int        // length of it in the walker's
	unknown  bool       // the entry was lost with its page
	included bool
	dir      *restoreDir // nil until something below it is selected
	names    nameSet     // of what is restored in it
}

// nameSet finds names of one directory that the target may take for the same. Names of
// lower-case ASCII are not remembered, so that the set is mostly empty.
type nameSet struct {
	first   map[string]string // by what they fold to
	another map[bool]bool     // pairs of (ASCII: true) names were tried here, and are two
	off     bool              // nothing folds here
}

func newWalker(run *restoreRun, planner *actor.PID) actor.Actor {
	return &walker{run: run, planner: planner, touch: run.watch.Touch()}
}

func (w *walker) Receive(c actor.Context) {
	if _, ok := c.Message().(*actors.Start); ok {
		w.c = c
		w.batch = &entriesSelected{}
		err := w.walk()
		if err == nil {
			w.popTo(0)
			err = w.flush()
		}
		if w.run.ctx.Err() == nil {
			c.Send(w.planner, &walkEnded{Err: err})
		}
	}
}

func (w *walker) walk() error {
	w.run.tree.Lost = func(after, last string, err error) error {
		if noneRead(err) {
			return err
		}
		w.c.Send(w.planner, &pagesLost{After: after, Last: last, Err: err})
		return nil
	}
	if !w.run.newTop && !w.run.spec.quick {
		w.run.above = vfs.MarkedAbove(w.run.abs)
	}
	for _, top := range w.run.part.Tops {
		if ok, err := w.enter(top); err != nil {
			return err
		} else if !ok {
			continue
		}
		if err := w.run.Below(top, w.entry); err != nil {
			return err
		}
	}
	return nil
}

// enter goes to the directory above a selected path. It reports false if one
// of those on the way is left out.
func (w *walker) enter(top string) (bool, error) {
	above := w.run.part.Above(top)
	for i, p := range above {
		if i < len(w.stack) && w.pathOf(w.stack[i]) == p {
			continue
		}
		w.popTo(i)
		e, err := w.run.tree.Find(w.run.ctx, p)
		switch {
		case err == nil && e.Type == page.Dir:
			if w.excluded(e) {
				return false, nil
			}
			w.push(e, false)
			// It is on the way, not selected, unless Include wants it.
			w.stack[i].included = w.run.spec.Include != nil && w.stack[i].included
		case w.run.ctx.Err() != nil || noneRead(err):
			return false, err
		case err != nil && !errors.Is(err, page.ErrNotFound):
			if err := w.run.tree.Lost(p, p, err); err != nil {
				return false, err
			}
			fallthrough
		default:
			w.push(&page.Entry{Path: p, Type: page.Dir}, true)
		}
	}
	return true, nil
}

func (w *walker) excluded(e *page.Entry) bool {
	return w.run.spec.Exclude != nil && w.run.spec.Exclude(e.Path, e.Type)
}

// push enters a directory, without making it.
func (w *walker) push(e *page.Entry, unknown bool) {
	d := &walkDir{entry: *e, unknown: unknown}
	d.entry.Path = ""
	if w.path = e.Path; e.Path == "." {
		w.path = ""
	}
	d.path = len(w.path)
	include := w.run.spec.Include
	switch n := len(w.stack); {
	case n > 0 && w.stack[n-1].included:
		d.included = true
	case unknown:
		d.included = include == nil
	default:
		d.included = include == nil || include(e.Path, e.Type)
	}
	w.stack = append(w.stack, d)
}

// pathOf is the path of a directory of the stack.
func (w *walker) pathOf(d *walkDir) string {
	if d.path == 0 {
		return "."
	}
	return w.path[:d.path]
}

// popTo leaves directories until n are left.
func (w *walker) popTo(n int) {
	for len(w.stack) > n {
		last := len(w.stack) - 1
		if d := w.stack[last].dir; d != nil {
			w.batch.Left = append(w.batch.Left, d)
		}
		w.stack[last] = nil
		w.stack = w.stack[:last]
	}
	if n := len(w.stack); n > 0 {
		w.path = w.path[:w.stack[n-1].path]
	}
}

// entry deals with one entry of the tree.
func (w *walker) entry(e *page.Entry) error {
	w.run.faults.Scanner()
	w.found++
	if w.excluded(e) {
		if e.Type == page.Dir {
			return page.SkipSubtree
		}
		return nil
	}
	if w.run.part.File {
		w.stack = append(w.stack, &walkDir{unknown: true})
	} else {
		w.below(e.Path)
	}
	if e.Type == page.Dir {
		w.push(e, false)
		if w.stack[len(w.stack)-1].included {
			w.makeDirs()
		}
		return w.flushIfFull()
	}
	included := w.run.spec.Include == nil || len(w.stack) > 0 && w.stack[len(w.stack)-1].included
	if !included && !w.run.spec.Include(e.Path, e.Type) {
		return nil
	}
	return w.file(e)
}

// below leaves the directories that path is not in, and enters those whose
// entries have been lost.
func (w *walker) below(path string) {
	for len(w.stack) > 0 {
		if d := w.pathOf(w.stack[len(w.stack)-1]); d != path && page.Within(d, path) {
			break
		}
		w.popTo(len(w.stack) - 1)
	}
	if len(w.stack) == 0 {
		if path == w.run.part.From {
			return
		}
		w.push(&page.Entry{Path: w.run.part.From, Type: page.Dir}, true)
	}
	for i := len(w.path) + 1; i < len(path); i++ {
		if path[i] == '/' {
			w.push(&page.Entry{Path: path[:i], Type: page.Dir}, true)
		}
	}
}

// leftoversRemoved says how many parts of an earlier, interrupted restore were in a directory.
type leftoversRemoved struct{ n int }

// fatal returns those errors that end the walk.
func (w *walker) fatal(err error) error {
	if w.run.ctx.Err() != nil {
		return context.Cause(w.run.ctx)
	}
	if noneRead(err) {
		return err
	}
	return nil
}

func (w *walker) flushIfFull() error {
	if w.ends != nil {
		return w.ends
	}
	b, most := w.batch, &w.run.bounds
	if w.held < most.bytes && len(b.Items) < most.Items && len(w.extents) < most.Pieces &&
		len(b.Opened)+len(b.Left) < most.Items {
		return nil
	}
	return w.flush()
}

func (w *walker) flush() error {
	b := w.batch
	if len(b.Items)+len(b.Opened)+len(b.Left) == 0 && b.Goes == nil {
		return nil
	}
	if err := w.run.batches.Acquire(w.run.ctx); err != nil {
		return err
	}
	w.c.Send(w.planner, b)
	w.batch, w.extents, w.held = &entriesSelected{}, nil, 0
	return nil
}
