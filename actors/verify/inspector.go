package verify

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/messages"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
	"vaultik/vault/read"
	"vaultik/vault/snapshot"
)

// Inspector goes through what the snapshots need: what the manifests name,
// whether the store lists it, what the objects hold, and what the pages say. It
// blocks, under the credit of the checks that it asks for.
type Inspector struct {
	Run      *VerifyRun
	checkers *actor.PID
	C        actor.Context

	Lists map[int]*Listed // by object
	Snaps []InspectedSnapshot
	known map[pageKey]*knownPage

	warned map[string]bool

	Spare, SpareSize int64 // objects that no snapshot needs, and their bytes
}

// Listed is a blob list that was read.
type Listed struct {
	Blobs []snapshot.BlobSize
	bad   bool
}

type InspectedSnapshot struct {
	*snapshot.Loaded
	Num       int
	HostNum   int
	root      *snapshot.Root // nil: not opened
	ReadLists []*Listed
	Partial   bool  // a list is bad: not all blobs are known that the manifest names
	Extra     []int // then: blobs that it may need
}

func (n *Inspector) Receive(c actor.Context) {
	if _, ok := c.Message().(*actors.Start); ok {
		n.C = c
		err := n.inspect(n.Run.Ctx)
		if err == nil {
			err = n.Drain()
		}
		if n.Run.Ctx.Err() == nil {
			c.Send(c.Parent(), &inspected{err})
		}
	}
}

