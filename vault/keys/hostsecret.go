package keys

import (
	"crypto/rand"
	"encoding/base64"
	"errors"

	"github.com/zeebo/blake3"
)

// HostSecret is the one random secret of a host. It lies in the host's
// configuration directory and in every snapshot root, and decrypts nothing:
// it only keeps others from recognising contents by their ids and sizes.
type HostSecret [32]byte

// The contexts of BLAKE3's derive-key mode. They are part of the format.
const (
	contextChunkID   = "vaultik v1 chunk id"
	contextChunker   = "vaultik v1 chunker"
	contextPageCut   = "vaultik v1 page cut"
	contextHardLink  = "vaultik v1 hard link"
	contextIndexPath = "vaultik v1 index path"
	contextMachineID = "vaultik v1 machine id"
	contextTag       = "vaultik v1 tag"
)

// NewHostSecret returns a random secret.
func NewHostSecret() (s HostSecret) {
	_, _ = rand.Read(s[:])
	return s
}

// ChunkID returns the key under which chunks are hashed to their ids.
func (s HostSecret) ChunkID() [32]byte { return s.derive(contextChunkID) }

// Chunker returns the key that decides where chunks are cut.
func (s HostSecret) Chunker() [32]byte { return s.derive(contextChunker) }

// PageCut returns the key that decides where pages and list pages end.
func (s HostSecret) PageCut() [32]byte { return s.derive(contextPageCut) }

// HardLink returns the key under which (source mount, inode) is hashed.
func (s HostSecret) HardLink() [32]byte { return s.derive(contextHardLink) }

// IndexPath returns the key under which the local index hashes paths.
func (s HostSecret) IndexPath() [32]byte { return s.derive(contextIndexPath) }

// MachineID returns the key under which the configuration records the machine.
func (s HostSecret) MachineID() [32]byte { return s.derive(contextMachineID) }

// Tag returns the key under which tags are hashed to their ids.
func (s HostSecret) Tag() [32]byte { return s.derive(contextTag) }

func (s HostSecret) derive(context string) (key [32]byte) {
	blake3.DeriveKey(context, s[:], key[:])
	return key
}

// IsZero reports whether the secret was never set.
func (s HostSecret) IsZero() bool { return s == HostSecret{} }

// MarshalText writes the secret itself, in standard base64.
func (s HostSecret) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, s[:]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *HostSecret) UnmarshalText(text []byte) error {
	b, err := decodeSecret(text, len(s))
	if err != nil {
		return errors.New("parse host secret: want 32 bytes in base64")
	}
	copy(s[:], b)
	return nil
}

// decodeSecret reads n bytes of strict base64; its error says nothing of the text.
func decodeSecret(text []byte, n int) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil || len(b) != n || base64.StdEncoding.EncodeToString(b) != string(text) {
		return nil, errors.New("malformed base64")
	}
	return b, nil
}
