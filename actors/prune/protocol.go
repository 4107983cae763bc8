package prune

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/messages"
	"vaultik/vault/gc"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// protocol runs what package gc decides, and does what it asks of the store. It runs beside the
// job and blocks, under the credit of the deletions that it asks for.
type protocol struct {
	run      *pruneRun
	deleters *actor.PID
	aside    actors.Aside

	newest time.Time // when the newest object that was listed was stored
	lists  *snapshot.ListsAhead
}

// prune goes through the protocol.
func (p *protocol) prune(ctx context.Context) error {
	p.lists = p.run.spec.Opened.ReadListsAhead(p.run.spec.Host)
	defer p.lists.Close()
	spec := p.run.spec
	if spec.Release != nil {
		seq, err := gc.Release(ctx, p, spec.Host, spec.Options.Now, spec.Release)
		p.run.report.Store(&Report{Result: &gc.Result{Seq: seq}})
		return err
	}
	result, err := gc.Prune(ctx, p, spec.Host, spec.Options)
	// It is in no message, which might come when the answer is out.
	p.run.report.Store(&Report{result, p.run.reading.Loaded()})
	return err
}

// Head implements gc.Store.
func (p *protocol) Head(ctx context.Context) (*gc.Head, error) {
	g, err := p.run.spec.Opened.GC(ctx, p.run.spec.Host)
	if err != nil {
		return nil, fmt.Errorf("read the newest gc object: %w", err)
	}
	h := &gc.Head{Objects: map[uint64]time.Time{}, Lists: map[snapshot.Sum]time.Time{}}
	if g != nil {
		h.GC, h.Sum, h.Others = g.GC, g.Sum, g.Beside
	}
	return h, p.list(ctx, layout.GCPrefix(p.run.spec.Host), func(o gc.Object) error {
		switch o.Kind {
		case layout.KindGC:
			if o.Stored.After(h.Objects[o.Seq]) {
				h.Objects[o.Seq] = o.Stored
			}
			if o.Short != "" {
				h.Weak = append(h.Weak, o.Object)
			}
		case layout.KindCondemned:
			h.Lists[o.Sum] = o.Stored
		}
		return nil
	})
}

// EachCondemned implements gc.Store.
func (p *protocol) EachCondemned(ctx context.Context, ref snapshot.ListRef,
	fn func(layout.Object) error) error {
	return p.run.spec.Opened.EachListed(ctx, p.run.spec.Host, ref, fn)
}

// List implements gc.Store.
func (p *protocol) List(ctx context.Context, fn func(gc.Object) error) error {
	prog := p.run.spec.Progress
	prog.SetPhase("list the store")
	prog.SetUnit("objects")
	prog.FilesDone.Store(0)
	return p.list(ctx, layout.HostPrefix(p.run.spec.Host), func(o gc.Object) error {
		p.run.spec.Faults.Scanner()
		prog.FilesDone.Add(1)
		return fn(o)
	})
}

// list calls fn for the objects of the format. A foreign name is not ours to judge.
func (p *protocol) list(ctx context.Context, prefix string, fn func(gc.Object) error) error {
	err := p.run.spec.Store.ListStream(ctx, prefix, func(i backends.ObjectInfo) error {
		if i.ModTime.After(p.newest) {
			p.newest = i.ModTime
		}
		o, err := layout.Parse(i.Key)
		if err != nil || o.Key() != i.Key {
			return nil //nolint:nilerr // see above
		}
		return fn(gc.Object{Object: o, Size: i.Size, Stored: i.ModTime})
	})
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	return nil
}

// Read implements gc.Store.
func (p *protocol) Read(ctx context.Context, v gc.Visitor) (problems []error, err error) {
	opened, host := p.run.spec.Opened, p.run.spec.Host
	p.show("read the snapshots", "snapshots")
	opened.OnRead = func(done, total int) {
		p.run.spec.Progress.FilesDone.Store(int64(done))
		p.run.spec.Progress.FilesTotal.Store(int64(total))
	}
	defer func() { opened.OnRead = nil }()
	var some []gc.Manifest // whose lists are read before they are asked for
	hand := func() error {
		for _, m := range some {
			p.lists.Add(ctx, m.Lists)
		}
		for _, m := range some {
			if err := v.Manifest(m); err != nil {
				return err
			}
		}
		some = some[:0]
		return nil
	}
	bad, err := p.run.reading.Each(ctx, v.Known, func(l *snapshot.Loaded, stored time.Time) error {
		if some = append(some, gc.Manifest{Loaded: l, Stored: stored}); len(some) < manifestsAhead {
			return nil
		}
		return hand()
	})
	if err == nil {
		err = hand()
	}
	if err != nil {
		return nil, err
	}
	more, err := opened.EachCheckpoint(ctx, host, p.newest, v.Known,
		func(c *snapshot.LoadedCheckpoint) error {
			return v.Checkpoint(gc.Checkpoint{Checkpoint: c.Checkpoint, Stored: c.Stored})
		})
	if err != nil {
		return nil, err
	}
	bad = append(bad, more...)
	more, err = opened.EachNote(ctx, host, v.Known, func(n *snapshot.LoadedNote) error {
		v.Note(n.Note)
		return nil
	})
	if p.run.spec.Options.Choose != nil { // else it does not matter what they say
		bad = append(bad, more...)
	}
	for _, bad := range bad {
		problems = append(problems, bad)
	}
	return problems, err
}

