package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
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
	unlock, err := b.waitForHost(ctx)
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
	if err := b.checkRecipients(b.op, b.conf); err != nil {
		return err
	}
	if err := b.knowsSets(ctx, b.op); err != nil {
		return err
	}
	sets, err := b.sets(b.op.Sets, flags)
	if err != nil {
		return err
	}
	if !b.madeKit {
		b.remindOfKit(b.op.Host)
	}
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
	var failed setsFailed
	for i := range sets {
		err := do(&sets[i])
		if err == nil {
			continue
		}
		if ctx.Err() != nil || len(sets) == 1 {
			return err
		}
		j.Warn("", "set %q: %v", sets[i].name, err)
		failed.names = append(failed.names, fmt.Sprintf("%q", sets[i].name))
		failed.errs = append(failed.errs, err)
	}
	if len(failed.errs) == 0 {
		return nil
	}
	failed.all = len(sets)
	return &failed
}

// setsFailed: not all of several sets were saved, or not as a whole. What is wrong with each
// was said.
type setsFailed struct {
	names []string
	errs  []error
	all   int
}

func (e *setsFailed) Unwrap() []error { return e.errs }
func (e *setsFailed) Error() string {
	return fmt.Sprintf("%d of %d sets could not be saved completely: %s", len(e.names), e.all,
		strings.Join(e.names, ", "))
}

// configOrInit loads the configuration; without one it sets the machine up, if that was
// asked for, or if somebody is there to see it.
func (b *backupJob) configOrInit(ctx context.Context) (*config.Config, error) {
	c, err := b.config()
	if !errors.Is(err, config.ErrMissing) {
		return c, err
	}
	if err := b.maySetUp(); err != nil {
		return nil, err
	}
	b.Note("no configuration yet: setting up this machine, as vaultik init does")
	if err := b.initialise(ctx, InitOptions{}); err != nil {
		return nil, err
	}
	b.madeKit = true
	return b.config()
}

// maySetUp fails where a machine would be set up that was only called by another name: in
// the home of a service, or of root under sudo.
func (b *backupJob) maySetUp() error {
	if b.o.Init {
		return nil
	}
	if user, file := config.CallersConfig(); file != "" && file != b.places.Config {
		return &notSetUp{file: b.places.Config, caller: user, other: file,
			again: "vaultik --config " + config.Quote(file) + " backup"}
	}
	if !b.o.Attended {
		return &notSetUp{file: b.places.Config}
	}
	return nil
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
	rec, err := b.record(set)
	if err != nil {
		return err
	}
	spec, err := b.spec(set, rec, roots, partial)
	if err != nil {
		return err
	}
	day := today()
	if set.source == FromStream {
		end, err := b.stream(set, spec)
		if err != nil {
			return err
		}
		defer end()
	} else {
		b.prepareRules(b.conf, b.op.URL, set, roots)
		spec.Choose = func() fs.Chooser {
			set.walk = set.rules.Walk(nil)
			return choice{set.walk, &set.broken}
		}
		spec.OneFS, spec.Fixed = set.oneFS.On, set.fixed
		spec.Attrs, spec.Ignore = set.attrs, set.ignore
		spec.Reread = set.reread(b.o.ForceRead, rec.Reread, day)
		spec.Excludes, spec.Filters = set.excludes, set.filters
	}
	res, err := b.save(ctx, spec)
	if err == nil {
		if nerr := b.noteRoots(spec.Set, set, roots); nerr != nil {
			b.Warn("", "what was saved of each path could not be noted: %v", nerr)
		}
	}
	if err == nil && res.Abandoned == "" && set.walk != nil { // else the walk may not be over
		b.tellUnused(set.walk)
	}
	if err == nil && spec.Reread != nil {
		if nerr := b.noteReread(rec.ID, day); nerr != nil {
			b.Warn("", "cannot record which files were read again: %v", nerr)
		}
	}
	return b.report(set, rec.ID, res, err, partial)
}

