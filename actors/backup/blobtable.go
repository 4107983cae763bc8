package backup

import (
	"encoding/binary"
	"math"
	"sync"

	"vaultik/index"
	"vaultik/vault/blob"
)

// blobTable is all that a run knows of blobs, one record each: those in the store,
// those in the index that something refers to, those of this run. It takes 120 bytes a
// blob at most, 120 MB a million, which the bounds of a job allow for (blobMemory). It is
// safe for many goroutines.
type blobTable struct {
	ix *index.Index

	mu      sync.Mutex
	segs    [][]knownBlob // record i is segs[i/blobSegment][i%blobSegment]: it never moves
	records uint32
	slots   []uint32 // open addressing by the name, which is random: record + 1; 0 is empty
	nums    []uint32 // by number in the index: record + 1; 0: not asked for yet, or gone
	listing uint16   // that counts as the state of the store
	round   uint8
	needs   int // records of round
}

type knownBlob struct {
	blob.Info               // of one that is only listed: nothing but the name
	num       index.BlobNum // 0: not known to be in the index
	listing   uint16        // the last that had it
	round     uint8         // the last that needed it; 0: none
	own       bool          // the store has acknowledged it to this run
	live      int64         // bytes of chunks that round uses; one used twice counts twice
}

// fill completes a record, once: those that have its pointer read it without the lock.
func (b *knownBlob) fill(in blob.Info) {
	if b.Size == 0 {
		b.Info = in
	}
}

// blobMemory is what a blob takes in the table of the run and in that of the index, in bytes.
const blobMemory = 120 + 95

// blobSegment is how many records are made at once: 12 pages of 8 KiB, without waste.
const blobSegment = 1024

func newBlobTable(ix *index.Index) *blobTable { return &blobTable{ix: ix, listing: 1, round: 1} }

// info is what is known of a blob of the index, the same pointer each time: pages that
// refer to one blob share it. False for a blob that is gone.
func (t *blobTable) info(n index.BlobNum) (*blob.Info, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int(n) < len(t.nums) && t.nums[n] != 0 {
		return &t.at(t.nums[n] - 1).Info, true
	}
	in, ok := t.ix.Blob(n)
	if !ok {
		return nil, false
	}
	b := t.record(in.Name)
	b.fill(in)
	b.num = n
	t.number(n, in.Name)
	return &b.Info, true
}

// add takes a blob of this run.
func (t *blobTable) add(in blob.Info) *blob.Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.record(in.Name)
	b.fill(in)
	return &b.Info
}

// list begins a listing, in which no blob is stored yet.
func (t *blobTable) list() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listing++
}

// stored notes that a blob is in the store.
func (t *blobTable) stored(name blob.Name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record(name).listing = t.listing
}

// uploaded notes that the store has acknowledged a blob to this run.
func (t *blobTable) uploaded(name blob.Name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.record(name)
	b.listing, b.own = t.listing, true
}

// present reports whether a blob is in the store, as far as is known: what this run
// has stored may be too new to be listed.
func (t *blobTable) present(name blob.Name) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.find(name)
	return b != nil && (b.listing == t.listing || b.own)
}

// walk begins a round, in which no blob is needed yet.
func (t *blobTable) walk() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.round++
	t.needs = 0
}

// need notes that the snapshot needs a blob.
func (t *blobTable) need(name blob.Name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.needIn(name)
}

func (t *blobTable) needIn(name blob.Name) *knownBlob {
	b := t.record(name)
	if b.round != t.round {
		b.round, b.live = t.round, 0
		t.needs++
	}
	return b
}

// use notes that the snapshot needs so many bytes of chunks of a blob.
func (t *blobTable) use(name blob.Name, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.needIn(name)
	b.live = min(b.live, math.MaxInt64-bytes) + bytes
}

// eachNeeded calls fn for each blob that the snapshot needs. It must not use the table.
func (t *blobTable) eachNeeded(fn func(*knownBlob)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.records {
		if b := t.at(i); b.round == t.round {
			fn(b)
		}
	}
}

// needed reports whether the snapshot needs a blob.
func (t *blobTable) needed(name blob.Name) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.find(name)
	return b != nil && b.round == t.round
}

// used reports whether this run has stored a blob, or needed it in any round.
func (t *blobTable) used(name blob.Name) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.find(name)
	return b != nil && (b.own || b.round > 0)
}

// count is how many blobs the snapshot needs, and how many are known in all.
func (t *blobTable) count() (needed, all int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.needs, int(t.records)
}

// unlisted are blobs that the snapshot needs and the newest listing has not: own ones,
// which this run has stored, and others.
func (t *blobTable) unlisted() (own, others []blob.Name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.records {
		switch b := t.at(i); {
		case b.round != t.round || b.listing == t.listing:
		case b.own:
			own = append(own, b.Name)
		default:
			others = append(others, b.Name)
		}
	}
	return own, others
}

// lost notes that the store does not have, or will delete, what this run has stored.
func (t *blobTable) lost(name blob.Name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.find(name); b != nil {
		b.own = false
	}
}

// size is the length of a blob in bytes, 0 if it is not known.
func (t *blobTable) size(name blob.Name) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.find(name); b != nil {
		return b.Size
	}
	return 0
}

// forget drops blobs that were removed from the index: their numbers are void.
func (t *blobTable) forget(names []blob.Name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range names {
		if b := t.find(n); b != nil && b.num != 0 {
			t.nums[b.num], b.num = 0, 0
		}
	}
}

func (t *blobTable) at(i uint32) *knownBlob { return &t.segs[i/blobSegment][i%blobSegment] }

// slot is where a name is in the hash table, or would be.
func (t *blobTable) slot(name *blob.Name) int {
	mask := len(t.slots) - 1
	i := int(binary.LittleEndian.Uint32(name[8:])) & mask
	for t.slots[i] != 0 && t.at(t.slots[i]-1).Name != *name {
		i = (i + 1) & mask
	}
	return i
}

func (t *blobTable) find(name blob.Name) *knownBlob {
	if len(t.slots) == 0 {
		return nil
	}
	if r := t.slots[t.slot(&name)]; r != 0 {
		return t.at(r - 1)
	}
	return nil
}

// record is the blob's, made if it is not there.
func (t *blobTable) record(name blob.Name) *knownBlob {
	if b := t.find(name); b != nil {
		return b
	}
	if int(t.records) == len(t.segs)*blobSegment {
		t.segs = append(t.segs, make([]knownBlob, blobSegment))
	}
	b := t.at(t.records)
	b.Name = name
	t.records++
	if int(t.records)*10 > len(t.slots)*7 {
		t.slots = make([]uint32, max(64, 2*len(t.slots)))
		for i := range t.records {
			t.slots[t.slot(&t.at(i).Name)] = i + 1
		}
	} else {
		t.slots[t.slot(&name)] = t.records
	}
	return b
}

// number notes the record of a number.
func (t *blobTable) number(n index.BlobNum, name blob.Name) {
	if int(n) >= len(t.nums) {
		// It grows by a quarter only: to double it would take too much memory.
		grown := make([]uint32, int(n)+int(n)/4+64)
		copy(grown, t.nums)
		t.nums = grown
	}
	t.nums[n] = t.slots[t.slot(&name)]
}
