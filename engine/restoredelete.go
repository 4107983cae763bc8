package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vaultik/actors/restore"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/messages"
	"vaultik/vault/filter"
	vfs "vaultik/vault/fs"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// deletion is what a restore with Delete does: it lists before anything is restored,
// asks, and deletes after everything was restored.
type deletion struct {
	*restoreJob
	extras *restore.ExtrasSpec // nil: nothing is deleted
	not    string              // why nothing is deleted; ""
	found  *restore.ExtrasResult
	first  []string // some of what was found
}

// shownExtras is how many entries are named when it is asked whether they may go.
const shownExtras = 20

// newDeletion prepares Delete.
func (b *restoreJob) newDeletion() (*deletion, error) {
	d := &deletion{restoreJob: b, found: &restore.ExtrasResult{}}
	if !b.o.Delete {
		return d, nil
	}
	if !b.r.root.Complete || b.r.root.Counts.Errors > 0 {
		d.not = "snapshot " + b.r.row.short() +
			" is incomplete: its backup may have been unable to read what it lacks"
		return d, nil
	}
	rules, err := rulesOf(b.r)
	if err != nil {
		return nil, fmt.Errorf(
			"cannot tell what the backup of snapshot %s excluded, which must be kept: %w",
			b.r.row.short(), err)
	}
	d.extras = &restore.ExtrasSpec{Restore: b.spec, Rules: rules, Protect: b.protected(b.r)}
	return d, nil
}

// rulesOf are the rules by which a snapshot was made.
func rulesOf(r *reading) (*filter.Rules, error) {
	f := r.root.Filters
	if f == nil {
		f = &snapshot.Filters{}
	}
	if f.Cut {
		return nil, errors.New("the snapshot does not hold all of its rules, there were too many")
	}
	rules := &filter.Rules{Ignore: f.IgnoreFile == filter.IgnoreFile, Anyone: true}
	var err error
	compile := func(texts []snapshot.Text, o filter.Options) *filter.List {
		l, cerr := filter.Compile(filter.From("the backup", textsOf(texts)...), o)
		err = errors.Join(err, cerr)
		return l
	}
	exact, folded := len(r.root.Excludes)-f.ExcludesLast, len(f.IExcludes)-f.IExcludesLast
	fold := filter.Options{IgnoreCase: true}
	rules.Before = []*filter.List{compile(r.root.Excludes[:exact], filter.Options{}),
		compile(f.IExcludes[:folded], fold)}
	rules.After = []*filter.List{compile(r.root.Excludes[exact:], filter.Options{}),
		compile(f.IExcludes[folded:], fold)}
	for _, text := range textsOf(f.Tags) {
		tag, terr := filter.ParseTag(text, "the backup")
		err = errors.Join(err, terr)
		rules.Tags = append(rules.Tags, tag)
	}
	if f.LargerThan != nil {
		rules.Larger = filter.Limit{Bytes: *f.LargerThan, Source: "the backup"}
	}
	for _, p := range textsOf(f.LeftOut) {
		rules.LeaveOut(p, "excluded by the backup")
	}
	for _, p := range textsOf(r.root.Paths) {
		rules.Keep(p)
	}
	return rules, err
}

func textsOf(list []snapshot.Text) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = string(t)
	}
	return out
}

// protected are the places of this program's own files, under whatever name, which
// no --delete touches.
func (j *job) protected(r *reading) func(string, *vfs.Stat) bool {
	paths := append(j.places.Own(), j.places.Index, j.places.Store, config.FilePath(r.URL))
	if c, err := j.config(); err == nil {
		paths = append(paths, j.places.IndexDir(c), config.FilePath(c.StorageURL))
	}
	if h, err := j.state.LoadHost(); err == nil {
		paths = append(paths, string(h.Kit))
	}
	if exe, err := os.Executable(); err == nil {
		paths = append(paths, exe)
	}
	own := map[string]bool{}
	var same []vfs.Stat
	for _, p := range paths {
		if p == "" {
			continue
		}
		own[p] = true
		done := j.touch(p)
		if to, err := filepath.EvalSymlinks(p); err == nil {
			own[to] = true
			if st, err := vfs.Lstat(to); err == nil && st.Ino != 0 {
				same = append(same, st)
			}
		}
		done()
	}
	return func(path string, st *vfs.Stat) bool {
		return own[path] || slices.ContainsFunc(same,
			func(o vfs.Stat) bool { return o.SameFile(st) })
	}
}

