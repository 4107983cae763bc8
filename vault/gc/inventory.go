package gc

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"vaultik/vault/layout"
)

// entry is one object of the host, in 48 bytes: there may be millions.
type entry struct {
	id    [32]byte // see idOf
	size  uint32   // bytes; what does not fit is of no size that a format has
	at    uint32   // when it was stored, in seconds since 1970
	kind  uint8
	needs bool   // something needs it
	meant bool   // that, or a snapshot needs it that is removed, and still there
	group uint16 // 1 and on: the group of the gc object that condemns it
}

// idOf is what distinguishes an object from others of its kind.
func idOf(o layout.Object) (id [32]byte) {
	switch o.Kind {
	case layout.KindEpochKey:
		copy(id[:], o.Epoch[:])
		binary.BigEndian.PutUint32(id[len(o.Epoch):], uint32(o.N)) //nolint:gosec // has four digits
	case layout.KindCheckpoint, layout.KindNote:
		copy(id[:], o.Short) // 26 bytes
	default:
		id = o.Sum
	}
	return id
}

func (e *entry) object(host layout.HostID) layout.Object {
	o := layout.Object{Kind: layout.Kind(e.kind), Host: host}
	switch o.Kind {
	case layout.KindEpochKey:
		copy(o.Epoch[:], e.id[:])
		o.N = int(binary.BigEndian.Uint32(e.id[len(o.Epoch):]))
	case layout.KindCheckpoint, layout.KindNote:
		o.Short = string(bytes.TrimRight(e.id[:], "\x00"))
	default:
		o.Sum = e.id
	}
	return o
}

func (e entry) compare(o entry) int {
	return cmp.Or(cmp.Compare(e.kind, o.kind), bytes.Compare(e.id[:], o.id[:]))
}

// inventory is what the store lists of a host and prune may condemn, sorted.
type inventory struct {
	all    []entry
	newest time.Time // when the newest was stored
}

func (v *inventory) add(o Object) {
	if o.Name() == "" {
		return
	}
	v.all = append(v.all, entry{kind: uint8(o.Kind), id: idOf(o.Object), //nolint:gosec // there are few kinds
		size: small(o.Size), at: small(o.Stored.Unix())})
	if o.Stored.After(v.newest) {
		v.newest = o.Stored
	}
}

func small(n int64) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) } //nolint:gosec // it fits

func (v *inventory) sort() {
	slices.SortFunc(v.all, entry.compare)
	v.all = slices.CompactFunc(v.all, func(a, b entry) bool { return a.compare(b) == 0 })
}

// find returns where an object is in the inventory, or -1.
func (v *inventory) find(o layout.Object) int32 {
	return v.look(uint8(o.Kind), idOf(o)) //nolint:gosec // there are few kinds
}

func (v *inventory) look(kind uint8, id [32]byte) int32 {
	i, ok := slices.BinarySearchFunc(v.all, entry{kind: kind, id: id}, entry.compare)
	if !ok {
		return -1
	}
	return int32(i) //nolint:gosec // a store of 2^31 objects does not fit into memory
}

// of returns the objects of a kind.
func (v *inventory) of(kind layout.Kind) []entry {
	k := uint8(kind) //nolint:gosec // there are few kinds
	from, _ := slices.BinarySearchFunc(v.all, k, func(e entry, k uint8) int { return cmp.Compare(e.kind, k) })
	to, _ := slices.BinarySearchFunc(v.all, k+1, func(e entry, k uint8) int { return cmp.Compare(e.kind, k) })
	return v.all[from:to]
}

// stored is when it was, to the second.
func (e *entry) stored() time.Time { return time.Unix(int64(e.at), 0) }
