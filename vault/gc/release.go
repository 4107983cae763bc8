package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// Settled is how long a prune that is under way may still delete what was just taken off what is
// condemned: it looks again every [Look], and what it has asked for, be it killed since, is done
// by then.
const Settled = 2 * time.Hour

// Release takes names off what is condemned, so that their objects can be put back from a copy
// of the store: it writes a gc object that says what the newest one does, without them. It
// returns the seq of that; 0: none of them was condemned.
//
// A prune that is under way still deletes by what it has read before: whatever is put back, or
// found to be there, earlier than [Settled] after this call may vanish. now is this machine's
// clock, for people who read the gc object.
func Release(ctx context.Context, s Store, host layout.HostID, now time.Time,
	wanted func(layout.Object) bool) (seq uint64, err error) {
	for range maxStarts {
		if seq, err = release(ctx, s, host, now, wanted); !errors.Is(err, ErrConflict) {
			return seq, err
		}
	}
	return 0, fmt.Errorf("%w: %w", ErrOvertaken, err)
}

func release(ctx context.Context, s Store, host layout.HostID, now time.Time,
	wanted func(layout.Object) bool) (uint64, error) {
	head, err := s.Head(ctx)
	if err != nil || head.GC == nil {
		return 0, err
	}
	if n := len(head.Others); n > 0 {
		return 0, fmt.Errorf("%w: there are %d newest gc objects", ErrOvertaken, n+1)
	}
	old := head.GC
	r := &run{store: s, host: host, next: &snapshot.GC{Host: host, Seq: old.Seq + 1,
		Prev: head.Sum, Time: now, Pruned: old.Pruned, Dropped: old.Dropped,
		Removed: old.Removed}}
	led := carried(old.Condemned)
	found := false
	for is, names := range led.names {
		led.names[is] = nil
		for _, name := range names {
			o, err := layout.ParseName(host, name)
			switch {
			case err != nil:
				return 0, err
			case wanted(o):
				found = true
			default:
				led.names[is] = append(led.names[is], name)
			}
		}
	}
	for is, refs := range led.lists {
		led.lists[is] = nil
		for _, ref := range refs {
			some, err := led.without(ctx, s, is, ref, wanted)
			if err != nil {
				return 0, err
			}
			found = found || some
		}
	}
	if !found {
		return 0, nil
	}
	if r.next.Condemned, err = r.put(ctx, led); err != nil {
		return 0, err
	}
	_, _, err = s.Put(ctx, r.next)
	return r.next.Seq, err
}

// without adds a condemned list as it is, or its names without those that are wanted.
func (led *ledger) without(ctx context.Context, s Store, is age, ref snapshot.ListRef,
	wanted func(layout.Object) bool) (some bool, err error) {
	var rest []string
	err = s.EachCondemned(ctx, ref, func(o layout.Object) error {
		if wanted(o) {
			some = true
			return nil
		}
		rest = append(rest, o.Name())
		return nil
	})
	if some {
		led.names[is] = append(led.names[is], rest...)
	} else {
		led.lists[is] = append(led.lists[is], ref)
	}
	return some, err
}