// spec is what the job's actors are told of a set.
func (b *backupJob) spec(set *backupSet, rec config.SetRecord, roots []string,
	partial bool) (*backup.Spec, error) {
	conf, op, store := b.conf, b.op, b.op.Store.Doc.Store
	head, err := headOf(op.Seen.Written(store, op.Host.ID, rec.ID))
	if err != nil {
		return nil, b.badSeen()
	}
	spec := &backup.Spec{
		HangAfter: hangsAfter(conf.Retry.Stall),
		Store:     op.Backend, Opened: op.Store, Index: b.ix,
		Host: backup.Host{ID: op.Host.ID, Name: conf.Hostname, Secret: op.Host.Secret,
			Signer: op.Host.Signer},
		Recipients: conf.Recipients, Set: rec.ID, SetName: set.name,
		Head:  head,
		Paths: roots, Tags: b.o.Tags, Partial: partial,
		Chunks: chunk.ParamsFor(int(conf.ChunkSize)), CompressionLevel: conf.Compression,
		BlobSize: conf.BlobSize, Parity: conf.Parity, CompactBudget: conf.Compact,
		Memory: conf.Memory, Parallel: b.transfers(conf),
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
		SaveNext: func(h backup.Head) error {
			return b.saveHead(rec.ID, h, (*config.Seen).NoteNext)
		},
		SaveHead: func(h backup.Head) error {
			return b.saveHead(rec.ID, h, (*config.Seen).NoteWritten)
		},
	}
	if op.Host.Epoch != nil {
		spec.Epoch = *op.Host.Epoch
	}
	return spec, nil
}

// saveHead remembers the newest snapshot of a set, as note does.
func (b *backupJob) saveHead(set layout.SetID, h backup.Head, note func(*config.Seen,
	layout.StoreID, layout.HostID, layout.SetID, config.Point)) error {
	p, store, host := config.Point{Seq: h.Seq, Sum: hex.EncodeToString(h.Sum[:])},
		b.op.Store.Doc.Store, b.op.Host.ID
	note(b.op.Seen, store, host, set, p)
	return b.state.UpdateSeen(func(seen *config.Seen) error {
		note(seen, store, host, set, p)
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
		b.tellNoAttrs(res.NoAttrs)
	}
	b.noteHeads(b.op, nil)
	b.sayStrays(b.op)
	return res, b.foreignWriter(b.op, err)
}

// report tells what became of a set, and adds it to the totals.
func (b *backupJob) report(set *backupSet, id layout.SetID, res *backup.Result, err error,
	incomplete bool) error {
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
	name := ""
	if b.several {
		name = set.name
	}
	b.Tell(events.Saved{Snapshot: res.Snapshot, Set: name, Files: res.Counts.Files,
		NewBlobs: res.BlobsStored, Stored: res.BytesStored, Duration: res.Duration})
	if n := res.Compacted; n.Bytes > 0 {
		b.Tell(events.Compacted{Type: "compacted", Set: id.String(), Stored: n.Bytes,
			Blobs: n.Blobs, Left: n.Left})
	}
	if res.Errors == 0 && !incomplete {
		return nil
	}
	hint := "exclude what cannot be read: --exclude PATTERN"
	switch denied := res.Denied; {
	case res.Errors == 0:
		hint = ""
	case denied > 0 && denied == res.Errors:
		hint = "run it as a user who may read them, or exclude them: --exclude PATTERN"
	case denied > 0:
		hint = "run it as a user who may read what was denied; exclude what cannot be read: " +
			"--exclude PATTERN"
	}
	switch {
	case set.broken > 0:
		hint = "correct the ignore files named above; for the syntax of patterns, see: " +
			"vaultik help backup"
	case incomplete && !set.given:
		hint = pathsHint
	}
	return fault.WithHint(fault.Incomplete("the snapshot is incomplete: "+
		countText(res.Errors, incomplete)+" could not be saved"), hint)
}

// tellNoAttrs says which attributes were left out because they could not be read.
func (b *backupJob) tellNoAttrs(all []backup.NoAttrs) {
	for _, n := range all {
		if n.Implied {
			b.Note("some attributes of directories above the requested paths were left out, such "+
				"as of %s: %s", n.Path, n.What)
			continue
		}
		b.Note("saved %s without an attribute, such as %s: %s",
			words.Plural(n.Entries, "entry", "entries"), n.Path, n.What)
	}
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
		return words.Plural(n, "entry", "entries") + " and some requested paths"
	case n > 0:
		return words.Plural(n, "entry", "entries")
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
