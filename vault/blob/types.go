package blob

import (
	"encoding/hex"

	"vaultik/vault/chunk"
	"vaultik/vault/layout"
)

// Name is the SHA-256 of a blob's complete age file; it names the object in the store.
type Name [32]byte

func (n Name) String() string { return hex.EncodeToString(n[:]) }

// Info is what a reference must know of a blob to read it safely.
type Info struct {
	Name  Name
	Hdr   [32]byte     // SHA-256 of the age header and payload nonce
	Size  int64        // bytes of the complete age file
	Epoch layout.Epoch // whose key it is sealed to, beside the recipients
}

// Span is the place of one chunk inside a blob.
type Span struct {
	FrameOff uint32 // bytes from the start of the age plaintext
	FrameLen uint32 // bytes of the compressed frame
	Off      uint32 // bytes from the start of the decompressed frame
	Len      uint32 // bytes of the chunk
}

// Row is one line of a blob's table.
type Row struct {
	ID chunk.ID
	Span
}
