package read

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"filippo.io/age"

	"vaultik/backends"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// OpenTree returns the tree of a snapshot, read from the store as it is walked.
// Methods of the tree may run beside each other. ErrEmptySnapshot if there is none.
func OpenTree(store backends.Backend, root *snapshot.Root, ids []age.Identity) (*page.Tree, error) {
	if root.Top == nil {
		return nil, ErrEmptySnapshot
	}
	r := New(store, root.Host, ids, root.Secret.ChunkID())
	return &page.Tree{Fetch: r.Fetch, Top: root.Top.Ref()}, nil
}

const (
	// maxOpenBlobs is how many blobs a chunkReader keeps open: a header each.
	maxOpenBlobs = 32
	// maxCachedFrames bounds the decoded frames that it keeps, in bytes. Pages that
	// were written together share frames of FrameTarget.
	maxCachedFrames = 8 << 20
	// maxSalvaged is how large a damaged blob may be to be read as a whole, in bytes.
	maxSalvaged = 32 << 20
)

// Reader reads single chunks of one host by reference, for pages and the
// like: it fetches ranges, and keeps blobs open and frames decoded for the next
// chunk. Safe for many goroutines; calls for frames that are not cached take turns.
type Reader struct {
	store backends.Backend
	host  layout.HostID
	ids   []age.Identity
	Bytes atomic.Int64 // fetched from the store

	mu     sync.Mutex
	hasher *chunk.Hasher
	zstd   *blob.Decompressor
	blobs  lru[blob.Info, *blob.Reader]
	frames lru[frameKey, []byte]
	// onDamage, if set, hears of damaged blobs whose frame could be read all the same.
	OnDamage func(info *blob.Info, err error)
	salvaged *blob.Reader // the damaged blob that was read last
}

type frameKey struct {
	blob blob.Info // two that differ in anything but the name are not the same
	off  uint32
	len  uint32
}

func New(store backends.Backend, host layout.HostID, ids []age.Identity, key [32]byte) *Reader {
	return &Reader{
		store: store, host: host, ids: ids,
		hasher: chunk.NewHasher(key), zstd: blob.NewDecompressor(),
		blobs:  newLRU[blob.Info, *blob.Reader](maxOpenBlobs),
		frames: newLRU[frameKey, []byte](maxCachedFrames),
	}
}

