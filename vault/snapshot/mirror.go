package snapshot

import (
	"fmt"
	"slices"

	"vaultik/vault/layout"
)

type placeKey struct {
	host layout.HostID
	set  layout.SetID
	seq  uint64
}

// CheckMirror compares the manifests of two places of one store: [ErrFork] where
// neither can be an older state of the other, that is, if they have different manifests
// at one position of a chain, or one continues from a manifest that the other does not
// have. If one merely has more than the other, at either end of a chain, that is not a
// fork.
func CheckMirror(a, b []*Loaded) error {
	byPlace := [2]map[placeKey][]*Loaded{{}, {}}
	for side, list := range [2][]*Loaded{a, b} {
		for _, l := range list {
			k := placeKey{l.Host, l.Set, l.Seq}
			byPlace[side][k] = append(byPlace[side][k], l)
		}
	}
	for side, list := range [2][]*Loaded{a, b} {
		own, other := byPlace[side], byPlace[1-side]
		for _, l := range list {
			here := placeKey{l.Host, l.Set, l.Seq}
			before := placeKey{l.Host, l.Set, l.Seq - 1}
			if o := other[here]; len(o) > 0 && !meet(own[here], o) {
				return fmt.Errorf("%w: snapshot %d of set %s of host %s is %.8s here and %.8s there",
					ErrFork, l.Seq, l.Set, l.Host, byPlace[0][here][0].ID(), byPlace[1][here][0].ID())
			}
			if len(own[before]) == 0 && len(other[before]) > 0 && !continues(l, other[before]) {
				return fmt.Errorf("%w: snapshot %d of set %s of host %s, %.8s, does not continue from snapshot %d of the other place",
					ErrFork, l.Seq, l.Set, l.Host, l.ID(), l.Seq-1)
			}
		}
	}
	return nil
}

// meet reports whether two places have a manifest in common.
func meet(a, b []*Loaded) bool {
	return slices.ContainsFunc(a, func(x *Loaded) bool {
		return slices.ContainsFunc(b, func(y *Loaded) bool { return x.Sum == y.Sum })
	})
}

func continues(l *Loaded, before []*Loaded) bool {
	return slices.ContainsFunc(before, func(b *Loaded) bool { return b.Sum == l.Prev })
}
