package engine

import (
	"context"
	"errors"
	"fmt"
	"path"

	"filippo.io/age"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/internal/words"
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
func (j *job) openSnapshot(ctx context.Context, spec string, p Pick) (_ *reading, err error) {
	key, err := j.needIdentity()
	if err != nil {
		return nil, err
	}
	op, err := j.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = op.Close()
		}
	}()
	j.looksUp(op)
	id, from := splitSnapshot(spec)
	j.within = from
	r := &reading{opened: op, from: snapshotPath(".", from)}
	cat, err := j.look(ctx, op, id)
	if err != nil {
		return nil, err
	}
	if r.row, err = j.find(ctx, cat, id, p, key); err != nil {
		return nil, err
	}
	j.sum.Snapshot = r.row.ID()
	if r.root, r.ids, err = cat.wholeRoot(ctx, r.row, key); err != nil {
		return nil, j.orRemoved(ctx, op, r.row, "opened", j.unopened(ctx, r.row, err))
	}
	j.sayOtherProblems(cat, r.row)
	r.tree, err = actors.OpenTree(op.Backend, r.root, r.ids)
	if err != nil && !errors.Is(err, read.ErrEmptySnapshot) {
		return nil, err
	}
	return r, j.checkPaths(ctx, r, r.from)
}

// look is the catalog in which a snapshot is to be found. For the latest the newest of
// each set will do, if nothing is wrong with them; an id can be of any.
func (j *job) look(ctx context.Context, op *opened, id string) (*catalog, error) {
	if id == latest {
		if c, err := j.heads(ctx, op); err != nil || c != nil {
			return c, err
		}
	}
	return j.catalog(ctx, op)
}

// unopened says of a root that cannot be read what that means, unless the key
// is to blame, or the run was ended.
func (j *job) unopened(ctx context.Context, r *row, err error) error {
	if ctx.Err() != nil || errors.Is(err, keys.ErrWrongIdentity) ||
		errors.Is(err, keys.ErrPlugin) || errors.Is(err, snapshot.ErrNewerFormat) {
		return err
	}
	if actors.Unreadable(err) {
		return notRead("snapshot "+r.short(), err, j.here("verify"))
	}
	return &lostSnapshot{row: r, err: err, hint: "see which snapshots are undamaged: " +
		j.here("verify")}
}

// sayOtherProblems tells of what is wrong in the store and does not keep r from
// being read.
func (j *job) sayOtherProblems(cat *catalog, r *row) {
	others, told := int64(0), map[string]bool{}
	for _, p := range cat.problems {
		switch mine := p.Host == r.Host && p.Set == r.Set && p.Seq == r.Seq; {
		case told[p.Error()]:
		case mine:
			j.Warn("", "%v; the snapshot is still readable", p)
		default:
			others++
		}
		told[p.Error()] = true
	}
	if others > 0 {
		j.Note("%s elsewhere in the store, see: %s", words.Plural(others, "problem", "problems"),
			j.here("verify"))
	}
}

// checkPaths fails if the snapshot is known not to have one of the paths.
func (j *job) checkPaths(ctx context.Context, r *reading, paths ...string) error {
	for _, p := range paths {
		switch err := r.find(ctx, p); {
		case err == nil:
		case errors.Is(err, page.ErrNotFound):
			e := &notInSnapshot{row: r.row, path: p, near: path.Dir(p), here: j.here}
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

// lostSnapshot: what opens a snapshot is damaged or missing.
type lostSnapshot struct {
	row  *row
	err  error
	hint string
}

func (e *lostSnapshot) Error() string {
	return fmt.Sprintf("snapshot %s is unreadable: %v; other snapshots are not affected",
		e.row.short(), e.err)
}

func (e *lostSnapshot) Unwrap() error  { return e.err }
func (*lostSnapshot) Exit() fault.Code { return fault.Damage }
func (e *lostSnapshot) Hint() string   { return e.hint }

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

func (*notInSnapshot) Exit() fault.Code { return fault.Failed }
func (e *notInSnapshot) Hint() string {
	arg := e.row.short()
	if e.near != "." {
		arg += ":" + shown(e.near)
	}
	return "list what is there: " + e.here("ls "+config.Quote(arg))
}