// list finds what is not in the snapshot, and asks whether it may go: ErrNotConfirmed if
// the answer is no.
func (d *deletion) list(ctx context.Context) error {
	if d.extras == nil {
		return nil
	}
	d.extras.OnItem = d.would
	found, err := d.walk(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		d.not = fmt.Sprintf("cannot tell what is extra: %v", err)
		d.extras = nil
		return nil
	}
	d.found = found
	switch {
	case d.o.DryRun:
		d.complain(found)
		return nil
	case found.Files+found.Dirs == 0, d.o.Confirm == nil:
		return nil
	}
	doomed := Doomed{Extras: extrasOf(found), First: d.first, Snapshot: d.r.row.short(),
		Target: d.o.Target}
	if !d.o.Confirm(doomed) {
		return ErrNotConfirmed
	}
	return nil
}

// would is told of what is found.
func (d *deletion) would(path string, _ *vfs.Stat, why error) {
	if why != nil {
		return
	}
	if len(d.first) < shownExtras {
		d.first = append(d.first, shown(d.inTarget(path)))
	}
	if d.o.DryRun {
		d.item(d.inTarget(path), messages.StatusDeleted, "not in the snapshot")
	}
}

func (d *deletion) walk(ctx context.Context) (*restore.ExtrasResult, error) {
	d.spec.Progress = &messages.Progress{}
	stop := d.show(d.spec.Progress)
	defer stop()
	return restore.Extras(ctx, d.system, d.extras)
}

// run deletes, if the restore went well, and returns what is to be said of it as an error.
func (d *deletion) run(ctx context.Context, res *restore.Result, restoreErr error) error {
	if !d.o.Delete {
		return nil
	}
	failed := restoreErr != nil || res == nil || res.Failed > 0 || res.Damaged || res.NotRead != nil
	if failed && d.not == "" {
		d.not = "some entries could not be restored"
	}
	if d.not != "" {
		return fault.Incomplete("nothing was deleted: " + d.not)
	}
	if d.found.Files+d.found.Dirs+d.found.Failed == 0 {
		return nil
	}
	d.extras.Listed = d.found
	d.extras.OnItem = func(path string, _ *vfs.Stat, why error) {
		if why == nil {
			d.item(d.inTarget(path), messages.StatusDeleted, "")
		}
	}
	done, err := d.walk(ctx)
	if done != nil {
		res.Deleted, res.Freed = done.Files+done.Dirs, done.Bytes
	}
	if err != nil {
		return fmt.Errorf("delete what is not in snapshot %s: %w", d.r.row.short(), err)
	}
	d.complain(done)
	d.Tell(events.Deleted{Extras: extrasOf(done)})
	if done.Failed > 0 {
		d.sum.Errors += done.Failed
		return fault.Incomplete(fmt.Sprintf("%s could not be deleted",
			words.Plural(done.Failed, "entry", "entries")))
	}
	return nil
}

func extrasOf(r *restore.ExtrasResult) events.Extras {
	return events.Extras{Files: r.Files, Dirs: r.Dirs, Bytes: r.Bytes}
}

// complain says what cannot be deleted, or be looked at.
func (d *deletion) complain(r *restore.ExtrasResult) {
	for _, p := range r.Problems {
		d.Warn("", "not deleted: %q: %s", shown(d.inTarget(p.Path)), p.Reason)
	}
}

// inTarget is where in the target stands what the snapshot would have under path, as
// entries spell it: what is deleted is named by the place where it is.
func (d *deletion) inTarget(path string) string {
	part := plan.Selection{From: d.spec.From}
	if part.From == "" {
		part.From = "."
	}
	return strings.TrimPrefix(filepath.ToSlash(filepath.Join(d.spec.Target,
		filepath.FromSlash(part.Place(path)))), "/")
}

// ErrNotConfirmed says that what a restore was to delete may not be deleted.
var ErrNotConfirmed = errors.New("not confirmed: nothing was changed")
