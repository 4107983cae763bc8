package engine

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/index"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/blob"
)

// CheckIndex compares the index of this host with what the store lists, and with the newest
// snapshot of each set of the host. It changes nothing, and tells of it: [events.IndexChecked].
func (e *Engine) CheckIndex(ctx context.Context, sink events.Sink) (events.Totals, error) {
	j := e.begin("index check", sink)
	return j.told(ctx, func() error { return j.checkIndex(ctx) })
}

func (j *job) checkIndex(ctx context.Context) error {
	conf, err := j.config()
	if err != nil {
		return err
	}
	op, err := j.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer op.Close()
	if op.Host == nil {
		return &op.noHost
	}
	usable, _, err := j.usableBlobs(ctx, op)
	if err != nil {
		return err
	}
	undo := &undoList{}
	defer undo.run()
	dir := j.places.IndexDir(conf)
	ix, err := j.openCopy(dir, op.Host, undo)
	if err != nil {
		return j.noIndex(dir, err)
	}
	ev := events.IndexChecked{Type: "index-checked", PathText: events.PathOf(dir),
		Host: op.Host.ID.String(), BadRows: ix.Stats().BadRows}
	known := map[blob.Name]bool{}
	ix.Blobs(func(_ index.BlobNum, b blob.Info) bool {
		known[b.Name] = true
		ev.Blobs++
		switch size, there := usable[b.Name]; {
		case !there:
			ev.Gone++
		case size != b.Size:
			ev.Size++
		}
		return true
	})
	if err := j.compareNewest(ctx, op, known, usable, &ev); err != nil {
		return err
	}
	j.Tell(ev)
	return j.indexDiffers(&ev)
}

// compareNewest counts what the newest snapshots of the host need.
func (j *job) compareNewest(ctx context.Context, op *opened, known map[blob.Name]bool,
	usable map[blob.Name]int64, ev *events.IndexChecked) error {
	cat, err := j.look(ctx, op, latest)
	if err != nil {
		return err
	}
	heads, _ := cat.heads()
	seen := map[blob.Name]bool{}
	for k, r := range heads {
		if k.host != op.Host.ID {
			continue
		}
		ev.Sets++
		blobs, err := op.Store.Blobs(ctx, r.Manifest)
		if err != nil {
			return fault.WithHint(err, "see what else is damaged: "+j.here("verify"))
		}
		for _, b := range blobs {
			if seen[b.Name] {
				continue
			}
			seen[b.Name] = true
			if size, there := usable[b.Name]; !there || size != b.Size {
				ev.Missing++
			}
			if !known[b.Name] {
				ev.Unknown++
				ev.UnknownBytes += b.Size
			}
		}
	}
	return nil
}

// noIndex is the error of an index that cannot be compared.
func (j *job) noIndex(dir string, err error) error {
	rebuild := "upload again with the next backup, or, on a machine with the key: " +
		j.vaultik("index rebuild --out DIR")
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return fault.WithHint(fmt.Errorf("there is no index at %s: the next backup reads "+
			"everything, and uploads it again", dir), rebuild)
	case errors.Is(err, index.ErrDamaged):
		return fault.WithHint(fmt.Errorf("%w; the store is not affected", err),
			"drop it: "+j.vaultik("index drop")+"; then "+rebuild)
	}
	return j.badIndex(dir, err)
}

// indexDiffers is the error of an index that differs in a way that costs something.
func (j *job) indexDiffers(ev *events.IndexChecked) error {
	switch {
	case ev.Missing > 0:
		return fault.WithHint(fault.Damaged(fmt.Sprintf("%s that the newest snapshots need: "+
			"not in the store", words.Plural(ev.Missing, "blob", "blobs"))),
			"see what is affected: "+j.here("verify")+"; the next backup stores again what its "+
				"sources still have")
	case ev.Size > 0:
		return fault.WithHint(fault.Damaged(fmt.Sprintf("%s of another size in the store than "+
			"in the index", words.Plural(ev.Size, "blob", "blobs"))),
			"see what is affected: "+j.here("verify"))
	case ev.Unknown > 0:
		return fault.WithHint(fmt.Errorf("the index does not know %s, %s, that the newest "+
			"snapshots need: their files would be uploaded again once they change place",
			words.Plural(ev.Unknown, "blob", "blobs"), words.Size(ev.UnknownBytes)),
			"where that is too much, on a machine with the key: "+
				j.vaultik("index rebuild --out DIR"))
	}
	return nil
}

// DropIndexOptions say how an index is removed.
type DropIndexOptions struct {
	// Confirm is asked before it is; nil: it may be.
	Confirm func(dir string) bool
}

// DropIndex removes the index of this host.
func (e *Engine) DropIndex(ctx context.Context, o DropIndexOptions,
	sink events.Sink) (events.Totals, error) {
	j := e.begin("index drop", sink)
	return j.told(ctx, func() error { return j.dropIndex(o) })
}

func (j *job) dropIndex(o DropIndexOptions) error {
	conf, err := j.config()
	if err != nil {
		return err
	}
	lock, err := j.state.LockHost()
	if err != nil {
		return err
	}
	defer lock.Release()
	dir := j.places.IndexDir(conf)
	defer j.touch(dir)()
	if !exists(dir) {
		j.Note("there is no index at %s", dir)
		return nil
	}
	if o.Confirm != nil && !o.Confirm(dir) {
		return errNotDropped
	}
	err = index.Drop(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		j.Note("there is no index at %s", dir)
		return nil
	}
	if err != nil {
		return fault.WithHint(err, "is it the right directory? see index_path in: "+
			j.vaultik("config show")+"; or remove it: rm -r "+config.Quote(dir))
	}
	j.Note("dropped the index in %s: the next backup reads all files and uploads them again; the "+
		"store and its snapshots are as they were", dir)
	return nil
}

var errNotDropped = errors.New("the index was not dropped")
