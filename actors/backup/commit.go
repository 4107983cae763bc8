package backup

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"vaultik/backends"
	"vaultik/index"
	"vaultik/internal/clock"
	"vaultik/vault/blob"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// freshListing is how old a listing may be when the manifest is acknowledged:
// prune waits far longer before it deletes what it condemned. A listing that is
// older than four fifths of this is made again before the last writes.
const freshListing = 10 * time.Minute

// commitResult is a committed snapshot, or how many blobs must be stored again first.
type commitResult struct {
	sum      [32]byte // zero: none
	seq      uint64
	complete bool
	missing  int
}

// commit writes lists, root and manifest, in this order, after making sure that
// everything the manifest names is in the store.
func (s *storeState) commit(top page.Ref, needed map[blob.Name]struct{}) (res commitResult, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run.faults.CommitStart()
	fresh := s.run.freshListing()
	if clock.Boot()-s.listedAt > fresh-fresh/5 {
		if err := s.list(); err != nil {
			return res, err
		}
	}
	if res.missing, err = s.missing(needed); err != nil || res.missing > 0 {
		return res, err
	}
	m, err := s.write(top, needed)
	if err != nil {
		return res, err
	}
	if err := s.run.spec.Index.Sync(); err != nil {
		return res, fmt.Errorf("sync the index: %w", err)
	}
	if err := s.publish(m); err != nil {
		return res, err
	}
	res.sum, res.seq, res.complete = s.head.Sum, s.head.Seq, m.Complete
	if clock.Boot()-s.listedAt <= fresh {
		return res, nil
	}
	// The store, or this machine, slept between the listing and the answer. What
	// was condemned meanwhile may be gone: look again, and supersede if so.
	if err := s.list(); err != nil {
		return res, err
	}
	res.missing, err = s.missing(needed)
	return res, err
}

// blobs orders what is needed as it was made.
func (s *storeState) blobs(needed map[blob.Name]struct{}) ([]snapshot.BlobSize, map[layout.Epoch]struct{}, error) {
	type numbered struct {
		num index.BlobNum
		snapshot.BlobSize
	}
	all := make([]numbered, 0, len(needed))
	epochs := map[layout.Epoch]struct{}{}
	for name := range needed {
		num, ok := s.run.spec.Index.Num(name)
		info, ok2 := s.run.spec.Index.Blob(num)
		if !ok || !ok2 {
			return nil, nil, fmt.Errorf("blob %s is needed, but not in the index", name)
		}
		epochs[info.Epoch] = struct{}{}
		all = append(all, numbered{num, snapshot.BlobSize{Name: name, Size: info.Size}})
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.num, b.num) })
	sizes := make([]snapshot.BlobSize, len(all))
	for i := range all {
		sizes[i] = all[i].BlobSize
	}
	return sizes, epochs, nil
}

// missing makes the index forget needed blobs that the store has not, and counts them.
func (s *storeState) missing(needed map[blob.Name]struct{}) (int, error) {
	var gone []blob.Name
	s.run.mu.Lock()
	for n := range needed {
		if _, ok := s.run.present[n]; !ok {
			gone = append(gone, n)
		}
	}
	s.run.mu.Unlock()
	if len(gone) == 0 {
		return 0, nil
	}
	if err := s.run.spec.Index.DropBlobs(gone); err != nil {
		return 0, fmt.Errorf("update the index: %w", err)
	}
	return len(gone), nil
}

// needs stores the blob lists that say what is needed, and names them.
func (s *storeState) needs(needed map[blob.Name]struct{}) (n snapshot.Needs, err error) {
	blobs, epochs, err := s.blobs(needed)
	if err != nil {
		return n, err
	}
	if n.Keys, err = s.keyRefs(epochs); err != nil {
		return n, err
	}
	n.Count, n.Bytes = int64(len(blobs)), snapshot.TotalSize(blobs)
	lists, tail := snapshot.CutBlobLists(blobs)
	n.Blobs = tail
	for _, l := range lists {
		b, err := snapshot.EncodeBlobList(l)
		if err != nil {
			return n, err
		}
		sum := sha256.Sum256(b)
		n.Lists = append(n.Lists, snapshot.ListRef{Name: sum, Size: int64(len(b)), Count: int64(len(l))})
		if size, there := s.lists[sum]; there && size == int64(len(b)) {
			continue
		}
		if err := s.put(layout.BlobList(s.run.spec.Host.ID, sum), b, sum); err != nil {
			return n, err
		}
		s.lists[sum] = int64(len(b))
	}
	return n, nil
}

// write stores blob lists and root, and returns the manifest that names them.
func (s *storeState) write(top page.Ref, needed map[blob.Name]struct{}) (*snapshot.Manifest, error) {
	spec := s.run.spec
	needs, err := s.needs(needed)
	if err != nil {
		return nil, err
	}
	m := &snapshot.Manifest{
		Store: spec.Opened.Doc.Store, Host: spec.Host.ID, Set: spec.Set,
		Seq: s.head.Seq + 1, Prev: snapshot.Sum(s.head.Sum), Time: s.run.now().UTC().Truncate(time.Second),
		Complete: s.run.failed == 0 && !spec.Partial, GC: s.gc, Needs: needs,
	}
	root, err := s.root(m, top)
	if err != nil {
		return nil, err
	}
	b, sum, err := snapshot.SealRoot(root, spec.Recipients, s.run.epoch)
	if err != nil {
		return nil, err
	}
	m.Root = snapshot.RootRef{Name: sum, Size: int64(len(b))}
	return m, s.put(layout.Root(spec.Host.ID, sum), b, sum)
}

func (s *storeState) put(key string, b []byte, sum [32]byte) error {
	if _, err := putObject(s.run.ctx, s.run.spec.Store, storeObject{Key: key, Bytes: b, Sum: sum}); err != nil {
		return notStored(key, err)
	}
	s.run.accepted(int64(len(b)), nil)
	return nil
}

// publish creates the manifest: the commit point.
func (s *storeState) publish(m *snapshot.Manifest) error {
	spec := s.run.spec
	b, err := snapshot.EncodeManifest(m, spec.Host.Signer)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	key, conditional := layout.Manifest(spec.Host.ID, spec.Set, m.Seq), s.conditional()
	if !conditional {
		key = layout.ManifestWeak(spec.Host.ID, spec.Set, m.Seq, sum)
	}
	_, err = putObject(s.run.ctx, spec.Store, storeObject{Key: key, Bytes: b, Sum: sum, IfAbsent: conditional})
	if errors.Is(err, backends.ErrExists) {
		return fmt.Errorf("%w: manifest %d of set %q was written in the meantime", ErrForeignWriter, m.Seq, spec.SetName)
	}
	if err != nil {
		return notStored(key, err)
	}
	s.run.accepted(int64(len(b)), nil)
	s.head = Head{Seq: m.Seq, Sum: sum}
	if err := spec.SaveHead(s.head); err != nil {
		return fmt.Errorf("the snapshot is saved, but could not be recorded: %w", err)
	}
	if !conditional {
		if _, _, err := s.weakManifest(m.Seq); err != nil {
			return err
		}
	}
	return nil
}
