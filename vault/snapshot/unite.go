package snapshot

import (
	"bytes"
	"cmp"
	"slices"
)

// unite makes one of gc objects that do not know of each other: what any of them condemns is
// condemned, what any of them says of manifests is so. Of none it is nil.
func unite(heads []*LoadedGC) *LoadedGC {
	slices.SortFunc(heads, func(a, b *LoadedGC) int {
		return cmp.Or(cmp.Compare(b.Seq, a.Seq), a.Sum.compare(b.Sum))
	})
	if len(heads) == 0 {
		return nil
	}
	if len(heads) == 1 {
		return heads[0]
	}
	g := *heads[0].GC
	out := &LoadedGC{GC: &g, Sum: heads[0].Sum, Key: heads[0].Key}
	g.Condemned, g.Pruned, g.Dropped, g.Removed = nil, nil, nil, nil
	for i, h := range heads {
		if i > 0 {
			out.Beside = append(out.Beside, h.Sum)
		}
		g.Condemned = append(g.Condemned, h.Condemned...)
		g.Pruned = append(g.Pruned, h.Pruned...)
		g.Dropped = append(g.Dropped, h.Dropped...)
		g.Removed = append(g.Removed, h.Removed...)
	}
	slices.SortFunc(out.Beside, Sum.compare)
	g.Condemned, g.Pruned = uniteCondemned(g.Condemned), unitePruned(g.Pruned)
	slices.SortFunc(g.Dropped, Dropped.Compare)
	g.Dropped = slices.CompactFunc(g.Dropped, func(a, b Dropped) bool { return a.Compare(b) == 0 })
	slices.SortFunc(g.Removed, func(a, b Removed) int {
		return cmp.Or(bytes.Compare(a.Set[:], b.Set[:]), cmp.Compare(b.Seq, a.Seq))
	})
	g.Removed = slices.CompactFunc(g.Removed, func(a, b Removed) bool { return a.Set == b.Set })
	return out
}

// uniteCondemned joins groups of one age. Of a name that is in several groups the youngest
// counts, where it is not said to be deleted if one does not: that is the most careful.
func uniteCondemned(all []Condemned) (out []Condemned) {
	slices.SortFunc(all, func(a, b Condemned) int {
		return cmp.Or(cmp.Compare(b.First, a.First), cmp.Compare(b.Deleted-1, a.Deleted-1)) // 0 first
	})
	names, lists := map[string]bool{}, map[Sum]bool{}
	for i := range all {
		c := &all[i]
		if n := len(out); n == 0 || out[n-1].compare(c) != 0 {
			out = append(out, Condemned{First: c.First, Deleted: c.Deleted})
		}
		group := &out[len(out)-1]
		for _, name := range c.Names {
			if !names[name] {
				names[name] = true
				group.Names = append(group.Names, name)
			}
		}
		for _, l := range c.Lists {
			if !lists[l.Name] {
				lists[l.Name] = true
				group.Lists = append(group.Lists, l)
			}
		}
	}
	out = slices.DeleteFunc(out, func(c Condemned) bool { return len(c.Names)+len(c.Lists) == 0 })
	for i := range out {
		slices.Sort(out[i].Names)
	}
	slices.SortFunc(out, func(a, b Condemned) int { return a.compare(&b) })
	return out
}

// unitePruned joins records of which each may have been made without knowing of others.
func unitePruned(all []Pruned) (out []Pruned) {
	slices.SortFunc(all, func(a, b Pruned) int {
		return cmp.Or(bytes.Compare(a.Set[:], b.Set[:]), cmp.Compare(a.From, b.From),
			cmp.Compare(a.To, b.To))
	})
	for _, r := range all {
		var last *Pruned
		if n := len(out); n > 0 && out[n-1].Set == r.Set {
			last = &out[n-1]
		}
		switch {
		case last != nil && r.From <= last.To, last != nil && r.From == last.To+1 && r.Prev == last.Sum:
			if r.To > last.To {
				last.To, last.Sum = r.To, r.Sum
			}
		default:
			out = append(out, r)
		}
	}
	return out
}
