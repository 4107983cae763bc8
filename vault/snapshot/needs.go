package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
		blobs, err := s.blobList(ctx, host, ref)
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

func (s *Store) blobList(ctx context.Context, host layout.HostID, ref ListRef) ([]BlobSize, error) {
	k := listKey{host, ref.Name}
	s.mu.Lock()
	blobs, ok := s.lists[k]
	s.mu.Unlock()
	if ok && int64(len(blobs)) == ref.Count {
		return blobs, nil
	}
	key := layout.BlobList(host, ref.Name)
	b, err := s.getPinned(ctx, key, ref.Size, ref.Name, MaxBlobList)
	if err != nil {
		return nil, err
	}
	if blobs, err = DecodeBlobList(b); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if int64(len(blobs)) != ref.Count {
		return nil, fmt.Errorf("read %s: %w", key, damaged("it has %d blobs, not %d", len(blobs), ref.Count))
	}
	s.mu.Lock()
	s.lists[k] = blobs
	s.mu.Unlock()
	return blobs, nil
}

// Root reads and opens the root of a snapshot.
func (s *Store) Root(ctx context.Context, m *Manifest, ids []age.Identity) (*Root, error) {
	key := layout.Root(m.Host, m.Root.Name)
	b, err := s.getPinned(ctx, key, m.Root.Size, m.Root.Name, MaxRoot)
	if err != nil {
		return nil, err
	}
	r, err := OpenRoot(b, ids)
	if err == nil {
		err = r.Matches(m)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return r, nil
}

// Identities returns what opens the blobs and the root of a snapshot: the identities of
// its epochs, then the given one. An epoch key that is missing, damaged or opened by no
// identity is a problem and is skipped, since the given identity opens every blob
// itself. The error is that of ctx.
func (s *Store) Identities(ctx context.Context, m *Manifest, id *keys.Identity) ([]age.Identity, []Problem, error) {
	var out []age.Identity
	var problems []Problem
	for _, ref := range m.Keys {
		epoch, problem := s.epoch(ctx, m.Host, ref, id)
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

// epoch opens an epoch key: the pinned object, or else another wrapping of it.
// Any will do, whoever wrote it, since the identity inside has to fit the epoch's id.
// There may be a problem even with an epoch: of the pinned object.
func (s *Store) epoch(ctx context.Context, host layout.HostID, ref KeyRef, id *keys.Identity) (age.Identity, *Problem) {
	k := epochKey{host, ref.Epoch, id}
	s.mu.Lock()
	epoch, ok := s.epochs[k]
	s.mu.Unlock()
	if ok {
		return epoch, nil
	}
	key := layout.EpochKey(host, ref.Epoch, ref.N)
	b, err := s.getPinned(ctx, key, ref.Size, ref.SHA256, MaxEpochKey)
	if err == nil {
		epoch, err = keys.OpenEpoch(b, id, ref.Epoch)
	}
	var problem *Problem
	if err != nil {
		problem = &Problem{Key: key, Host: host, Err: err}
		if epoch = s.otherWrapping(ctx, host, ref, id); epoch != nil && errors.Is(err, keys.ErrWrongIdentity) {
			problem = nil // sealed to other recipients, and later wrapped for these
		}
	}
	if epoch != nil && problem == nil {
		s.mu.Lock()
		s.epochs[k] = epoch
		s.mu.Unlock()
	}
	return epoch, problem
}

func (s *Store) otherWrapping(ctx context.Context, host layout.HostID, ref KeyRef, id *keys.Identity) age.Identity {
	all, err := s.find(ctx, layout.EpochPrefix(host, ref.Epoch), layout.KindEpochKey)
	if err != nil {
		return nil
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
		if epoch, err := keys.OpenEpoch(b, id, ref.Epoch); err == nil {
			return epoch
		}
	}
	return nil
}
