package main

import (
	"errors"

	"vaultik/config"
	"vaultik/index"
)

// openIndex opens the index for a backup. One that is damaged is set aside, which
// costs at most one upload; that, and one that was lost, is said.
func (s *session) openIndex(conf *config.Config, op *opened) (*index.Index, error) {
	dir := s.places.IndexDir(conf)
	o := index.Options{Key: op.Host.Secret.IndexPath()}
	ix, err := index.Open(dir, o)
	if errors.Is(err, index.ErrDamaged) {
		aside, rerr := index.Recreate(dir)
		if rerr != nil {
			return nil, &badIndex{dir, errors.Join(err, rerr)}
		}
		s.out.warn("", "%v; it was set aside as %s and a new one begun: this backup reads and uploads everything again", err, aside)
		if ix, err = index.Open(dir, o); err != nil {
			return nil, &badIndex{dir, err}
		}
		return ix, nil
	}
	if err != nil {
		return nil, &badIndex{dir, err}
	}
	if ix.Empty() && op.savedBefore() {
		s.out.warn("", "the index in %s is new, though this host has backups: this one reads and uploads everything again", dir)
	}
	return ix, nil
}

// savedBefore reports whether this host has made snapshots in this store.
func (o *opened) savedBefore() bool {
	for k := range o.Seen.Manifests(o.Store.Doc.Store) {
		if k.Host == o.Host.ID {
			return true
		}
	}
	return false
}

// badIndex: the index cannot be opened.
type badIndex struct {
	dir string
	err error
}

func (e *badIndex) Error() string { return e.err.Error() }
func (e *badIndex) Unwrap() error { return e.err }

// badIndexHint is the way on: room, or another place; an index can be made anew.
func (s *session) badIndexHint(e *badIndex) string {
	switch {
	case errors.Is(e.err, index.ErrNoSpace):
		return "make space in " + config.Quote(e.dir) + ", or let the index be made anew elsewhere: VAULTIK_INDEX_PATH=DIR " + s.command("backup")
	case errors.Is(e.err, index.ErrNewerFormat):
		return "see which program this is: vaultik version"
	case errors.Is(e.err, index.ErrForeign):
		return "move it away, or name another place: VAULTIK_INDEX_PATH=DIR " + s.command("backup")
	default:
		return "make it writable, or let it be made anew elsewhere: VAULTIK_INDEX_PATH=DIR " + s.command("backup")
	}
}
