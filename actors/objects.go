package actors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"filippo.io/age"

	"vaultik/backends"
	"vaultik/vault/blob"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/read"
	"vaultik/vault/snapshot"
)

// OpenTree returns the tree of a snapshot, read from the store as it is walked.
// Methods of the tree may run beside each other. read.ErrEmptySnapshot if there is none.
func OpenTree(store backends.Backend, root *snapshot.Root, ids []age.Identity) (*page.Tree, error) {
	return read.New(Objects{store}, root, ids).Tree()
}

// Objects is a backend as package read asks for it.
type Objects struct{ Store backends.Backend }

// Range implements read.Store.
func (o Objects) Range(ctx context.Context, key string, off, n int64) ([]byte, error) {
	b, err := backends.ReadRange(ctx, o.Store, key, off, n, nil)
	return b, DamagedIfShort(err)
}

// Head implements read.Store.
func (o Objects) Head(ctx context.Context, key string, n int64) ([]byte, error) {
	return backends.Head(ctx, o.Store, key, n)
}

// ReadAtMost reads the beginning of an object into p, and returns how many bytes it read.
func ReadAtMost(ctx context.Context, store backends.Backend, key string, p []byte) ([]byte, error) {
	r, _, err := store.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	n, err := io.ReadFull(r, p)
	if op := (*backends.OpError)(nil); !errors.As(err, &op) &&
		(errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		err = nil // the object ends here; an OpError says that the store failed
	}
	return p[:n], err
}

// DamagedIfShort turns the error for an object that is shorter than recorded into one of damage.
func DamagedIfShort(err error) error {
	if errors.Is(err, backends.ErrInvalidRange) {
		return fmt.Errorf("%w: %w", blob.ErrDamaged, err)
	}
	return err
}

// FetchFrom reads ranges of one blob and counts the bytes.
func FetchFrom(
	store backends.Backend,
	host layout.HostID,
	name blob.Name,
	count *atomic.Int64,
) blob.Fetch {
	key := layout.Blob(host, name)
	return func(ctx context.Context, off, n int64) ([]byte, error) {
		b, err := backends.ReadRange(ctx, store, key, off, n, nil)
		count.Add(int64(len(b)))
		return b, err
	}
}

var (
	// ErrWrongChunk means that another chunk is stored where this one should be.
	ErrWrongChunk = fmt.Errorf("%w: a chunk does not match its id", blob.ErrDamaged)
	// ErrWrongSum means that an object is not what was written under its name.
	ErrWrongSum = fmt.Errorf("%w: its SHA-256 is not the recorded one", blob.ErrDamaged)
)

// SlicePiece cuts a chunk out of its frame.
func SlicePiece(raw []byte, s blob.Span) ([]byte, error) {
	if int64(s.Off)+int64(s.Len) > int64(len(raw)) {
		return nil, fmt.Errorf("%w: chunk at %d of %d bytes is outside its frame", blob.ErrDamaged,
			s.Off, s.Len)
	}
	return raw[s.Off : s.Off+s.Len : s.Off+s.Len], nil
}
