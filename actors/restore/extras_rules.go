package restore

import (
	"io"

	"vaultik/vault/filter"
	vfs "vaultik/vault/fs"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// extraChooser excludes from the walk of a target what is kept there in any case.
type extraChooser struct {
	x     *extras
	rules *filter.Walk
}

// Wants implements fs.Chooser: what is left out may keep the directories above it, which
// is decided when it has been looked at.
func (c *extraChooser) Wants(string, page.Type) bool { return true }

// Decide implements fs.Chooser.
func (c *extraChooser) Decide(path string, st *vfs.Stat) vfs.Decision {
	x := c.x
	place := x.place(path)
	x.leave(place)
	what := c.decide(path, place, st)
	switch what {
	case vfs.Skip:
		x.keepAbove()
	case vfs.SkipContents:
		x.sealed = place
	}
	return what
}

func (c *extraChooser) decide(path, place string, st *vfs.Stat) vfs.Decision {
	x := c.x
	origin := x.run.part.Origin(place)
	_, name := splitPath(place)
	exclude := x.run.spec.Exclude
	switch {
	case vfs.IsUnfinished(name),
		x.spec.Protect != nil && x.spec.Protect("/"+path, st),
		exclude != nil && exclude(origin, st.Type):
		return vfs.Skip
	case c.rules != nil:
		return c.rules.Decide(origin, st)
	}
	return vfs.Keep
}

// Enter implements fs.Chooser. Nothing is deleted in a directory that is marked as not to be
// saved, the mark included; nor in one whose marks are unreadable, nor in any store.
func (c *extraChooser) Enter(d vfs.Dir) (visit func(string) bool, err error) {
	nothing := func(string) bool { return false }
	if isStore(d) {
		c.x.keepAbove()
		return nothing, nil
	}
	if c.rules == nil {
		return nil, nil
	}
	visit, err = c.rules.Enter(extraPath{d, c.x.origin(d.Path())})
	if n := len(c.x.stack); err != nil || visit != nil && n > 0 && c.x.stack[n-1].extra {
		c.x.keepAbove()
		visit = nothing
	}
	return visit, err
}

// isStore reports whether a directory is a store of backups, whoever owns it.
func isStore(d vfs.Dir) bool {
	if !d.Has(layout.StoreJSON) {
		return false
	}
	f, _, err := d.Open(layout.StoreJSON)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, snapshot.MaxStoreDoc+1))
	if err == nil {
		_, err = snapshot.DecodeStore(b)
	}
	return err == nil
}

// extraPath is a directory of the target with the path that it would have in the snapshot.
type extraPath struct {
	vfs.Dir
	path string
}

// Path implements fs.Dir.
func (d extraPath) Path() string { return d.path }
