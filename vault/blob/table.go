package blob

import (
	"encoding/binary"

	"vaultik/vault/chunk"
)

const (
	magicPadding = 0x184D2A50 // skippable frames, RFC 8878 section 3.1.2
	magicTable   = 0x184D2A51
	skipHeader   = 8 // magic and length of a skippable frame

	tableVersion = 1
	tableMagic   = "vaultikt"
	tableTrailer = 16
	rowSize      = 32
	tableEmpty   = skipHeader + tableTrailer
)

// TableRow is what a blob's own table says of one chunk.
type TableRow struct {
	ID16 [16]byte // the first half of the id
	Span
}

// Matches reports whether the row may be the chunk id's.
func (r TableRow) Matches(id chunk.ID) bool { return r.ID16 == [16]byte(id[:16]) }

func appendTable(dst []byte, rows []Row) []byte {
	size := tableEmpty + rowSize*len(rows)
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, magicTable)
	dst = le.AppendUint32(dst, uint32(size-skipHeader))
	for i := range rows {
		r := &rows[i]
		dst = append(dst, r.ID[:16]...)
		dst = le.AppendUint32(dst, r.FrameOff)
		dst = le.AppendUint32(dst, r.FrameLen)
		dst = le.AppendUint32(dst, r.Off)
		dst = le.AppendUint32(dst, r.Len)
	}
	dst = le.AppendUint32(dst, uint32(size))
	dst = le.AppendUint32(dst, tableVersion)
	return append(dst, tableMagic...)
}

// tableSize reads the trailer at the end of tail, the last bytes of a plaintext
// of the given size, and returns the size of the whole table.
func tableSize(tail []byte, plaintextSize int64) (int64, error) {
	if len(tail) < tableTrailer || plaintextSize < int64(len(tail)) {
		return 0, damaged("no room for a table")
	}
	t := tail[len(tail)-tableTrailer:]
	if string(t[8:]) != tableMagic {
		return 0, damaged("no table at the end")
	}
	if v := binary.LittleEndian.Uint32(t[4:]); v != tableVersion {
		return 0, damaged("table of unknown version %d", v)
	}
	size := int64(binary.LittleEndian.Uint32(t))
	if size < tableEmpty || size > plaintextSize || (size-tableEmpty)%rowSize != 0 {
		return 0, damaged("table of impossible size %d", size)
	}
	return size, nil
}

// ParseTable reads the table at the end of tail, the last bytes of a plaintext of
// the given size; tail must hold all of it. What it allocates is bounded by
// len(tail). Every span lies inside the plaintext before the table, and inside
// a frame of at most MaxFrameRaw bytes.
func ParseTable(tail []byte, plaintextSize int64) ([]TableRow, error) {
	size, err := tableSize(tail, plaintextSize)
	if err != nil {
		return nil, err
	}
	if size > int64(len(tail)) {
		return nil, damaged("table of %d bytes, %d given", size, len(tail))
	}
	le := binary.LittleEndian
	t := tail[int64(len(tail))-size:]
	if le.Uint32(t) != magicTable || int64(le.Uint32(t[4:])) != size-skipHeader {
		return nil, damaged("the beginning of the table is missing")
	}
	rows := make([]TableRow, (size-tableEmpty)/rowSize)
	for i := range rows {
		b, r := t[skipHeader+i*rowSize:], &rows[i]
		copy(r.ID16[:], b)
		r.Span = Span{le.Uint32(b[16:]), le.Uint32(b[20:]), le.Uint32(b[24:]), le.Uint32(b[28:])}
		if err := r.check(plaintextSize - size); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// check refuses spans that no writer makes: outside the first frames bytes of a
// plaintext, empty, or in a frame that is too large.
func (s Span) check(frames int64) error {
	switch {
	case s.FrameLen == 0 || int64(s.FrameLen) > maxFrameComp || int64(s.FrameOff)+int64(s.FrameLen) > frames:
		return damaged("frame at %d of %d bytes is outside the blob", s.FrameOff, s.FrameLen)
	case s.Len == 0 || int64(s.Off)+int64(s.Len) > MaxFrameRaw:
		return damaged("chunk at %d of %d bytes is outside its frame", s.Off, s.Len)
	}
	return nil
}
