package restore

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	iofs "io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"vaultik/actors"
	"vaultik/vault/filter"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// ExtrasSpec says where to look for extras: what is in the target and not in the snapshot,
// within the directories that a restore is for. What the rules of the snapshot exclude is
// not extra, as the snapshot could not have it; nor is what the restore excludes, or
// anything on another file system than the target.
type ExtrasSpec struct {
	Restore *Spec
	Rules   *filter.Rules // of the snapshot; nil: none

	// Protect reports whether what is at an absolute path is kept in any case. It may be nil.
	Protect func(path string, st *vfs.Stat) bool

	// Listed, if set, is what was found before: only that is deleted, unless it has changed
	// since. Files go one by one, directories only if nothing stays in them.
	Listed *ExtrasResult

	// OnItem is told of each, with the path that it would have in the snapshot. If it
	// stays, why says for what reason.
	OnItem func(path string, st *vfs.Stat, why error)
}

// ExtrasResult counts what was found, or deleted.
type ExtrasResult struct {
	Files, Dirs int64 // Files counts everything but directories
	Bytes       int64 // that deleting them frees
	Stay        int64 // directories that hold what stays, and what is kept for another reason
	Problems    []Problem
	Failed      int64 // what could not be deleted, or looked at

	seed  maphash.Seed
	found []foundExtra // in the order of paths when all is found
}

// foundExtra is something that was found, in few bytes, as there may be millions.
type foundExtra struct {
	path  uint64 // a hash
	state uint64 // a hash of what tells of a change, and names; 0: a directory that stays
}

// Extras lists or deletes what a target has and the snapshot has not. Any error
// means that not all is known; nothing was deleted without being certain about it.
func Extras(ctx context.Context, s *actors.System, spec *ExtrasSpec) (*ExtrasResult, error) {
	if err := spec.Restore.check(); err != nil {
		return nil, err
	}
	restore := *spec.Restore
	restore.DryRun = spec.Listed == nil
	run := newRestoreRun(&restore)
	defer run.cancel(nil)
	stop := context.AfterFunc(ctx, func() { run.cancel(context.Cause(ctx)) })
	defer stop()
	looked := restore.touch(restore.Target)
	_, newTop := lookAtTarget(restore.Target)
	if looked(); newTop {
		return &ExtrasResult{}, nil
	}
	if err := run.Open(ctx); err != nil {
		return nil, err
	}
	defer run.Close()
	phase := "find what to delete"
	if spec.Listed != nil {
		phase = "delete"
	}
	run.spec.Progress.SetPhase(phase)
	x := &extras{
		spec: spec, run: run, result: ExtrasResult{seed: maphash.MakeSeed()},
		touch: run.watch.Touch(),
	}
	if w := restore.Watch; w != nil {
		x.touch = w.Touch()
		defer w.Done(x.touch)
	}
	err := x.find()
	x.sayBarred()
	slices.SortFunc(x.result.found,
		func(a, b foundExtra) int { return cmp.Compare(a.path, b.path) })
	return &x.result, err
}

type extras struct {
	spec   *ExtrasSpec
	run    *restoreRun
	result ExtrasResult
	top    string // the target without links, as entries spell it
	dev    uint64 // of the target
	mounts map[string]bool
	stack  []*extraDir
	sealed string          // a directory whose contents the rules leave out
	names  map[string]bool // folded names that the snapshot has in the directory namesOf
	ofDir  string
	touch  *actors.Touch

	barred   int64  // directories that the caller's own mode bars him from
	barredAt string // the first of them
}

// extraDir is a directory on the way to where the walk of the target is.
type extraDir struct {
	place string
	st    vfs.Stat
	extra bool         // it is one itself
	stays bool         // something in it stays
	thaw  func() error // gives it back its attributes; nil: it was not touched
}

func (x *extras) find() error {
	x.touch.Enter(x.run.abs)
	defer x.touch.Leave()
	abs, err := filepath.EvalSymlinks(x.run.abs)
	if err != nil {
		return fmt.Errorf("find target: %w", err)
	}
	x.top = strings.TrimPrefix(filepath.ToSlash(abs), "/")
	st, err := x.run.target.Lstat(".")
	if err != nil {
		return err
	}
	x.dev, x.mounts = st.Dev, vfs.MountPoints()
	x.touch.Leave()
	return x.tops(x.below)
}

