package read

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// owner is made once: keys cost time, and none of the tests changes them.
type owner struct {
	recipients keys.Recipients
	epoch      keys.EpochKey
	ids        []age.Identity
}

var theOwner = sync.OnceValues(func() (o owner, err error) {
	secret, recipient, err := keys.Generate(true)
	if err != nil {
		return o, err
	}
	if o.recipients, err = keys.ParseRecipients([]string{recipient}); err != nil {
		return o, err
	}
	if o.epoch, _, err = keys.NewEpoch(o.recipients, time.Unix(1e9, 0)); err != nil {
		return o, err
	}
	id, err := keys.ParseIdentity(secret)
	if err == nil {
		o.ids = id.Age()
	}
	return o, err
})

// request is what a store was asked for; whole for Head.
type request struct {
	key    string
	off, n int64
	whole  bool
}

// store is one in memory that counts, and that holds up or fails what it is told to.
type store struct {
	mu      sync.Mutex
	objects map[string][]byte
	asked   []request
	given   int64
	before  func(ctx context.Context, r request) error // of each request, without a lock
}

func (s *store) Range(ctx context.Context, key string, off, n int64) ([]byte, error) {
	b, err := s.take(ctx, request{key, off, n, false})
	if err == nil && off+n > int64(len(b)) {
		return nil, fmt.Errorf("%w: ends at %d", blob.ErrDamaged, len(b))
	}
	if err != nil {
		return nil, err
	}
	return s.give(b[off : off+n]), nil
}

func (s *store) Head(ctx context.Context, key string, n int64) ([]byte, error) {
	b, err := s.take(ctx, request{key, 0, n, true})
	if err != nil {
		return nil, err
	}
	return s.give(b[:min(n, int64(len(b)))]), nil
}

func (s *store) take(ctx context.Context, r request) ([]byte, error) {
	s.mu.Lock()
	s.asked = append(s.asked, r)
	before, b := s.before, s.objects[r.key]
	s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if before != nil {
		if err := before(ctx, r); err != nil {
			return nil, err
		}
	}
	if b == nil {
		return nil, fmt.Errorf("get %s: %w", r.key, fs.ErrNotExist)
	}
	return b, nil
}

func (s *store) give(b []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given += int64(len(b))
	return bytes.Clone(b)
}

// requests returns what was asked since the last call.
func (s *store) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.asked
	s.asked = nil
	return out
}

// setBefore replaces what runs before each request.
func (s *store) setBefore(fn func(context.Context, request) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = fn
}

// stored is a chunk in the store.
type stored struct {
	ref  page.Ref
	data []byte
}

// world is one host's snapshot.
type world struct {
	t      *testing.T
	rand   *rand.ChaCha8
	owner  owner
	store  *store
	root   *snapshot.Root
	hasher *chunk.Hasher
}

func newWorld(t *testing.T) *world {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &world{t: t, store: &store{objects: map[string][]byte{}}}
	w.rand = rand.NewChaCha8([32]byte(fmt.Appendf(nil, "%032d", seed)))
	var err error
	w.owner, err = theOwner()
	w.must(err)
	w.root = &snapshot.Root{Host: layout.NewHostID(), Secret: keys.NewHostSecret()}
	w.hasher = chunk.NewHasher(w.root.Secret.ChunkID())
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) reader() *Reader { return New(w.store, w.root, w.owner.ids) }

// bytes returns n that do not compress.
func (w *world) bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = w.rand.Read(b)
	return b
}

// blob stores chunks in one blob, each frame holding one of the given lists.
func (w *world) blob(frames ...[][]byte) []stored {
	w.t.Helper()
	b, c := blob.NewBuilder(nil), blob.NewCompressor(0)
	var out []stored
	for _, chunks := range frames {
		var raw []byte
		var rows []blob.Row
		for _, data := range chunks {
			span := blob.Span{Off: uint32(len(raw)), Len: uint32(len(data))}
			rows = append(rows, blob.Row{ID: w.hasher.ID(data), Span: span})
			raw = append(raw, data...)
		}
		b.AddFrame(c.Frame(nil, raw), rows)
		for i, data := range chunks {
			out = append(out, stored{page.Ref{Span: rows[i].Span, ID: rows[i].ID}, data})
		}
	}
	sealed, err := b.Seal(w.owner.recipients, w.owner.epoch)
	w.must(err)
	w.store.objects[layout.Blob(w.root.Host, sealed.Name)] = bytes.Clone(sealed.Bytes)
	for i := range out {
		out[i].ref.Blob = &sealed.Info
	}
	return out
}

// small stores a blob that is fetched in one request, with two chunks in one frame.
func (w *world) small() []stored {
	w.t.Helper()
	return w.blob([][]byte{w.bytes(1000), w.bytes(2000)})
}

// large stores a blob of six frames, and of several requests.
func (w *world) large() []stored {
	w.t.Helper()
	var frames [][][]byte
	for range 6 {
		frames = append(frames, [][]byte{w.bytes(250 << 10)})
	}
	return w.blob(frames...)
}

// key is the object of a chunk's blob.
func (w *world) key(c stored) string { return layout.Blob(w.root.Host, c.ref.Blob.Name) }

// check reads a chunk and compares it.
func (w *world) check(ctx context.Context, r *Reader, c stored) {
	w.t.Helper()
	if b, err := r.Chunk(ctx, c.ref); err != nil || !bytes.Equal(b, c.data) {
		w.t.Errorf("chunk %v: %d bytes, %v", c.ref.Span, len(b), err)
	}
}

// hold makes the store wait with requests that which wants, until open is closed or
// their context ends.
func (w *world) hold(which func(request) bool) (open chan struct{}) {
	open = make(chan struct{})
	w.store.setBefore(func(ctx context.Context, r request) error {
		if !which(r) {
			return nil
		}
		select {
		case <-open:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return open
}

// isErr fails unless err is want.
func isErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
