package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"vaultik/vault/blob"
)

// maxPieces bounds a row at 64 MiB.
const maxPieces = 256

// txnRows is how many rows a transaction is given at most. Badger allows about
// 7,100 small ones.
const txnRows = 4096

// writer spreads rows over as many transactions as they need, in order.
type writer struct {
	x       *Index
	txn     *badger.Txn
	rows    int
	entries []badger.Entry // of this transaction; reused, for a commit copies them
	arena   []byte         // their keys and values
	fresh   []BlobNum      // new blobs whose rows are not committed
}

func (x *Index) newWriter() *writer {
	if x.entries == nil {
		x.entries = make([]badger.Entry, txnRows)
	}
	return &writer{x: x, txn: x.db.NewTransaction(true), entries: x.entries}
}

// bytes keeps what is appended by fn to the arena valid until the commit.
func (w *writer) bytes(fn func(dst []byte) []byte) []byte {
	if cap(w.arena)-len(w.arena) < 256 {
		w.arena = make([]byte, 0, 64<<10)
	}
	from := len(w.arena)
	w.arena = fn(w.arena)
	return w.arena[from:len(w.arena):len(w.arena)]
}

// set adds a row, or deletes it if val is nil.
func (w *writer) set(key, val []byte) error {
	if w.rows == txnRows {
		if err := w.commit(); err != nil {
			return err
		}
	}
	err := w.add(key, val)
	if errors.Is(err, badger.ErrTxnTooBig) {
		if err := w.commit(); err != nil {
			return err
		}
		err = w.add(key, val)
	}
	return err
}

func (w *writer) add(key, val []byte) error {
	if val == nil {
		w.rows++ // counts towards the limit, has no place in entries
		return w.txn.Delete(key)
	}
	e := &w.entries[w.rows]
	*e = badger.Entry{Key: key, Value: val}
	if err := w.txn.SetEntry(e); err != nil {
		return err
	}
	w.rows++
	return nil
}

// commit ends the transaction and begins the next.
func (w *writer) commit() error {
	defer w.txn.Discard()
	if w.rows > 0 {
		w.x.dirty = true
		if err := w.x.checkSpace(); err != nil {
			return err
		}
		if err := w.txn.Commit(); err != nil {
			return typed(err)
		}
	}
	clear(w.entries[:min(w.rows, txnRows)])
	w.rows, w.fresh = 0, w.fresh[:0]
	w.arena = make([]byte, 0, 64<<10)
	w.txn = w.x.db.NewTransaction(true)
	return nil
}

// finish commits the rest. After an error the blobs whose rows were not written
// are forgotten.
func (w *writer) finish(err error) error {
	if err == nil {
		err = w.commit()
	}
	w.txn.Discard()
	if err != nil {
		w.x.mu.Lock()
		for _, n := range w.fresh {
			w.x.blobs.drop(n)
		}
		w.x.mu.Unlock()
	}
	return err
}

// Write adds a batch: first the blobs, then their chunks, then what names them.
// It returns the numbers of b.Blobs in order; a blob that is known already keeps
// its number. A row that names a blob which is unknown or gone is left out and
// counted. After an error the rows written so far are good and Write may be
// called with the same batch again. Errors: ErrNoSpace, ErrClosed, or of the system.
func (x *Index) Write(b *Batch) ([]BlobNum, error) {
	x.write.Lock()
	defer x.write.Unlock()
	if x.db == nil { // changed only by those who hold write
		return nil, ErrClosed
	}
	if err := x.checkSpace(); err != nil {
		return nil, fmt.Errorf("write index: %w", err)
	}
	w := x.newWriter()
	nums := make([]BlobNum, len(b.Blobs))
	err := w.blobs(b, nums)
	if err == nil {
		err = w.drops(b)
	}
	if err == nil {
		err = w.pages(b, nums)
	}
	if err := w.finish(err); err != nil {
		return nil, fmt.Errorf("write index: %w", err)
	}
	return nums, nil
}

