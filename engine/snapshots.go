package engine

import (
	"context"
	"errors"
	"fmt"

	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/keys"
	"vaultik/vault/snapshot"
)

// SnapshotsResult is what a store has.
type SnapshotsResult struct {
	events.Totals
	URL      string            // of the store, without secrets; "" if it was not read
	List     []events.Snapshot // by time
	Problems []error           // what is wrong in the store and is not listed
}

// Snapshots lists the snapshots of a store. With problems there is an error as well.
func (e *Engine) Snapshots(ctx context.Context, p Pick, sink events.Sink) (SnapshotsResult, error) {
	j := e.begin("snapshots", sink)
	res, err := attended(ctx, j, func() (SnapshotsResult, error) {
		return j.snapshots(ctx, p)
	})
	j.sum.Errors = int64(len(res.Problems))
	res.Totals = j.totals()
	return res, err
}

func (j *job) snapshots(ctx context.Context, p Pick) (res SnapshotsResult, err error) {
	key, err := j.optionalIdentity()
	if err != nil {
		return res, err
	}
	if _, _, err := j.effort(); err != nil {
		return res, err
	}
	op, err := j.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return res, err
	}
	defer op.Close()
	j.looksUp(op)
	cat, err := j.catalog(ctx, op)
	if err != nil {
		return res, err
	}
	if err := j.readNotes(ctx, cat); err != nil {
		return res, err
	}
	rows, wrong, err := j.read(ctx, cat, p, key)
	if err != nil {
		return res, err
	}
	if err := j.nameTags(ctx, cat, rows, key); err != nil {
		return res, err
	}
	res.URL = backends.Redact(op.URL)
	for _, r := range rows {
		res.List = append(res.List, cat.event(r))
	}
	for _, p := range cat.problems {
		res.Problems = append(res.Problems, p)
	}
	if err := onlyUnread(cat.problems); err != nil {
		return res, notRead(words.Plural(int64(len(cat.problems)), "object", "objects"), err,
			j.here("snapshots"))
	}
	if n := len(cat.problems); n > 0 {
		hint := cat.op.strayOf(cat.problems)
		if hint == "" {
			hint = "see every problem: " + j.here("verify --read-data")
		}
		return res, fault.WithHint(
			fault.Damaged(fmt.Sprintf("%s in the store; the listed snapshots are not affected",
				words.Plural(int64(n), "problem", "problems"))),
			hint,
		)
	}
	if len(rows) > 0 {
		return res, wrong
	}
	return res, nil
}

// read opens the roots and leaves out what is not asked for. wrong is set when
// the key opens none of them.
func (j *job) read(ctx context.Context, c *catalog, p Pick, key *keys.Identity) (rows []*row,
	wrong, err error) {
	take := func(r *row, root *snapshot.Root) {
		if fits(p.Host, c.hostName(r.chain(), root), r.Host.String()) &&
			fits(p.Set, c.setName(r.chain(), root), r.Set.String()) {
			rows = append(rows, r)
		}
	}
	if key == nil {
		for _, r := range c.rows {
			take(r, nil)
		}
		return rows, nil, nil
	}
	opened := 0
	err = j.openRoots(ctx, c, c.rows, key, func(r *row, root *snapshot.Root, err error) error {
		switch {
		case err == nil:
			opened++
		case errors.Is(err, keys.ErrWrongIdentity), errors.Is(err, keys.ErrPlugin):
			wrong = err
		default:
			c.problems = append(c.problems, problemWith(r, err))
		}
		take(r, root)
		return nil
	})
	if opened > 0 {
		wrong = nil
	}
	return rows, wrong, err
}
