package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"vaultik/actors"
	"vaultik/actors/restore"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/messages"
	"vaultik/vault/filter"
	"vaultik/vault/page"
)

// Restore brings files of a snapshot back. It tells of each [events.Item], of what was
// [events.Deleted] and, at the end, of all that was [events.Restored] and of what was
// [events.ReadBack]; with DryRun of the [events.Plan] instead.
func (e *Engine) Restore(ctx context.Context, o RestoreOptions, sink events.Sink) (RestoreResult,
	error) {
	j := e.begin("restore", sink)
	res, err := attended(ctx, j, func() (RestoreResult, error) { return j.restore(ctx, o) })
	res.Totals = j.totals()
	return res, err
}

// check refuses what does not go together.
func (o *RestoreOptions) check() error {
	if o.Overwrite == "" {
		o.Overwrite = OverwriteIfChanged
	}
	refuse := func(msg string) error { return fault.Misuse("restore", msg) }
	switch {
	case o.Delete && o.Target != "" && isRoot(o.Target):
		return &fault.UsageError{
			Msg: "--delete does not work on " + o.Target + ", the root of the file system",
			Advice: "restore to the directory itself: " +
				"vaultik restore SNAPSHOT:PATH --target PATH --delete",
		}
	case o.Verify && o.DryRun:
		return refuse("--verify cannot be combined with --dry-run: nothing would be restored")
	case o.InPlace && o.Overwrite == OverwriteNever:
		return refuse(
			"--in-place cannot be combined with --overwrite never: nothing would be changed")
	case o.InPlace && o.Overwrite == OverwriteIfNewer:
		return refuse(
			"--in-place cannot be combined with --overwrite if-newer: a file left incomplete by " +
				"an interruption would be the newer one")
	case o.Verify && o.Overwrite != OverwriteIfChanged && o.Overwrite != OverwriteAlways:
		return refuse("--verify cannot be combined with --overwrite " + o.Overwrite +
			": kept files may differ from the snapshot")
	}
	return nil
}

func (j *job) restore(ctx context.Context, o RestoreOptions) (res RestoreResult, err error) {
	include, err := patterns("--include", o.Include)
	if err != nil {
		return res, err
	}
	exclude, err := patterns("--exclude", o.Exclude)
	if err != nil {
		return res, err
	}
	done := j.touch(o.Target)
	err = o.check()
	if done(); err != nil {
		return res, err
	}
	parallel, memory, err := j.effort()
	if err != nil {
		return res, err
	}
	j.rest = o.words()
	r, err := j.openSnapshot(ctx, o.Snapshot, o.Pick)
	if err != nil {
		return res, err
	}
	defer r.Close()
	b := &restoreJob{job: j, o: o, r: r}
	if err := b.prepare(ctx, parallel, memory); err != nil {
		return res, err
	}
	b.spec.Include, b.spec.Exclude = selection(include, exclude)
	b.spec.Chosen = fmt.Sprintf("%q %q", o.Include, o.Exclude)
	b.system = actors.NewSystem(nil)
	defer b.system.Close()
	res, err = b.run(ctx)
	return res, j.orRemoved(ctx, r.opened, r.row, "restored", err)
}

// prepare checks paths and target.
func (b *restoreJob) prepare(ctx context.Context, parallel int, memory int64) error {
	paths, err := b.paths(ctx)
	if err != nil {
		return err
	}
	target, err := b.targetDir()
	if err != nil {
		return err
	}
	b.spec = &restore.Spec{
		Store: b.r.Backend, Root: b.r.root, Identities: b.r.ids,
		Target: target, From: b.r.from, Paths: paths,
		Overwrite: restore.Overwrite(b.o.Overwrite), InPlace: b.o.InPlace,
		NumericOwner: b.o.NumericOwner,
		NoSpaceCheck: b.o.NoSpaceCheck,
		Parallel:     parallel, Memory: memory, Progress: &messages.Progress{},
		Warn:  func(text string) { b.Warn("", "%s", text) },
		Watch: &b.calls, HangAfter: time.Duration(b.hangAfter.Load()),
		OnItem: b.item,
	}
	return nil
}

// item tells what became of an entry, or would.
func (b *restoreJob) item(path string, st messages.Status, reason string) {
	b.Tell(events.Item{Type: "item", PathText: events.PathOf(shown(path)), Status: string(st),
		Reason: reason})
}