// blobs writes blob and chunk rows.
func (w *writer) blobs(b *Batch, nums []BlobNum) error {
	x := w.x
	for i := range b.Blobs {
		in := b.Blobs[i].Info
		if in.Name == (blob.Name{}) || in.Size < 0 {
			return errors.New("a blob has no name or a negative size")
		}
		n := x.blobs.find(in.Name)
		if n == 0 {
			n = x.blobs.next
			if n >= inBatch {
				return errors.New("too many blobs for one generation")
			}
			x.mu.Lock()
			x.blobs.put(n, in)
			x.empty = false
			x.mu.Unlock()
			w.fresh = append(w.fresh, n)
		}
		nums[i] = n
		x.mu.Lock()
		x.blobs.setRaw(n, b.Blobs[i].raw())
		x.mu.Unlock()
		key := w.bytes(func(dst []byte) []byte { return appendBlobKey(dst, x.gen, n) })
		val := w.bytes(func(dst []byte) []byte { return appendBlob(dst, in, x.blobs.raw(n)) })
		if err := w.set(key, seal(slices.Clip(val), x.seed, key)); err != nil {
			return err
		}
	}
	for i := range b.Blobs {
		for j := range b.Blobs[i].Rows {
			if err := w.chunk(nums[i], &b.Blobs[i].Info.Name, &b.Blobs[i].Rows[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) chunk(n BlobNum, name *blob.Name, row *blob.Row) error {
	x := w.x
	x.filter.add(&row.ID)
	key := w.bytes(func(dst []byte) []byte { return appendChunkKey(dst, x.gen, &row.ID) })
	val := w.bytes(func(dst []byte) []byte {
		from := len(dst)
		dst = appendChunk(dst, Loc{Blob: n, Span: row.Span})
		return binary.LittleEndian.AppendUint32(dst, sum(x.seed, row.ID[:], dst[from:], name[:]))
	})
	return w.set(key, val)
}

// drops deletes pages.
func (w *writer) drops(b *Batch) error {
	for _, k := range b.DropLeaves {
		for _, kind := range []byte{kindLeaf, kindEntries} {
			if err := w.drop(appendLeafKey(nil, w.x.gen, kind, k), 0); err != nil {
				return err
			}
		}
	}
	for _, k := range b.DropBranches {
		if err := w.drop(appendBranchKey(nil, w.x.gen, k), 0); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes the pieces of a row from number keep on.
func (w *writer) drop(key []byte, keep int) error {
	_, pieces := w.x.firstPiece(w.txn, key)
	for i := keep; i < pieces; i++ {
		if err := w.set(appendPieceKey(nil, key, i), nil); err != nil {
			return err
		}
	}
	return nil
}

// pages writes entries, leaves, branches and uses, in this order.
func (w *writer) pages(b *Batch, nums []BlobNum) error {
	t := w.x.blobs
	for i := range b.Entries {
		r := &b.Entries[i]
		val, ok := t.appendEntries(nil, resolveEntries(r.Entries, nums))
		key := appendLeafKey(nil, w.x.gen, kindEntries, r.LeafKey)
		if err := w.page(key, key, val, ok); err != nil {
			return err
		}
	}
	for i := range b.Leaves {
		r := &b.Leaves[i]
		l := r.Leaf
		l.Page.Blob, l.Blobs = resolve(l.Page.Blob, nums), resolveAll(l.Blobs, nums)
		val, ok := t.appendLeaf(nil, l)
		key := appendLeafKey(nil, w.x.gen, kindLeaf, r.LeafKey)
		if err := w.page(key, key, val, ok); err != nil {
			return err
		}
	}
	for i := range b.Branches {
		r := &b.Branches[i]
		br := r.Branch
		br.Page.Blob, br.Blobs = resolve(br.Page.Blob, nums), resolveAll(br.Blobs, nums)
		val, ok := t.appendBranch(nil, br)
		if err := w.page(appendBranchKey(nil, w.x.gen, r.BranchKey), branchFullKey(r.BranchKey), val, ok); err != nil {
			return err
		}
	}
	for i := range b.Uses {
		r := &b.Uses[i]
		val, ok := t.appendUses(nil, r.Uses)
		key := appendUsesKey(nil, w.x.gen, r.Set)
		if err := w.page(key, key, val, ok); err != nil {
			return err
		}
	}
	return nil
}

// page writes one row in as many pieces as it needs, and deletes those that an
// older one needed more. A row that is not ok only leaves: what was there is outdated.
func (w *writer) page(key, fullKey, val []byte, ok bool) error {
	if !ok {
		w.x.skipped.Add(1)
		return w.drop(key, 0)
	}
	val = seal(val, w.x.seed, fullKey)
	pieces := 1 + (len(val)-1)/pieceSize
	if pieces > maxPieces {
		w.x.skipped.Add(1)
		return w.drop(key, 0)
	}
	if err := w.drop(key, pieces); err != nil {
		return err
	}
	for i := range pieces {
		part := val[i*pieceSize : min(len(val), (i+1)*pieceSize)]
		if i == 0 {
			part = append(binary.AppendUvarint(nil, uint64(pieces)), part...)
		}
		if err := w.set(appendPieceKey(nil, key, i), part); err != nil {
			return err
		}
	}
	return nil
}

// resolve puts a true number in the place of InBatch.
func resolve(n BlobNum, nums []BlobNum) BlobNum {
	if n&inBatch == 0 {
		return n
	}
	if i := int(n &^ inBatch); i < len(nums) {
		return nums[i]
	}
	return n // names no blob: the row is left out
}

func resolveAll(list, nums []BlobNum) []BlobNum {
	out := make([]BlobNum, len(list))
	for i, n := range list {
		out[i] = resolve(n, nums)
	}
	return out
}

func resolveEntries(entries []LeafEntry, nums []BlobNum) []LeafEntry {
	out := slices.Clone(entries)
	for i := range out {
		refs := slices.Clone(out[i].Refs)
		for j := range refs {
			refs[j].Loc.Blob = resolve(refs[j].Loc.Blob, nums)
		}
		out[i].Refs = refs
	}
	return out
}

// DropBlobs forgets blobs that are gone from the store: from now on rows that
// name them are absent. Names that are not known are passed over. Durable after Sync.
func (x *Index) DropBlobs(names []blob.Name) error {
	x.write.Lock()
	defer x.write.Unlock()
	if x.db == nil {
		return ErrClosed
	}
	// First in memory: even when the disk is full nobody relies on them any more.
	var gone []BlobNum
	x.mu.Lock()
	for _, name := range names {
		if n := x.blobs.find(name); n != 0 {
			x.blobs.drop(n)
			gone = append(gone, n)
		}
	}
	x.mu.Unlock()
	w := x.newWriter()
	var err error
	for _, n := range gone {
		key := appendBlobKey(nil, x.gen, n)
		if err = w.set(key, seal(nil, x.seed, key)); err != nil {
			break
		}
	}
	if err := w.finish(err); err != nil {
		return fmt.Errorf("drop blobs: %w", err)
	}
	return nil
}
