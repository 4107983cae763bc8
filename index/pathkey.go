package index

import (
	"github.com/zeebo/blake3"
)

// PathHasher makes path keys. It is for one goroutine and does not allocate.
type PathHasher struct {
	h   *blake3.Hasher
	buf [32]byte
}

// NewPathHasher returns a hasher under the key of the index (Options.Key).
func NewPathHasher(key [32]byte) *PathHasher {
	sub := keyed(key, "vaultik index path")
	h, err := blake3.NewKeyed(sub[:])
	if err != nil {
		panic("blake3 takes 32-byte keys: " + err.Error())
	}
	return &PathHasher{h: h}
}

// Key returns the key of a path, as raw bytes without the leading slash.
func (p *PathHasher) Key(path string) PathKey {
	p.h.Reset()
	_, _ = p.h.WriteString(path)
	return PathKey(p.h.Sum(p.buf[:0])[:16])
}
