package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"vaultik/actors/restore"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/read"
)

// dryRun says what the restore would do.
func (b *restoreJob) dryRun(ctx context.Context, del *deletion) error {
	b.spec.DryRun = true
	res, err := b.restoreAll(ctx)
	if res == nil {
		return b.explainEmpty(err)
	}
	b.count(res)
	for _, l := range res.Lost {
		b.Warn("", "lost: %v: %s", l, l.Reason)
	}
	for _, l := range res.Unread {
		b.Warn("", "not read: %v: %s", l, l.Reason)
	}
	if err != nil {
		return err
	}
	if nothing(res) {
		return b.nothingSelected()
	}
	res.Deleted, res.Freed = del.found.Files+del.found.Dirs, del.found.Bytes
	b.Tell(b.plan(res))
	switch {
	case res.Damaged:
		return b.damagedPages(", and what they listed would not be restored")
	case res.NotRead != nil:
		return b.unreadPages("what they list is not part of this plan", res.NotRead)
	case res.Failed > 0:
		return fault.Incomplete(fmt.Sprintf("%s would not be restored",
			words.Plural(res.Failed, "entry", "entries")))
	case del.not != "":
		return fault.Incomplete("nothing would be deleted: " + del.not)
	}
	return tooSmall(b.spec.Target, res.Space)
}

// damagedPages is the end of a restore from a damaged snapshot.
func (b *restoreJob) damagedPages(what string) error {
	return fault.WithHint(fault.Damaged("pages of snapshot "+b.r.row.short()+" are damaged"+what),
		"see every problem: "+b.here("verify --read-data"))
}

// unreadPages is the end of a restore from a snapshot that could be read in parts only.
func (b *restoreJob) unreadPages(rest string, err error) error {
	return notRead("pages of snapshot "+b.r.row.short()+" ("+rest+")", err,
		"rerun the same command")
}

// plan is what was found by a dry run.
func (b *restoreJob) plan(r *restore.Result) events.Plan {
	e := events.Plan{
		Type: "plan", Create: r.Restored, Replace: r.Replaced, Change: r.Changed,
		Unchanged: r.Unchanged, Keep: r.Kept,
		Delete: r.Deleted, Ignored: r.Ignored, Failed: r.Failed, Corrected: r.Corrected,
		Write: r.BytesWritten, Reuse: r.BytesReused, Fetch: r.BytesFetch,
		Snapshot: b.r.row.short(), Freed: r.Freed,
	}
	for _, n := range r.Space {
		dir := filepath.Join(b.spec.Target, filepath.FromSlash(n.Path))
		e.Space = append(e.Space, events.Space{PathText: events.PathOf(dir), Needed: n.Bytes,
			Free:       n.Free,
			NeedInodes: n.Inodes, FreeInodes: n.Space.Inodes, Unsure: n.Unsure})
	}
	return e
}

// tooSmall is the refusal of a target that has no room, as a restore would say it.
func tooSmall(target string, space []restore.SpaceNeed) error {
	for _, n := range space {
		if n.Short() && !n.Unsure {
			return &noRoom{&restore.SpaceError{Dir: filepath.Join(target,
				filepath.FromSlash(n.Path)), Need: n}}
		}
	}
	return nil
}

// explainEmpty names the snapshot that holds nothing.
func (b *restoreJob) explainEmpty(err error) error {
	if errors.Is(err, read.ErrEmptySnapshot) {
		return &noSnapshot{msg: "snapshot " + b.r.row.short() +
			" is empty: nothing to restore"}
	}
	return err
}
