package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"vaultik/actors/restore"
	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// count adds what became of a restore to the totals.
func (b *restoreJob) count(res *restore.Result) {
	n := &b.sum
	n.Files, n.New, n.Changed, n.Unchanged = res.Counts.Files, res.Restored,
		res.Replaced+res.Changed, res.Unchanged
	n.BytesRead, n.Errors = res.BytesRead, res.Failed
}

// report tells what became of a restore and returns what is to be said of it as an error.
func (b *restoreJob) report(ctx context.Context, res *restore.Result, err error,
	out *RestoreResult) error {
	if res == nil {
		return b.explainEmpty(err)
	}
	b.count(res)
	b.sum.Written = res.BytesWritten
	out.Restored = restoredOf(res)
	b.Tell(out.Restored)
	if err != nil {
		if ctx.Err() != nil {
			b.Note("interrupted: rerun the same command to resume")
			return ErrInterrupted
		}
		if full := (*restore.TargetFullError)(nil); errors.As(err, &full) {
			return &targetFull{full}
		}
		return err
	}
	if nothing(res) {
		return b.nothingSelected()
	}
	b.Tell(events.Done{Snapshot: b.r.row.short(), Restored: out.Restored})
	switch {
	case res.Damaged:
		return b.damagedPages(
			", and what they listed is lost; everything not named above was restored")
	case res.NotRead != nil:
		return b.unreadPages("everything not named above was restored", res.NotRead)
	case res.Failed > 0:
		return fault.WithHint(fault.Incomplete(words.Plural(res.Failed, "entry", "entries")+
			" could not be restored; all others were"), b.tryAgain(res))
	case len(res.Meta) > 0:
		return fault.Incomplete("all contents were restored, but some attributes could not be set")
	}
	return nil
}

// restoredOf is everything about a restore.
func restoredOf(r *restore.Result) events.Restored {
	slices.SortFunc(r.Problems, func(a, b restore.Problem) int {
		return page.Compare(a.Path, b.Path)
	})
	e := events.Restored{
		Type: "restored", Files: r.Counts.Files, Dirs: r.Counts.Dirs, Symlinks: r.Counts.Symlinks,
		Others: r.Counts.Others, Restored: r.Restored, Replaced: r.Replaced, Changed: r.Changed,
		Unchanged: r.Unchanged, Kept: r.Kept, Deleted: r.Deleted, Ignored: r.Ignored,
		Failed:  r.Failed,
		Written: r.BytesWritten, Reused: r.BytesReused, BytesRead: r.BytesRead, Parts: r.Parts,
		Damaged: r.Damaged, MoreProblems: r.Failed > int64(len(r.Problems)),
		Attributes: attributeSums(r.Meta), Leftovers: r.Leftovers, Above: r.MetaAbove,
		Duration: r.Duration,
	}
	for _, p := range r.Problems {
		e.Problems = append(e.Problems, events.ItemProblem{PathText: events.PathOf(shown(p.Path)),
			Reason: p.Reason, Why: withoutPath(p)})
	}
	for _, l := range r.Lost {
		e.Lost = append(e.Lost, l.String())
		e.LostWhy = append(e.LostWhy, l.Reason)
	}
	for _, l := range r.Unread {
		e.Unread = append(e.Unread, l.String())
		e.UnreadWhy = append(e.UnreadWhy, l.Reason)
	}
	for _, p := range r.Half {
		e.Half = append(e.Half, events.PathOf(shown(p)))
	}
	return e
}

// withoutPath is the reason of a problem without its own path, so that others share it.
func withoutPath(p restore.Problem) string {
	if pe := (*fs.PathError)(nil); errors.As(p.Err, &pe) && p.Reason == pe.Error() {
		return pe.Op + ": " + pe.Err.Error()
	}
	return p.Reason
}

// attributeSums are the attributes that could not be set, the most frequent first.
func attributeSums(meta map[string]*restore.MetaLoss) (out []events.AttributeSum) {
	for what, l := range meta {
		out = append(out, events.AttributeSum{What: what, Entries: l.Entries,
			PathText: events.PathOf(shown(l.Path)), Reason: l.Err.Error()})
	}
	slices.SortFunc(out, func(a, b events.AttributeSum) int {
		return cmp.Or(cmp.Compare(b.Entries, a.Entries), cmp.Compare(a.What, b.What))
	})
	return out
}

// tryAgain is the way on where entries have failed: another look at the store, or at the target.
func (j *job) tryAgain(r *restore.Result) string {
	some := func(errs ...error) bool {
		return slices.ContainsFunc(r.Problems, func(p restore.Problem) bool {
			return slices.ContainsFunc(errs, func(err error) bool { return errors.Is(p.Err, err) })
		})
	}
	switch {
	case some(snapshot.ErrDamaged, backends.ErrNotFound):
		return "see every problem: " + j.here("verify --read-data")
	case some(backends.ErrArchived):
		return thaw + "; then rerun the same command to restore the rest"
	case some(vfs.ErrNotEmpty, vfs.ErrInTheWay):
		return "move away what is in the way, then rerun the same command to restore the rest"
	case some(vfs.ErrLocked):
		return "clear the flags of what is in the way, as root: chattr -i -a FILE; " +
			"then rerun the same command to restore the rest"
	case some(vfs.ErrSameName):
		return "restore such names separately, to another directory: " +
			j.here("restore SNAPSHOT PATH --target DIR")
	case os.Geteuid() != 0 && some(fs.ErrPermission):
		return "rerun the same command as root to restore the rest"
	}
	return "rerun the same command to restore the rest"
}

// nothing reports that not one entry was selected.
func nothing(r *restore.Result) bool {
	return r.Restored+r.Replaced+r.Unchanged+r.Kept+r.Ignored+r.Failed+r.Counts.Dirs == 0 &&
		!r.Damaged && r.NotRead == nil
}

// nothingSelected: paths and patterns leave nothing to restore.
type nothingSelected struct{ id, hint string }

func (b *restoreJob) nothingSelected() error {
	id := b.r.row.short()
	return &nothingSelected{id, "list its files: " + b.here("ls "+id)}
}

func (*nothingSelected) Exit() fault.Code { return fault.Failed }
func (e *nothingSelected) Hint() string   { return e.hint }
func (e *nothingSelected) Error() string {
	return "nothing was restored: no entry in snapshot " + e.id + " matches"
}

// targetFull: the target took some of it, and takes no more.
type targetFull struct{ err *restore.TargetFullError }

func (e *targetFull) Error() string {
	f := e.err
	return fmt.Sprintf("the target is full: %s restored, at least %s (%s) left: %v",
		words.Plural(f.FilesDone, "file", "files"), words.Plural(f.FilesLeft, "file", "files"),
		words.Size(f.BytesLeft), f.Err)
}

func (e *targetFull) Unwrap() error  { return e.err }
func (*targetFull) Exit() fault.Code { return fault.Failed }
func (*targetFull) Hint() string {
	return "free some space there, then rerun the same command to resume"
}
