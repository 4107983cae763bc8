package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/config"
	"vaultik/index"
	"vaultik/messages"
	"vaultik/vault/chunk"
	"vaultik/vault/filter"
	"vaultik/vault/fs"
	"vaultik/vault/keys"
)

type backupCmd struct {
	Path []string `arg:"" optional:"" help:"Files and directories to back up; without, every set of the configuration."`
	Set  string   `help:"Name of the set." placeholder:"NAME"`
	Tag  []string `help:"Tag of the snapshot; may be repeated." placeholder:"T"`
	excludeFlags
	DryRun   bool `name:"dry-run" short:"n" help:"Change nothing anywhere; say what would be saved, with -v of each path."`
	Parallel int  `help:"Transfers at once, 1 to 64 (default: the configuration's)." placeholder:"N"`
	SameHost bool `name:"same-host" help:"This is the machine that was backed up before, though it has a new machine id (installed anew, say): remember it."`
}

// Help is shown by --help.
func (backupCmd) Help() string {
	return `Saves a snapshot of each set. A set is a named group of paths: paths that were
backed up before are the same set again, others a new one. The first backup on a
machine without a configuration sets everything up, as vaultik init does.

Interrupt it once and it finishes what is under way; the next run goes on.

` + excludeHelp
}

// backupSet is one set to be backed up now.
type backupSet struct {
	name    string
	paths   []string // absolute, clean, sorted
	exclude *filter.List
}

