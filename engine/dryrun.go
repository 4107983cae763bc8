package engine

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"os"
	"time"

	"vaultik/actors/backup"
	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/index"
	"vaultik/internal/fault"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/filter"
	"vaultik/vault/fs"
	"vaultik/vault/layout"
	"vaultik/vault/page"
)

// dryRun says what a backup would do. It opens the store as a backup does, but
// writes nothing there and nothing on this machine: it looks into a copy of the
// index in the directory for temporary files, which it removes again.
func (b *backupJob) dryRun(ctx context.Context, flags exclusions) (err error) {
	b.dry = true
	undo := &undoList{}
	defer undo.run()
	if err := b.openDry(ctx, undo); err != nil {
		return err
	}
	known := &config.Sets{}
	if b.op != nil {
		if err := b.wouldTake(ctx); err != nil {
			return err
		}
		known = b.op.Sets
	}
	sets, err := b.sets(known, flags)
	if err != nil {
		return err
	}
	return b.eachSet(ctx, sets, func(set *backupSet) error {
		d := &dryRun{backupJob: b, seen: newComparer(b.op, b.ix)}
		return d.run(ctx, set)
	})
}

// wouldTake fails where the store would refuse a backup.
func (b *backupJob) wouldTake(ctx context.Context) error {
	if err := b.op.takesBackups(); err != nil {
		return err
	}
	if b.op.Host.Moved() && !b.o.SameHost {
		return b.cloned()
	}
	if err := b.checkRecipients(b.op, b.conf); err != nil {
		return err
	}
	if err := b.knowsSets(ctx, b.op); err != nil {
		return err
	}
	return b.foreignWriter(b.op, knowsOwn(ctx, b.op))
}

// openDry opens what there is: a store and an index only where there is a
// configuration, an index only where there was a backup.
func (b *backupJob) openDry(ctx context.Context, undo *undoList) (err error) {
	b.conf, err = b.config()
	if errors.Is(err, config.ErrMissing) {
		if err := b.maySetUp(); err != nil {
			return err
		}
		b.Note(
			"no configuration yet: a backup would first set up this machine, as vaultik init does")
		b.conf = &config.Config{}
		return nil
	}
	if err != nil {
		return err
	}
	if b.op, err = b.openStore(ctx, backends.Options{}); err != nil {
		return err
	}
	undo.add(func() { _ = b.op.Close() })
	if b.op.Host == nil || !b.op.Host.BacksUp() {
		return nil
	}
	// Before the index is open: either may take tens of MiB, and the store is not trusted.
	usable, doomed, err := b.usableBlobs(ctx, b.op)
	if err != nil {
		return err
	}
	if b.ix, err = b.copyIndex(b.conf, b.op.Host, undo); err != nil || b.ix == nil {
		return err
	}
	return b.dropMissing(b.op.Host.ID, usable, doomed, b.ix)
}

// copyIndex opens a copy of the index, nil where there is none to be had.
func (j *job) copyIndex(conf *config.Config, h *config.Host, undo *undoList) (*index.Index, error) {
	dir := j.places.IndexDir(conf)
	ix, err := j.openCopy(dir, h, undo)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		j.Note("no index at %s: everything counts as new", dir)
		return nil, nil
	case errors.Is(err, index.ErrDamaged):
		j.Warn("",
			"%v; a backup would move it aside and create a new one: everything counts as new", err)
		return nil, nil
	}
	return ix, err
}

// openCopy copies the index to the directory for temporary files and opens that.
func (j *job) openCopy(dir string, h *config.Host, undo *undoList) (*index.Index, error) {
	temp, err := os.MkdirTemp("", "vaultik-")
	if err != nil {
		return nil, fmt.Errorf("copy the index: %w", err)
	}
	undo.add(func() { _ = os.RemoveAll(temp) })
	if err := index.Copy(dir, temp); err != nil {
		return nil, copyError(temp, err)
	}
	ix, err := index.Open(temp, index.Options{Key: h.Secret.IndexPath()})
	if err != nil {
		return nil, copyError(temp, err)
	}
	undo.add(func() { _ = ix.Close() })
	return ix, nil
}

func copyError(temp string, err error) error {
	if errors.Is(err, index.ErrNoSpace) {
		return fmt.Errorf("copy the index to %s (TMPDIR names another place): %w", temp, err)
	}
	return err
}

