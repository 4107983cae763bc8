package layout

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// HostID names one backed-up host inside a store: 64 random bits, written as 16 hex digits.
type HostID [8]byte

// SetID names one set (a named group of paths) of one host: 64 random bits.
type SetID [8]byte

// Epoch names an epoch key: the first 8 bytes of the SHA-256 of its recipient string.
type Epoch [8]byte

// StoreID names a store: 128 random bits.
type StoreID [16]byte

func parseHex(kind, s string, dst []byte) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("parse %s %q: want %d hex digits", kind, s, 2*len(dst))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("parse %s %q: want lowercase hex digits", kind, s)
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}

// NewHostID returns a random id.
func NewHostID() (id HostID) { _, _ = rand.Read(id[:]); return }

// NewSetID returns a random id.
func NewSetID() (id SetID) { _, _ = rand.Read(id[:]); return }

// NewStoreID returns a random id.
func NewStoreID() (id StoreID) { _, _ = rand.Read(id[:]); return }

// ParseHostID reads 16 lowercase hex digits.
func ParseHostID(s string) (id HostID, err error) {
	err = parseHex("host id", s, id[:])
	return id, err
}

// ParseStoreID reads 32 lowercase hex digits.
func ParseStoreID(s string) (id StoreID, err error) {
	err = parseHex("store id", s, id[:])
	return id, err
}

func (id HostID) String() string  { return hex.EncodeToString(id[:]) }
func (id SetID) String() string   { return hex.EncodeToString(id[:]) }
func (id Epoch) String() string   { return hex.EncodeToString(id[:]) }
func (id StoreID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id was never set.
func (id HostID) IsZero() bool { return id == HostID{} }

// IsZero reports whether the id was never set.
func (id SetID) IsZero() bool { return id == SetID{} }

// IsZero reports whether the id was never set.
func (id Epoch) IsZero() bool { return id == Epoch{} }

// IsZero reports whether the id was never set.
func (id StoreID) IsZero() bool { return id == StoreID{} }

// MarshalText writes lowercase hex.
func (id HostID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText writes lowercase hex.
func (id SetID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText writes lowercase hex.
func (id Epoch) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText writes lowercase hex.
func (id StoreID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads lowercase hex.
func (id *HostID) UnmarshalText(b []byte) error { return parseHex("host id", string(b), id[:]) }

// UnmarshalText reads lowercase hex.
func (id *SetID) UnmarshalText(b []byte) error { return parseHex("set id", string(b), id[:]) }

// UnmarshalText reads lowercase hex.
func (id *Epoch) UnmarshalText(b []byte) error { return parseHex("epoch", string(b), id[:]) }

// UnmarshalText reads lowercase hex.
func (id *StoreID) UnmarshalText(b []byte) error { return parseHex("store id", string(b), id[:]) }
