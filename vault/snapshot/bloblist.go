package snapshot

import (
	"bytes"
	"errors"
	"fmt"

	"vaultik/vault/blob"
)

const blobListType = "bloblist"

// MaxListed is how many blobs a blob list names at most.
const MaxListed = 4096

// leastListed is how many blobs a list has at least.
const leastListed = 16

// cuts are the low bits of names that are zero where lists end: first those of large ones,
// then, in what is left of the blobs, those of smaller ones. See docs/decisions/bloblists.md.
var cuts = []int{9, 5}

// CutBlobLists cuts the blobs of a snapshot, in the order they were made, into
// lists that later snapshots can share: a list of 16 or more ends after a name whose low 9 bits
// are zero, or at [MaxListed]. What follows the last end is cut into smaller lists of 16 or more,
// after names whose low 5 bits are zero, and what is left then is the tail, which the manifest
// names itself. The results share memory with blobs.
func CutBlobLists(blobs []BlobSize) (lists [][]BlobSize, tail []BlobSize) {
	return cutBlobLists(blobs, cuts)
}

func cutBlobLists(blobs []BlobSize, cuts []int) (lists [][]BlobSize, tail []BlobSize) {
	tail = blobs
	for _, bits := range cuts {
		start := 0
		for i := range tail {
			n, name := i+1-start, &tail[i].Name
			low := int(name[30])<<8 | int(name[31])
			if n == MaxListed || n >= leastListed && low&(1<<bits-1) == 0 {
				lists = append(lists, tail[start:i+1:i+1])
				start = i + 1
			}
		}
		tail = tail[start:]
	}
	return lists, tail
}

// blobListHeader is what a blob list begins with. Salt means nothing: it only gives the same
// blobs another name.
type blobListHeader struct {
	Header
	Salt string `json:"salt,omitempty"` // 16 hex digits
}

// EncodeBlobList writes a blob list: a header line, then a line a blob, zstd.
// It is stored under layout.BlobList of its SHA-256. The same blobs and salt give the same
// bytes. The salt is 0, unless prune has condemned the names that lower ones give: those must
// never be stored again.
func EncodeBlobList(blobs []BlobSize, salt uint64) ([]byte, error) {
	if err := checkBlobList(blobs); err != nil {
		return nil, fmt.Errorf("encode blob list: %w: %w", ErrInvalid, err)
	}
	h := blobListHeader{Header: newHeader(blobListType)}
	if salt > 0 {
		h.Salt = fmt.Sprintf("%016x", salt)
	}
	b, err := marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode blob list: %w", err)
	}
	for _, s := range blobs {
		b = append(s.append(b), '\n')
	}
	return compressNames(b), nil
}

// DecodeBlobList reads a blob list. The caller has checked its SHA-256.
func DecodeBlobList(b []byte) ([]BlobSize, error) {
	plain, err := decompressNames(b, MaxBlobList)
	if err == nil {
		var blobs []BlobSize
		if blobs, err = parseBlobList(plain); err == nil {
			return blobs, nil
		}
	}
	return nil, fmt.Errorf("decode blob list: %w", err)
}

func parseBlobList(plain []byte) ([]BlobSize, error) {
	first, rest, ok := bytes.Cut(plain, []byte{'\n'})
	if !ok {
		return nil, damaged("no blobs")
	}
	var h Header
	if err := unmarshal(first, blobListType, &h); err != nil {
		return nil, err
	}
	var blobs []BlobSize
	for len(rest) > 0 {
		var line []byte
		if line, rest, ok = bytes.Cut(rest, []byte{'\n'}); !ok {
			return nil, damaged("its last line is incomplete")
		}
		var s BlobSize
		if err := s.UnmarshalJSON(line); err != nil {
			return nil, damaged("line %d: %w", len(blobs)+2, err)
		}
		blobs = append(blobs, s)
	}
	if err := checkBlobList(blobs); err != nil {
		return nil, damaged("%w", err)
	}
	return blobs, nil
}

func checkBlobList(blobs []BlobSize) error {
	if len(blobs) < 1 || len(blobs) > MaxListed {
		return fmt.Errorf("%d blobs, want 1 to %d", len(blobs), MaxListed)
	}
	return checkBlobs(blobs)
}

func checkBlobs(blobs []BlobSize) error {
	seen := make(map[blob.Name]struct{}, len(blobs))
	var total int64
	for _, s := range blobs {
		if !whole(s.Size) {
			return fmt.Errorf("blob %s has size %d", s.Name, s.Size)
		}
		if total += s.Size; total > maxInt {
			return errors.New("sizes add up to too much")
		}
		if _, twice := seen[s.Name]; twice {
			return fmt.Errorf("blob %s occurs twice", s.Name)
		}
		seen[s.Name] = struct{}{}
	}
	return nil
}
