package plan

import (
	"encoding/binary"
	"fmt"
	"slices"

	"vaultik/vault/blob"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// Inventory is all objects that some snapshots need, each once, with the
// snapshots that need it. It takes some 150 bytes an object, however many snapshots share it,
// if snapshots that follow each other do, and 4 bytes for each further blob list that names it.
type Inventory struct {
	objects []Object
	byKey   map[objectKey]uint32
	hosts   []layout.HostID
	keys    map[uint32][32]byte // SHA-256 of epoch keys

	before map[uint32]uint32 // by snapshot, the one before it in its chain
	more   map[uint32][]run  // by object, all but its first

	moreLists map[uint32][]uint32 // by blob, the lists that name it, all but the first
}

// Object is one object of an inventory.
type Object struct {
	id     [32]byte // SHA-256; of an epoch key its epoch and number
	Size   int64    // bytes
	run    run
	Stored uint32 // when the store got it, in seconds since 1970; 0: not known
	list   uint32 // the first that names it, and 1
	host   uint16
	kind   uint8
	State  State
}

// State is what has been found out about an object.
type State uint8

// What can be known of an object.
const (
	Unseen  State = iota // not in the listing, so far
	Present              // of the right size, by the listing
	Checked              // its SHA-256 is right
	Bad
)

type objectKey struct {
	id   [32]byte
	host uint16
	kind uint8
}

// run is snapshots that follow each other in a chain.
type run struct{ first, last uint32 }

// noRun is that of a blob which no snapshot has named itself, but a list.
var noRun = run{first: 1}

// NewInventory returns an empty inventory.
func NewInventory() *Inventory {
	return &Inventory{
		byKey: map[objectKey]uint32{}, keys: map[uint32][32]byte{},
		before: map[uint32]uint32{}, more: map[uint32][]run{},
		moreLists: map[uint32][]uint32{},
	}
}

// Len is the number of objects. They are numbered from 0.
func (v *Inventory) Len() int { return len(v.objects) }

// At returns an object, whose State the caller may set.
func (v *Inventory) At(i int) *Object { return &v.objects[i] }

// Hosts are the hosts of all objects; their numbers are what Host returns.
func (v *Inventory) Hosts() []layout.HostID { return v.hosts }

// Host returns the number of a host, which it gets if it has none.
func (v *Inventory) Host(id layout.HostID) int {
	for i, h := range v.hosts {
		if h == id {
			return i
		}
	}
	v.hosts = append(v.hosts, id)
	return len(v.hosts) - 1
}

// AddRoot notes that a snapshot needs its root. Snapshots are added in ascending order.
func (v *Inventory) AddRoot(snap, host int, r snapshot.RootRef) (int, error) {
	return v.add(snap, objectKey{r.Name, uint16(host), uint8(layout.KindRoot)}, r.Size)
}

// AddList notes that a snapshot needs a blob list.
func (v *Inventory) AddList(snap, host int, l snapshot.ListRef) (int, error) {
	return v.add(snap, objectKey{l.Name, uint16(host), uint8(layout.KindBlobList)}, l.Size)
}

// AddBlob notes that a snapshot needs a blob.
func (v *Inventory) AddBlob(snap, host int, b snapshot.BlobSize) (int, error) {
	return v.add(snap, objectKey{b.Name, uint16(host), uint8(layout.KindBlob)}, b.Size)
}

// AddListed notes that all who need a blob list need a blob. Lists are added in any order, one
// after the other.
func (v *Inventory) AddListed(list, host int, b snapshot.BlobSize) (int, error) {
	i := v.object(objectKey{b.Name, uint16(host), uint8(layout.KindBlob)}, b.Size, noRun)
	n := uint32(list) + 1
	switch o, more := &v.objects[i], v.moreLists[i]; {
	case o.list == 0:
		o.list = n
	case o.list != n && (len(more) == 0 || more[len(more)-1] != n):
		v.moreLists[i] = append(more, n)
	}
	return int(i), v.sized(i, b.Size)
}

// AddKey notes that a snapshot needs an epoch key.
func (v *Inventory) AddKey(snap, host int, k snapshot.KeyRef) (int, error) {
	i, err := v.add(
		snap,
		objectKey{keyID(k.Epoch, k.N), uint16(host), uint8(layout.KindEpochKey)},
		k.Size,
	)
	if sum, ok := v.keys[uint32(i)]; ok && sum != k.SHA256 && err == nil {
		err = fmt.Errorf("manifests record it with two hashes, %x and %x", sum[:8], k.SHA256[:8])
	}
	v.keys[uint32(i)] = k.SHA256
	return i, err
}

func keyID(e layout.Epoch, n int) (id [32]byte) {
	copy(id[:], e[:])
	binary.BigEndian.PutUint64(id[len(e):], uint64(n))
	return id
}

// add returns the object's number, and an error if other snapshots say otherwise of it.
func (v *Inventory) add(snap int, k objectKey, size int64) (int, error) {
	i := v.object(k, size, run{uint32(snap), uint32(snap)})
	if o := &v.objects[i]; o.run == noRun {
		o.run = run{uint32(snap), uint32(snap)}
	} else if !v.extend(&o.run, uint32(snap)) {
		v.addMore(i, uint32(snap))
	}
	return int(i), v.sized(i, size)
}

// object is the number of an object, made if it is not there.
func (v *Inventory) object(k objectKey, size int64, r run) uint32 {
	i, ok := v.byKey[k]
	if !ok {
		i = uint32(len(v.objects))
		v.byKey[k] = i
		v.objects = append(v.objects,
			Object{id: k.id, Size: size, host: k.host, kind: k.kind, run: r})
	}
	return i
}

// sized is an error if an object was recorded with another size before.
func (v *Inventory) sized(i uint32, size int64) error {
	if known := v.objects[i].Size; known != size {
		return fmt.Errorf("manifests record it with two sizes, %d and %d", known, size)
	}
	return nil
}

// Follows notes which snapshot is the one before another in its chain.
func (v *Inventory) Follows(snap, before int) { v.before[uint32(snap)] = uint32(before) }

// extend adds a snapshot to a run, if it is its next or its last.
func (v *Inventory) extend(r *run, snap uint32) bool {
	if before, ok := v.before[snap]; ok && r.last == before {
		r.last = snap
	}
	return r.last == snap
}

// addMore adds a snapshot to the further runs of an object.
func (v *Inventory) addMore(i, snap uint32) {
	runs := v.more[i]
	for k := range runs {
		if v.extend(&runs[k], snap) {
			return
		}
	}
	v.more[i] = append(runs, run{snap, snap})
}

// Snapshots are the numbers of those that need an object, ascending.
func (v *Inventory) Snapshots(i int) []int {
	out := v.named(nil, uint32(i))
	if n := v.objects[i].list; n > 0 {
		for _, list := range append([]uint32{n}, v.moreLists[uint32(i)]...) {
			out = v.named(out, list-1)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// named appends the numbers of the snapshots that name an object themselves.
func (v *Inventory) named(out []int, i uint32) []int {
	if v.objects[i].run == noRun {
		return out
	}
	for _, r := range append([]run{v.objects[i].run}, v.more[i]...) {
		for n := r.last; ; n = v.before[n] {
			out = append(out, int(n))
			if n == r.first {
				break
			}
		}
	}
	return out
}

// Find returns the number of the object that a key of the store names.
func (v *Inventory) Find(o layout.Object) (int, bool) {
	id := o.Sum
	switch o.Kind {
	case layout.KindEpochKey:
		id = keyID(o.Epoch, o.N)
	case layout.KindBlob, layout.KindRoot, layout.KindBlobList:
	default:
		return 0, false
	}
	for h, host := range v.hosts {
		if host == o.Host {
			i, ok := v.byKey[objectKey{id, uint16(h), uint8(o.Kind)}]
			return int(i), ok
		}
	}
	return 0, false
}

// FindBlob returns the number of a blob.
func (v *Inventory) FindBlob(host int, name blob.Name) (int, bool) {
	i, ok := v.byKey[objectKey{name, uint16(host), uint8(layout.KindBlob)}]
	return int(i), ok
}

// Key is an object's name in the store.
func (v *Inventory) Key(i int) string {
	o := &v.objects[i]
	k := layout.Object{Kind: layout.Kind(o.kind), Host: v.hosts[o.host]}
	if k.Kind == layout.KindEpochKey {
		k.Epoch = layout.Epoch(o.id[:len(k.Epoch)])
		k.N = int(binary.BigEndian.Uint64(o.id[len(k.Epoch):]))
	} else {
		k.Sum = o.id
	}
	return k.Key()
}

// Sum is an object's SHA-256, as recorded.
func (v *Inventory) Sum(i int) [32]byte {
	if sum, ok := v.keys[uint32(i)]; ok {
		return sum
	}
	return v.objects[i].id
}

// HostOf is the number of an object's host.
func (v *Inventory) HostOf(i int) int { return int(v.objects[i].host) }

// IsKey reports whether an object is an epoch key: its name is not its hash.
func (v *Inventory) IsKey(
	i int,
) bool {
	return layout.Kind(v.objects[i].kind) == layout.KindEpochKey
}

// IsBlob reports whether an object is a blob.
func (v *Inventory) IsBlob(i int) bool { return layout.Kind(v.objects[i].kind) == layout.KindBlob }
