package actors

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/backends"
	"vaultik/messages"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// inspector goes through what the snapshots need: what the manifests name,
// whether the store lists it, what the objects hold, and what the pages say. It
// blocks, under the credit of the checks that it asks for.
type inspector struct {
	run      *verifyRun
	checkers *actor.PID
	c        actor.Context

	lists map[int]*listed // by object
	snaps []inspectedSnapshot
	known map[pageKey]*knownPage

	warned map[string]bool

	spare, spareSize int64 // objects that no snapshot needs, and their bytes
}

// listed is a blob list that was read.
type listed struct {
	blobs []snapshot.BlobSize
	bad   bool
}

type inspectedSnapshot struct {
	*snapshot.Loaded
	num     int
	host    int
	root    *snapshot.Root // nil: not opened
	lists   []*listed
	partial bool  // a list is bad: not all blobs are known that the manifest names
	extra   []int // then: blobs that it may need
}

func (n *inspector) Receive(c actor.Context) {
	if _, ok := c.Message().(*startWalk); ok {
		n.c = c
		err := n.inspect(n.run.ctx)
		if err == nil {
			err = n.drain()
		}
		if n.run.ctx.Err() == nil {
			c.Send(c.Parent(), &inspected{err})
		}
	}
}

func (n *inspector) inspect(ctx context.Context) error {
	n.lists, n.known, n.warned = map[int]*listed{}, map[pageKey]*knownPage{}, map[string]bool{}
	for i, m := range n.run.spec.Snapshots {
		n.run.faults.scanner()
		if err := n.gather(ctx, i, m); err != nil {
			return err
		}
	}
	for host := range n.run.inv.Hosts() {
		if err := n.list(ctx, host); err != nil {
			return err
		}
	}
	if n.run.spec.Identity != nil {
		if err := n.roots(ctx); err != nil {
			return err
		}
	}
	n.count()
	if n.run.spec.ReadData {
		if err := n.data(); err != nil {
			return err
		}
		if err := n.drain(); err != nil { // what is bad is known before the pages tell whom it concerns
			return err
		}
	}
	for i := range n.snaps {
		if s := &n.snaps[i]; s.root != nil && s.root.Top != nil {
			if err := n.pages(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// drain waits until every check has ended and is accounted for.
func (n *inspector) drain() error {
	for range n.run.queued {
		if err := n.run.jobs.acquire(n.run.ctx); err != nil {
			return err
		}
	}
	for range n.run.queued {
		n.run.jobs.release()
	}
	return nil
}

func (n *inspector) submit(job messages.Checking) error {
	if err := n.run.jobs.acquire(n.run.ctx); err != nil {
		return err
	}
	n.c.RequestWithCustomSender(n.checkers, &messages.Submit[messages.Checking]{Job: job}, n.c.Parent())
	return nil
}

func (n *inspector) problem(p VerifyProblem) { n.c.Send(n.c.Parent(), &problemFound{p}) }

// objectProblem is a problem with one object of the inventory.
func (n *inspector) objectProblem(i int, kind ProblemKind, reason string) {
	n.run.inv.At(i).State = plan.Bad
	n.run.setBad(i)
	n.problem(VerifyProblem{Kind: kind, Key: n.run.inv.Key(i), Reason: reason, Snapshots: n.run.ids(i)})
}

// fatal returns those errors that end the job.
func (n *inspector) fatal(err error) error {
	if err == nil {
		return nil
	}
	if n.run.ctx.Err() != nil {
		return context.Cause(n.run.ctx)
	}
	if storeGone(err) {
		return err
	}
	return nil
}

// gather notes what one snapshot needs, and reads its blob lists.
func (n *inspector) gather(ctx context.Context, num int, m *snapshot.Loaded) error {
	inv := n.run.inv
	s := inspectedSnapshot{Loaded: m, num: num, host: inv.Host(m.Host)}
	note := func(i int, err error) int {
		if err != nil {
			n.objectProblem(i, ProblemSize, err.Error())
		}
		return i
	}
	note(inv.AddRoot(num, s.host, m.Root))
	for _, k := range m.Keys {
		note(inv.AddKey(num, s.host, k))
	}
	count, bytes := int64(0), int64(0)
	add := func(blobs []snapshot.BlobSize) {
		for _, b := range blobs {
			note(inv.AddBlob(num, s.host, b))
		}
		count += int64(len(blobs))
		bytes += snapshot.TotalSize(blobs)
	}
	for _, ref := range m.Lists {
		i := note(inv.AddList(num, s.host, ref))
		l, err := n.blobList(ctx, i, m.Host, ref)
		if err != nil {
			return err
		}
		s.lists = append(s.lists, l)
		s.partial = s.partial || l.bad
		add(l.blobs)
	}
	add(m.Blobs)
	if !s.partial && (count != m.Count || bytes != m.Bytes) {
		n.problem(VerifyProblem{Kind: ProblemDamaged, Key: m.Key, Snapshots: []string{m.ID()},
			Reason: fmt.Sprintf("its blob lists do not add up: %d blobs of %d bytes, not %d of %d", count, bytes, m.Count, m.Bytes)})
	}
	n.snaps = append(n.snaps, s)
	return nil
}

// blobList reads a blob list, once, whichever snapshots share it.
func (n *inspector) blobList(ctx context.Context, i int, host layout.HostID, ref snapshot.ListRef) (*listed, error) {
	if l := n.lists[i]; l != nil {
		return l, nil
	}
	l := &listed{}
	n.lists[i] = l
	b, err := n.pinned(ctx, layout.BlobList(host, ref.Name), ref.Size, ref.Name)
	if err == nil {
		l.blobs, err = snapshot.DecodeBlobList(b)
	}
	if err == nil && int64(len(l.blobs)) != ref.Count {
		err = fmt.Errorf("%w: it has %d blobs, not %d", snapshot.ErrDamaged, len(l.blobs), ref.Count)
	}
	if err != nil {
		l.bad, l.blobs = true, nil
		if err := n.fatal(err); err != nil {
			return nil, err
		}
		if kind := kindOf(err); kind != ProblemMissing { // the listing says that
			n.objectProblem(i, kind, err.Error())
		}
		return l, nil
	}
	n.run.inv.At(i).State = plan.Checked
	return l, nil
}

// pinned reads an object of known size and hash.
func (n *inspector) pinned(ctx context.Context, key string, size int64, sum snapshot.Sum) ([]byte, error) {
	b, err := backends.ReadRange(ctx, n.run.spec.Store, key, 0, size, nil)
	if err != nil {
		return nil, damagedIfShort(err)
	}
	n.run.read.Add(int64(len(b)))
	if sha256.Sum256(b) != sum {
		return nil, errWrongSum
	}
	return b, nil
}

// list compares what is needed of one host with what the store lists.
func (n *inspector) list(ctx context.Context, host int) error {
	inv := n.run.inv
	seen := make([]bool, inv.Len())
	err := n.run.spec.Store.ListStream(ctx, layout.HostPrefix(inv.Hosts()[host]), func(o backends.ObjectInfo) error {
		name, err := layout.Parse(o.Key)
		if err != nil {
			return nil //nolint:nilerr // what has no name of ours is none of ours
		}
		i, ok := inv.Find(name)
		if !ok {
			if name.Kind != layout.KindManifest && name.Kind != layout.KindCheckpoint {
				n.spare++
				n.spareSize += o.Size
			}
			return nil
		}
		seen[i] = true
		switch obj := inv.At(i); {
		case obj.State == plan.Bad: // that has been said
		case obj.Size != o.Size:
			n.objectProblem(i, ProblemSize, fmt.Sprintf("it has %d bytes, not %d", o.Size, obj.Size))
		case obj.State == plan.Unseen:
			obj.State = plan.Present
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	for i := range seen {
		if !seen[i] && inv.HostOf(i) == host {
			n.objectProblem(i, ProblemMissing, "it is not in the store")
		}
	}
	return nil
}

// count tells how much there is to do.
func (n *inspector) count() {
	inv := n.run.inv
	t := &tally{objects: int64(inv.Len())}
	prog := n.run.spec.Progress
	for i := range inv.Len() {
		o := inv.At(i)
		t.bytes += o.Size
		if o.State == plan.Checked {
			t.checked++
		}
	}
	prog.FilesTotal.Store(t.objects)
	prog.BytesTotal.Store(t.bytes)
	if !n.run.spec.ReadData {
		prog.FilesDone.Store(t.objects)
		prog.BytesDone.Store(t.bytes)
	}
	prog.TotalKnown.Store(true)
	n.c.Send(n.c.Parent(), t)
}

// data has every object downloaded and checked that has not been yet.
func (n *inspector) data() error {
	inv := n.run.inv
	prog := n.run.spec.Progress
	for i := range inv.Len() {
		o := inv.At(i)
		if o.State != plan.Present {
			prog.FilesDone.Add(1)
			prog.BytesDone.Add(o.Size)
			continue
		}
		job := &messages.CheckObject{Index: i, Key: inv.Key(i), Size: o.Size, Sum: inv.Sum(i)}
		if host := inv.HostOf(i); inv.IsBlob(i) && n.run.hosts != nil && len(n.run.hosts[host].chunkID) > 0 {
			job.Blob = &messages.CheckBlob{Host: host}
		}
		if err := n.submit(messages.Checking{Object: job}); err != nil {
			return err
		}
	}
	return nil
}
