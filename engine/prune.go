package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vaultik/actors"
	"vaultik/actors/prune"
	"vaultik/backends"
	"vaultik/backends/aside"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/messages"
	"vaultik/vault/fs"
	"vaultik/vault/gc"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// PruneOptions say what is pruned.
type PruneOptions struct {
	Hosts  []string // ids, first digits of them, or this machine's name; none: see prunedHosts
	DryRun bool     // only say what would be removed
	Force  bool     // remove also what no snapshot that is or was there explains
	// TakeOver goes on where two machines have pruned a store that cannot tell them apart.
	TakeOver bool
}

// PruneResult is what a prune did, or would do, host by host, also if it ended early.
type PruneResult struct {
	events.Totals
	Hosts []PrunedHost
}

// PrunedHost is what became of one host's part of the store.
type PrunedHost struct {
	Host   layout.HostID
	Times  gc.Times
	Result *gc.Result // nil: nothing was begun
	Err    error      // why it ended early, or nothing was deleted
}

// Prune removes from the store what no snapshot needs. It tells of each host, [events.Pruned].
func (e *Engine) Prune(ctx context.Context, o PruneOptions, sink events.Sink) (PruneResult, error) {
	j := e.begin("prune", sink)
	res, err := attended(ctx, j, func() (PruneResult, error) { return j.pruneAlone(ctx, o) })
	res.Totals = j.totals()
	return res, err
}

func (j *job) pruneAlone(ctx context.Context, o PruneOptions) (PruneResult, error) {
	j.dry = o.DryRun
	op, err := j.openStore(ctx, backends.Options{})
	if err != nil {
		return PruneResult{}, err
	}
	defer op.Close()
	return j.prune(ctx, op, pruning{PruneOptions: o})
}

// chooser says which snapshots of a host are to be removed, as [gc.Options.Choose] does. It
// is called again where another prune came first.
type chooser func(host layout.HostID, all []*gc.Snapshot) (gc.Choice, error)

// pruning is what prune and forget ask for.
type pruning struct {
	PruneOptions
	choose chooser // nil: no snapshot is removed
	keep   bool    // remove snapshots, and nothing else
	// drop are objects in the places of manifests that are none, and stop everything as long as
	// nobody says so: what is damaged, or lost a fork. They are dropped, whatever choose says.
	drop map[layout.HostID][]snapshot.Dropped
	now  time.Time // by the clock of the store; zero: not known yet
}

// prune does what prune and forget ask for in an open store; a dry run is j.dry. It takes the
// lock of this host. One host's error does not stop the others; the error is of all that
// failed, and PruneResult.Hosts has each of them.
func (j *job) prune(ctx context.Context, op *opened, p pruning) (res PruneResult, err error) {
	signer, may, err := op.pruner()
	if err != nil {
		return res, err
	}
	hosts, err := j.prunedHosts(op, p.Hosts, may)
	if err != nil {
		return res, err
	}
	parallel, _, err := j.effort()
	if err != nil {
		return res, err
	}
	run := &pruneJob{job: j, op: op, pruning: p, signer: signer, parallel: parallel}
	if run.info, err = op.Backend.Info(ctx); err != nil {
		return res, err
	}
	if run.seen, err = j.seenHeads(op); err != nil {
		return res, err
	}
	if run.keeps, err = backends.Keeps(ctx, op.Backend); err != nil {
		return res, err
	}
	if run.pruning.now.IsZero() {
		if run.pruning.now, err = j.storeNow(ctx, op); err != nil {
			return res, err
		}
	}
	if err := clockError(run.pruning.now, time.Now()); err != nil {
		return res, err
	}
	if slices.Contains(hosts, op.Host.ID) {
		release, err := run.lock()
		if err != nil {
			return res, err
		}
		defer release()
	}
	system := actors.NewSystem(nil)
	defer system.Close()
	for _, host := range hosts {
		done := run.host(ctx, system, host)
		res.Hosts = append(res.Hosts, done)
		if err := done.Err; err != nil && (ctx.Err() != nil || actors.StoreGone(err)) {
			break
		}
	}
	j.sayStrays(op)
	if ctx.Err() != nil {
		return res, ErrInterrupted
	}
	return res, pruneError(res.Hosts, len(hosts))
}

