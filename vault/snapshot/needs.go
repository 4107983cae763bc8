package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"filippo.io/age"

	"vaultik/vault/blob"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// MaxEpochKey bounds a sealed epoch key, in bytes.
const MaxEpochKey = 1 << 20

// Blobs returns all blobs that a manifest needs, in the order they were made.
// A blob list that is missing or is not the pinned one is an error.
func (s *Store) Blobs(ctx context.Context, m *Manifest) ([]BlobSize, error) {
	return s.BlobsOf(ctx, m.Host, &m.Needs)
}

// BlobsOf is Blobs for anything that needs blobs of a host.
func (s *Store) BlobsOf(ctx context.Context, host layout.HostID, n *Needs) ([]BlobSize, error) {
	var out []BlobSize
	for _, ref := range n.Lists {
		blobs, err := s.BlobList(ctx, host, ref)
		if err != nil {
			return nil, err
		}
		out = append(out, blobs...)
	}
	out = append(out, n.Blobs...)
	seen := make(map[blob.Name]struct{}, len(out))
	for _, b := range out {
		seen[b.Name] = struct{}{}
	}
	if len(seen) != len(out) || int64(len(out)) != n.Count || TotalSize(out) != n.Bytes {
		return nil, damaged("blob lists do not add up: %d blobs of %d bytes, not %d of %d",
			len(seen), TotalSize(out), n.Count, n.Bytes)
	}
	return out, nil
}

// BlobList reads a blob list of a host. One that is missing or is not the pinned one is an error.
func (s *Store) BlobList(ctx context.Context, host layout.HostID, ref ListRef) ([]BlobSize,
	error) {
	key := layout.BlobList(host, ref.Name)
	b, err := s.getPinned(ctx, key, ref.Size, ref.Name, MaxBlobList)
	if err != nil {
		return nil, err
	}
	blobs, err := DecodeBlobList(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if int64(len(blobs)) != ref.Count {
		return nil, fmt.Errorf("read %s: %w", key, damaged("it has %d blobs, not %d", len(blobs), ref.Count))
	}
	return blobs, nil
}

// Opened is what an identity opens of one snapshot.
type Opened struct {
	Root     *Root          // nil: Err says why
	Err      error          // as Root returns it
	IDs      []age.Identity // open its blobs, as Identities returns them
	Problems []Problem      // of its epoch keys
}

// OpenAll opens the roots of many snapshots, several at a time, and calls fn for each in
// their order. An error of fn, or the end of ctx, ends it.
func (s *Store) OpenAll(ctx context.Context, all []*Manifest, id *keys.Identity,
	fn func(i int, o Opened) error) error {
	listed := s.listRoots(ctx, all)
	return inOrder(ctx, s, len(all), func(i int) (o Opened) {
		if o.IDs, o.Problems, o.Err = s.identities(ctx, listed, all[i], id); o.Err == nil {
			o.Root, o.Err = s.root(ctx, listed, all[i], o.IDs)
		}
		return o
	}, func(i int, o Opened) error {
		s.progress(i+1, len(all))
		return fn(i, o)
	})
}

// Open opens the root of one snapshot, which it reads while it reads the epoch keys.
func (s *Store) Open(ctx context.Context, m *Manifest, id *keys.Identity) (o Opened) {
	defer s.turns.take(m.Root.Size)()
	var sealed []byte
	var err error
	var reading sync.WaitGroup
	reading.Go(func() { sealed, err = s.sealedRoot(ctx, nil, m) })
	o.IDs, o.Problems, o.Err = s.Identities(ctx, m, id)
	reading.Wait()
	if o.Err = cmp.Or(o.Err, err); o.Err == nil {
		o.Root, o.Err = openRootOf(m, sealed, o.IDs)
	}
	return o
}

// Root reads and opens the root of a snapshot.
func (s *Store) Root(ctx context.Context, m *Manifest, ids []age.Identity) (*Root, error) {
	return s.root(ctx, nil, m, ids)
}

func (s *Store) root(ctx context.Context, listed map[string]int64, m *Manifest,
	ids []age.Identity) (*Root, error) {
	defer s.turns.take(m.Root.Size)()
	sealed, err := s.sealedRoot(ctx, listed, m)
	if err != nil {
		return nil, err
	}
	return openRootOf(m, sealed, ids)
}

func (s *Store) sealedRoot(ctx context.Context, listed map[string]int64, m *Manifest) ([]byte,
	error) {
	return s.getListed(ctx, listed, layout.Root(m.Host, m.Root.Name), m.Root.Size, m.Root.Name,
		MaxRoot)
}

// openRootOf opens the root of a manifest.
func openRootOf(m *Manifest, sealed []byte, ids []age.Identity) (*Root, error) {
	r, err := OpenRoot(sealed, ids)
	if err == nil {
		err = r.Matches(m)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", layout.Root(m.Host, m.Root.Name), err)
	}
	return r, nil
}

// Identities returns what opens the blobs and the root of a snapshot: the identities of
// its epochs, then the given one. An epoch key that is missing, damaged or opened by no
// identity is a problem and is skipped, since the given identity opens every blob
// itself. The error is that of ctx.
func (s *Store) Identities(ctx context.Context, m *Manifest, id *keys.Identity) ([]age.Identity,
	[]Problem, error) {
	return s.identities(ctx, nil, m, id)
}

func (s *Store) identities(ctx context.Context, listed map[string]int64, m *Manifest,
	id *keys.Identity) ([]age.Identity, []Problem, error) {
	var out []age.Identity
	var problems []Problem
	for _, ref := range m.Keys {
		epoch, problem := s.epoch(ctx, listed, m.Host, ref, id)
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if problem != nil {
			problem.Set, problem.Seq = m.Set, m.Seq
			problems = append(problems, *problem)
		}
		if epoch != nil {
			out = append(out, epoch)
		}
	}
	return append(out, id.Age()...), problems, nil
}

// opening is an epoch key on its way to be opened, once for all who need it.
type opening struct {
	once    sync.Once
	epoch   age.Identity
	problem *Problem // of the pinned object, even if another wrapping gave the epoch
}

// epoch opens an epoch key: the pinned object, or else another wrapping of it.
// Any will do, whoever wrote it, since the identity inside has to fit the epoch's id.
// There may be a problem even with an epoch: of the pinned object.
func (s *Store) epoch(ctx context.Context, listed map[string]int64, host layout.HostID,
	ref KeyRef, id *keys.Identity) (age.Identity, *Problem) {
	k := epochKey{host, ref, id}
	s.mu.Lock()
	o := s.epochs[k]
	if o == nil {
		o = new(opening)
		s.epochs[k] = o
	}
	s.mu.Unlock()
	o.once.Do(func() {
		o.epoch, o.problem = s.openEpoch(ctx, listed, host, ref, id)
		if o.problem != nil && !settled(o.problem.Err) { // the next one may have more luck
			s.mu.Lock()
			delete(s.epochs, k)
			s.mu.Unlock()
		}
	})
	if o.problem == nil {
		return o.epoch, nil
	}
	p := *o.problem // the caller's own, who adds to it
	return o.epoch, &p
}

// settled reports whether reading again would come to the same.
func settled(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, keys.ErrWrongIdentity)
}

