package mirror

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/backends"
	"vaultik/messages"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// planner decides what is copied, and in which order: the manifests have been
// listed before everything else, so all that they need was there by then; objects
// come before the manifests that need them; the manifests of a set in their order. It
// runs beside the job and blocks, under the credit of the transfers that it asks for.
type planner struct {
	run     *copyRun
	copiers *actor.PID
	aside   actors.Aside

	there     []presence // by object: what the target has
	parity    []uint32   // bytes of parity that the target has, by blob
	submitted []bool
	sent      int64 // bytes submitted in this round
	wanted    map[*survey.List]bool
	extra     map[int][]int // by snapshot: blobs that it may need, where a list of it is bad
}

// presence is what the listing of the target says of an object.
type presence uint8

const (
	notThere presence = iota
	otherThere
	sameThere // by its size
)

func (p *planner) plan(ctx context.Context) error {
	p.wanted, p.extra = map[*survey.List]bool{}, map[int][]int{}
	if err := p.look(ctx); err != nil {
		return err
	}
	p.count()
	p.run.spec.Progress.SetPhase("copy")
	if err := p.heads(ctx); err != nil {
		return err
	}
	var round []*survey.Snapshot
	for i, s := range p.order() {
		if err := p.objects(s); err != nil {
			return err
		}
		round = append(round, s)
		if p.sent >= copyRound || i == len(p.run.survey.Snapshots)-1 {
			if err := p.commit(round); err != nil {
				return err
			}
			round, p.sent = round[:0], 0
		}
	}
	return p.run.Jobs.Drain(p.run.Ctx)
}

// look finds out what the snapshots need, what the source has of it, and the target.
func (p *planner) look(ctx context.Context) error {
	inv := p.run.survey.Inventory
	readCtx, cancel := context.WithCancel(ctx)
	defer p.run.survey.ReadLists(readCtx, p.run.Parallel)()
	defer cancel()
	for i := range p.run.spec.Snapshots {
		p.run.spec.Faults.Scanner()
		if err := p.run.survey.Gather(ctx, i); err != nil {
			return err
		}
	}
	for i := range p.run.survey.Snapshots {
		if err := p.allBlobs(ctx, &p.run.survey.Snapshots[i]); err != nil {
			return err
		}
	}
	p.there, p.submitted = make([]presence, inv.Len()), make([]bool, inv.Len())
	p.parity = make([]uint32, inv.Len())
	for host := range inv.Hosts() {
		if err := p.listTarget(ctx, host); err != nil {
			return err
		}
		if err := p.run.survey.List(ctx, host); err != nil {
			return err
		}
	}
	return nil
}

// allBlobs has every blob of a host copied where a blob list is bad: which of them
// the snapshot needs is not known.
func (p *planner) allBlobs(ctx context.Context, s *survey.Snapshot) error {
	if !s.Partial {
		return nil
	}
	prefix := layout.BlobPrefix(s.Host)
	err := p.run.spec.From.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		name, err := layout.Parse(o.Key)
		if err != nil || name.Kind != layout.KindBlob {
			return nil //nolint:nilerr // a foreign name is not ours to judge
		}
		if _, ok := p.run.survey.Inventory.Find(name); !ok {
			i, _ := p.run.survey.Inventory.AddBlob(s.Num, s.HostNum,
				snapshot.BlobSize{Name: name.Sum, Size: o.Size}) // new, so no other size is known
			p.extra[s.Num] = append(p.extra[s.Num], i)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	return nil
}

// listTarget notes what the target has of what is needed of one host.
func (p *planner) listTarget(ctx context.Context, host int) error {
	inv := p.run.survey.Inventory
	prefix := layout.HostPrefix(inv.Hosts()[host])
	err := p.run.spec.To.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		name, err := layout.Parse(o.Key)
		if err != nil {
			return nil //nolint:nilerr // a foreign name is not ours to judge
		}
		if beside := name; name.Kind == layout.KindParity {
			beside.Kind = layout.KindBlob
			if i, ok := inv.Find(beside); ok {
				p.parity[i] = uint32(min(o.Size, math.MaxUint32))
			}
		}
		if i, ok := inv.Find(name); ok {
			p.there[i] = otherThere
			if sum := inv.Sum(i); o.Size == inv.At(i).Size &&
				(o.SHA256 == nil || [32]byte(o.SHA256) == sum) {
				p.there[i] = sameThere
			}
		}
		return nil
	})
	if err != nil {
		return &TargetError{fmt.Errorf("list: %w", err)}
	}
	return nil
}

// count tells how much there is to do.
func (p *planner) count() {
	inv, spec := p.run.survey.Inventory, p.run.spec
	m := &copySurveyed{
		objects: int64(inv.Len()), saved: map[string]bool{}, spare: p.run.survey.Spare,
		spareSize: p.run.survey.SpareSize,
	}
	todo, bytes := int64(0), int64(0)
	for i := range inv.Len() {
		o := inv.At(i)
		m.bytes += o.Size
		_, transfer := p.job(i)
		switch {
		case o.State == plan.Bad && p.there[i] == sameThere:
			m.saved[inv.Key(i)] = true
			m.there++
		case transfer:
			todo++
			bytes += o.Size
		case p.there[i] == sameThere:
			m.there++
		}
		if job, transfer := p.parityJob(i); transfer {
			todo++
			bytes += job.Size
		}
	}
	for _, s := range spec.Snapshots {
		if spec.There[s.Key] {
			m.snapshots++
		} else {
			todo++
			bytes += s.Size
		}
	}
	spec.Progress.FilesTotal.Store(todo)
	spec.Progress.BytesTotal.Store(bytes)
	spec.Progress.TotalKnown.Store(true)
	p.aside.Tell(m)
}

