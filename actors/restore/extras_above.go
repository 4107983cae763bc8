package restore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"

	"vaultik/vault/filter"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// rules are those of the snapshot for a walk that begins at the directory top. Ignore files
// and tags above top apply in it too; they are read from the snapshot, since the target
// may have only top.
func (x *extras) rules(top string) (*filter.Walk, error) {
	r := x.spec.Rules
	if r == nil {
		return nil, nil //nolint:nilnil // there are none
	}
	w := r.Walk(nil)
	whole := x.run.part
	whole.From, whole.File = ".", false
	for _, path := range whole.Above(top) {
		e, err := x.run.tree.Find(x.run.ctx, path)
		switch {
		case errors.Is(err, page.ErrNotFound), err == nil && (e.Type != page.Dir || e.Implied):
			continue
		case err != nil:
			return nil, err
		}
		d := &savedDir{x: x, path: path, st: savedStat(e)}
		if ignore := joinPath(path, filter.IgnoreFile); r.Ignore && !d.Has(filter.IgnoreFile) {
			if out, _ := r.Match("/"+ignore, false); out {
				return nil, fmt.Errorf(
					"the backup may have excluded more by %q, which is not in the snapshot",
					"/"+ignore)
			}
		}
		if _, err := w.Enter(d); err != nil || d.err != nil {
			return nil, errors.Join(err, d.err)
		}
	}
	return w, nil
}

// savedDir is a directory as the snapshot has it.
type savedDir struct {
	x    *extras
	path string
	st   vfs.Stat
	err  error // of reading the snapshot
}

func savedStat(e *page.Entry) vfs.Stat {
	return vfs.Stat{
		Type: e.Type, Mode: e.Mode, UID: e.UID, GID: e.GID, Size: e.Size, Mtime: e.Mtime,
	}
}

// Path implements fs.Dir.
func (d *savedDir) Path() string { return d.path }

// Stat implements fs.Dir.
func (d *savedDir) Stat() *vfs.Stat { return &d.st }

// Has implements fs.Dir.
func (d *savedDir) Has(name string) bool {
	_, err := d.find(name)
	return err == nil
}

// Lstat implements fs.Dir.
func (d *savedDir) Lstat(name string) (vfs.Stat, error) {
	e, err := d.find(name)
	if err != nil {
		return vfs.Stat{}, err
	}
	return savedStat(e), nil
}

// Open implements fs.Dir. What is over maxSavedMark is cut off.
func (d *savedDir) Open(name string) (io.ReadCloser, vfs.Stat, error) {
	e, err := d.find(name)
	if err != nil {
		return nil, vfs.Stat{}, err
	}
	if e.Type != page.File {
		return nil, vfs.Stat{}, vfs.ErrSwapped
	}
	var b bytes.Buffer
	err = d.x.run.tree.Refs(d.x.run.ctx, e, func(ref page.Ref) error {
		if b.Len() > maxSavedMark {
			return page.SkipAll
		}
		if ref.Hole > 0 {
			b.Write(make([]byte, min(ref.Hole, maxSavedMark)))
			return nil
		}
		p, err := d.x.run.tree.Fetch(d.x.run.ctx, ref)
		b.Write(p)
		return err
	})
	if err != nil {
		d.err = errors.Join(d.err, err)
		return nil, vfs.Stat{}, err
	}
	return io.NopCloser(&b), savedStat(e), nil
}

// maxSavedMark is more than an ignore file or the head of a tag may have, in bytes.
const maxSavedMark = 2 << 20

func (d *savedDir) find(name string) (*page.Entry, error) {
	e, err := d.x.run.tree.Find(d.x.run.ctx, joinPath(d.path, name))
	switch {
	case errors.Is(err, page.ErrNotFound):
		return nil, iofs.ErrNotExist
	case err != nil:
		d.err = errors.Join(d.err, err)
	}
	return e, err
}
