package main

import (
	"context"
	"errors"
	"fmt"
	"path"

	"filippo.io/age"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/config"
	"vaultik/vault/keys"
	"vaultik/vault/page"
	"vaultik/vault/read"
	"vaultik/vault/snapshot"
)

// reading is one snapshot that was opened with the key.
type reading struct {
	*opened
	row  *row
	root *snapshot.Root
	ids  []age.Identity
	from string     // :PATH as entries spell it, "." for all
	tree *page.Tree // nil: the snapshot is empty
}

// openSnapshot opens what SNAPSHOT[:PATH] means. Close the reading.
func (s *session) openSnapshot(ctx context.Context, spec string, p pick) (_ *reading, err error) {
	key, err := s.needIdentity()
	if err != nil {
		return nil, err
	}
	op, err := s.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = op.Close()
		}
	}()
	cat, err := s.catalog(ctx, op)
	if err != nil {
		return nil, err
	}
	id, from := splitSnapshot(spec)
	s.within = from
	r := &reading{opened: op, from: snapshotPath(".", from)}
	if r.row, err = s.find(ctx, cat, id, p, key); err != nil {
		return nil, err
	}
	s.sum.Snapshot = r.row.ID()
	if r.root, r.ids, err = cat.wholeRoot(ctx, r.row, key); err != nil {
		return nil, s.unopened(ctx, r.row, err)
	}
	s.sayOtherProblems(cat, r.row)
	r.tree, err = actors.OpenTree(op.Backend, r.root, r.ids)
	if err != nil && !errors.Is(err, read.ErrEmptySnapshot) {
		return nil, err
	}
	return r, s.checkPaths(ctx, r, r.from)
}

// unopened says of a root that cannot be read what that means, unless the key
// is to blame, or the run was ended.
func (s *session) unopened(ctx context.Context, r *row, err error) error {
	if ctx.Err() != nil || errors.Is(err, keys.ErrWrongIdentity) || errors.Is(err, keys.ErrPlugin) || errors.Is(err, snapshot.ErrNewerFormat) {
		return err
	}
	return &lostSnapshot{row: r, err: err}
}

// sayOtherProblems tells of what is wrong in the store and does not keep r from
// being read.
func (s *session) sayOtherProblems(cat *catalog, r *row) {
	others, told := int64(0), map[string]bool{}
	for _, p := range cat.problems {
		switch mine := p.Host == r.Host && p.Set == r.Set && p.Seq == r.Seq; {
		case told[p.Error()]:
		case mine:
			s.out.warn("", "%v; the snapshot can be read all the same", p)
		default:
			others++
		}
		told[p.Error()] = true
	}
	if others > 0 {
		s.out.note("%s elsewhere in the store: %s", plural(others, "problem", "problems"), s.commandHere("verify"))
	}
}

// checkPaths fails if the snapshot is known not to have one of the paths.
func (s *session) checkPaths(ctx context.Context, r *reading, paths ...string) error {
	for _, p := range paths {
		switch err := r.find(ctx, p); {
		case err == nil:
		case errors.Is(err, page.ErrNotFound):
			e := &notInSnapshot{row: r.row, path: p, near: path.Dir(p), here: s.commandHere}
			for e.near != "." && r.find(ctx, e.near) != nil {
				e.near = path.Dir(e.near)
			}
			return e
		case ctx.Err() != nil:
			return err
		}
		// A damaged page is said by whoever walks there.
	}
	return nil
}

// find looks for one path of the snapshot.
func (r *reading) find(ctx context.Context, p string) error {
	if p == "." {
		return nil
	}
	if err := page.CheckPath(p); err != nil || r.tree == nil {
		return page.ErrNotFound
	}
	_, err := r.tree.Find(ctx, p)
	return err
}

// snapshotPath is a path of the command line as entries spell it: absolute, or
// below the entry from.
func snapshotPath(from, p string) string {
	if from != "." && !path.IsAbs(p) {
		p = from + "/" + p
	}
	if p = path.Clean("/" + p)[1:]; p == "" {
		return "."
	}
	return p
}

// shown is an entry's path as people know it.
func shown(p string) string {
	if p == "." {
		return "/"
	}
	return "/" + p
}

// lostText says which paths are lost with a damaged page.
func lostText(l page.LostPaths) string {
	switch {
	case l.Last == "":
		return "all entries"
	case l.After == l.Last:
		return fmt.Sprintf("the contents of %q", shown(l.Last))
	case l.After == "":
		return fmt.Sprintf("all entries up to %q", shown(l.Last))
	}
	return fmt.Sprintf("all entries after %q, up to %q", shown(l.After), shown(l.Last))
}

// settings are what the configuration says of effort, and the flags, of which
// parallel is the command's --parallel.
func (s *session) settings(parallel int) (transfers int, memory int64, err error) {
	c, err := s.tuning()
	if err != nil {
		return 0, 0, err
	}
	if err := s.parallel(parallel); err != nil {
		return 0, 0, err
	}
	limitMemory(c.Memory)
	return s.transfers(c), c.Memory, nil
}

// commandHere is a command of this program for the same store.
func (s *session) commandHere(words string) string {
	if s.cli.Store != nil {
		words = "--store " + config.Quote(*s.cli.Store) + " " + words
	}
	return s.command(words)
}

// lostSnapshot: what opens a snapshot is damaged or missing.
type lostSnapshot struct {
	row *row
	err error
}

func (e *lostSnapshot) Error() string {
	return fmt.Sprintf("snapshot %s cannot be opened: %v; other snapshots are not affected", e.row.short(), e.err)
}

func (e *lostSnapshot) Unwrap() error { return e.err }

// notInSnapshot: the snapshot has no such path.
type notInSnapshot struct {
	row  *row
	path string
	near string // the nearest directory above that it has
	here func(string) string
}

func (e *notInSnapshot) Error() string {
	return fmt.Sprintf("%q is not in snapshot %s", shown(e.path), e.row.short())
}

func (e *notInSnapshot) hint() string {
	arg := e.row.short()
	if e.near != "." {
		arg += ":" + shown(e.near)
	}
	return "see what is: " + e.here("ls "+config.Quote(arg))
}
