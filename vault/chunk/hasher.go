package chunk

import "github.com/zeebo/blake3"

// Hasher makes ids. It belongs to one goroutine and allocates nothing per chunk.
type Hasher struct {
	h   *blake3.Hasher
	sum ID // lives here because a slice of a local would escape to the heap
}

// NewHasher returns a hasher for one host's ids.
func NewHasher(key [32]byte) *Hasher {
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic(err) // only a key that is not 32 bytes long
	}
	return &Hasher{h: h}
}

// Reset begins a chunk that comes in parts, Write adds one, Sum ends it.
func (h *Hasher) Reset() { h.h.Reset() }

// Write adds a part of a chunk. It never fails.
func (h *Hasher) Write(p []byte) (int, error) { return h.h.Write(p) }

// Sum returns the id of all that was written since Reset.
func (h *Hasher) Sum() ID {
	h.h.Sum(h.sum[:0])
	return h.sum
}

// ID returns the keyed BLAKE3-256 of data.
func (h *Hasher) ID(data []byte) ID {
	h.h.Reset()
	_, _ = h.h.Write(data) // never fails
	return h.Sum()
}