// pruner is the key with which this machine may say what is removed, and the hosts about which
// it may: whoever has the role may about all.
func (o *opened) pruner() (*keys.Signer, []layout.HostID, error) {
	switch {
	case o.Host == nil:
		return nil, nil, &o.noHost
	case o.Mirror:
		return nil, nil, &fault.UsageError{
			Msg: backends.Redact(o.URL) +
				" is a mirror: it follows its store, and is not pruned",
			Advice: "prune the store; if the store is lost, set storage_url to the mirror",
		}
	}
	if h, _ := o.Store.Trust.Host(o.Host.ID); !h.Revoked.IsZero() {
		return nil, nil, o.trustedTo(snapshot.RolePrune)
	}
	if !o.mayPrune() {
		return nil, nil, fault.WithHint(errors.New("the owner of the store has not given this "+
			"machine the right to prune, so that nobody would heed it; "+o.prunersText("may")),
			"see which machines may: vaultik store info")
	}
	var may []layout.HostID
	for _, h := range o.Store.Trust.Hosts {
		may = append(may, h.Host)
	}
	return o.Host.Signer, may, nil
}

// clockSlack is how much two clocks may differ.
const clockSlack = time.Hour

// clockError stops a prune where the clock of the store and that of this machine differ: one of
// them has jumped. What waits is deleted by differences of the store's times, and with a wrong
// one it might be too early.
func clockError(store, here time.Time) error {
	// A store without times waits.
	if d := store.Sub(here).Abs(); store.IsZero() || d <= clockSlack {
		return nil
	}
	return fault.WithHint(fmt.Errorf("nothing was deleted: the clock of the store says %s, "+
		"that of this machine %s", words.Moment(store), words.Moment(here)),
		"set the clock that is wrong, then rerun the same command")
}

// prunedHosts are those that were named. Without a name it is this host; on a machine that is
// no host, and only prunes, all are.
func (j *job) prunedHosts(
	op *opened, names []string, may []layout.HostID,
) ([]layout.HostID, error) {
	if len(names) == 0 {
		if h, _ := op.Store.Trust.Host(op.Host.ID); h.Has(snapshot.RoleWrite) {
			return []layout.HostID{op.Host.ID}, nil
		}
		return may, nil
	}
	var out []layout.HostID
	for _, name := range names {
		var fits []layout.HostID
		for _, h := range may {
			if strings.HasPrefix(h.String(), name) && len(name) >= 4 ||
				h == op.Host.ID && name == j.hostname() {
				fits = append(fits, h)
			}
		}
		if len(fits) != 1 {
			return nil, fault.WithHint(&fault.UsageError{
				Msg: fmt.Sprintf("--host: %q fits %d hosts of this store", name, len(fits))},
				"name it by its id, as in: vaultik store info")
		}
		if !slices.Contains(out, fits[0]) {
			out = append(out, fits[0])
		}
	}
	return out, nil
}

// seenHeads are the newest manifests that this machine has seen: where one is gone without a
// record, the store is not what it was, and nothing is deleted.
func (j *job) seenHeads(op *opened) (out []snapshot.Head, err error) {
	for k, p := range op.Seen.Manifests(op.Store.Doc.Store) {
		sum, err := p.Hash()
		if err != nil {
			return nil, j.badSeen()
		}
		out = append(out, snapshot.Head{Host: k.Host, Set: k.Set, Seq: p.Seq, Sum: sum})
	}
	return out, nil
}

// pruneJob is what one request prunes.
type pruneJob struct {
	*job
	pruning
	op       *opened
	signer   *keys.Signer
	info     backends.Info
	seen     []snapshot.Head
	keeps    backends.Keeping
	parallel int
	locked   *config.HostLock // nil: nothing of this host is held back
}

