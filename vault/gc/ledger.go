package gc

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// age is when a gc object condemned or deleted something: when it was stored, or the next one
// that is still there.
type age struct{ first, deleted uint64 }

// ledger makes the groups of the next gc object from those of the last. A list of names that
// all have the same fate is named again, unread names and all; only what changes is written.
type ledger struct {
	lists map[age][]snapshot.ListRef
	names map[age][]string
}

// carryOver begins the next gc object with what was condemned before.
func (r *run) carryOver(ctx context.Context) (*ledger, error) {
	led := &ledger{lists: map[age][]snapshot.ListRef{}, names: map[age][]string{}}
	if old := r.head.GC; old != nil {
		for i := range old.Condemned {
			if err := r.carry(ctx, led, &old.Condemned[i]); err != nil {
				return nil, err
			}
		}
	}
	for _, l := range r.reader.lists {
		for _, at := range append(l.blobs[:len(l.blobs):len(l.blobs)], l.at) {
			if at < 0 {
				continue
			}
			if seq := r.condemnedBy(at); seq > 0 && (l.first == 0 || seq < l.first) {
				l.first = seq
			}
		}
	}
	return led, nil
}

// condemn condemns what nothing needs. There is something to write while anything is too young
// for that, too: it is how the store's time goes on.
func (r *run) condemn(ctx context.Context, led *ledger) error {
	if err := r.unneeded(led); err != nil {
		return err
	}
	pending := r.head.GC != nil && len(r.head.GC.Condemned) > 0
	r.write = r.write || pending || r.result.Young.Objects > 0 || r.result.Condemned.Objects > 0
	if !r.write || r.o.Dry {
		return nil
	}
	var err error
	r.next.Condemned, err = r.put(ctx, led)
	return err
}

// carried has the groups of a united gc object as they are.
func carried(all []snapshot.Condemned) *ledger {
	led := &ledger{lists: map[age][]snapshot.ListRef{}, names: map[age][]string{}}
	for i := range all {
		is := age{all[i].First, all[i].Deleted}
		led.names[is], led.lists[is] = all[i].Names, all[i].Lists
	}
	return led
}

// carry takes over a group.
func (r *run) carry(ctx context.Context, led *ledger, c *snapshot.Condemned) error {
	was := age{c.First, c.Deleted}
	group := r.group(c.First)
	for _, name := range c.Names {
		o, err := layout.ParseName(r.host, name)
		if err != nil {
			return err
		}
		if is, keep := r.fate(was, o, group); keep {
			led.names[is] = append(led.names[is], name)
		}
	}
	for _, ref := range c.Lists {
		if err := r.carryList(ctx, led, was, ref, group); err != nil {
			return err
		}
	}
	return nil
}

// carryList takes over a condemned list: as it is, if all of its names have one fate.
func (r *run) carryList(ctx context.Context, led *ledger, was age, ref snapshot.ListRef, group uint16) error {
	fates := map[age]int64{}
	err := r.store.EachCondemned(ctx, ref, func(o layout.Object) error {
		if is, keep := r.fate(was, o, group); keep {
			fates[is]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	for is, n := range fates {
		if n == ref.Count {
			led.lists[is] = append(led.lists[is], ref)
			return nil
		}
	}
	return r.store.EachCondemned(ctx, ref, func(o layout.Object) error {
		if is, keep := r.fate(was, o, group); keep {
			led.names[is] = append(led.names[is], o.Name())
		}
		return nil
	})
}

// fate is what becomes of a condemned name. What is listed is to be deleted, maybe once more;
// what is not is deleted as of now, and is forgotten a while after that, unless it is a list
// that a snapshot names which was stored too late.
func (r *run) fate(was age, o layout.Object, group uint16) (is age, keep bool) {
	named := false
	if o.Kind == layout.KindBlobList {
		if l := r.reader.lists[o.Sum]; l != nil {
			l.named, named = true, true
		}
	}
	if at := r.inventory.find(o); at >= 0 {
		r.inventory.all[at].group = group
		return age{first: was.first}, true
	}
	if was.deleted == 0 {
		return age{was.first, r.next.Seq}, true
	}
	return was, named || !r.older(was.deleted, remembered)
}

// group numbers the groups of condemned names for the inventory.
func (r *run) group(first uint64) uint16 {
	i := slices.Index(r.groups, first)
	if i < 0 {
		i = len(r.groups)
		r.groups = append(r.groups, first)
	}
	return uint16(i + 1) //nolint:gosec // fewer than there are gc objects in the time that one is remembered
}

// unneeded condemns what nothing needs and is old enough. What a snapshot needed that is removed
// is: no backup is storing it just now. Later it could not be told from what nobody ever needed.
func (r *run) unneeded(led *ledger) error {
	is, group := age{first: r.next.Seq}, r.group(r.next.Seq)
	var condemned []*entry
	for i := range r.inventory.all {
		e := &r.inventory.all[i]
		r.result.All.add(int64(e.size))
		switch {
		case e.needs:
			r.result.Needed.add(int64(e.size))
		case e.group != 0:
		case !e.meant && (r.o.Keep || r.now().Sub(e.stored()) < r.o.Age):
			r.result.Young.add(int64(e.size))
		default:
			condemned = append(condemned, e)
			r.result.Condemned.add(int64(e.size))
		}
	}
	if much := r.orphans.Objects; !r.o.Force && !r.o.Keep && much > fewOrphans && much > r.blobs.Objects/maxOrphans &&
		r.result.Condemned.Objects > 0 {
		return fmt.Errorf("%w: %d of %d blobs", ErrUnexplained, much, r.blobs.Objects)
	}
	for _, e := range condemned {
		e.group = group
		led.names[is] = append(led.names[is], e.object(r.host).Name())
	}
	return nil
}

// What no snapshot that is there needs may be one in maxOrphans blobs, and fewOrphans in any
// case: more means that manifests are gone that nobody removed.
const (
	maxOrphans = 5
	fewOrphans = 100
)

// put writes the groups, and stores the condemned lists that are new. Of a name that is in
// several, as two pruners have condemned it, the youngest group counts.
func (r *run) put(ctx context.Context, led *ledger) (out []snapshot.Condemned, err error) {
	ages := map[age]bool{}
	for is := range led.lists {
		ages[is] = true
	}
	for is := range led.names {
		ages[is] = true
	}
	twice := map[string]bool{}
	for _, is := range slices.SortedFunc(maps.Keys(ages), age.compareYoungest) {
		c := snapshot.Condemned{First: is.first, Deleted: is.deleted, Lists: led.lists[is]}
		names := led.names[is]
		slices.Sort(names)
		if len(r.next.Others) > 0 {
			names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return twice[name] })
			for _, name := range names {
				twice[name] = true
			}
		}
		for len(names) > snapshot.MaxInline {
			n := min(len(names), snapshot.MaxCondemnedNames)
			ref, err := r.store.PutCondemned(ctx, names[:n])
			if err != nil {
				return nil, err
			}
			c.Lists, names = append(c.Lists, ref), names[n:]
		}
		if c.Names = names; len(c.Names)+len(c.Lists) > 0 {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b snapshot.Condemned) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Deleted, b.Deleted))
	})
	return out, nil
}

// compareYoungest sorts the youngest first, and what is to be deleted before what is.
func (a age) compareYoungest(b age) int {
	return cmp.Or(cmp.Compare(b.first, a.first), cmp.Compare(b.deleted-1, a.deleted-1))
}