func (n *Inspector) inspect(ctx context.Context) error {
	n.Lists, n.known, n.warned = map[int]*Listed{}, map[pageKey]*knownPage{}, map[string]bool{}
	for i, m := range n.Run.spec.Snapshots {
		n.Run.Faults.Scanner()
		if err := n.Gather(ctx, i, m); err != nil {
			return err
		}
	}
	for host := range n.Run.Inv.Hosts() {
		if err := n.List(ctx, host); err != nil {
			return err
		}
	}
	if n.Run.spec.Identity != nil {
		if err := n.roots(ctx); err != nil {
			return err
		}
	}
	n.count()
	if n.Run.spec.ReadData {
		if err := n.data(); err != nil {
			return err
		}
		if err := n.Drain(); err != nil { // what is bad is known before the pages tell whom it concerns
			return err
		}
	}
	for i := range n.Snaps {
		if s := &n.Snaps[i]; s.root != nil && s.root.Top != nil {
			if err := n.pages(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// Drain waits until every check has ended and is accounted for.
func (n *Inspector) Drain() error {
	for range n.Run.queued {
		if err := n.Run.Jobs.Acquire(n.Run.Ctx); err != nil {
			return err
		}
	}
	for range n.Run.queued {
		n.Run.Jobs.Release()
	}
	return nil
}

func (n *Inspector) submit(job checking) error {
	if err := n.Run.Jobs.Acquire(n.Run.Ctx); err != nil {
		return err
	}
	n.C.RequestWithCustomSender(n.checkers, &messages.Submit[checking]{Job: job}, n.C.Parent())
	return nil
}

func (n *Inspector) problem(p Problem) { n.C.Send(n.C.Parent(), &ProblemFound{p}) }

// objectProblem is a problem with one object of the inventory.
func (n *Inspector) objectProblem(i int, kind ProblemKind, reason string) {
	n.Run.Inv.At(i).State = plan.Bad
	n.Run.setBad(i)
	n.problem(Problem{Kind: kind, Key: n.Run.Inv.Key(i), Reason: reason, Snapshots: n.Run.Ids(i)})
}

// fatal returns those errors that end the job.
func (n *Inspector) fatal(err error) error {
	if err == nil {
		return nil
	}
	if n.Run.Ctx.Err() != nil {
		return context.Cause(n.Run.Ctx)
	}
	if actors.StoreGone(err) {
		return err
	}
	return nil
}

// Gather notes what one snapshot needs, and reads its blob lists.
func (n *Inspector) Gather(ctx context.Context, num int, m *snapshot.Loaded) error {
	inv := n.Run.Inv
	s := InspectedSnapshot{Loaded: m, Num: num, HostNum: inv.Host(m.Host)}
	note := func(i int, err error) int {
		if err != nil {
			n.objectProblem(i, ProblemSize, err.Error())
		}
		return i
	}
	note(inv.AddRoot(num, s.HostNum, m.Root))
	for _, k := range m.Keys {
		note(inv.AddKey(num, s.HostNum, k))
	}
	count, bytes := int64(0), int64(0)
	add := func(blobs []snapshot.BlobSize) {
		for _, b := range blobs {
			note(inv.AddBlob(num, s.HostNum, b))
		}
		count += int64(len(blobs))
		bytes += snapshot.TotalSize(blobs)
	}
	for _, ref := range m.Lists {
		i := note(inv.AddList(num, s.HostNum, ref))
		l, err := n.blobList(ctx, i, m.Host, ref)
		if err != nil {
			return err
		}
		s.ReadLists = append(s.ReadLists, l)
		s.Partial = s.Partial || l.bad
		add(l.Blobs)
	}
	add(m.Blobs)
	if !s.Partial && (count != m.Count || bytes != m.Bytes) {
		n.problem(Problem{Kind: ProblemDamaged, Key: m.Key, Snapshots: []string{m.ID()},
			Reason: fmt.Sprintf("its blob lists do not add up: %d blobs of %d bytes, not %d of %d", count, bytes, m.Count, m.Bytes)})
	}
	n.Snaps = append(n.Snaps, s)
	return nil
}

// blobList reads a blob list, once, whichever snapshots share it.
func (n *Inspector) blobList(ctx context.Context, i int, host layout.HostID, ref snapshot.ListRef) (*Listed, error) {
	if l := n.Lists[i]; l != nil {
		return l, nil
	}
	l := &Listed{}
	n.Lists[i] = l
	b, err := n.pinned(ctx, layout.BlobList(host, ref.Name), ref.Size, ref.Name)
	if err == nil {
		l.Blobs, err = snapshot.DecodeBlobList(b)
	}
	if err == nil && int64(len(l.Blobs)) != ref.Count {
		err = fmt.Errorf("%w: it has %d blobs, not %d", snapshot.ErrDamaged, len(l.Blobs), ref.Count)
	}
	if err != nil {
		l.bad, l.Blobs = true, nil
		if err := n.fatal(err); err != nil {
			return nil, err
		}
		if kind := KindOf(err); kind != ProblemMissing { // the listing says that
			n.objectProblem(i, kind, err.Error())
		}
		return l, nil
	}
	n.Run.Inv.At(i).State = plan.Checked
	return l, nil
}

// pinned reads an object of known size and hash.
func (n *Inspector) pinned(ctx context.Context, key string, size int64, sum snapshot.Sum) ([]byte, error) {
	b, err := backends.ReadRange(ctx, n.Run.spec.Store, key, 0, size, nil)
	if err != nil {
		return nil, read.DamagedIfShort(err)
	}
	n.Run.read.Add(int64(len(b)))
	if sha256.Sum256(b) != sum {
		return nil, read.ErrWrongSum
	}
	return b, nil
}

// List compares what is needed of one host with what the store lists.
func (n *Inspector) List(ctx context.Context, host int) error {
	inv := n.Run.Inv
	seen := make([]bool, inv.Len())
	err := n.Run.spec.Store.ListStream(ctx, layout.HostPrefix(inv.Hosts()[host]), func(o backends.ObjectInfo) error {
		name, err := layout.Parse(o.Key)
		if err != nil {
			return nil //nolint:nilerr // what has no name of ours is none of ours
		}
		i, ok := inv.Find(name)
		if !ok {
			if name.Kind != layout.KindManifest && name.Kind != layout.KindCheckpoint {
				n.Spare++
				n.SpareSize += o.Size
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
func (n *Inspector) count() {
	inv := n.Run.Inv
	t := &tally{objects: int64(inv.Len())}
	prog := n.Run.spec.Progress
	for i := range inv.Len() {
		o := inv.At(i)
		t.bytes += o.Size
		if o.State == plan.Checked {
			t.checked++
		}
	}
	prog.FilesTotal.Store(t.objects)
	prog.BytesTotal.Store(t.bytes)
	if !n.Run.spec.ReadData {
		prog.FilesDone.Store(t.objects)
		prog.BytesDone.Store(t.bytes)
	}
	prog.TotalKnown.Store(true)
	n.C.Send(n.C.Parent(), t)
}

// data has every object downloaded and checked that has not been yet.
func (n *Inspector) data() error {
	inv := n.Run.Inv
	prog := n.Run.spec.Progress
	for i := range inv.Len() {
		o := inv.At(i)
		if o.State != plan.Present {
			prog.FilesDone.Add(1)
			prog.BytesDone.Add(o.Size)
			continue
		}
		job := &objectCheck{Index: i, Key: inv.Key(i), Size: o.Size, Sum: inv.Sum(i)}
		if host := inv.HostOf(i); inv.IsBlob(i) && n.Run.hosts != nil && len(n.Run.hosts[host].chunkID) > 0 {
			job.Blob = &blobCheck{Host: host}
		}
		if err := n.submit(checking{Object: job}); err != nil {
			return err
		}
	}
	return nil
}
