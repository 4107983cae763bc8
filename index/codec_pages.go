package index

import "encoding/binary"

// rowVersion begins every row of a page; another one is absent.
const rowVersion = 1

const (
	leafSelf   = 1 << 0
	pageStored = 1 << 1
	leafLive   = 1 << 2
)

// appendPage writes where a page is: its blob and the blobs it uses in one list.
func (t *blobTable) appendPage(dst []byte, page Loc, id [32]byte, blobs []BlobNum) ([]byte, bool) {
	if page.Blob == 0 {
		return t.appendNums(dst, blobs)
	}
	all := append(make([]BlobNum, 0, len(blobs)+1), page.Blob)
	dst, ok := t.appendNums(dst, append(all, blobs...))
	dst = appendSpan(dst, page.Span)
	return append(dst, id[:]...), ok
}

// page reads what appendPage wrote.
func (t *blobTable) page(d *decoder, stored bool) (page Loc, id [32]byte, blobs []BlobNum, gone bool) {
	blobs, gone = t.nums(d)
	if !stored {
		return page, id, blobs, gone
	}
	if len(blobs) == 0 {
		d.bad = true
		return page, id, nil, gone
	}
	page.Blob, blobs = blobs[0], blobs[1:]
	page.Span = d.span()
	d.copy(id[:])
	if len(blobs) == 0 {
		blobs = nil
	}
	return page, id, blobs, gone
}

// appendLeaf encodes a leaf row. False: it names a blob that is gone, or Live is not of Blobs.
func (t *blobTable) appendLeaf(dst []byte, l Leaf) ([]byte, bool) {
	flags := byte(0)
	if l.Self {
		flags |= leafSelf
	}
	if l.Page.Blob != 0 {
		flags |= pageStored
	}
	if l.Live != nil {
		flags |= leafLive
	}
	dst = append(dst, rowVersion, flags)
	dst = append(dst, l.Digest[:]...)
	dst = binary.AppendUvarint(dst, uint64(l.Files))
	dst = binary.AppendUvarint(dst, uint64(l.Bytes))
	dst, ok := t.appendPage(dst, l.Page, l.PageID, l.Blobs)
	for _, n := range l.Live {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return dst, ok && (l.Live == nil || len(l.Live) == len(l.Blobs))
}

// decodeLeaf returns ok when the row is good and gone when a blob of it is.
func (t *blobTable) decodeLeaf(b []byte) (l Leaf, gone, ok bool) {
	d := decoder{b: b}
	version, flags := d.byte(), d.byte()
	d.copy(l.Digest[:])
	l.Files, l.Bytes = d.i63(), d.i63()
	l.Self = flags&leafSelf != 0
	l.Page, l.PageID, l.Blobs, gone = t.page(&d, flags&pageStored != 0)
	if flags&leafLive != 0 {
		l.Live = make([]int64, len(l.Blobs))
		for i := range l.Live {
			l.Live[i] = d.i63()
		}
	}
	return l, gone, d.done() && version == rowVersion &&
		flags&^(leafSelf|pageStored|leafLive) == 0
}

// appendBranch encodes a branch row. False: it names a blob that is gone.
func (t *blobTable) appendBranch(dst []byte, b Branch) ([]byte, bool) {
	flags := byte(0)
	if b.Page.Blob != 0 {
		flags = pageStored
	}
	return t.appendPage(append(dst, rowVersion, flags), b.Page, b.PageID, b.Blobs)
}

func (t *blobTable) decodeBranch(b []byte) (br Branch, gone, ok bool) {
	d := decoder{b: b}
	version, flags := d.byte(), d.byte()
	br.Page, br.PageID, br.Blobs, gone = t.page(&d, flags&pageStored != 0)
	return br, gone, d.done() && version == rowVersion && flags&^pageStored == 0
}
