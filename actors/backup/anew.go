package backup

import (
	"io"

	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// maxPieces is how many pieces a chunker holds back at most, as places take few bytes.
const maxPieces = 4096

// anew sends the pieces of a known file, and with them the bytes of those that are in blobs that
// are to be left. If these are not what they were, or cannot be read, the file stays as it is
// known: so it would have been saved if nobody had looked. Its error ends the batch.
func (k *chunker) anew(abs string, t *entryTask, d *entryDone) error {
	st := t.Stat
	f, _, err := vfs.OpenFile(abs, &st)
	if err != nil {
		return k.stopped()
	}
	defer func() { _ = f.Close() }()
	k.bytes = 0
	off := int64(0)
	for i := range t.Known.Refs {
		if err := k.stopped(); err != nil {
			return err
		}
		r := &t.Known.Refs[i]
		switch {
		case r.Hole > 0 || !k.run.compaction.leaves(r.Blob):
			k.pieces = append(k.pieces, piece{Index: t.Index, Known: r})
		default:
			same, err := k.chunkAnew(touched{f, k}, off, r, t.Index)
			if err != nil {
				return err
			}
			if !same {
				k.pieces = append(k.pieces, piece{Index: t.Index, Restart: true})
				return nil
			}
		}
		if len(k.pieces) >= maxPieces {
			k.flush()
		}
		off += r.Length()
	}
	d.Moved, d.BytesRead = true, k.bytes
	return nil
}

// chunkAnew sends a chunk that is read again, if it is the one that was stored.
func (k *chunker) chunkAnew(f io.ReaderAt, off int64, r *page.Ref, index int) (same bool,
	err error) {
	n := int(r.Length())
	if n > k.run.spec.Chunks.Max {
		return false, nil // of a time when chunks were larger: there is no buffer for it
	}
	dst, err := k.room(n)
	if err != nil {
		return false, err
	}
	if _, err := f.ReadAt(dst, off); err != nil || k.hasher.ID(dst) != r.ID {
		return false, k.stopped()
	}
	at := len(k.buf.B)
	k.buf.B = k.buf.B[:at+n]
	k.pieces = append(k.pieces, piece{Index: index, ID: r.ID, Off: at, Len: n, Anew: true})
	return true, nil
}
