package blob

import (
	"bytes"
	"fmt"
	"io"

	"filippo.io/age"
)

// Salvage opens a blob that OpenBytes refuses: changed in some places, or truncated.
// part is as much of it as there is, and is not changed. What age does not
// authenticate, 64 KiB at a time, is ErrDamaged when it is read; everything else is
// intact. If the end is damaged, nothing after the first damage is readable.
func Salvage(info Info, part []byte, ids []age.Identity) (*Reader, error) {
	r, err := salvage(info, part, ids)
	return r, info.wrap("salvage", err)
}

func salvage(info Info, part []byte, ids []age.Identity) (*Reader, error) {
	if err := info.checkSize(); err != nil {
		return nil, err
	}
	if int64(len(part)) > info.Size {
		part = part[:info.Size]
	}
	n := headerLen(part)
	if n == 0 {
		return nil, damaged("no age header")
	}
	fileKey, err := unwrap(info, part[:n], ids)
	if err != nil {
		return nil, err
	}
	id := age.NewInjectedFileKeyIdentity(fileKey)
	r := &Reader{info: info, whole: true}
	if src, size, err := age.DecryptReaderAt(bytes.NewReader(part), int64(len(part)), id); err == nil {
		r.readParts(src, size)
		return r, nil
	}
	src, err := age.Decrypt(bytes.NewReader(part), id)
	if err != nil {
		return nil, damaged("%w", err)
	}
	var plain bytes.Buffer
	plain.Grow(len(part))
	_, _ = io.Copy(&plain, src) // ends where the damage begins
	r.plain, r.plainSize = plain.Bytes(), int64(plain.Len())
	return r, nil
}

// readParts reads what can be read, and notes what cannot.
func (r *Reader) readParts(src io.ReaderAt, size int64) {
	r.plain, r.plainSize = make([]byte, size), size
	for off := int64(0); off < size; off += ageChunk {
		part := r.plain[off:min(off+ageChunk, size)]
		if n, err := src.ReadAt(part, off); n < len(part) || err != nil && err != io.EOF {
			r.holes = append(r.holes, off)
		}
	}
}

// intact reports whether a range of a salvaged blob could be read.
func (r *Reader) intact(off, n int64) error {
	for _, hole := range r.holes {
		if off < hole+ageChunk && hole < off+n {
			return fmt.Errorf("%w: bytes from %d on are not what was sealed", ErrDamaged, hole)
		}
	}
	return nil
}
