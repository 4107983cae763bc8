package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/backends"
	"vaultik/config"
	"vaultik/index"
	"vaultik/messages"
	"vaultik/vault/chunk"
	"vaultik/vault/fs"
	"vaultik/vault/keys"
)

type backupCmd struct {
	Path []string `arg:"" optional:"" help:"Files and directories to back up; without, every set of the configuration."`
	Set  string   `help:"Name of the set." placeholder:"NAME"`
	Tag  []string `help:"Tag of the snapshot; may be repeated." placeholder:"T"`
	listFlags
	streamFlags
	excludeFlags
	DryRun   bool `name:"dry-run" short:"n" help:"Change nothing anywhere; say what would be saved, with -v of each path."`
	Parallel int  `help:"The same as --connections." placeholder:"N"`
	SameHost bool `name:"same-host" help:"This is the machine that was backed up before, though it has a new machine id (installed anew, say): remember it."`
}

// Help is shown by --help.
func (backupCmd) Help() string {
	return `Saves a snapshot of each set. A set is a named group of paths: paths that were
backed up before are the same set again, others a new one. The first backup on a
machine without a configuration sets everything up, as vaultik init does.

Interrupt it once and it finishes what is under way; the next run goes on.

Paths can come from a list (--files-from), and what is saved from a program or a pipe:

  vaultik backup --stdin-command --stdin-name db.sql -- pg_dump mydb

` + excludeHelp
}

// Run backs up.
func (c *backupCmd) Run(ctx context.Context, s *session) error {
	if s.identity != nil || !errors.Is(s.identityErr, keys.ErrNoIdentity) {
		s.identity = nil
		s.out.warn("leave "+keys.EnvIdentity+" out of the environment of backups", "%s is set: a backup does not need the secret key, it was dropped", keys.EnvIdentity)
	}
	flags, err := c.exclusions()
	if err != nil {
		return err
	}
	made, err := c.madeSet()
	if err != nil {
		return err
	}
	if err := s.parallel(c.Parallel); err != nil {
		return err
	}
	if c.DryRun {
		return c.dryRun(ctx, s, flags, made)
	}
	conf, err := s.configOrInit(ctx)
	if err != nil {
		return err
	}
	s.patience = ctx
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
	if err := op.takesBackups(); err != nil {
		return err
	}
	if err := s.refuseClone(op.Host, c.SameHost); err != nil {
		return err
	}
	sets := made
	if sets == nil {
		if sets, err = c.sets(conf, op.Sets); err != nil {
			return err
		}
	}
	if err := compileExcludes(conf, sets, flags); err != nil {
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
	for i := range sets {
		set := &sets[i]
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

func (c *backupCmd) backup(ctx context.Context, s *session, conf *config.Config, op *opened, ix *index.Index, set *backupSet) error {
	var roots []string
	partial := false
	if set.source != config.SourceStream {
		var err error
		if roots, partial, err = s.roots(set); err != nil {
			return err
		}
	}
	rec, err := s.record(set)
	if err != nil {
		return err
	}
	head := op.Seen.Manifest(op.Store.Doc.Store, op.Host.ID, rec.ID)
	spec := &backup.Spec{
		Store: op.Backend, Opened: op.Store, Index: ix,
		Host:       backup.Host{ID: op.Host.ID, Name: conf.Hostname, Secret: op.Host.Secret, Signer: op.Host.Signer},
		Recipients: conf.Recipients, Set: rec.ID, SetName: set.name, Head: backup.Head{Seq: head.Seq},
		Paths: roots, Tags: c.Tag, Partial: partial,
		Chunks: chunk.ParamsFor(int(conf.ChunkSize)), CompressionLevel: conf.Compression,
		BlobSize: conf.BlobSize, Memory: conf.Memory, Parallel: s.transfers(conf),
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
	if set.source == config.SourceStream {
		m, end, err := c.stream(s, set)
		if err != nil {
			return err
		}
		defer end()
		spec.Stream = m
	} else {
		s.prepareRules(conf, op.URL, set, roots)
		spec.Choose = func() fs.Chooser { return choice{set.rules.Walk(nil), &set.broken} }
		spec.OneFS, spec.Fixed, spec.Excludes, spec.Filters = set.oneFS.On, set.fixed, set.excludes, set.filters
	}
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
	spec.SaveHead = func(h backup.Head) error {
		p := config.Point{Seq: h.Seq, Sum: hex.EncodeToString(h.Sum[:])}
		op.Seen.NoteManifest(op.Store.Doc.Store, op.Host.ID, rec.ID, p)
		return s.state.UpdateSeen(func(seen *config.Seen) error {
			seen.NoteManifest(op.Store.Doc.Store, op.Host.ID, rec.ID, p)
			return nil
		})
	}
	system := actors.NewSystem(nil)
	defer system.Close()
	stop, end := s.showProgress(spec.Progress), s.tellOfEnd(ctx)
	res, err := backup.Run(context.WithoutCancel(ctx), ctx, system, spec)
	end()
	stop()
	if res != nil && err != nil && ctx.Err() != nil && !errors.Is(err, actors.ErrInterrupted) {
		// The store failed when what had been read was to be stored.
		s.out.note("interrupted: %s are stored, not all that was read; the next run goes on from there", size(res.BytesStored))
	}
	if errors.Is(err, backup.ErrEmptyStream) {
		err = &emptyStream{c.StdinCommand, err}
	}
	if res != nil {
		for _, m := range res.Kernel {
			s.out.event(itemEvent{Type: "item", jsonPath: pathOf(m.Path), Status: string(messages.StatusExcluded), Reason: kernelReason(m.Type).String()})
		}
		s.tellKernel(res.Kernel)
	}
	return c.report(s, res, err, partial, set.broken > 0)
}

// report prints what became of a set, and adds it to the summary.
func (c *backupCmd) report(s *session, res *backup.Result, err error, incomplete, broken bool) error {
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
		if c.streamed() {
			s.out.note("interrupted: no snapshot is made; %s are stored, and not stored again when they come again", size(res.BytesStored))
		} else {
			s.out.note("interrupted: %s are stored; the next run goes on from there", size(res.BytesStored))
		}
		return errInterrupted
	}
	if err != nil {
		return err
	}
	s.out.result("snapshot %x saved: %s, %s, %s stored in %s", res.Snapshot[:4], plural(res.Counts.Files, "file", "files"),
		plural(res.BlobsStored, "new blob", "new blobs"), size(res.BytesStored), took(res.Duration))
	if res.Errors > 0 || incomplete {
		hint := "run it as a user who may read them, or leave them out: --exclude PATTERN"
		switch {
		case broken:
			hint = "correct the ignore files named above; what patterns mean: vaultik help backup"
		case incomplete:
			hint = "see which paths are meant: vaultik config show"
		}
		return &hinted{&partial{fmt.Sprintf("the snapshot is incomplete: %s could not be saved as asked", countText(res.Errors, incomplete))}, hint}
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
