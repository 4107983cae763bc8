package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"vaultik/actors"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/snapshot"
)

// Prune may remove a snapshot while another command reads it. What is missing of it then is no
// damage.

// removedWhile: a snapshot was removed while something was done with it.
type removedWhile struct {
	row  *row
	done string // what was done with it
	err  error
	hint string
}

func (e *removedWhile) Error() string {
	return fmt.Sprintf("snapshot %s was removed from the store while it was %s: %v", e.row.short(),
		e.done, e.err)
}

func (e *removedWhile) Unwrap() error  { return e.err }
func (*removedWhile) Exit() fault.Code { return fault.Failed }
func (e *removedWhile) Hint() string   { return e.hint }

// orRemoved is the error with which reading a snapshot has ended, or that the snapshot was
// removed meanwhile.
func (j *job) orRemoved(ctx context.Context, op *opened, r *row, done string, err error) error {
	code, _, _ := fault.CodeOf(err)
	if code != fault.Damage && code != fault.Partial || ctx.Err() != nil || actors.StoreGone(err) ||
		!wasRemoved(ctx, op, r.Loaded) {
		return err
	}
	return &removedWhile{r, done, err, "choose another snapshot: " + j.here("snapshots")}
}

// wasRemoved reports whether prune has removed a snapshot since it was listed.
func wasRemoved(ctx context.Context, op *opened, l *snapshot.Loaded) bool {
	removed, err := op.Store.Pruned(ctx, l)
	return err == nil && removed // else it is told where gc objects are checked
}

// withoutRemoved leaves out problems of snapshots that were removed while they were checked,
// found of them in all, and says so.
func (v *verification) withoutRemoved(ctx context.Context, problems []events.Problem,
	found int64) ([]events.Problem, int64) {
	removed := map[string]bool{}
	var names []string
	for _, r := range v.rows {
		needed := slices.ContainsFunc(problems, func(p events.Problem) bool {
			return slices.Contains(p.Snapshots, r.ID())
		})
		if needed && wasRemoved(ctx, v.cat.op, r.Loaded) {
			removed[r.ID()] = true
			names = append(names, r.short())
		}
	}
	if len(removed) == 0 {
		return problems, found
	}
	v.Note("removed from the store meanwhile, so that what is missing of it is no damage: "+
		"snapshot %s",
		strings.Join(names, ", "))
	v.unsure = found > int64(len(problems))
	left := problems[:0]
	for _, p := range problems {
		were := len(p.Snapshots)
		p.Snapshots = slices.DeleteFunc(slices.Clone(p.Snapshots),
			func(id string) bool { return removed[id] })
		if were > 0 && len(p.Snapshots) == 0 {
			found--
			continue
		}
		left = append(left, p)
	}
	return left, found
}
