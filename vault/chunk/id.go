package chunk

import (
	"encoding/hex"
	"fmt"
)

// ID is the keyed BLAKE3-256 of a chunk's bytes. The key belongs to one host,
// so an id says nothing to anyone else; it never reaches a store in the clear.
type ID [32]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads 64 lowercase hex digits, the only spelling of an id.
func ParseID(s string) (id ID, err error) {
	if len(s) != 2*len(id) {
		return id, fmt.Errorf("parse chunk id %q: want %d hex digits", s, 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("parse chunk id %q: %w", s, err)
	}
	if id.String() != s {
		return id, fmt.Errorf("parse chunk id %q: want lowercase hex digits", s)
	}
	return id, nil
}
