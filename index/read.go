package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
)

// lookups keeps what a batch of lookups needs besides what Badger allocates.
type lookups struct {
	keys []byte // not reused while a batch runs: Badger keeps them
	val  []byte
}

var lookupPool = sync.Pool{New: func() any { return new(lookups) }}

// Chunks finds chunks: out[i] is the place of ids[i], or has Blob 0 if the
// chunk is unknown or its blob is gone. out must be as long as ids. Ask for about
// 100 at a time.
func (x *Index) Chunks(ids []chunk.ID, out []Loc) error {
	if len(ids) != len(out) {
		return fmt.Errorf("look up chunks: room for %d of %d answers", len(out), len(ids))
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.db == nil {
		return ErrClosed
	}
	var txn *badger.Txn // begun for the first id that the filter lets through
	var l *lookups
	for i := range ids {
		out[i] = Loc{}
		if !x.filter.mayContain(&ids[i]) {
			continue
		}
		if txn == nil {
			txn = x.db.NewTransaction(false)
			defer txn.Discard()
			l = lookupPool.Get().(*lookups)
			defer lookupPool.Put(l)
			l.keys = l.keys[:0]
			x.filtered.Add(int64(i))
		}
		from := len(l.keys)
		l.keys = appendChunkKey(l.keys, x.gen, &ids[i])
		out[i] = x.chunk(txn, l.keys[from:], &ids[i], l)
	}
	if txn == nil {
		x.filtered.Add(int64(len(ids)))
	}
	return nil
}

// get reads a value into dst. If Badger cannot read a row, for whatever reason, the row
// is absent, and that is counted; Badger panics on some kinds of damage that appear
// after Open.
func (x *Index) get(txn *badger.Txn, key, dst []byte) (val []byte, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			x.opt.Log.Warn("index: row is unreadable", "error", r)
			x.bad.Add(1)
			val, ok = dst, false
		}
	}()
	item, err := txn.Get(key)
	if err == nil {
		if val, err = item.ValueCopy(dst); err == nil {
			return val, true
		}
	}
	if !errors.Is(err, badger.ErrKeyNotFound) {
		x.opt.Log.Warn("index: row is unreadable", "error", err)
		x.bad.Add(1)
	}
	return dst, false
}

// chunk reads one row. Its checksum covers the whole id and the blob's name.
func (x *Index) chunk(txn *badger.Txn, key []byte, id *chunk.ID, l *lookups) (loc Loc) {
	val, ok := x.get(txn, key, l.val)
	if l.val = val; !ok {
		return loc
	}
	n := len(l.val) - sumLen
	if n < 0 {
		x.bad.Add(1)
		return loc
	}
	got, ok := decodeChunk(l.val[:n])
	in := x.blobs.get(got.Blob)
	switch {
	case !ok:
		x.bad.Add(1)
	case in == nil:
		x.gone.Add(1)
	case binary.LittleEndian.Uint32(l.val[n:]) != sum(x.seed, id[:], l.val[:n], in.Name[:]):
		x.bad.Add(1)
	default:
		loc = got
	}
	return loc
}

// Blob returns a blob by its number, unless it is gone.
func (x *Index) Blob(n BlobNum) (blob.Info, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if in := x.blobs.get(n); in != nil {
		return *in, true
	}
	return blob.Info{}, false
}

// Raw returns how many bytes of chunks a blob has, pages among them, before compression. What
// is not known is 0, and all over 4 GiB is 4 GiB.
func (x *Index) Raw(n BlobNum) int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.blobs.get(n) == nil {
		return 0
	}
	return int64(x.blobs.raw(n))
}

// Uses returns what the newest snapshot of each set uses, as far as that was noted. Blobs
// that are gone are left out.
func (x *Index) Uses() map[layout.SetID][]Use {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := map[layout.SetID][]Use{}
	for _, set := range x.usedBy() {
		key := appendUsesKey(nil, x.gen, set)
		val, ok := x.row(key, key)
		if !ok {
			continue
		}
		if uses, ok := x.blobs.decodeUses(val); !x.refuse(false, ok) {
			all[set] = uses
		}
	}
	return all
}

