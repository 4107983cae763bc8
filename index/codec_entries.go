package index

import (
	"encoding/binary"

	"vaultik/vault/blob"
)

// An entry's head byte.
const (
	entryRacy   = 1 << 0 // no stat hash follows
	entryLevel  = 1 << 1 // a list level follows
	entrySingle = 1 << 2 // one reference; otherwise their number follows
	entryFlags  = entryRacy | entryLevel | entrySingle
)

// A reference begins with a number: a hole's length shifted left by one and a
// 1; or these bits, and above them the blob's place in the row's list.
const (
	refHole      = 1 << 0
	refSameFrame = 1 << 1 // the frame of the reference before
	refNextFrame = 1 << 2 // the frame right behind that of the reference before
	refWhole     = 1 << 3 // begins at 0 of its frame
	refFollows   = 1 << 4 // begins where the reference before ended, in the same frame
	refShift     = 5
)

// refState is what a reference is coded against. A blob's first reference is
// coded against a frame of length 0 at 0.
type refState struct {
	blob int
	span blob.Span
}

// appendEntries encodes an entries row. False: it names a blob that is gone.
//
// Layout: version, blobs, number of entries, number of references, then for
// each entry path, head, stat, references.
func (t *blobTable) appendEntries(dst []byte, entries []LeafEntry) ([]byte, bool) {
	var nums []BlobNum
	place := make(map[BlobNum]int)
	refs := 0
	for i := range entries {
		refs += len(entries[i].Refs)
		for _, r := range entries[i].Refs {
			if _, ok := place[r.Loc.Blob]; !ok && r.Hole == 0 {
				place[r.Loc.Blob] = len(nums)
				nums = append(nums, r.Loc.Blob)
			}
		}
	}
	dst = append(dst, rowVersion)
	dst, ok := t.appendNums(dst, nums)
	dst = binary.AppendUvarint(dst, uint64(len(entries)))
	dst = binary.AppendUvarint(dst, uint64(refs))
	var prev refState
	for i := range entries {
		e := &entries[i]
		dst = append(dst, e.Path[:]...)
		head := byte(0)
		if e.Stat == ([16]byte{}) {
			head |= entryRacy
		}
		if e.ListLevel != 0 {
			head |= entryLevel
		}
		if len(e.Refs) == 1 {
			head |= entrySingle
		}
		dst = append(dst, head)
		if head&entryRacy == 0 {
			dst = append(dst, e.Stat[:]...)
		}
		if head&entryLevel != 0 {
			dst = binary.AppendUvarint(dst, uint64(e.ListLevel))
		}
		if head&entrySingle == 0 {
			dst = binary.AppendUvarint(dst, uint64(len(e.Refs)))
		}
		for j := range e.Refs {
			dst = prev.append(dst, &e.Refs[j], place[e.Refs[j].Loc.Blob])
		}
	}
	return dst, ok
}

func (p *refState) append(dst []byte, r *LeafRef, place int) []byte {
	if r.Hole > 0 {
		return binary.AppendUvarint(dst, uint64(r.Hole)<<1|refHole)
	}
	if p.blob != place {
		*p = refState{blob: place}
	}
	head, s := uint64(place)<<refShift, r.Loc.Span
	switch {
	case s.FrameOff == p.span.FrameOff && s.FrameLen == p.span.FrameLen:
		head |= refSameFrame
		if s.Off == p.span.Off+p.span.Len {
			head |= refFollows
		}
	case s.FrameOff == p.span.FrameOff+p.span.FrameLen:
		head |= refNextFrame
	}
	if s.Off == 0 && head&refFollows == 0 {
		head |= refWhole
	}
	dst = binary.AppendUvarint(dst, head)
	if head&(refSameFrame|refNextFrame) == 0 {
		dst = binary.AppendUvarint(dst, uint64(s.FrameOff))
	}
	if head&refSameFrame == 0 {
		dst = binary.AppendUvarint(dst, uint64(s.FrameLen))
	}
	if head&(refWhole|refFollows) == 0 {
		dst = binary.AppendUvarint(dst, uint64(s.Off))
	}
	dst = binary.AppendUvarint(dst, uint64(s.Len))
	p.span = s
	return append(dst, r.ID[:]...)
}

// decodeEntries returns ok when the row is good. Entries that use a blob which
// is gone have neither references nor stat; gone is true then.
func (t *blobTable) decodeEntries(b []byte) (entries []LeafEntry, gone, ok bool) {
	d := decoder{b: b}
	if d.byte() != rowVersion {
		return nil, false, false
	}
	nums, gone := t.nums(&d)
	count := d.count(16 + 1)
	left := d.count(1)
	slab := make([]LeafRef, 0, left)
	entries = make([]LeafEntry, 0, count)
	var prev refState
	for range count {
		var e LeafEntry
		d.copy(e.Path[:])
		head := d.byte()
		if head&^entryFlags != 0 {
			return nil, false, false
		}
		if head&entryRacy == 0 {
			d.copy(e.Stat[:])
		}
		if head&entryLevel != 0 {
			e.ListLevel = int(d.u32())
		}
		refs := 1
		if head&entrySingle == 0 {
			refs = d.count(1)
		}
		if d.bad || len(slab)+refs > left {
			return nil, false, false
		}
		from, lost := len(slab), false
		for range refs {
			r := prev.decode(&d, nums)
			lost = lost || r.Hole == 0 && r.Loc.Blob == 0
			slab = append(slab, r)
		}
		if refs > 0 {
			e.Refs = slab[from:len(slab):len(slab)]
		}
		if lost {
			e.Stat, e.Refs, e.ListLevel = [16]byte{}, nil, 0
		}
		entries = append(entries, e)
	}
	if !d.done() || len(slab) != left {
		return nil, false, false
	}
	return entries, gone, true
}

func (p *refState) decode(d *decoder, nums []BlobNum) (r LeafRef) {
	head := d.uvarint()
	if head&refHole != 0 {
		r.Hole = int64(head >> 1)
		if r.Hole == 0 {
			d.bad = true
		}
		return r
	}
	place := head >> refShift
	if d.bad || place >= uint64(len(nums)) || head&(refSameFrame|refFollows) == refFollows {
		d.bad = true
		return r
	}
	if p.blob != int(place) {
		*p = refState{blob: int(place)}
	}
	s := &r.Loc.Span
	switch {
	case head&refSameFrame != 0:
		s.FrameOff, s.FrameLen = p.span.FrameOff, p.span.FrameLen
	case head&refNextFrame != 0:
		s.FrameOff, s.FrameLen = p.span.FrameOff+p.span.FrameLen, d.u32()
	default:
		s.FrameOff, s.FrameLen = d.u32(), d.u32()
	}
	switch {
	case head&refWhole != 0:
	case head&refFollows != 0:
		s.Off = p.span.Off + p.span.Len
	default:
		s.Off = d.u32()
	}
	s.Len = d.u32()
	d.copy(r.ID[:])
	p.span = *s
	r.Loc.Blob = nums[place]
	return r
}
