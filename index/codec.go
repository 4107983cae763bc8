package index

import (
	"encoding/binary"
	"hash/crc32"

	"vaultik/vault/blob"
	"vaultik/vault/layout"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumLen is the length of the checksum at the end of every row.
const sumLen = 4

// sum is a CRC-32C over the parts, begun with a seed that differs from host to host.
func sum(seed uint32, parts ...[]byte) uint32 {
	for _, p := range parts {
		seed = crc32.Update(seed, castagnoli, p)
	}
	return seed
}

// seal appends the checksum over a row's full key and its value.
func seal(val []byte, seed uint32, key []byte) []byte {
	return binary.LittleEndian.AppendUint32(val, sum(seed, key, val))
}

// unseal checks and cuts the checksum off.
func unseal(val []byte, seed uint32, key []byte) ([]byte, bool) {
	n := len(val) - sumLen
	if n < 0 || binary.LittleEndian.Uint32(val[n:]) != sum(seed, key, val[:n]) {
		return nil, false
	}
	return val[:n], true
}

// decoder takes values off the front of a row. After the first missing one it is bad,
// and returns only zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// u32 reads a number of at most 32 bits.
func (d *decoder) u32() uint32 {
	v := d.uvarint()
	if v > 1<<32-1 {
		d.bad, d.b = true, nil
		return 0
	}
	return uint32(v)
}

// i63 reads a number that is not negative as an int64.
func (d *decoder) i63() int64 {
	v := d.uvarint()
	if v > 1<<63-1 {
		d.bad, d.b = true, nil
		return 0
	}
	return int64(v)
}

// count reads how many items of at least size bytes each follow.
func (d *decoder) count(size int) int {
	v := d.uvarint()
	if v > uint64(len(d.b)/size) {
		d.bad, d.b = true, nil
		return 0
	}
	return int(v)
}

// copy fills dst.
func (d *decoder) copy(dst []byte) {
	if len(d.b) < len(dst) {
		d.bad, d.b = true, nil
		return
	}
	d.b = d.b[copy(dst, d.b):]
}

func (d *decoder) byte() byte {
	var b [1]byte
	d.copy(b[:])
	return b[0]
}

// done reports whether the row was good and is used up.
func (d *decoder) done() bool { return !d.bad && len(d.b) == 0 }

func appendSpan(dst []byte, s blob.Span) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.FrameOff))
	dst = binary.AppendUvarint(dst, uint64(s.FrameLen))
	dst = binary.AppendUvarint(dst, uint64(s.Off))
	return binary.AppendUvarint(dst, uint64(s.Len))
}

func (d *decoder) span() blob.Span {
	return blob.Span{FrameOff: d.u32(), FrameLen: d.u32(), Off: d.u32(), Len: d.u32()}
}

// A chunk row: blob number, span. Its checksum also covers the rest of the id
// and the blob's name, see Index.Chunks.
func appendChunk(dst []byte, l Loc) []byte {
	return appendSpan(binary.AppendUvarint(dst, uint64(l.Blob)), l.Span)
}

func decodeChunk(b []byte) (Loc, bool) {
	d := decoder{b: b}
	l := Loc{Blob: BlobNum(d.u32()), Span: d.span()}
	return l, d.done()
}

// A blob row: name, hdr, size, epoch, bytes of its chunks, unless that is not known. An empty
// one is a blob that is gone.
func appendBlob(dst []byte, in blob.Info, raw uint32) []byte {
	dst = append(dst, in.Name[:]...)
	dst = append(dst, in.Hdr[:]...)
	dst = append(dst, in.Epoch[:]...)
	dst = binary.AppendUvarint(dst, uint64(in.Size))
	if raw == 0 {
		return dst
	}
	return binary.AppendUvarint(dst, uint64(raw))
}

func decodeBlob(b []byte) (in blob.Info, raw uint32, ok bool) {
	if len(b) == 0 {
		return in, 0, true
	}
	d := decoder{b: b}
	d.copy(in.Name[:])
	d.copy(in.Hdr[:])
	in.Epoch = layout.Epoch{}
	d.copy(in.Epoch[:])
	in.Size = d.i63()
	if len(d.b) > 0 {
		raw = d.u32()
	}
	if !d.done() {
		return blob.Info{}, 0, false
	}
	return in, raw, true
}

// appendNums writes a list of blobs: count, then for each the difference to the
// one before and the tag of its name. False: one of them is gone.
func (t *blobTable) appendNums(dst []byte, nums []BlobNum) ([]byte, bool) {
	dst = binary.AppendUvarint(dst, uint64(len(nums)))
	last := int64(0)
	for _, n := range nums {
		tag, ok := t.tag(n)
		if !ok {
			return dst, false
		}
		dst = binary.AppendVarint(dst, int64(n)-last)
		dst = append(dst, tag[:]...)
		last = int64(n)
	}
	return dst, true
}

// nums reads a list of blobs. The number of one that is gone, or that is another
// blob by now, is 0, and gone is true.
func (t *blobTable) nums(d *decoder) (nums []BlobNum, gone bool) {
	count := d.count(1 + 4)
	if count == 0 {
		return nil, false
	}
	nums = make([]BlobNum, 0, count)
	last := int64(0)
	for range count {
		last += d.varint()
		var tag [4]byte
		d.copy(tag[:])
		n := BlobNum(0)
		if last > 0 && last < int64(inBatch) {
			if is, ok := t.tag(BlobNum(last)); ok && is == tag {
				n = BlobNum(last)
			}
		}
		gone = gone || n == 0
		nums = append(nums, n)
	}
	return nums, gone
}
