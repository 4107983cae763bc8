package engine

import (
	"errors"

	"vaultik/config"
	"vaultik/index"
	"vaultik/internal/fault"
)

// openIndex opens the index for a backup. One that is damaged is set aside, which
// costs at most one upload; that, and one that was lost, is said.
func (j *job) openIndex(conf *config.Config, op *opened) (*index.Index, error) {
	dir := j.places.IndexDir(conf)
	o := index.Options{Key: op.Host.Secret.IndexPath()}
	ix, err := index.Open(dir, o)
	if errors.Is(err, index.ErrDamaged) {
		aside, rerr := index.Recreate(dir)
		if rerr != nil {
			return nil, j.badIndex(dir, errors.Join(err, rerr))
		}
		j.Warn("",
			"%v; it was moved to %s, and a new one was created: this backup reads and uploads "+
				"everything again", err, aside)
		if ix, err = index.Open(dir, o); err != nil {
			return nil, j.badIndex(dir, err)
		}
		return ix, nil
	}
	if err != nil {
		return nil, j.badIndex(dir, err)
	}
	if ix.Empty() && op.savedBefore() {
		j.Warn("",
			"the index in %s is new, although this host has backups: this backup reads and "+
				"uploads everything again", dir)
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

// badIndex says that the index cannot be opened, or closed.
type badIndex struct{ err error }

func (e *badIndex) Error() string  { return e.err.Error() }
func (e *badIndex) Unwrap() error  { return e.err }
func (*badIndex) Exit() fault.Code { return fault.Failed }

// badIndex says the way on: room, or another place; an index can be made anew. Who
// has it open already is another matter.
func (j *job) badIndex(dir string, err error) error {
	if busy := (*index.BusyError)(nil); errors.As(err, &busy) {
		return err
	}
	anew := "VAULTIK_INDEX_PATH=DIR " + j.vaultik("backup")
	hint := "make it writable, or use another directory: " + anew
	switch {
	case errors.Is(err, index.ErrNoSpace):
		hint = "free some space in " + config.Quote(dir) +
			", or rebuild the index elsewhere: " + anew
	case errors.Is(err, index.ErrNewerFormat):
		hint = "see which version this is: vaultik version"
	case errors.Is(err, index.ErrForeign):
		hint = "move it away, or use another directory: " + anew
	}
	return fault.WithHint(&badIndex{err}, hint)
}
