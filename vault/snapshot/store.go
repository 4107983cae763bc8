package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// Objects is what this package needs of a store. Both methods may be called
// from several goroutines at once.
type Objects interface {
	// Get returns n bytes of an object from off on; all of them if n < 0. A
	// missing object is fs.ErrNotExist.
	Get(ctx context.Context, key string, off, n int64) ([]byte, error)
	// List calls fn for each object whose key begins with prefix, in any order.
	List(ctx context.Context, prefix string, fn func(key string, size int64) error) error
}

// Pin is what a machine remembers of a store. Empty fields accept anything.
type Pin struct {
	Owner    string // fingerprint
	TrustSeq uint64 // highest trust list seen
	TrustSum string // its SHA-256, 64 hex digits
}

// Store is the heads of an open store. It may be used by many goroutines; it
// keeps blob lists and epoch identities that it has read.
type Store struct {
	Doc      StoreDoc
	Trust    Trust
	TrustSeq uint64
	TrustSum string

	// Parallel is how many objects are read at once where many are; 0: 4.
	Parallel int
	// OnRead, if set, is told how many of total objects are read, from one goroutine.
	OnRead func(done, total int)
	// WithoutBlobs leaves out Blobs of manifests, which are most of them: with thousands of
	// manifests that is what takes memory.
	WithoutBlobs bool
	// Cache, if set, is where manifests, and where many are opened roots and epoch keys, may
	// come from. Without it all is read from the store.
	Cache Cache

	objects Objects
	turns   turns

	mu     sync.Mutex // of the caches
	lists  map[listKey][]BlobSize
	epochs map[epochKey]*opening
}

type listKey struct {
	host layout.HostID
	name Sum
}

type epochKey struct {
	host layout.HostID
	ref  KeyRef
	id   *keys.Identity
}

// Pin returns what to remember of the store, once the owner is accepted.
func (s *Store) Pin() Pin {
	return Pin{Owner: s.Doc.Owner.Fingerprint(), TrustSeq: s.TrustSeq, TrustSum: s.TrustSum}
}

// OpenStore reads a store's description of itself, and checks it against the pin.
// Errors are [ErrNoStore], [ErrOwnerChanged], [ErrTrustRollback], [ErrNewerFormat],
// [ErrDamaged], and those of o.
func OpenStore(ctx context.Context, o Objects, pin Pin) (*Store, error) {
	s := &Store{objects: o, lists: make(map[listKey][]BlobSize),
		epochs: make(map[epochKey]*opening)}
	if err := s.open(ctx, pin); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, pin Pin) error {
	b, err := s.objects.Get(ctx, layout.StoreJSON, 0, -1)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNoStore, err)
	}
	if err != nil {
		return err
	}
	if s.Doc, err = DecodeStore(b); err != nil {
		return fmt.Errorf("%s: %w", layout.StoreJSON, err)
	}
	if owner := s.Doc.Owner.Fingerprint(); pin.Owner != "" && pin.Owner != owner {
		return fmt.Errorf("%w: it is %s, pinned is %s", ErrOwnerChanged, owner, pin.Owner)
	}
	return s.openTrust(ctx, pin)
}

// openTrust reads the newest trust list. It never falls back to an older one:
// the newest may hold a revocation.
func (s *Store) openTrust(ctx context.Context, pin Pin) error {
	newest, err := s.newest(ctx, layout.TrustPrefix, layout.KindTrust)
	if err != nil {
		return err
	}
	switch {
	case len(newest) == 0 && pin.TrustSeq > 0:
		return fmt.Errorf("%w: there is none, but %d was seen", ErrTrustRollback, pin.TrustSeq)
	case len(newest) == 0:
		return damaged("there is no trust list")
	}
	f := newest[0]
	b, err := s.get(ctx, f.key, f.size, MaxTrust)
	if err != nil {
		return fmt.Errorf("%s: %w", f.key, err)
	}
	if s.Trust, err = DecodeTrust(b, s.Doc.Owner); err != nil {
		if !errors.Is(err, ErrNewerFormat) && !errors.Is(err, ErrDamaged) {
			err = damaged("%w", err)
		}
		return fmt.Errorf("%s: %w", f.key, err)
	}
	if s.Trust.Store != s.Doc.Store || s.Trust.Seq != f.Seq {
		return fmt.Errorf("%s: %w", f.key, damaged("this name holds a trust list of another store or seq"))
	}
	s.TrustSeq, s.TrustSum = s.Trust.Seq, sumOf(b).String()
	switch {
	case s.TrustSeq < pin.TrustSeq:
		return fmt.Errorf("%w: it is %d, but %d was seen", ErrTrustRollback, s.TrustSeq, pin.TrustSeq)
	case s.TrustSeq == pin.TrustSeq && pin.TrustSum != "" && s.TrustSum != pin.TrustSum:
		return fmt.Errorf("%w: another list %d was seen", ErrTrustRollback, s.TrustSeq)
	}
	return nil
}

// found is an object of a listing.
type found struct {
	layout.Object
	key  string
	size int64
}

// find lists the objects of one kind. Names that this format does not know are ignored.
func (s *Store) find(ctx context.Context, prefix string, kind layout.Kind) ([]found, error) {
	var out []found
	err := s.objects.List(ctx, prefix, func(key string, size int64) error {
		if o, err := layout.Parse(key); err == nil && o.Kind == kind {
			out = append(out, found{o, key, size})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	return out, nil
}

// newest returns the objects of the highest seq: one, unless there is a fork.
func (s *Store) newest(ctx context.Context, prefix string, kind layout.Kind) ([]found, error) {
	all, err := s.find(ctx, prefix, kind)
	var out []found
	for _, f := range all {
		if len(out) > 0 && f.Seq > out[0].Seq {
			out = out[:0]
		}
		if len(out) == 0 || f.Seq == out[0].Seq {
			out = append(out, f)
		}
	}
	return out, err
}

// get reads a whole object whose size is known from a listing or a signature.
func (s *Store) get(ctx context.Context, key string, size int64, limit int) ([]byte, error) {
	if size > int64(limit) {
		return nil, damaged("too large, %d bytes", size)
	}
	b, err := s.objects.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != size {
		return nil, damaged("it has %d bytes, not %d", len(b), size)
	}
	return b, nil
}

// getPinned reads an object whose size and SHA-256 are pinned by a signature.
func (s *Store) getPinned(ctx context.Context, key string, size int64, sum Sum, limit int) ([]byte, error) {
	b, err := s.get(ctx, key, size, limit)
	if err == nil && sumOf(b) != sum {
		err = damaged("its SHA-256 is not the recorded one")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return b, nil
}