// lock takes the lock of this host, so that what it saves and what it prunes do not meet. While
// a backup has it, both take the precautions that hosts and pruners take elsewhere.
func (p *pruneJob) lock() (release func(), err error) {
	take := p.state.LockHost
	if p.dry {
		take = p.state.LookAtHost
	}
	lock, err := take()
	if errors.Is(err, config.ErrBusy) {
		p.Note("%v: what nothing needs is kept for longer than without it", err)
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	p.locked = lock
	return lock.Release, nil
}

// times are how long prune waits before it deletes: nothing on a disk of this machine, where
// nobody else writes, and nobody has left a write under way; a little where this host is the
// only one that writes; else as long as a backup anywhere may take to see what was condemned.
func (p *pruneJob) times(ctx context.Context, host layout.HostID) (t gc.Times, err error) {
	switch local, err := p.local(ctx); {
	case err != nil:
		return t, err
	case host != p.op.Host.ID || p.locked == nil:
		t = gc.Far
	case !local || p.locked.Crashed:
		t = gc.Near
	}
	t.Heeded = !p.info.OwnTimes
	return t, nil
}

// local reports whether the store is a directory on a disk of this machine.
func (p *pruneJob) local(ctx context.Context) (local bool, err error) {
	dir := config.FilePath(p.op.URL)
	if dir == "" {
		return false, nil
	}
	err = aside.Do(ctx, func(context.Context) error {
		path, err := filepath.EvalSymlinks(dir)
		local = err == nil && fs.KnownLocal(path)
		return err
	})
	return local, err
}

// host prunes one host's part of the store.
func (p *pruneJob) host(ctx context.Context, system *actors.System,
	host layout.HostID) (done PrunedHost) {
	done.Host = host
	if done.Times, done.Err = p.times(ctx, host); done.Err != nil {
		return done
	}
	drop := p.drop[host]
	p.op.Store.Drop(host, drop)
	o := gc.Options{Times: done.Times, Now: time.Now(), Force: p.Force, Keep: p.keep, Dry: p.dry,
		TakeOver: p.TakeOver, Lock: p.keeps.Lock}
	prog := &messages.Progress{}
	o.Done = func(deleted, of int) {
		prog.FilesDone.Store(int64(deleted))
		prog.FilesTotal.Store(int64(of))
		prog.TotalKnown.Store(true)
	}
	if p.pruning.choose != nil || len(drop) > 0 {
		o.Choose = func(all []*gc.Snapshot) (c gc.Choice, err error) {
			if p.pruning.choose != nil {
				c, err = p.pruning.choose(host, all)
			}
			c.Dropped = slices.Concat(c.Dropped, drop)
			return c, err
		}
	}
	spec := &prune.Spec{Store: p.op.Backend, Opened: p.op.Store, Host: host, Signer: p.signer,
		Seen: p.seen, Options: o, Parallel: p.parallel,
		Progress: prog, Warn: func(text string) { p.Warn("", "%s", text) }}
	stop := p.show(prog)
	rep, err := prune.Run(ctx, system, spec)
	stop()
	done.Err = err
	if rep != nil {
		done.Result = rep.Result
		p.noteHeads(p.op, rep.Manifests)
		p.sum.Objects += rep.Deleted.Objects
	}
	if err != nil && ctx.Err() == nil {
		done.Err = p.explained(host, err)
	}
	if !p.keep { // else who asked tells what was removed
		p.Tell(p.event(done))
	}
	return done
}

// explained adds to an error about one host what to do.
func (p *pruneJob) explained(host layout.HostID, err error) error {
	again := "prune"
	if host != p.op.Host.ID {
		again += " --host " + host.String()
	}
	var problems *gc.ProblemsError
	switch {
	case errors.As(err, &problems):
		hint := "see what is wrong: " + p.here("verify")
		if stray := p.strayAmong(problems.Problems); stray != "" {
			hint += "; " + stray
		} else if way := p.wayOut(problems.Problems); way != "" {
			hint += "; " + way
		}
		return &notPruned{host, err, hint, fault.Damage}
	case errors.Is(err, gc.ErrUnexplained):
		return &notPruned{host, err, "check that no snapshot is missing: " + p.here("snapshots") +
			"; only if none is: " + p.here(again+" --force"), fault.Failed}
	case errors.Is(err, gc.ErrOvertaken) && p.op.Store.Doc.Safety != "":
		return &notPruned{host, err, "make sure that only this machine prunes this store, then: " +
			p.here("prune --take-over"+strings.TrimPrefix(again, "prune")), fault.Busy}
	case errors.Is(err, gc.ErrOvertaken):
		return &notPruned{host, err, "wait until it has ended, then: " + p.here(again), fault.Busy}
	}
	return err
}

// strayAmong is what to do about a checkpoint or a note that nobody can have made, or an object
// in the place of the next manifest.
func (p *pruneJob) strayAmong(problems []error) string {
	for _, err := range problems {
		var bad snapshot.Problem
		if !errors.As(err, &bad) {
			continue
		}
		if hint := p.op.strayInLine(bad); hint != "" {
			return hint
		}
		o, err := layout.Parse(bad.Key)
		if err == nil && (o.Kind == layout.KindCheckpoint || o.Kind == layout.KindNote) {
			return removeStray(p.op.URL, bad.Key)
		}
	}
	return ""
}

// wayOut is how to go on without a snapshot that is damaged for good, or one side of a fork.
func (p *pruneJob) wayOut(problems []error) string {
	for _, err := range problems {
		var bad snapshot.Problem
		if !errors.As(err, &bad) {
			continue
		}
		o, err := layout.Parse(bad.Key)
		switch manifest := err == nil && o.Kind == layout.KindManifest; {
		case manifest && snapshot.Unproven(bad.Err):
			return "only if there is no other copy of the store: " +
				p.here("snapshot remove --damaged "+bad.Key)
		case manifest && errors.Is(bad.Err, snapshot.ErrFork):
			return "then drop the side of the fork that is not to count: " +
				p.here("snapshot remove --damaged ID")
		}
	}
	return ""
}

// notPruned: nothing, or no more, was deleted under a host.
type notPruned struct {
	host layout.HostID
	err  error
	hint string
	code fault.Code
}

func (e *notPruned) Error() string    { return fmt.Sprintf("prune host %s: %v", e.host, e.err) }
func (e *notPruned) Unwrap() error    { return e.err }
func (e *notPruned) Hint() string     { return e.hint }
func (e *notPruned) Exit() fault.Code { return e.code }

// pruneError is what is to be said of hosts that were not pruned.
func pruneError(all []PrunedHost, of int) error {
	var errs []error
	for _, h := range all {
		if h.Err != nil {
			errs = append(errs, h.Err)
		}
	}
	if len(errs) <= 1 || of == 1 {
		return errors.Join(errs...)
	}
	return fmt.Errorf("%d of %d hosts were not pruned: %w", len(errs), of, errors.Join(errs...))
}

// event tells of one host.
func (p *pruneJob) event(h PrunedHost) events.Pruned {
	ev := events.Pruned{Type: "pruned", Host: h.Host.String(), DryRun: p.dry,
		Versions: p.keeps.Versions,
		Grace:    h.Times.Grace.Seconds(), Age: h.Times.Age.Seconds(), AfterBackup: h.Times.Heeded}
	if h.Host == p.op.Host.ID {
		ev.Hostname, ev.Hostname64 = events.Twin(p.hostname())
	}
	if h.Err != nil {
		ev.Error = config.Scrub(fault.Text(h.Err))
	}
	if r := h.Result; r != nil {
		ev.Snapshots, ev.Removed, ev.GC = len(r.Snapshots), len(r.Expired), r.Seq
		for _, a := range []struct {
			from gc.Amount
			to   *events.Amount
		}{
			{r.All, &ev.All}, {r.Needed, &ev.Needed}, {r.Young, &ev.Young},
			{r.Condemned, &ev.Condemned}, {r.Waiting, &ev.Waiting}, {r.Ripe, &ev.Ripe},
			{r.Deleted, &ev.Deleted}, {r.Kept, &ev.Kept}, {r.Locked, &ev.Locked},
		} {
			*a.to = events.Amount{Objects: a.from.Objects, Bytes: a.from.Bytes}
		}
		if !r.Next.IsZero() {
			next := r.Next.UTC()
			ev.Next = &next
		}
		if !r.Unlocked.IsZero() {
			unlocked := r.Unlocked.UTC()
			ev.Unlocked = &unlocked
		}
	}
	return ev
}
