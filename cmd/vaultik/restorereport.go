package main

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
	"vaultik/messages"
	vfs "vaultik/vault/fs"
	"vaultik/vault/snapshot"
)

// restoreItem tells what became of an entry.
func (s *session) restoreItem(path string, st messages.Status, reason string) {
	s.out.event(itemEvent{Type: "item", jsonPath: pathOf(shown(path)), Status: string(st), Reason: reason})
	switch {
	case st == messages.StatusFailed:
		s.out.warn("", "%q: %s", cut(shown(path)), cut(reason))
	case st == messages.StatusIgnored:
		s.out.note("not restored: %q: %s", shown(path), cmp.Or(reason, "a socket, which only its server can make"))
	case s.out.verbose:
		s.out.detail("%s %q", st, shown(path))
	}
}

// report prints what became of a restore and returns what is to be said of it
// as an error.
func (c *restoreCmd) report(ctx context.Context, s *session, r *reading, res *restore.Result, err error) error {
	id := r.row.short()
	if res == nil {
		return c.explainEmpty(r, err)
	}
	n := &s.sum
	n.Files, n.New, n.Changed, n.Unchanged = res.Counts.Files, res.Restored, res.Replaced+res.Changed, res.Unchanged
	n.BytesRead, n.Written, n.Errors = res.BytesRead, res.BytesWritten, res.Failed
	if res.Leftovers > 0 {
		s.out.note("%s of an interrupted restore removed", plural(res.Leftovers, "temporary file", "temporary files"))
	}
	for _, l := range res.Lost {
		s.out.warn("", "lost: %s: %s", lostText(l), l.Reason)
	}
	if res.MetaAbove > 0 {
		s.out.note("directories above what was restored did not get all their attributes; they are not part of it")
	}
	s.tellRestored(res)
	if res.Parts > 0 {
		s.out.note("%s not complete; the same command goes on within", plural(res.Parts, "large file is", "large files are"))
	}
	for _, p := range res.Half {
		s.out.warn("", "%q is changed in part, and one byte too long until the same command completes it", shown(p))
	}
	if err != nil {
		if ctx.Err() != nil {
			s.out.note("interrupted: what was restored stays; the same command goes on from there")
			return errInterrupted
		}
		if full := (*restore.TargetFullError)(nil); errors.As(err, &full) {
			return &targetFull{full}
		}
		return err
	}
	if nothing(res) {
		return &nothingSelected{id}
	}
	s.out.result("%s", restoreLine(id, c.Target, res))
	switch {
	case res.Damaged:
		return &hinted{&damage{"pages of snapshot " + id + " are damaged, and what they held is lost; all that is not named above was restored"},
			"see all that is wrong: " + s.commandHere("verify --read-data")}
	case res.Failed > 0:
		return &hinted{&partial{fmt.Sprintf("%s could not be restored as in the snapshot; all others were", plural(res.Failed, "entry", "entries"))}, s.tryAgain(res)}
	case len(res.Meta) > 0:
		return &partial{"all contents were restored, but not all attributes could be set"}
	}
	return nil
}

// tryAgain is the way on where entries have failed: another look at the store, or at the target.
func (s *session) tryAgain(r *restore.Result) string {
	some := func(errs ...error) bool {
		return slices.ContainsFunc(r.Problems, func(p restore.Problem) bool {
			return slices.ContainsFunc(errs, func(err error) bool { return errors.Is(p.Err, err) })
		})
	}
	switch {
	case some(snapshot.ErrDamaged, backends.ErrNotFound):
		return "see all that is wrong: " + s.commandHere("verify --read-data")
	case some(vfs.ErrNotEmpty, vfs.ErrInTheWay):
		return "move away what is in the way; the same command again restores only what is missing"
	case some(vfs.ErrLocked):
		return "clear the flags of what is in the way, as root: chattr -i -a FILE; the same command again restores only what is missing"
	case some(vfs.ErrSameName):
		return "restore what has such a name alone, to another directory: " + s.commandHere("restore SNAPSHOT PATH --target DIR")
	case os.Geteuid() != 0 && some(fs.ErrPermission):
		return "run the same command as root: it restores only what is missing"
	}
	return "the same command again restores only what is missing"
}

// nothing reports that not one entry was selected.
func nothing(r *restore.Result) bool {
	return r.Restored+r.Replaced+r.Unchanged+r.Kept+r.Ignored+r.Failed+r.Counts.Dirs == 0 && !r.Damaged
}

// restoreLine is the last line, one to be quoted.
func restoreLine(id, target string, r *restore.Result) string {
	in := "restored"
	if r.Failed > 0 || r.Damaged {
		in = "restored in part"
	}
	line := fmt.Sprintf("snapshot %s %s to %s: %s, %s written", id, in, printable(target), plural(r.Counts.Files, "file", "files"), size(r.BytesWritten))
	if r.BytesReused > 0 {
		line += fmt.Sprintf(", %s taken from what was there", size(r.BytesReused))
	}
	for _, n := range []struct {
		n    int64
		what string
	}{{r.Changed, "changed in place"}, {r.Unchanged, "were there already"}, {r.Kept, "left as they were"}, {r.Failed, "failed"}} {
		if n.n > 0 {
			line += fmt.Sprintf(", %s %s", count(n.n), n.what)
		}
	}
	return line + " in " + took(r.Duration)
}

// nothingSelected: paths and patterns leave nothing to restore.
type nothingSelected struct{ id string }

func (e *nothingSelected) Error() string {
	return "nothing was restored: no entry of snapshot " + e.id + " is selected"
}

// targetFull: the target took some of it, and takes no more.
type targetFull struct{ err *restore.TargetFullError }

func (e *targetFull) Error() string {
	f := e.err
	return fmt.Sprintf("the target takes no more: %s restored, at least %s (%s) left: %v",
		plural(f.FilesDone, "file", "files"), plural(f.FilesLeft, "file", "files"), size(f.BytesLeft), f.Err)
}

func (e *targetFull) Unwrap() error { return e.err }
