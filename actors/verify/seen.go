package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"

	"vaultik/vault/blob"
	"vaultik/vault/page"
)

// recent keeps what was used last. What was not used while half of the limit was filled anew
// is forgotten, so its cost is never over the limit.
type recent[K comparable, V any] struct {
	mu         sync.Mutex
	limit      int
	cost       int // of young
	young, old map[K]recentValue[V]
}

type recentValue[V any] struct {
	v    V
	cost int
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{limit: limit, young: map[K]recentValue[V]{}}
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if got, ok := r.young[k]; ok {
		return got.v, true
	}
	got, ok := r.old[k]
	if ok {
		r.add(k, got)
	}
	return got.v, ok
}

// put adds a value that costs so many bytes, its key and the map included.
func (r *recent[K, V]) put(k K, v V, cost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(k, recentValue[V]{v, cost})
}

func (r *recent[K, V]) add(k K, v recentValue[V]) {
	if r.cost+v.cost > r.limit/2 {
		r.old, r.young, r.cost = r.young, map[K]recentValue[V]{}, 0
	}
	r.young[k] = v
	r.cost += v.cost
}

// mark stands for a page in its place, and for what its parent says of it.
type mark [16]byte

// seenPage is a page that was checked with all below it.
type seenPage struct {
	level int
	blobs []byte       // that it and they use, packed
	list  page.ListSum // of a list page
}

// seenCost is what a seen page takes beside its blobs, in bytes.
const seenCost = 128

// markOf is the mark of a page; host is the number of its host.
func markOf(host int, ref *page.Ref, last string, entries int64) (m mark) {
	b := make([]byte, 0, 256)
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(host))
	b = append(append(b, ref.Blob.Name[:]...), ref.Blob.Hdr[:]...)
	b = append(le.AppendUint64(b, uint64(ref.Blob.Size)), ref.Blob.Epoch[:]...)
	for _, n := range []uint32{ref.Span.FrameOff, ref.Span.FrameLen, ref.Span.Off, ref.Span.Len} {
		b = le.AppendUint32(b, n)
	}
	b = le.AppendUint64(append(b, ref.ID[:]...), uint64(entries))
	sum := sha256.Sum256(append(b, last...))
	return mark(sum[:])
}

// listMark is the mark of a list page of a level.
func listMark(host int, ref *page.Ref, level int) mark {
	return markOf(host, ref, "", -2-int64(level))
}

// topMark is the mark of a top page, of which nobody says anything.
func topMark(host int, ref *page.Ref) mark { return markOf(host, ref, "", -1) }

// bitset is a set of objects by number.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) add(i int)      { b[i/64] |= 1 << (i % 64) }

// addAll adds the members of another set of the same size.
func (b bitset) addAll(other bitset) {
	for i, w := range other {
		b[i] |= w
	}
}

// pack writes the set in as few bytes as the distances of its members take.
func (b bitset) pack() (out []byte) {
	last := 0
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			n := i*64 + bits.TrailingZeros64(w)
			out = binary.AppendUvarint(out, uint64(n-last))
			last = n
		}
	}
	return slices.Clip(out)
}

// unpack calls fn for each member of a packed set.
func unpack(packed []byte, fn func(i int)) {
	at := 0
	for len(packed) > 0 {
		d, n := binary.Uvarint(packed)
		packed = packed[n:]
		at += int(d)
		fn(at)
	}
}

// tables remembers which chunks the tables of blobs have, eight bytes for each.
type tables struct {
	seed  maphash.Seed
	known *recent[tableKey, []uint64]
}

type tableKey struct {
	host int // by number
	info blob.Info
}

// tableCost is what a table takes beside its chunks, in bytes.
const tableCost = 256

func newTables(limit int) *tables {
	return &tables{maphash.MakeSeed(), newRecent[tableKey, []uint64](limit)}
}

func (t *tables) sum(s blob.Span, id [16]byte) uint64 {
	return maphash.Comparable(t.seed, blob.TableRow{ID16: id, Span: s})
}

// put remembers a table, and returns what get would.
func (t *tables) put(k tableKey, rows []blob.TableRow) []uint64 {
	sums := make([]uint64, len(rows))
	for i := range rows {
		sums[i] = t.sum(rows[i].Span, rows[i].ID16)
	}
	slices.Sort(sums)
	t.known.put(k, sums, tableCost+8*len(sums))
	return sums
}

// get returns the sorted sums of the chunks in the table of a blob.
func (t *tables) get(k tableKey) ([]uint64, bool) { return t.known.get(k) }

// in reports whether a chunk is in the table with these sums.
func (t *tables) in(sums []uint64, s blob.Span, id []byte) bool {
	_, ok := slices.BinarySearch(sums, t.sum(s, [16]byte(id[:16])))
	return ok
}
