package index

import (
	"encoding/binary"
	"sync/atomic"

	"vaultik/vault/chunk"
)

// filter is a Bloom filter of the chunk ids that the generation holds. It
// exists only when the generation had none when the index was opened or
// reset, and makes the first backup's question, whether a chunk is known, nearly
// free. Ids are keyed hashes, so their bytes serve as the hash functions.
// For many goroutines; a nil filter may contain anything.
type filter struct {
	words []atomic.Uint64 // a power of two
	mask  uint32          // bits - 1
}

// newFilter makes a filter of 2^k bytes, at most the given, at most 256 MiB.
func newFilter(bytes int) *filter {
	size := 8
	for size*2 <= min(bytes, 256<<20) {
		size *= 2
	}
	return &filter{words: make([]atomic.Uint64, size/8), mask: uint32(size*8 - 1)}
}

// probe is bit i of 4 of an id; the first half of it is in the keys already.
func (f *filter) probe(id *chunk.ID, i int) (*atomic.Uint64, uint64) {
	h := binary.LittleEndian.Uint32(id[16+4*i:]) & f.mask
	return &f.words[h/64], 1 << (h % 64)
}

func (f *filter) add(id *chunk.ID) {
	if f == nil {
		return
	}
	for i := range 4 {
		if w, bit := f.probe(id, i); w.Load()&bit == 0 {
			w.Or(bit)
		}
	}
}

func (f *filter) mayContain(id *chunk.ID) bool {
	if f == nil {
		return true
	}
	for i := range 4 {
		if w, bit := f.probe(id, i); w.Load()&bit == 0 {
			return false
		}
	}
	return true
}
