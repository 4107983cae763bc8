package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"vaultik/actors"
	restoring "vaultik/actors/restore"
	"vaultik/messages"
	"vaultik/vault/filter"
	vfs "vaultik/vault/fs"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// deletion is what restore --delete does: it lists before anything is restored,
// asks, and deletes after everything was restored.
type deletion struct {
	c      *restoreCmd
	s      *session
	system *actors.System
	spec   *restoring.ExtrasSpec
	not    string // why nothing is deleted; ""
	found  *restoring.ExtrasResult
	first  []string // some of what was found
}

// shownExtras is how many entries are listed before the question.
const shownExtras = 20

// checkDelete refuses what --delete must not do, before anything is read.
func (c *restoreCmd) checkDelete() error {
	if c.Yes && !c.Delete {
		return &usageError{msg: "--yes means nothing without --delete", command: "restore"}
	}
	if !c.Delete {
		return nil
	}
	if c.Target != "" && isRoot(c.Target) {
		return &usageError{msg: "--delete refuses " + c.Target + ": it is the root of the file system", hint: "restore to the directory itself: vaultik restore SNAPSHOT:PATH --target PATH --delete"}
	}
	if !c.Yes && !c.DryRun && !term.IsTerminal(int(os.Stdin.Fd())) {
		return &usageError{msg: "--delete asks before it deletes, and there is no terminal to ask on", hint: "see what would go with --dry-run -v; then add --yes"}
	}
	return nil
}

// isRoot reports whether a path is the root of the file system, by any name.
func isRoot(path string) bool {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to
	}
	abs, err := filepath.Abs(path)
	if err != nil || filepath.Dir(abs) == abs {
		return true
	}
	a, err := os.Stat(abs)
	if err != nil {
		return false
	}
	b, err := os.Stat(filepath.VolumeName(abs) + string(filepath.Separator))
	return err == nil && os.SameFile(a, b)
}

// newDeletion prepares --delete.
func (c *restoreCmd) newDeletion(s *session, r *reading, system *actors.System, restore *restoring.Spec) (*deletion, error) {
	d := &deletion{c: c, s: s, system: system, found: &restoring.ExtrasResult{}}
	if !c.Delete {
		return d, nil
	}
	if !r.root.Complete || r.root.Counts.Errors > 0 {
		d.not = "snapshot " + r.row.short() + " is incomplete: what it lacks may be what its backup could not read"
		return d, nil
	}
	rules, err := rulesOf(r)
	if err != nil {
		return nil, fmt.Errorf("what the backup of snapshot %s left out, and must stay, cannot be known: %w", r.row.short(), err)
	}
	d.spec = &restoring.ExtrasSpec{Restore: restore, Rules: rules, Protect: s.protected(r)}
	return d, nil
}

