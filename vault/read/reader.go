package read

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"filippo.io/age"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// ErrEmptySnapshot means that the snapshot holds no entries at all.
var ErrEmptySnapshot = errors.New("the snapshot is empty")

// Store gives the bytes of objects. Its methods may be called from many goroutines
// at once. Nobody changes what they return. A missing object is fs.ErrNotExist; errors of the
// store are passed on as they are.
type Store interface {
	// Range returns n bytes of an object from off on: exactly as many, or an
	// error, which is blob.ErrDamaged where the object ends before.
	Range(ctx context.Context, key string, off, n int64) ([]byte, error)
	// Head returns the first n bytes of an object, or all of it where it is shorter.
	Head(ctx context.Context, key string, n int64) ([]byte, error)
}

const (
	// maxOpenBlobs is how many blobs a Reader keeps open: a header and an end each.
	maxOpenBlobs = 32
	// maxCachedFrames bounds the decoded frames that it keeps, in bytes. Pages that
	// were written together share frames of FrameTarget.
	maxCachedFrames = 8 << 20
	// maxSalvaged is how large a damaged blob may be to be read as a whole, in bytes.
	maxSalvaged = 32 << 20
)

// Reader reads chunks of one snapshot by reference. Its methods may run beside each other.
type Reader struct {
	// OnDamage, if set, is told of damaged blobs whose frame could still be read, and
	// what is wrong with them. It is set before the first chunk is read, and called in
	// the goroutine of a caller, concurrently if there are several.
	OnDamage func(info *blob.Info, err error)

	store   Store
	host    layout.HostID
	ids     []age.Identity
	top     *snapshot.Top
	fetched atomic.Int64

	ranges  *shared[rangeKey, []byte] // under way only
	blobs   *shared[blob.Info, *blob.Reader]
	frames  *shared[frameKey, []byte]
	workers sync.Pool // of *worker

	// salvaged holds the damaged blob that was read last, or nil. The goroutine that
	// takes it out may read another and puts that back, so only one is in memory at a
	// time.
	salvaged chan *blob.Reader
}

type rangeKey struct {
	blob   blob.Name
	off, n int64
}

type frameKey struct {
	blob blob.Info // two that differ in anything but the name are not the same
	off  uint32
	len  uint32
}

// worker is what computes. It belongs to one goroutine at a time, which does not
// wait for anything while it has it.
type worker struct {
	zstd   *blob.Decompressor
	hasher *chunk.Hasher
}

// New returns a reader of the snapshot with this root. The identities are tried in order.
func New(store Store, root *snapshot.Root, ids []age.Identity) *Reader {
	r := &Reader{
		store:  store,
		host:   root.Host,
		ids:    ids,
		top:    root.Top,
		ranges: newShared[rangeKey, []byte](0, nil),
		blobs:  newShared[blob.Info](maxOpenBlobs, func(*blob.Reader) int { return 1 }),
		frames: newShared[frameKey](
			maxCachedFrames,
			func(raw []byte) int { return max(1, len(raw)) },
		),
		salvaged: make(chan *blob.Reader, 1),
	}
	key := root.Secret.ChunkID()
	r.workers.New = func() any {
		return &worker{zstd: blob.NewDecompressor(), hasher: chunk.NewHasher(key)}
	}
	r.salvaged <- nil
	return r
}

// Tree returns the tree of the snapshot, read as it is walked. Its methods may run
// beside each other. ErrEmptySnapshot if there is none.
func (r *Reader) Tree() (*page.Tree, error) {
	if r.top == nil {
		return nil, ErrEmptySnapshot
	}
	return &page.Tree{Fetch: r.Chunk, Top: r.top.Ref()}, nil
}

// Keep says how many opened blobs and bytes of decoded frames are kept for the next that
// want them. It is called before the first chunk is read.
func (r *Reader) Keep(blobs, frames int) {
	r.blobs.kept.limit, r.frames.kept.limit = blobs, frames
}

// Table returns what a blob's own table says of its chunks. Nothing is read twice of a blob
// that is open. Errors are those of Chunk.
func (r *Reader) Table(ctx context.Context, info blob.Info) ([]blob.TableRow, error) {
	b, err := r.open(ctx, info)
	if err != nil {
		return nil, err
	}
	return b.Table(ctx)
}

// Fetched returns how many bytes came from the store so far.
func (r *Reader) Fetched() int64 { return r.fetched.Load() }

