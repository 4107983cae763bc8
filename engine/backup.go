package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/messages"
	"vaultik/vault/chunk"
	"vaultik/vault/fs"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// Backup saves a snapshot of each set. Where there is no configuration yet it sets the
// machine up. It tells of [events.StoreMade], of each [events.Item] and of what was
// [events.Saved], or with DryRun of what it [events.WouldSave].
func (e *Engine) Backup(ctx context.Context, o BackupOptions, sink events.Sink) (BackupResult,
	error) {
	j := e.begin("backup", sink)
	b := &backupJob{job: j, o: o}
	flags := exclusions{Filters: o.Leave}
	_, err := attended(ctx, j, func() (_ struct{}, err error) {
		switch err = flags.compile(); {
		case err != nil:
		case o.DryRun:
			err = b.dryRun(ctx, flags)
		default:
			err = b.run(ctx, flags)
		}
		return struct{}{}, err
	})
	return BackupResult{j.totals()}, err
}

func (b *backupJob) run(ctx context.Context, flags exclusions) (err error) {
	if b.conf, err = b.configOrInit(ctx); err != nil {
		return err
	}
	b.patience = ctx
	unlock, err := b.lockHost()
	if err != nil {
		return err
	}
	defer unlock()
	if b.op, err = b.openStore(ctx, backends.Options{}); err != nil {
		return err
	}
	defer b.op.Close()
	if err := b.op.takesBackups(); err != nil {
		return err
	}
	if err := b.refuseClone(b.op.Host, b.o.SameHost); err != nil {
		return err
	}
	sets, err := b.sets(b.op.Sets, flags)
	if err != nil {
		return err
	}
	b.remindOfKit(b.op.Host)
	b.limitMemory(b.conf.Memory)
	if b.ix, err = b.openIndex(b.conf, b.op); err != nil {
		return err
	}
	// The index is written: what closing it says may be that it is not complete.
	defer func() { err = b.closed(err, b.ix.Close()) }()
	return b.eachSet(ctx, sets, func(set *backupSet) error { return b.set(ctx, set) })
}

// closed joins what became of a backup with what closing the index said. Snapshots that
// were made are whole without it.
func (b *backupJob) closed(err, cerr error) error {
	if cerr == nil {
		return err
	}
	dir := b.places.IndexDir(b.conf)
	cerr = fmt.Errorf("the snapshot is intact, but the index in %s may not be: %w", dir, cerr)
	bad := b.badIndex(dir, cerr)
	if err == nil {
		return bad
	}
	return fmt.Errorf("%w; and %w", bad, err)
}

