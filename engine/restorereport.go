package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"vaultik/actors/restore"
	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/blob"
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

// tryAgain is the way on where entries have failed: "" where the same command would only
// fail again, and nothing better is known.
func (b *restoreJob) tryAgain(r *restore.Result) string {
	first := func(errs ...error) *restore.Problem {
		i := slices.IndexFunc(r.Problems, func(p restore.Problem) bool {
			return slices.ContainsFunc(errs, func(err error) bool { return errors.Is(p.Err, err) })
		})
		if i < 0 {
			return nil
		}
		return &r.Problems[i]
	}
	if first(snapshot.ErrDamaged, backends.ErrNotFound) != nil {
		return "see every problem: " + b.here("verify --read-data")
	}
	if first(backends.ErrArchived) != nil {
		return thaw + "; then rerun the same command to restore the rest"
	}
	for _, c := range b.cures() {
		if p := first(c.of...); p != nil {
			return c.hint(p)
		}
	}
	if slices.ContainsFunc(r.Problems, func(p restore.Problem) bool { return passes(p.Err) }) {
		return "rerun the same command to restore the rest"
	}
	return ""
}

// cure is what helps against errors of the target.
type cure struct {
	of   []error
	hint func(*restore.Problem) string
}

func (b *restoreJob) cures() []cure {
	say := func(text string) func(*restore.Problem) string {
		return func(*restore.Problem) string { return text }
	}
	elsewhere := func(p *restore.Problem) string {
		return "restore such entries to another file system: " +
			b.here("restore "+b.r.row.short()+" --target DIR "+config.Quote(shown(p.Path)))
	}
	const again = "then rerun the same command to restore the rest"
	const then = "; " + again
	all := []cure{
		{[]error{blob.ErrNoIdentity}, say(earlierKey + then)},
		{[]error{vfs.ErrNotEmpty, vfs.ErrInTheWay}, say("move away what is in the way, " + again)},
		{[]error{vfs.ErrLocked}, say("clear the flags of what is in the way, as root: " +
			"chattr -i -a FILE" + then)},
		{[]error{vfs.ErrDirLocked}, func(p *restore.Problem) string {
			return "clear the flags of the directory, as root: chattr -i -a " +
				config.Quote(dirOf(p.Err)) + then
		}},
		{[]error{vfs.ErrSameName}, say("restore such names separately, to another directory: " +
			b.here("restore SNAPSHOT PATH --target DIR"))},
		{[]error{vfs.ErrNoDevice}, say("leave such entries out: --exclude PATH; " +
			"or restore outside of the container")},
		{[]error{syscall.EROFS}, func(p *restore.Problem) string {
			return "mount it writable: mount -o remount,rw " +
				config.Quote(mountOf(dirOf(p.Err))) + then
		}},
		{[]error{syscall.ENOSPC, syscall.EDQUOT}, func(p *restore.Problem) string {
			return "make room there, or raise the quota of " + config.Quote(dirOf(p.Err)) + then
		}},
		{[]error{vfs.ErrName, syscall.ENAMETOOLONG, syscall.EILSEQ, syscall.EINVAL,
			syscall.EFBIG, syscall.EOVERFLOW}, elsewhere},
		{[]error{syscall.EBUSY}, func(p *restore.Problem) string {
			return "something is mounted there, or in use: unmount it: umount " +
				config.Quote(pathOf(p.Err)) + then
		}},
	}
	if os.Geteuid() != 0 {
		all = append(all, cure{[]error{fs.ErrPermission},
			say("rerun the same command as root to restore the rest")})
	}
	return all
}

// passes reports whether an error may be gone when the same command runs again: the store
// could not be reached, files changed meanwhile, or the machine was short of something.
func passes(err error) bool {
	if pe := (*fs.PathError)(nil); !errors.As(err, &pe) {
		return true // not the target's
	}
	for _, is := range []error{vfs.ErrSwapped, syscall.EIO, syscall.EMFILE, syscall.ENFILE,
		syscall.ENOMEM, syscall.EAGAIN, syscall.EINTR, syscall.ESTALE, syscall.ETIMEDOUT,
		syscall.ETXTBSY, syscall.ENOENT} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// pathOf is the path that an error of the target names, "" for none.
func pathOf(err error) string {
	pe := (*fs.PathError)(nil)
	if !errors.As(err, &pe) {
		return ""
	}
	return pe.Path
}

// dirOf is the directory of the path that an error of the target names.
func dirOf(err error) string { return filepath.Dir(pathOf(err)) }

// mountOf is where the file system is mounted that a path is on.
func mountOf(path string) string {
	mounts := vfs.MountPoints()
	for !mounts[path] && path != filepath.Dir(path) {
		path = filepath.Dir(path)
	}
	return path
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
	f, why := e.err, "is full"
	if errors.Is(f, syscall.EROFS) {
		why = "takes no more"
	}
	return fmt.Sprintf("the target %s: %s restored, at least %s (%s) left: %v",
		why, words.Plural(f.FilesDone, "file", "files"), words.Plural(f.FilesLeft, "file", "files"),
		words.Size(f.BytesLeft), f.Err)
}

func (e *targetFull) Unwrap() error  { return e.err }
func (*targetFull) Exit() fault.Code { return fault.Failed }
func (e *targetFull) Hint() string {
	if errors.Is(e.err, syscall.EROFS) {
		return "make it writable, then rerun the same command to resume"
	}
	return "free some space there, then rerun the same command to resume"
}
