package verify

import (
	"context"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/messages"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// inspector goes through what the snapshots need: what the manifests name,
// whether the store lists it, what the objects hold, and what the pages say. It runs
// beside the job and blocks, under the credit of the checks that it asks for.
type inspector struct {
	run      *verifyRun
	checkers *actor.PID
	aside    actors.Aside

	snaps  []inspected
	warned map[string]bool
}

// inspected is a snapshot.
type inspected struct {
	*survey.Snapshot
	root *snapshot.Root // nil: not opened
}

func (n *inspector) inspect(ctx context.Context) error {
	n.warned = map[string]bool{}
	if err := n.survey(ctx); err != nil {
		return err
	}
	if n.run.spec.Identity != nil {
		if err := n.roots(ctx); err != nil {
			return err
		}
		for i := range n.snaps {
			if s := &n.snaps[i]; s.root == nil && n.opens(i) {
				n.run.report.Unopened = append(n.run.report.Unopened, s.Sum)
			}
		}
	}
	if err := n.count(); err != nil {
		return err
	}
	if n.run.spec.Drill != nil {
		return n.drill(ctx)
	}
	if n.run.spec.ReadData || n.run.spec.ServerSums {
		if err := n.data(); err != nil {
			return err
		}
		// Damaged objects must be known before the walk of the pages names what needs them.
		if err := n.run.Jobs.Drain(ctx); err != nil {
			return err
		}
	}
	if n.run.spec.Identity != nil {
		if err := newPages(n).check(ctx); err != nil {
			return err
		}
	}
	return n.run.Jobs.Drain(ctx)
}

// survey finds out what the snapshots need, and what the store lists of it.
func (n *inspector) survey(ctx context.Context) error {
	sv := n.run.survey
	readCtx, cancel := context.WithCancel(ctx)
	defer n.run.survey.ReadLists(readCtx, n.run.Parallel)()
	defer cancel()
	for i := range n.run.spec.Snapshots {
		n.run.faults.Scanner()
		if err := sv.Gather(ctx, i); err != nil {
			return err
		}
	}
	n.snaps = make([]inspected, len(sv.Snapshots))
	for i := range n.snaps {
		n.snaps[i].Snapshot = &sv.Snapshots[i]
	}
	if err := n.condemned(ctx); err != nil {
		return err
	}
	for host := range sv.Inventory.Hosts() {
		if err := sv.List(ctx, host); err != nil {
			return err
		}
	}
	if n.run.spec.Drill != nil {
		n.run.drill = newDrillRun(n.snaps, len(sv.Inventory.Hosts()))
	}
	return nil
}

// condemned checks the lists of what prune has condemned, without which no host makes a backup,
// and finds out what a snapshot needs that it says it has deleted.
func (n *inspector) condemned(ctx context.Context) error {
	sv := n.run.survey
	sv.Deleted = map[int]bool{}
	for _, host := range n.run.spec.Hosts {
		problems := n.run.spec.Opened.CheckCondemned(ctx, host, func(o layout.Object) {
			if i, ok := sv.Inventory.Find(o); ok {
				sv.Deleted[i] = true
			}
		})
		for _, p := range problems {
			if err := survey.Fatal(ctx, p.Err); err != nil {
				return err
			}
			found := survey.Of(p.Err, p.Key)
			if found.Kind == survey.ProblemMissing {
				found.Reason = "it is missing"
			}
			sv.Tell(found)
		}
	}
	return nil
}

func (n *inspector) submit(job checking) error {
	if err := n.run.Jobs.Acquire(n.run.Ctx); err != nil {
		return err
	}
	n.aside.Submit(n.checkers, &messages.Submit[checking]{Job: job})
	return nil
}

// ofSnapshots begins a phase in which so many snapshots are counted.
func (n *inspector) ofSnapshots(phase string, count int) {
	prog := n.run.spec.Progress
	prog.SetPhase(phase)
	prog.SetUnit("snapshots")
	prog.FilesDone.Store(0)
	prog.FilesTotal.Store(int64(count))
	prog.BytesDone.Store(0)
	prog.BytesTotal.Store(0)
	prog.TotalKnown.Store(true)
}

// count tells how much there is to do.
func (n *inspector) count() (err error) {
	inv := n.run.survey.Inventory
	t := &tally{objects: int64(inv.Len())}
	prog := n.run.spec.Progress
	prog.SetPhase("verify")
	prog.SetUnit("objects")
	prog.FilesDone.Store(0)
	if n.run.spec.Choose != nil {
		if n.run.chosen, err = n.run.spec.Choose(inv); err != nil {
			return err
		}
	}
	objects, bytes := int64(0), int64(0) // to look into
	for i := range inv.Len() {
		o := inv.At(i)
		t.bytes += o.Size
		if n.run.looksInto(i) && (n.run.spec.Drill == nil || inv.IsBlob(i)) {
			objects++
			bytes += o.Size
		}
		if size := n.run.survey.Parity(i); size > 0 {
			t.parity++
			t.parityBytes += size
			if n.run.spec.ReadData && n.run.looksInto(i) {
				objects++
				bytes += size
			}
		}
		if o.State == plan.Checked && n.run.spec.Drill == nil {
			t.checked++
			if err := n.run.tellChecked(i); err != nil {
				return err
			}
		}
	}
	prog.FilesTotal.Store(objects)
	prog.BytesTotal.Store(bytes)
	if !n.run.spec.ReadData && !n.run.spec.ServerSums && n.run.spec.Drill == nil {
		prog.FilesDone.Store(objects)
		prog.BytesDone.Store(bytes)
	}
	prog.TotalKnown.Store(true)
	n.aside.Tell(t)
	return nil
}

// data has every chosen object checked, by downloading it or asking for its SHA-256.
func (n *inspector) data() error {
	inv := n.run.survey.Inventory
	prog := n.run.spec.Progress
	how := byReading
	if n.run.spec.ServerSums {
		how = byAsking
	}
	for i := range inv.Len() {
		o := inv.At(i)
		if !n.run.looksInto(i) {
			continue
		}
		if size := n.run.survey.Parity(i); size > 0 && how == byReading {
			job := &objectCheck{Way: byParity, Index: i, Size: size, Sum: inv.Sum(i)}
			job.Key = layout.Parity(inv.Hosts()[inv.HostOf(i)], job.Sum)
			if err := n.submit(checking{Object: job}); err != nil {
				return err
			}
		}
		if o.State != plan.Present && (how == byReading || o.State != plan.Checked) {
			prog.FilesDone.Add(1)
			prog.BytesDone.Add(o.Size)
			continue
		}
		job := &objectCheck{Way: how, Index: i, Key: inv.Key(i), Size: o.Size, Sum: inv.Sum(i)}
		if host := inv.HostOf(i); inv.IsBlob(i) && how == byReading && n.run.hosts != nil &&
			len(n.run.hosts[host].chunkID) > 0 {
			job.Blob = &blobCheck{Host: host}
		}
		if err := n.submit(checking{Object: job}); err != nil {
			return err
		}
	}
	return nil
}