// eachSet does the same with each set. What stops one of several does not stop the others.
func (j *job) eachSet(ctx context.Context, sets []backupSet, do func(*backupSet) error) error {
	var failed []error
	for i := range sets {
		err := do(&sets[i])
		if err == nil {
			continue
		}
		if ctx.Err() != nil || len(sets) == 1 {
			return err
		}
		j.Warn("", "set %q: %v", sets[i].name, err)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// configOrInit loads the configuration; without one it sets the machine up.
func (j *job) configOrInit(ctx context.Context) (*config.Config, error) {
	c, err := j.config()
	if !errors.Is(err, config.ErrMissing) {
		return c, err
	}
	j.Note("no configuration yet: setting up this machine, as vaultik init does")
	if err := j.initialise(ctx, InitOptions{}); err != nil {
		return nil, err
	}
	return j.config()
}

// set saves one set.
func (b *backupJob) set(ctx context.Context, set *backupSet) error {
	var roots []string
	partial := false
	if set.source != FromStream {
		var err error
		if roots, partial, err = b.roots(set); err != nil {
			return err
		}
		there := len(roots)
		if roots, err = b.guard(set, roots); err != nil {
			return err
		}
		partial = partial || len(roots) < there
	}
	spec, err := b.spec(set, roots, partial)
	if err != nil {
		return err
	}
	if set.source == FromStream {
		end, err := b.stream(set, spec)
		if err != nil {
			return err
		}
		defer end()
	} else {
		b.prepareRules(b.conf, b.op.URL, set, roots)
		spec.Choose = func() fs.Chooser { return choice{set.rules.Walk(nil), &set.broken} }
		spec.OneFS, spec.Fixed, spec.Excludes, spec.Filters = set.oneFS.On, set.fixed, set.excludes,
			set.filters
	}
	res, err := b.save(ctx, spec)
	if err == nil {
		if nerr := b.noteRoots(spec.Set, set, roots); nerr != nil {
			b.Warn("", "what was saved of each path could not be noted: %v", nerr)
		}
	}
	return b.report(res, err, partial, set.broken > 0)
}

// spec is what the job's actors are told of a set.
func (b *backupJob) spec(set *backupSet, roots []string, partial bool) (*backup.Spec, error) {
	rec, err := b.record(set)
	if err != nil {
		return nil, err
	}
	conf, op, store := b.conf, b.op, b.op.Store.Doc.Store
	head := op.Seen.Manifest(store, op.Host.ID, rec.ID)
	spec := &backup.Spec{
		HangAfter: hangsAfter(conf.Retry.Stall),
		Store:     op.Backend, Opened: op.Store, Index: b.ix,
		Host: backup.Host{ID: op.Host.ID, Name: conf.Hostname, Secret: op.Host.Secret,
			Signer: op.Host.Signer},
		Recipients: conf.Recipients, Set: rec.ID, SetName: set.name,
		Head:  backup.Head{Seq: head.Seq},
		Paths: roots, Tags: b.o.Tags, Partial: partial,
		Chunks: chunk.ParamsFor(int(conf.ChunkSize)), CompressionLevel: conf.Compression,
		BlobSize: conf.BlobSize, Memory: conf.Memory, Parallel: b.transfers(conf),
		Tool: b.Engine.o.Tool, Progress: &messages.Progress{},
		Warn: func(text string) { b.Warn("", "%s", text) },
		OnItem: func(path string, st messages.Status, reason string) {
			b.Tell(events.Item{Type: "item", PathText: events.PathOf("/" + path),
				Status: string(st), Reason: reason})
		},
		SaveEpoch: func(e keys.EpochKey) error {
			op.Host.Epoch = &e
			return b.state.UpdateHost(func(h *config.Host) error { h.Epoch = &e; return nil })
		},
		SaveHead: func(h backup.Head) error { return b.saveHead(rec.ID, h) },
	}
	if op.Host.Epoch != nil {
		spec.Epoch = *op.Host.Epoch
	}
	if head.Seq > 0 {
		if _, err := hex.Decode(spec.Head.Sum[:], []byte(head.Sum)); err != nil {
			return nil, fmt.Errorf("read the last seen snapshot of set %q: %w", set.name, err)
		}
	}
	return spec, nil
}

// saveHead remembers the newest snapshot of a set.
func (b *backupJob) saveHead(set layout.SetID, h backup.Head) error {
	p, store, host := config.Point{Seq: h.Seq, Sum: hex.EncodeToString(h.Sum[:])},
		b.op.Store.Doc.Store, b.op.Host.ID
	b.op.Seen.NoteManifest(store, host, set, p)
	return b.state.UpdateSeen(func(seen *config.Seen) error {
		seen.NoteManifest(store, host, set, p)
		return nil
	})
}

// save runs the actors.
func (b *backupJob) save(ctx context.Context, spec *backup.Spec) (*backup.Result, error) {
	system := actors.NewSystem(nil)
	defer system.Close()
	stop, end := b.show(spec.Progress), b.tellOfEnd(ctx)
	res, err := backup.Run(context.WithoutCancel(ctx), ctx, system, spec)
	end()
	stop()
	if res != nil && err != nil && ctx.Err() != nil && !errors.Is(err, actors.ErrInterrupted) {
		// The store failed when what had been read was to be stored.
		b.Note("interrupted: %s stored, less than what was read; the next run resumes from there",
			words.Size(res.BytesStored))
	}
	if errors.Is(err, backup.ErrEmptyStream) {
		err = &emptyStream{len(b.o.Stream.Command) > 0, err}
	}
	if res != nil {
		for _, m := range res.Kernel {
			b.Tell(events.Item{Type: "item", PathText: events.PathOf(m.Path),
				Status: string(messages.StatusExcluded), Reason: kernelReason(m.Type).String()})
		}
		b.tellKernel(res.Kernel)
	}
	return res, b.foreignWriter(err)
}

// report tells what became of a set, and adds it to the totals.
func (b *backupJob) report(res *backup.Result, err error, incomplete, broken bool) error {
	if res != nil {
		b.sum.addBackup(res)
	}
	if errors.Is(err, actors.ErrInterrupted) {
		if b.o.Source == FromStream {
			b.Note("interrupted: no snapshot made; %s stored, which will not be uploaded again",
				words.Size(res.BytesStored))
		} else {
			b.Note("interrupted: %s stored; the next run resumes from there",
				words.Size(res.BytesStored))
		}
		return ErrInterrupted
	}
	if err != nil {
		return err
	}
	b.Tell(events.Saved{Snapshot: res.Snapshot, Files: res.Counts.Files, NewBlobs: res.BlobsStored,
		Stored: res.BytesStored, Duration: res.Duration})
	if res.Errors == 0 && !incomplete {
		return nil
	}
	hint := "run it as a user who may read them, or exclude them: --exclude PATTERN"
	switch {
	case broken:
		hint = "correct the ignore files named above; for the syntax of patterns, see: " +
			"vaultik help backup"
	case incomplete:
		hint = "see which paths are configured: vaultik config show"
	}
	return fault.WithHint(fault.Incomplete("the snapshot is incomplete: "+
		countText(res.Errors, incomplete)+" could not be saved"), hint)
}

func (n *sums) addBackup(res *backup.Result) {
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

func countText(n int64, incomplete bool) string {
	switch {
	case n > 0 && incomplete:
		return fmt.Sprintf("%s entries and some requested paths", words.Count(n))
	case n == 1:
		return "one entry"
	case n > 1:
		return words.Count(n) + " entries"
	}
	return "some requested paths"
}

// slowEnd is how long a backup that was asked to stop may go on without a word.
const slowEnd = time.Second

// tellOfEnd says what a backup still does that has not ended soon after it was asked
// to, until the returned function is called.
func (j *job) tellOfEnd(ctx context.Context) (end func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
		case <-done:
			return
		}
		select {
		case <-time.After(slowEnd):
			j.Note("stopping: storing what was read; press Ctrl-C again to stop at once")
		case <-done:
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