// Chunk returns a chunk, whose id it has checked; it is a page.Fetch. What it returns
// stays valid, and nobody may change it. A chunk at hand is returned even if ctx has ended.
// Errors: blob.ErrDamaged, blob.ErrNoIdentity, blob.ErrTooLarge and keys.ErrPlugin, all of
// which concern one blob; those of the store; that of ctx.
func (r *Reader) Chunk(ctx context.Context, ref page.Ref) ([]byte, error) {
	if ref.Blob == nil || ref.Hole != 0 {
		return nil, fmt.Errorf("read chunk: a reference to no blob: %w", blob.ErrDamaged)
	}
	key := frameKey{*ref.Blob, ref.Span.FrameOff, ref.Span.FrameLen}
	raw, err := r.frames.get(ctx, key, func() ([]byte, error) { return r.frame(ctx, &key) })
	if err != nil {
		return nil, err
	}
	b, err := r.cut(raw, &ref)
	if err != nil {
		return nil, fmt.Errorf("read chunk of blob %s: %w", ref.Blob.Name, err)
	}
	return b, nil
}

// cut cuts a chunk out of its frame.
func (r *Reader) cut(raw []byte, ref *page.Ref) ([]byte, error) {
	s := ref.Span
	if int64(s.Off)+int64(s.Len) > int64(len(raw)) {
		return nil, fmt.Errorf("%w: chunk at %d of %d bytes is outside its frame",
			blob.ErrDamaged, s.Off, s.Len)
	}
	b := raw[s.Off : s.Off+s.Len : s.Off+s.Len]
	w := r.workers.Get().(*worker)
	defer r.workers.Put(w)
	if w.hasher.ID(b) != ref.ID {
		return nil, fmt.Errorf("%w: a chunk does not match its id", blob.ErrDamaged)
	}
	return b, nil
}

// frame reads and decodes a frame, of what is left of its blob if that is damaged.
func (r *Reader) frame(ctx context.Context, key *frameKey) ([]byte, error) {
	raw, err := r.read(ctx, key)
	if !errors.Is(err, blob.ErrDamaged) {
		return raw, err
	}
	why := err
	comp, err := r.salvage(ctx, key, why)
	if err != nil {
		return nil, err
	}
	if raw, err = r.decode(key, comp); err == nil && r.OnDamage != nil {
		r.OnDamage(&key.blob, why)
	}
	return raw, err
}

func (r *Reader) read(ctx context.Context, key *frameKey) ([]byte, error) {
	b, err := r.open(ctx, key.blob)
	if err != nil {
		return nil, err
	}
	comp, err := b.Compressed(ctx, key.off, key.len)
	if err != nil {
		return nil, err
	}
	return r.decode(key, comp)
}

func (r *Reader) open(ctx context.Context, info blob.Info) (*blob.Reader, error) {
	return r.blobs.get(ctx, info, func() (*blob.Reader, error) {
		return blob.Open(ctx, info, r.fetch(info.Name), keys.ForEpoch(r.ids, info.Epoch))
	})
}

// fetch reads ranges of one blob.
func (r *Reader) fetch(name blob.Name) blob.Fetch {
	object := layout.Blob(r.host, name)
	return func(ctx context.Context, off, n int64) ([]byte, error) {
		return r.ranges.get(ctx, rangeKey{name, off, n}, func() ([]byte, error) {
			b, err := r.store.Range(ctx, object, off, n)
			r.fetched.Add(int64(len(b)))
			return b, err
		})
	}
}

func (r *Reader) decode(key *frameKey, comp []byte) ([]byte, error) {
	w := r.workers.Get().(*worker)
	raw, err := w.zstd.Frame(nil, comp, -1)
	r.workers.Put(w) // not deferred: a decompressor that has panicked is not used again
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", key.blob.Name, err)
	}
	return raw, nil
}

// salvage reads all of a blob that is damaged, as why says, and returns a frame of it
// that is not concerned.
func (r *Reader) salvage(ctx context.Context, key *frameKey, why error) ([]byte, error) {
	if key.blob.Size > maxSalvaged {
		return nil, why
	}
	var left *blob.Reader
	select {
	case left = <-r.salvaged:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { r.salvaged <- left }()
	if left == nil || left.Info() != key.blob {
		left = nil // so that its memory is free for the next
		part, err := r.store.Head(ctx, layout.Blob(r.host, key.blob.Name), key.blob.Size)
		r.fetched.Add(int64(len(part)))
		if err != nil {
			return nil, err
		}
		if left, err = blob.Salvage(key.blob, part, r.ids); err != nil {
			return nil, err
		}
	}
	comp, err := left.Compressed(ctx, key.off, key.len)
	return bytes.Clone(comp), err // the blob may go while the frame is decoded
}
