package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// Objects is what this package needs of a store. Its methods may be called from several
// goroutines at once.
type Objects interface {
	// Get returns n bytes of an object from off on; all of them if n < 0. A
	// missing object is fs.ErrNotExist.
	Get(ctx context.Context, key string, off, n int64) ([]byte, error)
	// Head returns the first n bytes of an object, or all of it where it is shorter.
	Head(ctx context.Context, key string, n int64) ([]byte, error)
	// List calls fn for each object whose key begins with prefix, in any order, with its size
	// in bytes and when the store says that it was stored.
	List(ctx context.Context, prefix string,
		fn func(key string, size int64, stored time.Time) error) error
}

// Pin is what a machine remembers of a store. Empty fields accept anything.
type Pin struct {
	Owner    string // fingerprint
	TrustSeq uint64 // highest trust list seen
	TrustSum string // its SHA-256, 64 hex digits
}

// Store is the heads of an open store. It may be used by many goroutines; it
// keeps epoch identities that it has read.
type Store struct {
	Doc      StoreDoc
	Trust    Trust
	TrustSeq uint64
	TrustSum string

	// Parallel is how many objects are read at once where many are; 0: 4.
	Parallel int
	// OnRead, if set, is told how many of total objects are read, from one goroutine.
	OnRead func(done, total int)
	// WithoutBlobs leaves out Lists and Blobs of manifests, which are most of them: with
	// thousands of manifests that is what takes memory.
	WithoutBlobs bool
	// Cache, if set, is where manifests, and where many are opened roots and epoch keys, may
	// come from. Without it all is read from the store.
	Cache Cache

	objects Objects
	turns   turns

	mu     sync.Mutex // of what follows
	epochs map[epochKey]*opening
	strays map[strayKey]Stray
	known  map[layout.HostID][]gcKnown // gc objects of the highest seq known to exist: see RequireGC
	gcs    map[layout.HostID]gcRead    // the newest that was read, without what it condemns
	drops  map[layout.HostID][]Dropped
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
	s := newStore(o)
	if err := s.open(ctx, pin); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func newStore(o Objects) *Store {
	return &Store{objects: o, epochs: make(map[epochKey]*opening), strays: make(map[strayKey]Stray),
		known: make(map[layout.HostID][]gcKnown), gcs: make(map[layout.HostID]gcRead),
		drops: make(map[layout.HostID][]Dropped)}
}

func (s *Store) open(ctx context.Context, pin Pin) error {
	b, err := s.objects.Head(ctx, layout.StoreJSON, MaxStoreDoc+1)
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

// openTrust reads the newest trust list: the highest that the owner has signed. It never
// falls back to an older one where the newest may be damaged: that may hold a revocation.
func (s *Store) openTrust(ctx context.Context, pin Pin) error {
	lists, err := newest(ctx, s, layout.TrustPrefix, layout.KindTrust, 0,
		func(f found) (l FoundTrust, _ Sum, err error) {
			l, err = s.readTrust(ctx, f)
			return l, l.Sum, err
		})
	if err != nil {
		return err
	}
	if len(lists) > 1 {
		return fmt.Errorf("%w: %s", ErrTrustFork, namesOf(lists))
	}
	var seen Sum
	_ = seen.UnmarshalText([]byte(pin.TrustSum)) // it may be empty
	if last := max(pin.TrustSeq, 1); len(lists) == 0 || lists[0].Trust.Seq < last {
		if err := s.Unlisted(ctx, layout.Trust(last), seen); err != nil {
			return err
		}
	}
	switch {
	case len(lists) == 0 && pin.TrustSeq > 0:
		return damaged("there is no trust list, but list %d was seen before", pin.TrustSeq)
	case len(lists) == 0:
		return damaged("there is no trust list")
	}
	s.Trust, s.TrustSeq, s.TrustSum = lists[0].Trust, lists[0].Trust.Seq, lists[0].Sum.String()
	switch {
	case s.TrustSeq < pin.TrustSeq:
		return fmt.Errorf("%w: it is %d, but %d was seen", ErrTrustRollback, s.TrustSeq, pin.TrustSeq)
	case s.TrustSeq == pin.TrustSeq && pin.TrustSum != "" && s.TrustSum != pin.TrustSum:
		return fmt.Errorf("%w: another list %d was seen", ErrTrustRollback, s.TrustSeq)
	}
	return nil
}

// FoundTrust is a trust list that the owner has signed.
type FoundTrust struct {
	Key   string
	Trust Trust
	Sum   Sum // of the object; also of one that is not a trust list, where it was read
}

// Name is the last part of the key, by which people tell it from another of its number.
func (l *FoundTrust) Name() string {
	return layout.Stem(strings.TrimPrefix(l.Key, layout.TrustPrefix))
}

// namesOf are the keys of trust lists, and when they were signed.
func namesOf(lists []FoundTrust) string {
	names := make([]string, len(lists))
	for i, l := range lists {
		names[i] = l.Key + " of " + l.Trust.Time.Format(time.RFC3339)
	}
	return strings.Join(names, ", ")
}

// readTrust reads and verifies one trust list.
func (s *Store) readTrust(ctx context.Context, f found) (l FoundTrust, err error) {
	b, err := s.get(ctx, f.Key(), f.size, MaxTrust)
	if err != nil {
		return l, err
	}
	l.Key, l.Sum = f.Key(), sumOf(b)
	if err = f.named(l.Sum); err == nil {
		l.Trust, err = s.trustList(b, f.Seq)
	}
	return l, err
}

// trustList reads the object of one number.
func (s *Store) trustList(b []byte, seq uint64) (Trust, error) {
	t, err := DecodeTrust(b, s.Doc.Owner)
	switch {
	case err != nil && Unproven(err) && !errors.Is(err, ErrDamaged):
		return t, damaged("%w", err)
	case err != nil:
		return t, err
	case t.Store != s.Doc.Store || t.Seq != seq:
		return t, damaged("this name holds a trust list of another store or seq")
	}
	return t, nil
}

// sniffed is how many bytes of a larger object are read to see whether it is one: most of what
// strangers leave is not, and need not be held in memory whole.
const sniffed = 1 << 20

// get reads a whole object whose size is known from a listing or a signature.
func (s *Store) get(ctx context.Context, key string, size int64, limit int) ([]byte, error) {
	if size > int64(limit) {
		return nil, damaged("too large, %d bytes", size)
	}
	if size > sniffed && strings.HasSuffix(key, ".zst") {
		b, err := s.objects.Head(ctx, key, sniffed)
		if err == nil {
			err = beginsCompressed(b, limit)
		}
		if err != nil {
			return nil, err
		}
	}
	b, err := s.objects.Head(ctx, key, size+1)
	switch {
	case err != nil:
		return nil, err
	case int64(len(b)) > size:
		return nil, damaged("it has more than %d bytes", size)
	case int64(len(b)) < size:
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
