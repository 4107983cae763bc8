package index

import (
	"encoding/binary"
	"math"

	"vaultik/vault/blob"
)

// segment is how many blobs one piece of the table holds: it grows without
// copying what is there.
const segment = 512

// blobTable holds all blob rows of a generation in memory: 84 bytes a blob, and
// about 8 in the hash table from name to number. Its owner locks.
type blobTable struct {
	segs  [][]blob.Info // number n is segs[(n-1)/segment][(n-1)%segment]; no name: gone
	raws  [][]uint32    // bytes of the blob's chunks, in the same places; 0: not known
	next  BlobNum       // the number of the next new blob
	live  int
	slots []BlobNum // open addressing by the name, which is random; 0: empty
	used  int       // slots not empty, gone blobs included
}

func newBlobTable() *blobTable { return &blobTable{next: 1} }

// at returns the slot of n, or nil.
func (t *blobTable) at(n BlobNum) *blob.Info {
	if n == 0 || n >= t.next {
		return nil
	}
	return &t.segs[(n-1)/segment][(n-1)%segment]
}

// get returns the blob n, or nil when there is none or it is gone.
func (t *blobTable) get(n BlobNum) *blob.Info {
	if in := t.at(n); in != nil && in.Name != (blob.Name{}) {
		return in
	}
	return nil
}

// tag returns the bytes of a name that rows keep beside a number.
func (t *blobTable) tag(n BlobNum) (tag [4]byte, ok bool) {
	in := t.get(n)
	if in == nil {
		return tag, false
	}
	return [4]byte(in.Name[:4]), true
}

// reserve makes room for numbers up to n.
func (t *blobTable) reserve(n BlobNum) {
	for int(n) > len(t.segs)*segment {
		t.segs = append(t.segs, make([]blob.Info, segment))
		t.raws = append(t.raws, make([]uint32, segment))
	}
	t.next = max(t.next, n+1)
}

// raw is how many bytes of chunks blob n has, at most 4 GiB; 0: that is not known.
func (t *blobTable) raw(n BlobNum) uint32 { return t.raws[(n-1)/segment][(n-1)%segment] }

// setRaw notes the bytes of chunks of blob n, if they are known.
func (t *blobTable) setRaw(n BlobNum, raw int64) {
	if raw > 0 {
		t.raws[(n-1)/segment][(n-1)%segment] = uint32(min(raw, math.MaxUint32))
	}
}

// put enters a blob under n. A zero name only takes the number. A blob that is
// there under another number, after a commit of unknown outcome, loses that.
func (t *blobTable) put(n BlobNum, in blob.Info) {
	t.reserve(n)
	t.drop(t.find(in.Name))
	*t.at(n) = in
	if in.Name == (blob.Name{}) {
		return
	}
	t.live++
	if (t.used+1)*10 > len(t.slots)*7 {
		t.rehash()
	} else {
		t.link(n, in.Name)
	}
}

// drop marks a blob as gone. Its number stays taken.
func (t *blobTable) drop(n BlobNum) {
	if in := t.get(n); in != nil {
		*in = blob.Info{}
		t.live--
	}
}

// find returns the number of a blob, or 0.
func (t *blobTable) find(name blob.Name) BlobNum {
	if len(t.slots) == 0 || name == (blob.Name{}) {
		return 0
	}
	mask := len(t.slots) - 1
	for i := slotOf(name) & mask; t.slots[i] != 0; i = (i + 1) & mask {
		if n := t.slots[i]; t.at(n).Name == name {
			return n
		}
	}
	return 0
}

func slotOf(name blob.Name) int { return int(binary.LittleEndian.Uint32(name[8:])) }

func (t *blobTable) link(n BlobNum, name blob.Name) {
	mask := len(t.slots) - 1
	i := slotOf(name) & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = n
	t.used++
}

// rehash makes the hash table fit and forgets the blobs that are gone.
func (t *blobTable) rehash() {
	size := 64
	for size*7 < (t.live+1)*2*10 {
		size *= 2
	}
	t.slots, t.used = make([]BlobNum, size), 0
	for n := BlobNum(1); n < t.next; n++ {
		if in := t.get(n); in != nil {
			t.link(n, in.Name)
		}
	}
}
