package index

import "encoding/binary"

// appendUses encodes what a set uses: version, blobs, then of each how much, and since when
// that is little. False: a blob is gone.
func (t *blobTable) appendUses(dst []byte, uses []Use) ([]byte, bool) {
	nums := make([]BlobNum, len(uses))
	for i := range uses {
		nums[i] = uses[i].Blob
	}
	dst, ok := t.appendNums(append(dst, rowVersion), nums)
	for i := range uses {
		dst = binary.AppendUvarint(dst, uint64(uses[i].Live))
		dst = binary.AppendUvarint(dst, uint64(uses[i].Low))
	}
	return dst, ok
}

// decodeUses leaves out blobs that are gone.
func (t *blobTable) decodeUses(b []byte) (uses []Use, ok bool) {
	d := decoder{b: b}
	version := d.byte()
	nums, _ := t.nums(&d)
	for _, n := range nums {
		u := Use{Blob: n, Live: d.i63(), Low: d.i63()}
		if n != 0 {
			uses = append(uses, u)
		}
	}
	return uses, d.done() && version == rowVersion
}