// Run backs up.
func (c *backupCmd) Run(ctx context.Context, s *session) error {
	if s.identity != nil || !errors.Is(s.identityErr, keys.ErrNoIdentity) {
		s.identity = nil
		s.out.warn("leave "+keys.EnvIdentity+" out of the environment of backups", "%s is set: a backup does not need the secret key, it was dropped", keys.EnvIdentity)
	}
	patterns, err := c.patterns()
	if err != nil {
		return err
	}
	if c.Parallel != 0 {
		if err := config.CheckParallel(c.Parallel); err != nil {
			return &usageError{msg: "--parallel: " + err.Error(), command: "backup"}
		}
	}
	if c.DryRun {
		return c.dryRun(ctx, s, patterns)
	}
	conf, err := s.configOrInit(ctx)
	if err != nil {
		return err
	}
	if c.Parallel != 0 {
		conf.Parallel = c.Parallel
	}
	unlock, err := s.lockHost()
	if err != nil {
		return err
	}
	defer unlock()
	op, err := s.openStore(ctx, backends.Options{})
	if err != nil {
		return err
	}
	defer op.Close()
	if op.Host == nil {
		return &notHost{op.URL}
	}
	if err := s.refuseClone(op.Host, c.SameHost); err != nil {
		return err
	}
	sets, err := c.sets(conf, op.Sets)
	if err != nil {
		return err
	}
	if err := compileExcludes(conf, sets, patterns); err != nil {
		return err
	}
	s.remindOfKit(op.Host)
	limitMemory(conf.Memory)
	ix, err := s.openIndex(conf, op)
	if err != nil {
		return err
	}
	defer ix.Close()
	var failed []error
	for _, set := range sets {
		if err := c.backup(ctx, s, conf, op, ix, set); err != nil {
			if ctx.Err() != nil || len(sets) == 1 {
				return err
			}
			s.out.warn("", "set %q: %v", set.name, err)
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// configOrInit loads the configuration; without one it sets the machine up.
func (s *session) configOrInit(ctx context.Context) (*config.Config, error) {
	c, err := s.config()
	if !errors.Is(err, config.ErrMissing) {
		return c, err
	}
	s.out.note("no configuration yet: setting this machine up, as vaultik init does")
	made, err := s.initialise(ctx, nil, "")
	if err != nil {
		return nil, err
	}
	s.sayMade(made)
	return s.config()
}

// sets are what is to be backed up: the paths given, or what the configuration says.
func (c *backupCmd) sets(conf *config.Config, known *config.Sets) ([]backupSet, error) {
	if len(c.Path) > 0 {
		paths, err := absolute(c.Path)
		if err != nil {
			return nil, err
		}
		name := c.Set
		if name == "" {
			name = nameOf(paths, conf, known)
		}
		return []backupSet{{name: name, paths: paths}}, nil
	}
	if c.Set != "" {
		if set, ok := conf.Set(c.Set); ok {
			return []backupSet{{name: set.Name, paths: config.SortedPaths(set.Paths)}}, nil
		}
		if old := known.ByName(c.Set); len(old) > 0 {
			return []backupSet{{name: c.Set, paths: old[len(old)-1].PathStrings()}}, nil
		}
		return nil, &usageError{msg: fmt.Sprintf("--set %q: no set of this name in the configuration, and none was backed up", c.Set),
			hint: "name its paths: vaultik backup --set " + config.Quote(c.Set) + " PATH"}
	}
	if len(conf.Sets) == 0 {
		return nil, &usageError{msg: "nothing to back up: no path is given, and the configuration has no set", hint: "name a path: vaultik backup ~/Documents"}
	}
	var sets []backupSet
	for _, set := range conf.Sets {
		sets = append(sets, backupSet{name: set.Name, paths: config.SortedPaths(set.Paths)})
	}
	return sets, nil
}

func absolute(paths []string) ([]string, error) {
	var out []string
	for _, p := range paths {
		if p == "" {
			return nil, &usageError{msg: "a path is empty", command: "backup"}
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, fmt.Errorf("find %q: %w", p, err)
		}
		out = append(out, abs)
	}
	return config.SortedPaths(out), nil
}

// nameOf is the name of the set that has exactly these paths.
func nameOf(paths []string, conf *config.Config, known *config.Sets) string {
	for _, set := range conf.Sets {
		if slices.Equal(config.SortedPaths(set.Paths), paths) {
			return set.Name
		}
	}
	if old := known.ByPaths(paths); len(old) > 0 {
		return string(old[len(old)-1].Name)
	}
	return strings.Join(paths, ":")
}

// record finds or makes the set's id.
func (s *session) record(set backupSet) (rec config.SetRecord, err error) {
	err = s.state.UpdateSets(func(sets *config.Sets) error {
		for _, r := range sets.ByPaths(set.paths) {
			if string(r.Name) == set.name {
				rec = r
				return nil
			}
		}
		rec = sets.Add(set.name, set.paths)
		return nil
	})
	return rec, err
}

// roots are the set's paths as they are walked; missing says that some are not
// there, which was said.
func (s *session) roots(set backupSet) (roots []string, missing bool, err error) {
	roots, err = fs.Roots(set.paths)
	if err == nil {
		return roots, false, nil
	}
	var gone fs.RootErrors
	switch {
	case len(roots) == 0:
		return nil, true, &nothingToSave{err}
	case !errors.As(err, &gone):
		return nil, true, err
	}
	for _, m := range gone {
		s.out.warn("", "%v", m)
	}
	return roots, true, nil
}

func (c *backupCmd) backup(ctx context.Context, s *session, conf *config.Config, op *opened, ix *index.Index, set backupSet) error {
	roots, partial, err := s.roots(set)
	if err != nil {
		return err
	}
	rec, err := s.record(set)
	if err != nil {
		return err
	}
	head := op.Seen.Manifest(op.Store.Doc.Store, op.Host.ID, rec.ID)
	spec := &actors.BackupSpec{
		Store: op.Backend, Opened: op.Store, Index: ix,
		Host:       actors.Host{ID: op.Host.ID, Name: conf.Hostname, Secret: op.Host.Secret, Signer: op.Host.Signer},
		Recipients: conf.Recipients, Set: rec.ID, SetName: set.name, Head: actors.Head{Seq: head.Seq},
		Paths: roots, Tags: c.Tag, Partial: partial,
		Chunks: chunk.ParamsFor(int(conf.ChunkSize)), CompressionLevel: conf.Compression,
		BlobSize: conf.BlobSize, Memory: conf.Memory, Parallel: conf.Parallel,
		Tool: tool(), Progress: &messages.Progress{},
		Warn: func(text string) { s.out.warn("", "%s", text) },
	}
	if op.Host.Epoch != nil {
		spec.Epoch = *op.Host.Epoch
	}
	if head.Seq > 0 {
		if _, err := hex.Decode(spec.Head.Sum[:], []byte(head.Sum)); err != nil {
			return fmt.Errorf("read what was seen of set %q: %w", set.name, err)
		}
	}
	exclude := s.exclusionOf(conf, op.URL, set, roots)
	spec.Exclude, spec.Excludes = exclude.decide, set.exclude.Strings()
	spec.OnItem = func(path string, st messages.Status, reason string) {
		s.out.event(itemEvent{Type: "item", jsonPath: pathOf("/" + path), Status: string(st), Reason: reason})
		switch {
		case reason != "":
			s.out.warn("", "%q: %s", "/"+path, reason)
		case s.out.verbose:
			s.out.detail("%s %q", st, "/"+path)
		}
	}
	spec.SaveEpoch = func(e keys.EpochKey) error {
		op.Host.Epoch = &e
		return s.state.UpdateHost(func(h *config.Host) error { h.Epoch = &e; return nil })
	}
	spec.SaveHead = func(h actors.Head) error {
		p := config.Point{Seq: h.Seq, Sum: hex.EncodeToString(h.Sum[:])}
		op.Seen.NoteManifest(op.Store.Doc.Store, op.Host.ID, rec.ID, p)
		return s.state.UpdateSeen(func(seen *config.Seen) error {
			seen.NoteManifest(op.Store.Doc.Store, op.Host.ID, rec.ID, p)
			return nil
		})
	}
	system := actors.NewSystem(nil)
	defer system.Close()
	stop := s.showProgress(spec.Progress)
	res, err := system.Backup(context.WithoutCancel(ctx), ctx, spec)
	stop()
	return c.report(s, res, err, partial)
}

// report prints what became of a set, and adds it to the summary.
func (c *backupCmd) report(s *session, res *actors.BackupResult, err error, incomplete bool) error {
	if res != nil {
		n := &s.sum
		n.Files += res.Counts.Files
		n.New += res.Counts.New
		n.Changed += res.Counts.Changed
		n.Unchanged += res.Counts.Unchanged
		n.BytesRead += res.BytesRead
		n.Stored += res.BytesStored
		n.Objects += res.ObjectsStored
		n.Errors += res.Errors
		if res.Snapshot != [32]byte{} {
			n.Snapshot = hex.EncodeToString(res.Snapshot[:])
		}
	}
	if errors.Is(err, actors.ErrInterrupted) {
		s.out.note("interrupted: %s are stored; the next run goes on from there", size(res.BytesStored))
		return errInterrupted
	}
	if err != nil {
		return err
	}
	s.out.result("snapshot %x saved: %s, %s, %s stored in %s", res.Snapshot[:4], plural(res.Counts.Files, "file", "files"),
		plural(res.BlobsStored, "new blob", "new blobs"), size(res.BytesStored), took(res.Duration))
	if res.Errors > 0 || incomplete {
		hint := "run it as a user who may read them, or leave them out: --exclude PATTERN"
		if incomplete {
			hint = "see which paths are meant: vaultik config show"
		}
		return &hinted{&partial{fmt.Sprintf("the snapshot is incomplete: %s could not be saved", countText(res.Errors, incomplete))}, hint}
	}
	return nil
}

func countText(n int64, incomplete bool) string {
	switch {
	case n > 0 && incomplete:
		return fmt.Sprintf("%s entries, and paths that were asked for,", count(n))
	case n == 1:
		return "one entry"
	case n > 1:
		return count(n) + " entries"
	}
	return "paths that were asked for"
}

// took writes how long something lasted.
func took(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return clock(d)
}

// limitMemory tells the runtime what is left to the collector's heap: a good half
// of what the configuration allows. The buffers of a job, which are not in it,
// program text and mapped tables take the rest. Less makes the collector thrash,
// measured on 50,000 files.
func limitMemory(memory int64) {
	debug.SetMemoryLimit(memory * 55 / 100)
	debug.SetGCPercent(40)
}

// tool is what the root says made the snapshot.
func tool() string {
	v, revision := programVersion()
	return strings.TrimSpace("vaultik " + v + " " + revision)
}