// rulesOf are the rules by which a snapshot was made.
func rulesOf(r *reading) (*filter.Rules, error) {
	f := r.root.Filters
	if f == nil {
		f = &snapshot.Filters{}
	}
	if f.Cut {
		return nil, errors.New("there were too many rules for the snapshot to keep them all")
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
	rules.Before = []*filter.List{compile(r.root.Excludes[:exact], filter.Options{}), compile(f.IExcludes[:folded], fold)}
	rules.After = []*filter.List{compile(r.root.Excludes[exact:], filter.Options{}), compile(f.IExcludes[folded:], fold)}
	for _, text := range textsOf(f.Tags) {
		tag, terr := filter.ParseTag(text, "the backup")
		err = errors.Join(err, terr)
		rules.Tags = append(rules.Tags, tag)
	}
	if f.LargerThan != nil {
		rules.Larger = filter.Limit{Bytes: *f.LargerThan, Source: "the backup"}
	}
	for _, p := range textsOf(f.LeftOut) {
		rules.LeaveOut(p, "left out by the backup")
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
func (s *session) protected(r *reading) func(string, *vfs.Stat) bool {
	paths := append(s.places.Own(), s.places.Index, s.places.Store, filePath(r.URL))
	if c, err := s.config(); err == nil {
		paths = append(paths, s.places.IndexDir(c), filePath(c.StorageURL))
	}
	if h, err := s.state.LoadHost(); err == nil {
		paths = append(paths, h.Kit)
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
		if to, err := filepath.EvalSymlinks(p); err == nil {
			own[to] = true
			if st, err := vfs.Lstat(to); err == nil && st.Ino != 0 {
				same = append(same, st)
			}
		}
	}
	return func(path string, st *vfs.Stat) bool {
		return own[path] || slices.ContainsFunc(same, func(o vfs.Stat) bool { return o.SameFile(st) })
	}
}

// list finds what is not in the snapshot, and asks whether it may go. It is a
// usage error where nobody may be asked, and errNotConfirmed if the answer is no.
func (d *deletion) list(ctx context.Context) error {
	if d.spec == nil {
		return nil
	}
	d.spec.OnItem = d.would
	found, err := d.extras(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		d.not = fmt.Sprintf("what is superfluous cannot be known: %v", err)
		d.spec = nil
		return nil
	}
	d.found = found
	if d.c.DryRun {
		d.complain(found)
	}
	if d.c.DryRun || found.Files+found.Dirs == 0 {
		return nil
	}
	if d.c.Yes {
		return nil
	}
	for _, p := range d.first {
		d.s.out.say("  " + printable(p))
	}
	if more := found.Files + found.Dirs - int64(len(d.first)); more > 0 {
		d.s.out.say(fmt.Sprintf("  and %s more: --dry-run -v lists all", count(more)))
	}
	return d.s.confirm(fmt.Sprintf("delete %s, which snapshot %s has not, from %s when all is restored?", extrasText(found), d.s.sum.Snapshot[:8], printable(d.c.Target)))
}

// would is told of what is found.
func (d *deletion) would(path string, _ *vfs.Stat, why error) {
	if why != nil {
		return
	}
	if len(d.first) < shownExtras {
		d.first = append(d.first, shown(d.inTarget(path)))
	}
	if d.c.DryRun {
		d.s.wouldItem(d.inTarget(path), messages.StatusDeleted, "not in the snapshot")
	}
}

func (d *deletion) extras(ctx context.Context) (*restoring.ExtrasResult, error) {
	d.spec.Restore.Progress = &messages.Progress{}
	stop := d.s.showProgress(d.spec.Restore.Progress)
	defer stop()
	return restoring.Extras(ctx, d.system, d.spec)
}

// run deletes, if the restore went well, and returns what is to be said of it as an error.
func (d *deletion) run(ctx context.Context, res *restoring.Result, restoreErr error) error {
	switch {
	case !d.c.Delete:
		return nil
	case d.not != "":
	case restoreErr != nil || res == nil || res.Failed > 0 || res.Damaged:
		d.not = "not everything could be restored"
	}
	if d.not != "" {
		d.s.out.warn("", "nothing was deleted: %s", d.not)
		return &partial{"nothing was deleted: " + d.not}
	}
	if d.found.Files+d.found.Dirs+d.found.Failed == 0 {
		return nil
	}
	d.spec.Listed = d.found
	d.spec.OnItem = func(path string, _ *vfs.Stat, why error) {
		if why == nil {
			d.s.restoreItem(d.inTarget(path), messages.StatusDeleted, "")
		}
	}
	done, err := d.extras(ctx)
	if done != nil {
		res.Deleted, res.Freed = done.Files+done.Dirs, done.Bytes
	}
	if err != nil {
		return fmt.Errorf("delete what snapshot %s has not: %w", d.s.sum.Snapshot[:8], err)
	}
	d.complain(done)
	d.s.out.result("deleted %s that the snapshot has not", extrasText(done))
	if done.Failed > 0 {
		d.s.sum.Errors += done.Failed
		return &partial{fmt.Sprintf("%s could not be deleted", plural(done.Failed, "entry", "entries"))}
	}
	return nil
}

// complain says what cannot be deleted, or be looked at.
func (d *deletion) complain(r *restoring.ExtrasResult) {
	for _, p := range r.Problems {
		d.s.out.warn("", "not deleted: %q: %s", shown(d.inTarget(p.Path)), p.Reason)
	}
}

// inTarget is where in the target stands what the snapshot would have under path, as
// entries spell it: what is deleted is named by the place where it is.
func (d *deletion) inTarget(path string) string {
	part := plan.Selection{From: d.spec.Restore.From}
	if part.From == "" {
		part.From = "."
	}
	return strings.TrimPrefix(filepath.ToSlash(filepath.Join(d.spec.Restore.Target, filepath.FromSlash(part.Place(path)))), "/")
}

func extrasText(r *restoring.ExtrasResult) string {
	var text []string
	if r.Files > 0 || r.Dirs == 0 {
		text = append(text, plural(r.Files, "file", "files"))
	}
	if r.Dirs > 0 {
		text = append(text, plural(r.Dirs, "directory", "directories"))
	}
	return strings.Join(text, " and ") + " (" + size(r.Bytes) + ")"
}

// errNotConfirmed: the answer was not yes.
var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// confirm asks on the terminal. Anything but yes is no.
func (s *session) confirm(question string) error {
	s.out.say(question + " [yes/no]")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err == nil && (answer == "yes" || answer == "y") {
		return nil
	}
	return errNotConfirmed
}
