package index

import (
	"encoding/binary"

	"vaultik/vault/chunk"
	"vaultik/vault/layout"
)

// Keys begin with the generation, so that one prefix holds all its rows, followed by
// the kind of row. A row over pieceSize has more keys: the same with a 16-bit number
// appended. Ids and digests are cut to 128 bits; the checksum of the row covers all of
// them.
const (
	kindMeta    = 'm'
	kindBlob    = 'b' // number
	kindChunk   = 'c' // first half of the id
	kindLeaf    = 'l' // set, last path
	kindEntries = 'e' // set, last path
	kindBranch  = 'r' // set, first half of the digest
	kindUses    = 'u' // set

	prefixLen   = 5
	chunkKeyLen = prefixLen + 16
)

// metaKey lies in generation 0, which has no rows.
var metaKey = []byte{0, 0, 0, 0, kindMeta}

func appendPrefix(dst []byte, gen uint32, kind byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, gen), kind)
}

func appendBlobKey(dst []byte, gen uint32, n BlobNum) []byte {
	return binary.BigEndian.AppendUint32(appendPrefix(dst, gen, kindBlob), uint32(n))
}

func appendChunkKey(dst []byte, gen uint32, id *chunk.ID) []byte {
	return append(appendPrefix(dst, gen, kindChunk), id[:16]...)
}

func appendLeafKey(dst []byte, gen uint32, kind byte, k LeafKey) []byte {
	dst = append(appendPrefix(dst, gen, kind), k.Set[:]...)
	return append(dst, k.Last[:]...)
}

func appendBranchKey(dst []byte, gen uint32, k BranchKey) []byte {
	dst = append(appendPrefix(dst, gen, kindBranch), k.Set[:]...)
	return append(dst, k.Digest[:16]...)
}

func appendUsesKey(dst []byte, gen uint32, set layout.SetID) []byte {
	return append(appendPrefix(dst, gen, kindUses), set[:]...)
}

// appendPieceKey makes the key of piece i of a long row; piece 0 has the row's own key.
func appendPieceKey(dst, key []byte, i int) []byte {
	dst = append(dst, key...)
	if i > 0 {
		dst = binary.BigEndian.AppendUint16(dst, uint16(i))
	}
	return dst
}
