package gc

import (
	"context"
	"errors"
	"time"

	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// batch is how many objects are deleted by one call.
const batch = 1000

// sweep deletes what the gc object says that this run has written: manifests, and what has been
// condemned for long enough and is needed by no snapshot that is there by now.
func (r *run) sweep(ctx context.Context) error {
	if err := r.lookAgain(ctx); err != nil {
		return err
	}
	for len(r.dead) > 0 {
		n := min(len(r.dead), batch)
		if _, err := r.remove(ctx, r.dead[:n]); err != nil {
			return err
		}
		r.dead = r.dead[n:]
	}
	if r.o.Keep {
		return nil
	}
	var keys []string
	var size int64
	flush := func() error {
		kept, err := r.delete(ctx, keys)
		if err == nil {
			r.result.Deleted.Objects += int64(len(keys)) - kept.Objects
			r.result.Deleted.Bytes += size - kept.Bytes
			if r.o.Done != nil {
				r.o.Done(int(r.result.Deleted.Objects), int(r.result.Ripe.Objects))
			}
		}
		keys, size = keys[:0], 0
		return err
	}
	ripe := r.ripe()
	for i := range r.inventory.all {
		e := &r.inventory.all[i]
		if e.group == 0 || !ripe[e.group-1] || e.needs {
			continue
		}
		keys, size = append(keys, e.object(r.host).Key()), size+int64(e.size)
		if len(keys) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return r.tidy(ctx)
}

// ripe says of each group whether it has been condemned for long enough, and counts.
func (r *run) ripe() []bool {
	heeded := uint64(0)
	for _, s := range r.reader.manifests {
		heeded = max(heeded, s.gc)
	}
	out := make([]bool, len(r.groups))
	for i, first := range r.groups {
		out[i] = r.older(first, r.o.Grace) && (!r.o.Heeded || heeded >= first)
	}
	for i := range r.inventory.all {
		switch e := &r.inventory.all[i]; {
		case e.group == 0 || e.needs:
		case out[e.group-1]:
			r.result.Ripe.add(int64(e.size))
			r.locked(e)
		default:
			r.result.Waiting.add(int64(e.size))
			if at, ok := r.stored(r.groups[e.group-1]); ok {
				if at = at.Add(r.o.Grace); r.result.Next.IsZero() || at.Before(r.result.Next) {
					r.result.Next = at
				}
			}
		}
	}
	return out
}

// locked counts what the store keeps although it is deleted.
func (r *run) locked(e *entry) {
	if until := e.stored().Add(r.o.Lock); r.o.Lock > 0 && until.After(r.now()) {
		r.result.Locked.add(int64(e.size))
		if until.After(r.result.Unlocked) {
			r.result.Unlocked = until
		}
	}
}

// remove deletes, and says what of it the store keeps. That stays condemned: later runs try again.
func (r *run) remove(ctx context.Context, keys []string) (kept Amount, err error) {
	err = r.store.Delete(ctx, keys)
	var some *KeptError
	if !errors.As(err, &some) {
		return kept, err
	}
	for _, key := range some.Keys {
		size := int64(0)
		if o, err := layout.Parse(key); err == nil {
			if at := r.inventory.find(o); at >= 0 {
				size = int64(r.inventory.all[at].size)
			}
		}
		kept.add(size)
	}
	r.result.Kept.Objects += kept.Objects
	r.result.Kept.Bytes += kept.Bytes
	return kept, nil
}

// delete deletes these, as far as nothing new needs them. It never does so by what it saw of
// the manifests longer ago than [Look].
func (r *run) delete(ctx context.Context, keys []string) (kept Amount, err error) {
	for len(keys) > 0 {
		left := Look - (r.o.Boot() - r.looked)
		if left <= 0 {
			if err := r.lookAgain(ctx); err != nil {
				return kept, err
			}
			keys = r.unneededOf(keys)
			continue
		}
		within, cancel := context.WithTimeout(ctx, left)
		kept, err := r.remove(within, keys)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return kept, err
		}
	}
	return kept, nil
}

// unneededOf are those that nothing needs.
func (r *run) unneededOf(keys []string) (out []string) {
	for _, key := range keys {
		if o, err := layout.Parse(key); err == nil {
			if at := r.inventory.find(o); at >= 0 && !r.inventory.all[at].needs {
				out = append(out, key)
			}
		}
	}
	return out
}

// lookAgain reads what was stored since the last time, and marks what it needs. It ends the
// run if another pruner has gone on from here.
func (r *run) lookAgain(ctx context.Context) error {
	began := r.o.Boot()
	head, err := r.store.Head(ctx)
	if err != nil {
		return err
	}
	if head.GC == nil || head.Sum != r.head.Sum || len(head.Others) > 0 {
		return ErrOvertaken
	}
	if err := r.reader.read(ctx); err != nil {
		return err
	}
	if err := r.mark(); err != nil {
		return err
	}
	r.looked = began
	return nil
}

// How long readers find gc objects that nothing names any more: a machine that has seen one
// follows the chain down to it.
const (
	gcLife   = 400 * 24 * time.Hour
	listLife = 7 * 24 * time.Hour
)

// tidy deletes gc objects and condemned lists that nothing needs any more.
func (r *run) tidy(ctx context.Context) error {
	needed := r.head.GC.Seq - min(r.head.GC.Seq, snapshot.KeptGCs-1)
	lists := map[snapshot.Sum]bool{}
	for i := range r.head.GC.Condemned {
		c := &r.head.GC.Condemned[i]
		needed = min(needed, c.First)
		for _, l := range c.Lists {
			lists[l.Name] = true
		}
	}
	for _, s := range r.reader.manifests {
		if s.gc > 0 {
			needed = min(needed, s.gc)
		}
	}
	var keys []string
	for seq := range r.head.Objects {
		if seq < needed && r.older(seq, gcLife) {
			keys = append(keys, layout.GC(r.host, seq))
		}
	}
	for _, o := range r.head.Weak {
		if o.Seq < needed && r.older(o.Seq, gcLife) {
			keys = append(keys, o.Key())
		}
	}
	now := r.head.Objects[r.head.GC.Seq]
	for sum, at := range r.head.Lists {
		if !lists[sum] && now.Sub(at) >= listLife {
			keys = append(keys, layout.CondemnedList(r.host, sum))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	_, err := r.remove(ctx, keys)
	return err
}