// Fetch is a page.Fetch. What it returns stays valid, and nobody may change it.
func (r *Reader) Fetch(ctx context.Context, ref page.Ref) ([]byte, error) {
	if ref.Blob == nil || ref.Hole != 0 {
		return nil, fmt.Errorf("read chunk: a reference to no blob: %w", blob.ErrDamaged)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	raw, err := r.frame(ctx, ref)
	if err != nil {
		return nil, err
	}
	b, err := SlicePiece(raw, ref.Span)
	if err == nil && r.hasher.ID(b) != ref.ID {
		err = ErrWrongChunk
	}
	if err != nil {
		return nil, fmt.Errorf("read chunk of blob %s: %w", ref.Blob.Name, err)
	}
	return b, nil
}

func (r *Reader) frame(ctx context.Context, ref page.Ref) ([]byte, error) {
	key := frameKey{*ref.Blob, ref.Span.FrameOff, ref.Span.FrameLen}
	if raw, ok := r.frames.get(key); ok {
		return raw, nil
	}
	raw, err := r.read(ctx, ref)
	if err = DamagedIfShort(err); errors.Is(err, blob.ErrDamaged) {
		why := err
		if raw, err = r.fromDamaged(ctx, ref, why); err == nil && r.OnDamage != nil {
			r.OnDamage(ref.Blob, why)
		}
	}
	if err != nil {
		return nil, err
	}
	r.frames.put(key, raw, max(1, len(raw)))
	return raw, nil
}

func (r *Reader) read(ctx context.Context, ref page.Ref) ([]byte, error) {
	b, ok := r.blobs.get(*ref.Blob)
	if !ok {
		var err error
		if b, err = blob.Open(ctx, *ref.Blob, FetchFrom(r.store, r.host, ref.Blob.Name, &r.Bytes), r.ids); err != nil {
			return nil, err
		}
		r.blobs.put(*ref.Blob, b, 1)
	}
	return b.Frame(ctx, r.zstd, nil, ref.Span.FrameOff, ref.Span.FrameLen, -1)
}

// fromDamaged reads a frame of a damaged blob, if that frame is not concerned.
func (r *Reader) fromDamaged(ctx context.Context, ref page.Ref, why error) ([]byte, error) {
	if ref.Blob.Size > maxSalvaged {
		return nil, why
	}
	if r.salvaged == nil || r.salvaged.Info() != *ref.Blob {
		r.salvaged = nil
		part, err := ReadAtMost(ctx, r.store, layout.Blob(r.host, ref.Blob.Name), make([]byte, ref.Blob.Size))
		r.Bytes.Add(int64(len(part)))
		if err != nil {
			return nil, err
		}
		if r.salvaged, err = blob.Salvage(*ref.Blob, part, r.ids); err != nil {
			return nil, err
		}
	}
	return r.salvaged.Frame(ctx, r.zstd, nil, ref.Span.FrameOff, ref.Span.FrameLen, -1)
}

var ErrWrongChunk = fmt.Errorf("%w: a chunk is not the one that was meant", blob.ErrDamaged)

// SlicePiece cuts a chunk out of its frame.
func SlicePiece(raw []byte, s blob.Span) ([]byte, error) {
	if int64(s.Off)+int64(s.Len) > int64(len(raw)) {
		return nil, fmt.Errorf("%w: chunk at %d of %d bytes is outside its frame", blob.ErrDamaged, s.Off, s.Len)
	}
	return raw[s.Off : s.Off+s.Len : s.Off+s.Len], nil
}

// FetchFrom reads ranges of one blob and counts the bytes.
func FetchFrom(store backends.Backend, host layout.HostID, name blob.Name, count *atomic.Int64) blob.Fetch {
	key := layout.Blob(host, name)
	return func(ctx context.Context, off, n int64) ([]byte, error) {
		b, err := backends.ReadRange(ctx, store, key, off, n, nil)
		count.Add(int64(len(b)))
		return b, err
	}
}

// lru keeps what was used last, up to a total cost.
type lru[K comparable, V any] struct {
	limit, cost int
	order       *list.List // of *lruItem, the last used first
	items       map[K]*list.Element
}

type lruItem[K comparable, V any] struct {
	key   K
	value V
	cost  int
}

func newLRU[K comparable, V any](limit int) lru[K, V] {
	return lru[K, V]{limit: limit, order: list.New(), items: map[K]*list.Element{}}
}

func (l *lru[K, V]) get(k K) (v V, ok bool) {
	e := l.items[k]
	if e == nil {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*lruItem[K, V]).value, true
}

// Put adds what is not there yet, and drops what was used longest ago. The
// newest is kept even if it alone costs more than the limit.
func (l *lru[K, V]) put(k K, v V, cost int) {
	l.items[k] = l.order.PushFront(&lruItem[K, V]{k, v, cost})
	l.cost += cost
	for l.cost > l.limit && l.order.Len() > 1 {
		last := l.order.Remove(l.order.Back()).(*lruItem[K, V])
		delete(l.items, last.key)
		l.cost -= last.cost
	}
}

// ReadAtMost reads the beginning of an object into p, and returns how far it came.
func ReadAtMost(ctx context.Context, store backends.Backend, key string, p []byte) ([]byte, error) {
	r, _, err := store.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	n, err := io.ReadFull(r, p)
	if op := (*backends.OpError)(nil); !errors.As(err, &op) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		err = nil // where the object ends; an OpError says that the store did not give the rest
	}
	return p[:n], err
}

// DamagedIfShort makes an error of an object that is shorter than recorded one of damage.
func DamagedIfShort(err error) error {
	if errors.Is(err, backends.ErrInvalidRange) {
		return fmt.Errorf("%w: %w", blob.ErrDamaged, err)
	}
	return err
}

var ErrWrongSum = fmt.Errorf("%w: its SHA-256 is not the recorded one", blob.ErrDamaged)