func (s *Store) openEpoch(ctx context.Context, listed map[string]int64, host layout.HostID,
	ref KeyRef, id *keys.Identity) (age.Identity, *Problem) {
	key := layout.EpochKey(host, ref.Epoch, ref.N)
	b, err := s.getListed(ctx, listed, key, ref.Size, ref.SHA256, MaxEpochKey)
	var epoch age.Identity
	if err == nil {
		epoch, err = keys.OpenEpoch(b, id, ref.Epoch)
	}
	if err == nil {
		return epoch, nil
	}
	epoch, _ = otherWrapping(ctx, s, host, ref, func(b []byte) (age.Identity, error) {
		return keys.OpenEpoch(b, id, ref.Epoch)
	})
	if epoch != nil && errors.Is(err, keys.ErrWrongIdentity) {
		return epoch, nil // sealed to other recipients, and later wrapped for these
	}
	return epoch, &Problem{Key: key, Host: host, Err: err}
}

// otherWrapping has open open another wrapping of an epoch key than that of ref; false if it
// opens none.
func otherWrapping[T any](ctx context.Context, s *Store, host layout.HostID, ref KeyRef,
	open func([]byte) (T, error)) (v T, ok bool) {
	all, err := s.find(ctx, layout.EpochPrefix(host, ref.Epoch), layout.KindEpochKey)
	if err != nil {
		return v, false
	}
	slices.SortFunc(all, func(a, b found) int { return b.N - a.N }) // the newest is the likeliest
	for _, f := range all {
		if f.N == ref.N {
			continue
		}
		b, err := s.get(ctx, f.Key(), f.size, MaxEpochKey)
		if err != nil {
			continue
		}
		if v, err := open(b); err == nil {
			return v, true
		}
	}
	return v, false
}

// RewrapEpoch opens an epoch key, and seals it to recipients: the object to store as another
// wrapping of it. The error is as of [keys.OpenEpoch], or of reading.
func (s *Store) RewrapEpoch(ctx context.Context, host layout.HostID, ref KeyRef, id *keys.Identity,
	rs keys.Recipients) ([]byte, error) {
	rewrap := func(b []byte) ([]byte, error) { return keys.RewrapEpoch(b, id, ref.Epoch, rs) }
	b, err := s.getPinned(ctx, layout.EpochKey(host, ref.Epoch, ref.N), ref.Size, ref.SHA256,
		MaxEpochKey)
	var sealed []byte
	if err == nil {
		sealed, err = rewrap(b)
	}
	if err == nil {
		return sealed, nil
	}
	if other, ok := otherWrapping(ctx, s, host, ref, rewrap); ok {
		return other, nil
	}
	return nil, err
}
