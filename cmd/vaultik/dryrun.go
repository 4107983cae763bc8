package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"

	"vaultik/actors/backup"
	"vaultik/backends"
	"vaultik/config"
	"vaultik/index"
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
func (c *backupCmd) dryRun(ctx context.Context, s *session, flags exclusions, sets []backupSet) error {
	s.dry = true
	conf, op, ix, done, err := s.openDry(ctx)
	if err != nil {
		return err
	}
	defer done()
	known := &config.Sets{}
	if op != nil {
		if err := op.takesBackups(); err != nil {
			return err
		}
		if op.Host.Moved() && !c.SameHost {
			return &cloned{s.state.HostFile()}
		}
		if err := foreignWriter(ctx, op); err != nil {
			return err
		}
		known = op.Sets
	}
	if sets == nil {
		if sets, err = c.sets(conf, known); err != nil {
			return err
		}
	}
	if err := compileExcludes(conf, sets, flags); err != nil {
		return err
	}
	var failed []error
	for i := range sets {
		set := &sets[i]
		d := &dryRun{s: s, seen: newComparer(op, ix)}
		if err := d.run(ctx, conf, op, set); err != nil {
			if ctx.Err() != nil || len(sets) == 1 {
				return err
			}
			s.out.warn("", "set %q: %v", set.name, err)
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// openDry opens what there is: a store and an index only where there is a
// configuration, an index only where there was a backup.
func (s *session) openDry(ctx context.Context) (conf *config.Config, op *opened, ix *index.Index, done func(), err error) {
	undo := &undoList{}
	defer func() {
		if err != nil {
			undo.run()
		}
	}()
	conf, err = s.config()
	if errors.Is(err, config.ErrMissing) {
		s.out.note("no configuration yet: a backup would first set this machine up, as vaultik init does")
		return &config.Config{}, nil, nil, undo.run, nil
	}
	if err != nil {
		return nil, nil, nil, nil, err
	}
	if op, err = s.openStore(ctx, backends.Options{}); err != nil {
		return nil, nil, nil, nil, err
	}
	undo.add(func() { _ = op.Close() })
	if op.Host == nil {
		return conf, op, nil, undo.run, nil
	}
	if ix, err = s.copyIndex(conf, op.Host, undo); err != nil || ix == nil {
		return conf, op, ix, undo.run, err
	}
	return conf, op, ix, undo.run, s.dropMissing(ctx, op, ix)
}

// copyIndex opens a copy of the index, nil where there is none to be had.
func (s *session) copyIndex(conf *config.Config, h *config.Host, undo *undoList) (*index.Index, error) {
	dir := s.places.IndexDir(conf)
	ix, err := s.openCopy(dir, h, undo)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		s.out.note("there is no index at %s: everything counts as new", dir)
		return nil, nil
	case errors.Is(err, index.ErrDamaged):
		s.out.warn("", "%v; a backup would set it aside and begin a new one: everything counts as new", err)
		return nil, nil
	}
	return ix, err
}

// openCopy copies the index to the directory for temporary files and opens that.
func (s *session) openCopy(dir string, h *config.Host, undo *undoList) (*index.Index, error) {
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

// dropMissing makes the copy forget blobs that the store has not, or that prune
// has condemned: their files would be read again.
func (s *session) dropMissing(ctx context.Context, op *opened, ix *index.Index) error {
	gc, err := op.Store.GC(ctx, op.Host.ID)
	if err != nil {
		return fmt.Errorf("no backup may be made without knowing what prune condemned: %w", err)
	}
	present := map[blob.Name]int64{}
	err = op.Objects.List(ctx, layout.BlobPrefix(op.Host.ID), func(key string, size int64) error {
		if o, err := layout.Parse(key); err == nil && o.Kind == layout.KindBlob {
			present[o.Sum] = size
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	if gc != nil {
		for key := range gc.Keys() {
			if o, err := layout.Parse(key); err == nil && o.Kind == layout.KindBlob {
				delete(present, o.Sum)
			}
		}
	}
	var gone []blob.Name
	ix.Blobs(func(_ index.BlobNum, b blob.Info) bool {
		if size, ok := present[b.Name]; !ok || size != b.Size {
			gone = append(gone, b.Name)
		}
		return true
	})
	if len(gone) == 0 {
		return nil
	}
	s.out.warn("", "%s that the index knows are not in the store: their files would be read and stored again", plural(int64(len(gone)), "blob", "blobs"))
	return ix.DropBlobs(gone)
}

// dryRun is the dry run of one set.
type dryRun struct {
	s        *session
	seen     *comparer
	counts   messages.Counts
	excluded int64 // entries, those below them not counted
	failed   int64
	read     int64 // bytes that would be read

	kept   string // the path that a rule let in last
	keptBy filter.Reason
}

func (d *dryRun) run(ctx context.Context, conf *config.Config, op *opened, set *backupSet) error {
	roots, missing, err := d.s.roots(set)
	if err != nil {
		return err
	}
	url := config.FileURL(d.s.places.Store) // where init would put it
	if op != nil {
		url, d.seen.set = op.URL, setID(op, set)
	}
	d.s.prepareRules(conf, url, set, roots)
	choose := choice{set.rules.Walk(d.decided), &set.broken}
	p := &messages.Progress{}
	var kernel []backup.KernelMount
	stop := d.s.showProgress(p)
	err = fs.Walk(ctx, roots, fs.WalkOptions{Choose: choose, OneFS: set.oneFS.On, Touch: p.SetCurrent}, func(it fs.WalkItem) error {
		if it.Stat.Type == page.File && it.Err == nil {
			p.FilesTotal.Add(1)
			p.FilesDone.Add(1)
		}
		switch {
		case it.Kernel != "":
			kernel = append(kernel, backup.KernelMount{Path: "/" + it.Path, Type: it.Kernel})
			d.decided(it.Path, fs.SkipContents, kernelReason(it.Kernel))
		case it.Mount:
			d.decided(it.Path, fs.SkipContents, filter.Reason{Rule: "what is in it, since another file system is mounted there", Source: set.oneFS.Source})
		}
		d.item(&it)
		return nil
	})
	stop()
	if err != nil {
		return err
	}
	d.s.tellKernel(kernel)
	return d.report(set, missing)
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

// setID is the id of a set, zero if it was not backed up before.
func setID(op *opened, set *backupSet) layout.SetID {
	if set.source != "" {
		for _, r := range op.Sets.ByName(set.name) {
			if r.Source == set.source {
				return r.ID
			}
		}
		return layout.SetID{}
	}
	for _, r := range op.Sets.ByPaths(set.paths) {
		if string(r.Name) == set.name {
			return r.ID
		}
	}
	return layout.SetID{}
}

// foreignWriter fails where a backup would: if another machine writes as this host.
func foreignWriter(ctx context.Context, op *opened) error {
	newest := map[layout.SetID]uint64{}
	err := op.Objects.List(ctx, layout.ManifestPrefix(op.Host.ID), func(key string, _ int64) error {
		if o, err := layout.Parse(key); err == nil && o.Kind == layout.KindManifest {
			newest[o.Set] = max(newest[o.Set], o.Seq)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	for _, r := range op.Sets.Sets {
		if seen := op.Seen.Manifest(op.Store.Doc.Store, op.Host.ID, r.ID).Seq; newest[r.ID] > seen+1 {
			return fmt.Errorf("%w: it has manifest %d of set %q, this machine remembers %d", backup.ErrForeignWriter, newest[r.ID], string(r.Name), seen)
		}
	}
	return nil
}

// item decides about one entry.
func (d *dryRun) item(it *fs.WalkItem) {
	if it.Err != nil {
		d.fail(it.Path, it.Err)
		d.seen.add(it)
		return
	}
	status := d.seen.add(it)
	if it.Implied {
		return
	}
	switch it.Stat.Type {
	case page.File:
		if status != messages.StatusUnchanged && it.Stat.Size > 0 {
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
	case page.Dir:
		d.counts.Dirs++
	default:
		d.counts.Others++
	}
}

// reason is the rule that let a path in, "" for none.
func (d *dryRun) reason(path string) string {
	if path != d.kept {
		return ""
	}
	return "let in by " + d.keptBy.String()
}

func (d *dryRun) fail(path string, err error) {
	if errors.Is(err, iofs.ErrNotExist) {
		d.tell(path, messages.StatusVanished, "vanished while this ran")
		return
	}
	d.failed++
	d.s.out.warn("", "%q would not be saved: %v", "/"+path, err)
	d.tell(path, messages.StatusFailed, err.Error())
}

// tell says what would become of one path: all of them with -v. With --json what
// is unchanged is left to -v, as in a backup.
func (d *dryRun) tell(path string, st messages.Status, reason string) {
	path = "/" + path
	if path == "/." {
		path = "/"
	}
	out := d.s.out
	if st != messages.StatusUnchanged || out.verbose {
		out.event(itemEvent{Type: "item", jsonPath: pathOf(path), Status: string(st), Reason: reason})
	}
	if !out.verbose {
		return
	}
	line := fmt.Sprintf("%-9s  %s", st, printable(path))
	if reason != "" {
		line += "  (" + printable(reason) + ")"
	}
	out.result("%s", line)
}

// report prints the sums of a set, and adds them to those of the command.
func (d *dryRun) report(set *backupSet, missing bool) error {
	s, n := d.s, d.counts
	s.sum.Files += n.Files
	s.sum.New += n.New
	s.sum.Changed += n.Changed
	s.sum.Unchanged += n.Unchanged
	s.sum.BytesRead += d.read
	s.sum.Errors += d.failed
	if n.Files+n.Dirs+n.Others == 0 {
		return &nothingToSave{errors.New("nothing could be read, no snapshot would be made")}
	}
	excluded := ""
	if d.excluded > 0 {
		excluded = "; " + count(d.excluded) + " excluded, with all below"
	}
	s.out.result("would save %s: %s (%s new, %s changed, %s unchanged), %s to read%s; nothing was written", printable(set.name),
		plural(n.Files, "file", "files"), count(n.New), count(n.Changed), count(n.Unchanged), size(d.read), excluded)
	if d.failed > 0 || missing {
		return &partial{fmt.Sprintf("the snapshot would be incomplete: %s could not be saved as asked", countText(d.failed, missing))}
	}
	return nil
}