func (b *restoreJob) run(ctx context.Context) (out RestoreResult, err error) {
	del, err := b.newDeletion()
	if err != nil {
		return out, err
	}
	if err := del.list(ctx); err != nil {
		return out, err
	}
	if b.o.DryRun {
		return out, b.dryRun(ctx, del)
	}
	res, err := b.restoreAll(ctx)
	if full := (*restore.SpaceError)(nil); errors.As(err, &full) {
		return out, &noRoom{full}
	}
	if pe := (*fs.PathError)(nil); res == nil && errors.As(err, &pe) &&
		within(pe.Path, b.spec.Target) {
		return out, &badTarget{b.spec.Target, err} // it could not be made
	}
	left := del.run(ctx, res, err)
	if err = b.report(ctx, res, err, &out); err == nil {
		err = left
	} else if left != nil {
		b.Warn("", "%v", left)
	}
	if !b.o.Verify || err != nil && !fault.IsIncomplete(err) {
		return out, err
	}
	return out, errors.Join(err, b.readBack(ctx, res))
}

func (b *restoreJob) restoreAll(ctx context.Context) (*restore.Result, error) {
	b.spec.Progress = &messages.Progress{}
	stop := b.show(b.spec.Progress)
	defer stop()
	return restore.Run(ctx, b.system, b.spec)
}

// readBack compares what the target holds with the snapshot. What the restore has failed to
// restore was said then.
func (b *restoreJob) readBack(ctx context.Context, restored *restore.Result) error {
	b.spec.Progress = &messages.Progress{}
	stop := b.show(b.spec.Progress)
	res, err := restore.ReadBack(ctx, b.system, b.spec)
	stop()
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	failed := map[string]bool{}
	for _, p := range restored.Problems {
		failed[p.Path] = true
	}
	for _, d := range res.Different {
		if failed[d.Path] {
			res.Differ--
			continue
		}
		b.item(d.Path, messages.StatusFailed, "read back: "+d.Reason)
	}
	b.Tell(events.ReadBack{Files: res.Files, Bytes: res.Bytes})
	if res.Unread > 0 {
		b.Warn("rerun the same command as root to compare them",
			"%s not be read back, which says nothing about the contents; first: %q",
			words.Plural(res.Unread, "file could", "files could"), shown(res.UnreadAt))
	}
	if res.Differ > 0 {
		b.sum.Errors += res.Differ
		return fault.Incomplete(fmt.Sprintf("read back: %s from the snapshot, in %s",
			words.Plural(res.Differ, "file differs", "files differ"), b.spec.Target))
	}
	return nil
}

// patterns compiles the patterns of a flag; nil for none.
func patterns(flag string, texts []string) (*filter.List, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	for i := range texts {
		var err error
		if texts[i], err = config.ExpandHome(texts[i]); err != nil {
			return nil, err
		}
	}
	l, err := filter.Compile(filter.From(flag, texts...), filter.Options{})
	if err != nil {
		return nil, fault.Misuse("restore", err.Error())
	}
	return l, nil
}

// selection turns patterns into what a restore asks of each entry. Whatever
// stands below an included directory is included, so what a ! takes back there
// is excluded. Directories in which nothing can match are excluded too: they
// need not be read.
func selection(include, exclude *filter.List) (in, out func(string, page.Type) bool) {
	if include != nil {
		in = func(path string, t page.Type) bool {
			matched, _ := include.MatchEntry(path, t == page.Dir)
			return matched
		}
	}
	if include != nil || exclude != nil {
		out = func(path string, t page.Type) bool {
			if matched, _ := exclude.MatchEntry(path, t == page.Dir); matched {
				return true
			}
			return include != nil && !in(path, t) && (t != page.Dir ||
				!include.MayMatchBelowEntry(path))
		}
	}
	return in, out
}

// paths are the paths that were asked for as entries spell them.
func (b *restoreJob) paths(ctx context.Context) ([]string, error) {
	var out []string
	for _, p := range b.o.Paths {
		if p == "" {
			return nil, fault.Misuse("restore", "a path is empty")
		}
		e := snapshotPath(b.r.from, p)
		if !page.Within(b.r.from, e) {
			return nil, &fault.UsageError{Msg: fmt.Sprintf("%q is not within %q", shown(e),
				shown(b.r.from)),
				Advice: "omit the path after the snapshot: " +
					b.here("restore "+b.r.row.short()+" --target DIR "+config.Quote(shown(e)))}
		}
		out = append(out, e)
	}
	return out, b.checkPaths(ctx, b.r, out...)
}
