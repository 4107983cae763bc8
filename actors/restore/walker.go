package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

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
	ends    error                  // why the walk cannot go on: the target takes no more, for instance
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

func newWalker(run *restoreRun, planner *actor.PID) actor.Actor {
	return &walker{run: run, planner: planner}
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

// makeDirs makes the directories of the stack in the target, and returns the last.
func (w *walker) makeDirs() *restoreDir {
	made := len(w.stack)
	for made > 0 && w.stack[made-1].dir == nil {
		made--
	}
	var parent *restoreDir
	if made > 0 {
		parent = w.stack[made-1].dir
	}
	for i, d := range w.stack[made:] {
		var err error
		if i += made; i > 0 {
			err = w.clash(w.stack[i-1], parent, w.pathOf(d))
		}
		d.dir = w.makeDir(d, parent, err)
		w.batch.Opened = append(w.batch.Opened, d.dir)
		parent = d.dir
	}
	return parent
}

// makeDir makes one directory, or finds it there; not if it is known why it cannot be had.
func (w *walker) makeDir(d *walkDir, parent *restoreDir, cannot error) *restoreDir {
	run, path, from := w.run, ".", w.pathOf(d)
	if !run.part.File {
		path = run.part.Place(from)
	}
	_, name := splitPath(path)
	m := &restoreDir{Name: strings.Clone(name), Entry: d.entry, Parent: parent}
	m.Entry.Refs = nil
	if parent == nil {
		m.Entry.Path = from
	}
	w.held += weight(&m.Entry) + len(name)
	m.Counts = d.included && !d.unknown && !d.entry.Implied
	if parent != nil && parent.Err != nil {
		m.Err = parent.Err
		return m
	}
	if cannot != nil {
		m.Err = cannot
		return m
	}
	if d.unknown && from != run.part.From {
		if w.lost++; w.lost > maxLostDirs+w.found {
			m.Err = errLostDirs
			return m
		}
	}
	switch {
	case parent != nil:
		m.Doubt = parent.Doubt
	case run.above != "":
		m.Doubt = true
		run.doubt(run.above)
	}
	if run.dry {
		m.Fresh, m.Err = w.look(m, path)
	} else {
		m.Fresh, m.Err = w.place(m, path)
	}
	if run.dry && !run.spec.quick && !m.Fresh && m.Err == nil {
		m.Err = unreadable(w.lookForMarks(m, path))
	}
	if targetFull(m.Err) && w.ends == nil {
		w.ends = m.Err
	}
	switch {
	case d.unknown || m.Err != nil:
	case path == "." && !run.madeTop:
		st, err := run.target.Lstat(".")
		m.Attrs = m.Counts && run.mode != OverwriteNever && (m.Fresh || err == nil && st.Mode&sticky == 0)
	default:
		m.Attrs = m.Fresh || m.Counts && run.mode != OverwriteNever
	}
	if m.Attrs && !m.Counts && !run.dry {
		// Now as well as at the end: if this restore is interrupted, the next one
		// cannot tell whose directory it is, and leaves it as it finds it.
		_, m.Err = run.target.SetDirMeta(path, &m.Entry)
	}
	return m
}

// maxLostDirs is how many directories a restore makes whose entries are lost, beside
// one for each entry that is there. A path of 64 KiB can name 32,768.
const maxLostDirs = 10_000

var errLostDirs = fmt.Errorf("too many directories above such entries are not in the snapshot: %w", page.ErrDamaged)

// sticky marks directories that many users share: such a target keeps its attributes.
const sticky = 0o1000

// place makes a directory, or finds it there, and removes what an interrupted
// restore has left in it.
func (w *walker) place(m *restoreDir, path string) (fresh bool, err error) {
	run := w.run
	if path == "." {
		if run.newTop {
			return true, nil
		}
		return false, w.sweep(m, path)
	}
	if m.Parent != nil && m.Parent.Fresh {
		return true, run.target.Mkdir(path, &m.Entry)
	}
	st, err := run.target.Lstat(path)
	switch {
	case err == nil && st.Type == page.Dir:
		if m.Counts && run.mode != OverwriteNever { // so it gets its mode back
			if err := run.target.Enter(path); err != nil {
				return false, err
			}
		}
		return false, w.sweep(m, path)
	case err == nil && !run.makesWay(m):
		return false, vfs.ErrInTheWay
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return false, err
	}
	m.Other = err == nil
	return true, run.target.Mkdir(path, &m.Entry)
}

// makesWay reports whether something that is no directory gives way to one. What is only
// on the way to what was selected replaces nothing: a link that leads elsewhere now, say.
func (r *restoreRun) makesWay(m *restoreDir) bool {
	return m.Counts && r.mode != OverwriteNever && r.mode != OverwriteIfNewer
}

// look is place for a dry run: it finds out what place would do.
func (w *walker) look(m *restoreDir, path string) (fresh bool, err error) {
	run := w.run
	if m.Parent != nil {
		m.FS = m.Parent.FS
	}
	switch {
	case path == ".":
		m.FS, err = w.fileSystem(path)
		return run.newTop, err
	case m.Parent != nil && m.Parent.Fresh:
		return true, nil
	}
	st, err := run.target.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	case st.Type == page.Dir:
		if m.FS == nil || st.Dev != m.FS.Dev {
			m.FS, err = w.fileSystem(path)
		}
		return false, err
	case !run.makesWay(m):
		return false, vfs.ErrInTheWay
	}
	m.Other = true
	return true, nil
}

// fileSystem is where a directory of the target stands, or would.
func (w *walker) fileSystem(path string) (*fileSystem, error) {
	s, err := vfs.SpaceAt(absIn(w.run.abs, path))
	if err != nil {
		return nil, err
	}
	if w.spaces == nil {
		w.spaces = map[uint64]*fileSystem{}
	}
	if w.spaces[s.Dev] == nil {
		w.spaces[s.Dev] = &fileSystem{Path: path, Dev: s.Dev}
	}
	return w.spaces[s.Dev], nil
}

func (w *walker) sweep(m *restoreDir, path string) error {
	s, err := w.run.target.RemoveTemps(path)
	if s.Removed > 0 {
		w.c.Send(w.planner, &leftoversRemoved{s.Removed})
	}
	m.Parts = s.Parts
	if err == nil && s.Marks {
		err = w.lookForMarks(m, path)
	}
	return unreadable(err)
}

// unreadable is no error: that a directory may not be read says nothing about restoring into it.
func unreadable(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
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
	if w.held < most.bytes && len(b.Items) < most.Items && len(w.extents) < most.Pieces && len(b.Opened)+len(b.Left) < most.Items {
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