// usableBlobs are the sizes of the blobs of this host that the store has, and that prune has
// not condemned. It also returns what prune has.
func (j *job) usableBlobs(ctx context.Context, op *opened) (map[blob.Name]int64, layout.Marks,
	error) {
	gc, err := op.Store.GC(ctx, op.Host.ID)
	var doomed layout.Marks
	if err == nil {
		doomed, err = op.Store.Condemned(ctx, gc)
	}
	if err != nil {
		return nil, doomed, j.foreignWriter(op, fmt.Errorf("%w: %w", backup.ErrUnknownGC, err))
	}
	usable, err := presentBlobs(ctx, op)
	if err != nil {
		return nil, doomed, err
	}
	maps.DeleteFunc(usable, func(name blob.Name, _ int64) bool {
		return doomed.Has(layout.Blob(op.Host.ID, name))
	})
	return usable, doomed, nil
}

// dropMissing makes the copy forget all blobs but the usable ones: the files in them would
// be read again.
func (j *job) dropMissing(host layout.HostID, usable map[blob.Name]int64, doomed layout.Marks,
	ix *index.Index) error {
	var gone []blob.Name
	lost := 0
	ix.Blobs(func(_ index.BlobNum, b blob.Info) bool {
		if size, ok := usable[b.Name]; !ok || size != b.Size {
			gone = append(gone, b.Name)
			if !doomed.Has(layout.Blob(host, b.Name)) {
				lost++
			}
		}
		return true
	})
	if lost > 0 {
		j.Warn("",
			"blobs that the index knows, but the store does not list: %d; "+
				"their files would be read and stored again", lost)
	}
	if len(gone) == 0 {
		return nil
	}
	return ix.DropBlobs(gone)
}