// job is how an object is copied; false if nothing is to be done.
func (p *planner) job(i int) (copying, bool) {
	inv := p.run.survey.Inventory
	o := inv.At(i)
	job := copying{Index: i, Key: inv.Key(i), Size: o.Size, Sum: inv.Sum(i)}
	switch p.there[i] {
	case otherThere:
		job.There = copyBad
	case sameThere:
		job.There = copyUnsure
		if !p.run.spec.ReadData &&
			!inv.IsKey(i) { // what is named by its hash was checked when it was put
			return job, false
		}
	}
	return job, o.State != plan.Bad
}

// parityJob is how the parity of a blob is copied; false if nothing is to be done.
func (p *planner) parityJob(i int) (copying, bool) {
	inv, size := p.run.survey.Inventory, p.run.survey.Parity(i)
	job := copying{Index: i, Size: size, Sum: inv.Sum(i), Parity: true}
	switch there := int64(p.parity[i]); {
	case size == 0, there == size && !p.run.spec.ReadData:
		return job, false
	case there == size:
		job.There = copyUnsure
	case there > 0:
		job.There = copyBad
	}
	job.Key = layout.Parity(inv.Hosts()[inv.HostOf(i)], job.Sum)
	return job, true
}

// heads puts the trust lists, store.json and gc objects.
func (p *planner) heads(ctx context.Context) error {
	for _, h := range p.run.spec.Heads {
		sum := sha256.Sum256(h.Data)
		_, err := p.run.spec.To.Put(ctx, h.Key, backends.Bytes(h.Data, &sum),
			backends.PutOptions{IfAbsent: p.run.spec.Conditional && !h.Replace})
		if errors.Is(err, backends.ErrExists) { // another copy runs
			err = sameObject(ctx, p.run.spec.To, h.Key, int64(len(h.Data)), sum)
		}
		if err != nil {
			return &TargetError{err}
		}
		p.aside.Tell(&copyHeadDone{int64(len(h.Data))})
	}
	return nil
}

// order gives the snapshots by time, those of one set by their numbers whatever
// their clock said, so that an interrupted copy has the oldest of all sets.
func (p *planner) order() []*survey.Snapshot {
	out := make([]*survey.Snapshot, len(p.run.survey.Snapshots))
	for i := range p.run.survey.Snapshots {
		out[i] = &p.run.survey.Snapshots[i]
	}
	slices.SortStableFunc(out, func(a, b *survey.Snapshot) int { return cmp.Compare(a.Seq, b.Seq) })
	at, last := make([]time.Time, len(out)), map[copyChain]time.Time{} // at is by num
	for _, s := range out {
		k := copyChain{s.Host, s.Set}
		if s.Time.After(last[k]) {
			last[k] = s.Time
		}
		at[s.Num] = last[k]
	}
	slices.SortStableFunc(out,
		func(a, b *survey.Snapshot) int { return at[a.Num].Compare(at[b.Num]) })
	return out
}

// objects submits what a snapshot needs and has not been submitted.
func (p *planner) objects(s *survey.Snapshot) error {
	for _, i := range p.needs(s) {
		if p.submitted[i] {
			continue
		}
		p.submitted[i] = true
		for _, of := range []func(int) (copying, bool){p.job, p.parityJob} {
			job, transfer := of(i)
			if !transfer {
				continue
			}
			p.sent += job.Size
			if err := p.transfer(job); err != nil {
				return err
			}
		}
	}
	return nil
}

// needs are the objects of a snapshot, without those of lists that came before.
func (p *planner) needs(s *survey.Snapshot) (all []int) {
	add := func(o layout.Object) {
		o.Host = s.Host
		i, _ := p.run.survey.Inventory.Find(o) // Gather has added it
		all = append(all, i)
	}
	for _, k := range s.Keys {
		add(layout.Object{Kind: layout.KindEpochKey, Epoch: k.Epoch, N: k.N})
	}
	blobs := func(list []uint32) {
		for _, i := range list {
			all = append(all, int(i))
		}
	}
	for _, l := range s.BlobLists {
		if !p.wanted[l] {
			p.wanted[l] = true
			blobs(l.Blobs)
			all = append(all, l.Object)
		}
	}
	blobs(s.Inline)
	all = append(all, p.extra[s.Num]...)
	add(layout.Object{Kind: layout.KindRoot, Sum: s.Manifest.Root.Name})
	return all
}

// commit waits until all that was submitted has ended, then puts the manifests:
// at once only those of different sets.
func (p *planner) commit(round []*survey.Snapshot) error {
	byChain := map[copyChain][]*survey.Snapshot{}
	most := 0
	for _, s := range round {
		if k := (copyChain{s.Host, s.Set}); !p.run.spec.There[s.Key] {
			byChain[k] = append(byChain[k], s)
			most = max(most, len(byChain[k]))
		}
	}
	for rank := range most {
		if err := p.run.Jobs.Drain(p.run.Ctx); err != nil {
			return err
		}
		var turn []*survey.Snapshot
		for _, chain := range byChain {
			if rank < len(chain) {
				turn = append(turn, chain[rank])
			}
		}
		slices.SortFunc(turn, func(a, b *survey.Snapshot) int { return cmp.Compare(a.Num, b.Num) })
		for _, s := range turn {
			job := copying{Index: s.Num, Key: s.Key, Size: s.Size, Sum: s.Sum, Manifest: true}
			if p.run.spec.Damaged[s.Key] {
				job.There = copyBad
			}
			if err := p.transfer(job); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *planner) transfer(job copying) error {
	if err := p.run.Jobs.Acquire(p.run.Ctx); err != nil {
		return err
	}
	p.aside.Submit(p.copiers, &messages.Submit[copying]{Job: job})
	return nil
}
