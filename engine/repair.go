package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/backends/aside"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/parity"
	"vaultik/vault/snapshot"
)

// RepairStoreOptions say what a store is repaired with.
type RepairStoreOptions struct {
	From     string // URL or path of a mirror; "": parity is the only source
	ReadData bool   // read every object to find damage, not only list it
	// Parity is a share such as 10%: blobs without parity get as much. "": only what is damaged
	// of it is made anew, if the configuration says how much there is to be.
	Parity string
	DryRun bool // say what would be done, and change nothing
}

// RepairStoreResult is what was repaired, also if it ended early.
type RepairStoreResult struct {
	events.Totals
	Repaired events.Repaired
	Whole    bool // it went through
}

// RepairStore puts back what a store lacks, or has damaged, from a mirror or by parity. It
// deletes nothing, and replaces an object only by its right bytes, which were checked before. It
// tells of each object, [events.Repair], and of each [events.Problem] that is left; then
// [events.Repaired], and which snapshots are still [events.Affected]. What is left is an error.
func (e *Engine) RepairStore(ctx context.Context, o RepairStoreOptions,
	sink events.Sink) (RepairStoreResult, error) {
	j := e.begin("repair", sink)
	res, err := attended(ctx, j, func() (RepairStoreResult, error) { return j.repairStore(ctx, o) })
	res.Totals = j.totals()
	return res, err
}

// repairing is a repair on its way.
type repairing struct {
	*job
	o        RepairStoreOptions
	percent  int // of parity to be made; 0: none
	parallel int
	memory   int64
	system   *actors.System

	from        backends.Backend // nil: there is no mirror
	op          *opened
	conditional bool             // the store can create an object only if it is absent
	locked      *config.HostLock // nil: this machine is no host of the store

	signed *signedRepair
	found  damage
	ev     events.Repaired
}

func (j *job) repairStore(ctx context.Context, o RepairStoreOptions) (res RepairStoreResult,
	err error) {
	j.dry = o.DryRun
	r := &repairing{job: j, o: o, ev: events.Repaired{Type: "repaired", DryRun: o.DryRun}}
	if r.percent, err = parityShare(o.Parity); err != nil {
		return res, err
	}
	if r.parallel, r.memory, err = j.effort(); err != nil {
		return res, err
	}
	if err := r.openMirror(ctx); err != nil {
		return res, err
	}
	if r.from != nil {
		defer func() { _ = r.from.Close() }()
	}
	if r.op, err = r.open(ctx); err != nil {
		return res, err
	}
	defer r.op.Close()
	info, err := r.op.Backend.Info(ctx)
	if err != nil {
		return res, err
	}
	r.conditional = info.ConditionalPut
	if r.op.Host != nil && !r.op.Mirror { // what comes back must not meet a prune without waiting
		take := j.state.LockHost
		if j.dry {
			take = j.state.LookAtHost
		}
		if r.locked, err = take(); err != nil {
			return res, err
		}
		defer r.locked.Release()
	}
	r.system = actors.NewSystem(nil)
	defer r.system.Close()
	err = r.repair(ctx)
	res.Whole = err == nil
	if err == nil {
		err = r.report(ctx)
	} else if ctx.Err() != nil {
		j.Note("interrupted: %s put back so far; rerun the same command to resume",
			words.Plural(r.ev.Put, "object", "objects"))
		err = ErrInterrupted
	}
	res.Repaired = r.ev
	return res, err
}

// parityShare is what 10% means.
func parityShare(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(s, "%"))
	if err != nil || n < 1 || n > parity.MaxPercent || !strings.HasSuffix(s, "%") {
		return 0, fault.Misuse("repair", fmt.Sprintf("--parity: %q is no share from 1%% to %d%%",
			s, parity.MaxPercent))
	}
	return n, nil
}

// openMirror opens the place that good objects come from.
func (r *repairing) openMirror(ctx context.Context) error {
	if r.o.From == "" {
		return nil
	}
	from, err := config.StoreURL(r.o.From)
	if err != nil {
		return fault.Misuse("repair", "--from: "+err.Error())
	}
	url, err := r.storeURL()
	if err != nil {
		return err
	}
	err = aside.Do(ctx, func(context.Context) error { return notItself("--from", url, from) })
	if err != nil {
		return err
	}
	b, err := r.openBackend(ctx, from, backends.Options{ReadOnly: true})
	if err != nil {
		return fault.WithHint(fmt.Errorf("open the mirror: %w", err),
			"name a mirror that can be read: --from URL")
	}
	r.from = b
	return nil
}

// open opens the store, whose head may have to be put back for that.
func (r *repairing) open(ctx context.Context) (*opened, error) {
	op, err := r.openStore(ctx, backends.Options{})
	if err == nil || r.from == nil || !errors.Is(err, snapshot.ErrDamaged) &&
		!errors.Is(err, snapshot.ErrTrustRollback) && !errors.Is(err, snapshot.ErrNoStore) {
		return op, err
	}
	if herr := r.putHead(ctx, err); herr != nil {
		return nil, herr
	}
	return r.openStore(ctx, backends.Options{})
}

// repair finds out what is wrong, and puts back what it can: signed objects but manifests first,
// which say what else counts, and manifests last, so that nobody meets one without what it needs.
func (r *repairing) repair(ctx context.Context) error {
	var err error
	if r.signed, err = r.findSigned(ctx); err != nil {
		return err
	}
	if err := r.putSigned(ctx, false); err != nil {
		return err
	}
	for range maxRepairs {
		if err := r.putObjects(ctx); err != nil {
			return err
		}
		if err := r.putSigned(ctx, true); err != nil {
			return err
		}
		same, err := r.sameHeads(ctx)
		if err != nil {
			return err
		}
		if same {
			break
		}
		r.Note("prune has been at work meanwhile: looking again")
	}
	return r.addParity(ctx)
}

// maxRepairs is how often a repair begins again after a prune came between.
const maxRepairs = 5

// putObjects puts back what snapshots need.
func (r *repairing) putObjects(ctx context.Context) error {
	for {
		if err := r.look(ctx); err != nil {
			return err
		}
		again, err := r.release(ctx)
		if err != nil {
			return err
		}
		if again {
			continue
		}
		lists, err := r.heal(ctx)
		if err != nil || lists == 0 {
			return err
		}
		if r.dry {
			r.Note("what %s names would be looked for when it is back",
				words.Plural(int64(lists), "blob list", "blob lists"))
			return nil
		}
	}
}

// put puts a signed object back.
func (r *repairing) put(ctx context.Context, key string, b []byte, there bool,
	reason string) error {
	if !r.dry {
		sum := snapshot.Sum(sha256Of(b))
		_, err := r.op.Backend.Put(ctx, key, backends.Bytes(b, (*[32]byte)(&sum)),
			backends.PutOptions{IfAbsent: !there && r.conditional})
		if err != nil {
			return fmt.Errorf("put back %s: %w", key, err)
		}
	}
	r.tellPut(key, events.FromMirror, int64(len(b)), there, reason, nil)
	return nil
}

// tellPut tells of an object that is there again.
func (r *repairing) tellPut(key, from string, size int64, there bool, reason string,
	snapshots []string) {
	r.ev.Put++
	r.ev.PutBytes += size
	if from == events.FromMirror {
		r.ev.FromMirror++
	} else {
		r.ev.FromParity++
	}
	done := events.RepairPut
	if there {
		done = events.RepairReplaced
	}
	r.Tell(events.Repair{Type: "repair", Key: key, Done: done, From: from, Reason: reason,
		Bytes: size, Snapshots: snapshots, DryRun: r.dry})
}