// presentBlobs are the sizes of all blobs of this host that the store has.
func presentBlobs(ctx context.Context, op *opened) (map[blob.Name]int64, error) {
	present := map[blob.Name]int64{}
	prefix := layout.BlobPrefix(op.Host.ID)
	err := op.Objects.List(ctx, prefix, func(key string, size int64, _ time.Time) error {
		if o, err := layout.Parse(key); err == nil && o.Kind == layout.KindBlob {
			present[o.Sum] = size
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the store: %w", err)
	}
	return present, nil
}

// dryRun is the dry run of one set.
type dryRun struct {
	*backupJob
	seen     *comparer
	counts   messages.Counts
	excluded int64 // entries, those below them not counted
	failed   int64
	read     int64 // bytes that would be read
	kernel   []backup.KernelMount
	again    func(path [16]byte) bool // see backupSet.reread

	kept   string // the path that a rule let in last
	keptBy filter.Reason
}

func (d *dryRun) run(ctx context.Context, set *backupSet) error {
	roots, missing, err := d.roots(set)
	if err != nil {
		return err
	}
	there := len(roots)
	if roots, err = d.guard(set, roots); err != nil {
		return err
	}
	missing = missing || len(roots) < there
	url := config.FileURL(d.places.Store) // where init would put it
	if d.op != nil {
		url = d.op.URL
		rec := recordOf(d.op, set)
		d.seen.of(rec.ID, set.ignore)
		d.again = set.reread(d.o.ForceRead, rec.Reread, today())
	}
	d.prepareRules(d.conf, url, set, roots)
	p := &messages.Progress{}
	walk := set.rules.Walk(d.decided)
	touch := d.calls.Touch()
	defer d.calls.Done(touch)
	o := fs.WalkOptions{Choose: choice{walk, &set.broken}, OneFS: set.oneFS.On,
		Touch: func(path string) {
			p.SetCurrent(path)
			touch.Enter("/" + path)
		}}
	stop := d.show(p)
	err = fs.Walk(ctx, roots, o, func(it fs.WalkItem) error {
		if it.Stat.Type == page.File && it.Err == nil {
			p.FilesTotal.Add(1)
			p.FilesDone.Add(1)
		}
		d.mounted(&it, set)
		d.item(&it)
		return nil
	})
	stop()
	if err != nil {
		return err
	}
	d.tellUnused(walk)
	d.tellKernel(d.kernel)
	return d.report(set, missing)
}

// mounted notes an entry whose contents are left out, since they are another file system's.
func (d *dryRun) mounted(it *fs.WalkItem, set *backupSet) {
	switch {
	case it.Kernel != "":
		d.kernel = append(d.kernel, backup.KernelMount{Path: "/" + it.Path, Type: it.Kernel})
		d.decided(it.Path, fs.SkipContents, kernelReason(it.Kernel))
	case it.Mount:
		d.decided(it.Path, fs.SkipContents,
			filter.Reason{Rule: "its contents, since another file system is mounted there",
				Source: set.oneFS.Source})
	}
}

// decided hears of what a rule left out, or let in.
func (d *dryRun) decided(path string, what fs.Decision, why filter.Reason) {
	if what == fs.Keep {
		d.kept, d.keptBy = path, why
		return
	}
	d.excluded++
	d.tell(path, messages.StatusExcluded, why.String())
}

// recordOf is what is known of a set, zero if it was not backed up before.
func recordOf(op *opened, set *backupSet) (none config.SetRecord) {
	if set.source != "" {
		for _, r := range op.Sets.ByName(set.name) {
			if r.Source == set.source {
				return r
			}
		}
		return none
	}
	for _, r := range op.Sets.ByPaths(set.paths) {
		if string(r.Name) == set.name {
			return r
		}
	}
	return none
}

// item decides about one entry.
func (d *dryRun) item(it *fs.WalkItem) {
	status := d.seen.add(it)
	switch {
	case it.Err != nil:
		d.fail(it.Path, it.Err)
	case it.Implied:
	case it.Stat.Type == page.File:
		d.file(it, status)
	case it.Stat.Type == page.Dir:
		d.counts.Dirs++
	default:
		d.counts.Others++
	}
}

// file decides about a file: one that would be read is opened.
func (d *dryRun) file(it *fs.WalkItem, status messages.Status) {
	again := d.again != nil && d.again(d.seen.key)
	if (status != messages.StatusUnchanged || again) && it.Stat.Size > 0 {
		f, _, err := fs.OpenFileAt(it.DirFD, it.Name, "/"+it.Path, &it.Stat)
		if err != nil {
			d.fail(it.Path, err)
			return
		}
		_ = f.Close()
		d.read += it.Stat.Size
	}
	d.counts.Files++
	d.counts.Bytes += it.Stat.Size
	switch status {
	case messages.StatusNew:
		d.counts.New++
	case messages.StatusChanged:
		d.counts.Changed++
	default:
		d.counts.Unchanged++
	}
	d.tell(it.Path, status, d.reason(it.Path))
}

// reason is the rule that let a path in, "" for none.
func (d *dryRun) reason(path string) string {
	if path != d.kept {
		return ""
	}
	return "included by " + d.keptBy.String()
}

func (d *dryRun) fail(path string, err error) {
	if errors.Is(err, iofs.ErrNotExist) {
		d.tell(path, messages.StatusVanished, "vanished during this run")
		return
	}
	d.failed++
	reason := fs.Reason("/"+path, err)
	d.Warn("", "%q would not be saved: %s", "/"+path, reason)
	d.tell(path, messages.StatusFailed, reason)
}

// tell says what would become of one path.
func (d *dryRun) tell(path string, st messages.Status, reason string) {
	path = "/" + path
	if path == "/." {
		path = "/"
	}
	d.Tell(events.Item{Type: "item", PathText: events.PathOf(path), Status: string(st),
		Reason: reason})
}

// report tells the sums of a set, and adds them to those of the job.
func (d *dryRun) report(set *backupSet, missing bool) error {
	n := d.counts
	sum := &d.sum
	sum.Files += n.Files
	sum.New += n.New
	sum.Changed += n.Changed
	sum.Unchanged += n.Unchanged
	sum.BytesRead += d.read
	sum.Errors += d.failed
	if n.Files+n.Dirs+n.Others == 0 {
		return &nothingToSave{errors.New("nothing could be read: no snapshot would be made"),
			!set.given}
	}
	d.Tell(events.WouldSave{Set: set.name, Files: n.Files, New: n.New, Changed: n.Changed,
		Unchanged: n.Unchanged, BytesRead: d.read, Excluded: d.excluded})
	if d.failed > 0 || missing {
		return fault.Incomplete("the snapshot would be incomplete: " +
			countText(d.failed, missing) + " could not be saved")
	}
	return nil
}