// BlobList implements gc.Store.
func (p *protocol) BlobList(ctx context.Context, ref snapshot.ListRef) ([]snapshot.BlobSize,
	error) {
	return p.lists.Read(ctx, ref)
}

// manifestsAhead is of how many manifests the lists are known ahead: most of them bring one or
// two that the ones before do not have.
const manifestsAhead = 16

// PutCondemned implements gc.Store.
func (p *protocol) PutCondemned(ctx context.Context, names []string) (snapshot.ListRef, error) {
	b, err := snapshot.EncodeCondemned(names)
	if err != nil {
		return snapshot.ListRef{}, err
	}
	sum := sha256.Sum256(b)
	ref := snapshot.ListRef{Name: sum, Size: int64(len(b)), Count: int64(len(names))}
	_, err = p.run.spec.Store.Put(ctx, layout.CondemnedList(p.run.spec.Host, sum),
		backends.Bytes(b, &sum), backends.PutOptions{})
	if err != nil {
		return ref, fmt.Errorf("write a condemned list: %w", err)
	}
	return ref, nil
}

// Put implements gc.Store.
func (p *protocol) Put(ctx context.Context, g *snapshot.GC) (sum snapshot.Sum, at time.Time,
	err error) {
	spec := p.run.spec
	g.Store = spec.Opened.Doc.Store
	b, err := snapshot.EncodeGC(g, spec.Signer)
	if err != nil {
		return sum, at, err
	}
	sum = sha256.Sum256(b)
	key := layout.GC(spec.Host, g.Seq)
	if spec.weak() {
		key = layout.Weak(key, sum)
	}
	_, err = spec.Store.Put(ctx, key, backends.Bytes(b, (*[32]byte)(&sum)),
		backends.PutOptions{IfAbsent: !spec.weak()})
	if errors.Is(err, backends.ErrExists) {
		return sum, at, fmt.Errorf("%w: %w", gc.ErrConflict, err)
	}
	if err != nil {
		return sum, at, fmt.Errorf("write a gc object: %w", err)
	}
	st, err := spec.Store.Stat(ctx, key)
	if err != nil {
		return sum, at, fmt.Errorf("ask when the gc object was stored: %w", err)
	}
	return sum, st.ModTime, p.alone(ctx, g.Seq, sum)
}

// alone fails if another pruner has put a gc object beside the newest. In a weak store that is
// not noticed when it is put.
func (p *protocol) alone(ctx context.Context, seq uint64, sum snapshot.Sum) error {
	if !p.run.spec.weak() {
		return nil
	}
	g, err := p.run.spec.Opened.GC(ctx, p.run.spec.Host)
	if err != nil {
		return fmt.Errorf("look for another gc object: %w", err)
	}
	if g != nil && (g.Seq > seq || g.Seq == seq && (g.Sum != sum || len(g.Beside) > 0)) {
		return fmt.Errorf("%w: beside %d", gc.ErrOvertaken, seq)
	}
	return nil
}

// leastPiece is how many objects are worth a request of their own.
const leastPiece = 50

// Delete implements gc.Store: the deleters share the objects, and it waits for all of them.
func (p *protocol) Delete(ctx context.Context, keys []string) error {
	run := p.run
	if run.spec.Progress.Phase.Load() == nil || *run.spec.Progress.Phase.Load() != phaseDelete {
		p.show(phaseDelete, "objects")
	}
	piece := max(leastPiece, (len(keys)+run.spec.Parallel-1)/run.spec.Parallel)
	for some := range slices.Chunk(slices.Clone(keys), piece) {
		if err := run.credit.Acquire(run.ctx); err != nil {
			return err
		}
		p.aside.Submit(p.deleters, &messages.Submit[deleting]{Job: deleting{ctx, some}})
	}
	if err := run.credit.Drain(run.ctx); err != nil {
		return err
	}
	return run.failure()
}

const phaseDelete = "delete"

// show says what is being done.
func (p *protocol) show(phase, unit string) {
	prog := p.run.spec.Progress
	prog.SetPhase(phase)
	prog.SetUnit(unit)
	prog.FilesDone.Store(0)
	prog.FilesTotal.Store(0)
}