// tops calls fn for each directory of the snapshot that is restored with all that is in it.
func (x *extras) tops(fn func(e *page.Entry) error) error {
	spec := x.run.spec
	for _, top := range x.run.part.Tops {
		out := false
		for _, above := range x.run.part.Above(top) {
			out = out || spec.Exclude != nil && spec.Exclude(above, page.Dir)
		}
		if out {
			continue
		}
		err := x.run.Below(top, func(e *page.Entry) error {
			switch {
			case e.Type != page.Dir:
				return nil
			case spec.Exclude != nil && spec.Exclude(e.Path, e.Type):
				return page.SkipSubtree
			case e.Implied || spec.Include != nil && !spec.Include(e.Path, e.Type):
				return nil
			}
			if err := fn(e); err != nil {
				return err
			}
			return page.SkipSubtree
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// below compares one directory of the snapshot with its place in the target. Both
// are walked in the order of paths.
func (x *extras) below(top *page.Entry) error {
	place := x.run.part.Place(top.Path)
	st, err := x.run.target.Lstat(place)
	root := x.top
	if place != "." {
		root = strings.TrimPrefix(root+"/"+place, "/")
	}
	if err != nil || st.Type != page.Dir || st.Dev != x.dev ||
		place != "." && (st.Mount || x.mounts["/"+root]) {
		return nil // nothing of the snapshot can be in it
	}
	rules, err := x.rules(top.Path)
	if err != nil {
		return err
	}
	next, stop := iter.Pull2(x.entries(top.Path))
	defer stop()
	c := cursor{next: next}
	walk := vfs.WalkOptions{
		OneFS: true, Choose: &extraChooser{x: x, rules: rules},
		Touch: func(path string) { x.touch.Enter("/" + path) },
	}
	defer x.touch.Leave()
	x.stack = nil
	err = vfs.Walk(x.run.ctx, []string{"/" + root}, walk, func(it vfs.WalkItem) error {
		return x.compare(&c, &it)
	})
	x.leave("")
	if err != nil && x.run.ctx.Err() != nil {
		return context.Cause(x.run.ctx)
	}
	return err
}

// compare looks at one thing that stands in the target.
func (x *extras) compare(c *cursor, it *vfs.WalkItem) error {
	path, place := x.origin(it.Path), x.place(it.Path)
	switch {
	case it.Implied:
		return nil
	case it.Err != nil:
		x.unreadable(path, it.Err)
		return nil //nolint:nilerr // it was noted
	}
	x.leave(place)
	x.touch.Leave() // what comes next may wait for the store
	e, err := c.find(path)
	x.touch.Enter("/" + it.Path)
	switch {
	case err != nil:
		return err
	case e != nil && it.Stat.Type == page.Dir && e.Type != page.Dir:
		return iofs.SkipDir // it is in the way, which the restore has reported
	case e == nil && !it.Unseen && x.otherName(path, place):
		return iofs.SkipDir // whether its entries are extra is not known either
	case e == nil:
		return x.extra(path, it)
	case place != "." && (it.Mount || it.Stat.Mount || x.mounts["/"+it.Path]):
		return iofs.SkipDir
	case it.Stat.Type == page.Dir:
		x.stack = append(x.stack, &extraDir{place: place, st: it.Stat})
	}
	return nil
}

// cursor goes through entries of a snapshot.
type cursor struct {
	next  func() (*page.Entry, error, bool)
	entry *page.Entry
	begun bool
}

// find returns the entry of a path, nil if there is none. Paths come in order.
func (c *cursor) find(path string) (*page.Entry, error) {
	for !c.begun || c.entry != nil && page.Compare(c.entry.Path, path) < 0 {
		e, err, ok := c.next()
		if err != nil {
			return nil, err
		}
		if c.begun, c.entry = true, e; !ok {
			c.entry = nil
		}
	}
	if c.entry == nil || c.entry.Path != path {
		return nil, nil //nolint:nilnil // no entry is an answer
	}
	return c.entry, nil
}

// entries are those of the snapshot at and below a directory.
func (x *extras) entries(top string) iter.Seq2[*page.Entry, error] {
	return func(yield func(*page.Entry, error) bool) {
		err := x.run.Below(top, func(e *page.Entry) error {
			if !yield(e, nil) {
				return page.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// place is the path in the target of a path of the walk.
func (x *extras) place(path string) string {
	switch {
	case x.top == "":
		return path
	case path == x.top:
		return "."
	}
	return strings.TrimPrefix(path, x.top+"/")
}

// origin is the path that the snapshot would have for a path of the walk.
func (x *extras) origin(path string) string { return x.run.part.Origin(x.place(path)) }

// extra deals with an entry that is not in the snapshot.
func (x *extras) extra(path string, it *vfs.WalkItem) error {
	place, st := x.place(it.Path), &it.Stat
	if it.Mount || st.Mount || x.mounts["/"+it.Path] {
		x.stay(path, st, errMounted)
		return iofs.SkipDir
	}
	if err := x.listed(path, st); err != nil {
		x.fail(path, st, err)
		if st.Type == page.Dir {
			return iofs.SkipDir
		}
		return nil
	}
	if st.Type == page.Dir {
		x.stack = append(x.stack,
			&extraDir{place: place, st: *st, extra: true, stays: place == x.sealed})
		return nil
	}
	x.remove(path, place, st)
	return nil
}

// listed fails unless an entry was found before and has not changed since, so that it may
// be deleted, or looked into.
func (x *extras) listed(path string, st *vfs.Stat) error {
	l := x.spec.Listed
	if l == nil {
		return nil
	}
	was, ok := l.find(path)
	switch {
	case !ok, was.state == 0 && st.Type != page.Dir:
		return errNotListed
	case was.state != 0 && was.state != l.state(st, was.state&names != 0):
		return errChangedSince
	}
	return nil
}

// note remembers what was found; st is nil for a directory that stays.
func (r *ExtrasResult) note(path string, st *vfs.Stat) {
	e := foundExtra{path: maphash.String(r.seed, path)}
	if st != nil {
		e.state = r.state(st, st.Type != page.Dir && st.Nlink > 1)
	}
	r.found = append(r.found, e)
}

// names marks the state of a file that had several.
const names = 2

// state goes by ctime, which nobody can set. That of a file with several names moves whenever
// one of them goes, or is replaced by the restore itself: there mtime has to do.
func (r *ExtrasResult) state(st *vfs.Stat, several bool) uint64 {
	at, mark := st.Ctime, uint64(1)
	if several {
		at, mark = st.Mtime, mark|names
	}
	return maphash.Comparable(r.seed, [5]uint64{st.Dev, st.Ino, uint64(at.Sec),
		uint64(at.Nsec), uint64(st.Size)})&^(1|names) | mark
}

// find returns what was noted of a path.
func (r *ExtrasResult) find(path string) (foundExtra, bool) {
	if len(r.found) == 0 {
		return foundExtra{}, false
	}
	i, ok := slices.BinarySearchFunc(r.found, maphash.String(r.seed, path),
		func(e foundExtra, hash uint64) int { return cmp.Compare(e.path, hash) })
	if !ok {
		return foundExtra{}, false
	}
	return r.found[i], true
}
