package engine

import (
	"context"
	"fmt"
	"time"

	"vaultik/actors/backup"
	"vaultik/vault/layout"
)

// knowsSets fails if the store has snapshots of this host that this machine cannot have made,
// in any set: another with a copy of its keys may save other paths. Whether a manifest is one
// that a run of this machine was about to write is for the backup of that set to say.
func (j *job) knowsSets(ctx context.Context, op *opened) error {
	ahead := map[layout.SetID]bool{}
	prefix := layout.ManifestPrefix(op.Host.ID)
	err := op.Objects.List(ctx, prefix, func(key string, _ int64, _ time.Time) error {
		if o, err := layout.Parse(key); err == nil && o.Kind == layout.KindManifest {
			w := op.Seen.Written(op.Store.Doc.Store, op.Host.ID, o.Set)
			if o.Seq > w.Seq && (o.Seq > w.Seq+1 || len(w.Next) == 0) {
				ahead[o.Set] = true
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	for set := range ahead {
		if err := j.knowsHead(ctx, op, set); err != nil {
			return err
		}
	}
	return nil
}

// knowsHead is knowsSets for one set. What this host has not signed proves nothing.
func (j *job) knowsHead(ctx context.Context, op *opened, set layout.SetID) error {
	heads, problems, err := op.Store.Head(ctx, op.Host.ID, set)
	if err == nil {
		err = unreachable(problems)
	}
	w := op.Seen.Written(op.Store.Doc.Store, op.Host.ID, set)
	if err != nil || len(heads) == 0 || heads[0].Seq <= w.Seq {
		return err
	}
	which := fmt.Sprintf("set %s, which this machine has never saved", set)
	if name := op.Sets.Name(set); name != "" {
		which = fmt.Sprintf("set %q; the last that it wrote is %d", name, w.Seq)
	}
	return &strange{
		fmt.Errorf("%w: snapshot %d of %s", backup.ErrForeignWriter, heads[0].Seq, which),
		[]string{j.vaultik("host resume --same-host"), j.becomeNewHost(storeOfItsOwn)},
	}
}