// usedBy are the sets of which it is noted what they use. The caller holds mu.
func (x *Index) usedBy() (sets []layout.SetID) {
	if x.db == nil {
		return nil
	}
	prefix := appendPrefix(nil, x.gen, kindUses)
	txn := x.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		var set layout.SetID
		if key := it.Item().Key(); len(key) == len(prefix)+len(set) { // else a further piece
			copy(set[:], key[len(prefix):])
			sets = append(sets, set)
		}
	}
	return sets
}

// Num returns a blob's number, unless it is unknown or gone.
func (x *Index) Num(name blob.Name) (BlobNum, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := x.blobs.find(name)
	return n, n != 0
}

// Blobs calls fn for each blob that is not gone, in the order of their numbers,
// until fn returns false. fn may use the index, and Write as well.
func (x *Index) Blobs(fn func(BlobNum, blob.Info) bool) {
	for n := BlobNum(1); ; n++ {
		x.mu.RLock()
		end, in := n >= x.blobs.next, x.blobs.get(n)
		var info blob.Info
		if in != nil {
			info = *in
		}
		x.mu.RUnlock()
		if end || in != nil && !fn(n, info) {
			return
		}
	}
}

// row reads a row of one or more pieces and checks it against the full key. The
// caller holds mu. Any failure makes the row absent.
func (x *Index) row(key, fullKey []byte) ([]byte, bool) {
	if x.db == nil {
		return nil, false
	}
	txn := x.db.NewTransaction(false)
	defer txn.Discard()
	val, pieces := x.firstPiece(txn, key)
	if pieces == 0 {
		return nil, false
	}
	for i := 1; i < pieces; i++ {
		part, ok := x.get(txn, appendPieceKey(nil, key, i), nil)
		if !ok { // the number of pieces is damaged, or one is lost
			x.bad.Add(1)
			return nil, false
		}
		val = append(val, part...)
	}
	val, ok := unseal(val, x.seed, fullKey)
	if !ok {
		x.bad.Add(1)
	}
	return val, ok
}

// firstPiece reads the first piece of a row and how many there are; 0: no row.
func (x *Index) firstPiece(txn *badger.Txn, key []byte) (val []byte, pieces int) {
	val, ok := x.get(txn, key, nil)
	if !ok {
		return nil, 0
	}
	d := decoder{b: val}
	pieces = int(d.u32())
	if d.bad || pieces < 1 || pieces > maxPieces {
		x.bad.Add(1)
		return nil, 0
	}
	return d.b, pieces
}

// Leaf returns what is known of a leaf, unless a blob of it is gone.
func (x *Index) Leaf(k LeafKey) (Leaf, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	key := appendLeafKey(nil, x.gen, kindLeaf, k)
	val, ok := x.row(key, key)
	if !ok {
		return Leaf{}, false
	}
	l, gone, ok := x.blobs.decodeLeaf(val)
	if x.refuse(gone, ok) {
		return Leaf{}, false
	}
	return l, true
}

// LeafEntries returns the entries of a leaf that have content. Those that use a
// blob which is gone have to be read again, see LeafEntry.
func (x *Index) LeafEntries(k LeafKey) ([]LeafEntry, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	key := appendLeafKey(nil, x.gen, kindEntries, k)
	val, ok := x.row(key, key)
	if !ok {
		return nil, false
	}
	entries, gone, ok := x.blobs.decodeEntries(val)
	if gone {
		x.gone.Add(1)
	}
	if x.refuse(false, ok) {
		return nil, false
	}
	return entries, true
}

// Branch returns what is known of a branch, unless a blob of it is gone.
func (x *Index) Branch(k BranchKey) (Branch, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	val, ok := x.row(appendBranchKey(nil, x.gen, k), branchFullKey(k))
	if !ok {
		return Branch{}, false
	}
	b, gone, ok := x.blobs.decodeBranch(val)
	if x.refuse(gone, ok) {
		return Branch{}, false
	}
	return b, true
}

// branchFullKey is what the checksum of a branch row covers: the whole digest.
func branchFullKey(k BranchKey) []byte {
	return append(append([]byte{kindBranch}, k.Set[:]...), k.Digest[:]...)
}

// refuse counts rows that cannot be used.
func (x *Index) refuse(gone, ok bool) bool {
	switch {
	case !ok:
		x.bad.Add(1)
	case gone:
		x.gone.Add(1)
	default:
		return false
	}
	return true
}
