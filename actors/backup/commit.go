package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"vaultik/backends"
	"vaultik/index"
	"vaultik/vault/blob"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// commitResult is a committed snapshot, or how many blobs must be stored again first.
type commitResult struct {
	sum      [32]byte // zero: none
	seq      uint64
	complete bool
	missing  int
}

// maxCommits is how often a commit looks at the store again because the manifest was not
// acknowledged in time, or something that it names was lost meanwhile.
const maxCommits = 3

// commit writes lists and root, then makes sure that everything the manifest names is in
// the store, and writes the manifest while that is known.
func (c *committer) commit(top page.Ref) (res commitResult, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run.faults.CommitStart()
	for range maxCommits {
		if done, err := c.attempt(top, &res); done || err != nil {
			return res, err
		}
	}
	return res, fmt.Errorf("the store took longer than %v to accept the manifest, or lost what it "+
		"names, %d times", freshListing, maxCommits)
}

// attempt is one attempt to commit. It is done with a manifest that has everything, and
// where blobs must be stored again first.
func (c *committer) attempt(top page.Ref, res *commitResult) (done bool, err error) {
	if res.missing, err = c.missing(); err != nil || res.missing > 0 {
		return true, err
	}
	m, err := c.write(top)
	if err != nil {
		return false, err
	}
	if err := c.run.spec.Index.Sync(); err != nil {
		return false, fmt.Errorf("sync the index: %w", err)
	}
	if c.age() > freshListing/5 {
		if err := c.list(); err != nil {
			return false, err
		}
		if res.missing, err = c.missing(); err != nil || res.missing > 0 {
			return true, err
		}
		if whole, err := c.whole(m); err != nil || !whole {
			return false, err
		}
	}
	m.GC = c.gc
	published, err := c.publish(m)
	if err != nil || !published {
		return false, err
	}
	res.sum, res.seq, res.complete = c.head.Sum, c.head.Seq, m.Complete
	if c.age() <= freshListing {
		return true, nil
	}
	// The listing is too old, since the store or this machine was suspended meanwhile. What
	// was condemned since then may have been deleted: list again, and if anything is missing,
	// write another manifest.
	if err := c.list(); err != nil {
		return false, err
	}
	if res.missing, err = c.missing(); err != nil || res.missing > 0 {
		return true, err
	}
	return c.whole(m)
}

// age is how old the newest listing is.
func (c *committer) age() time.Duration { return c.run.boot() - c.listedAt }

// whole reports whether the store has what a manifest names beside blobs: lists, root and
// keys.
func (c *committer) whole(m *snapshot.Manifest) (bool, error) {
	host := m.Host
	for _, l := range m.Lists {
		if size, there := c.lists[l.Name]; there && size == l.Size {
			continue
		}
		if there, err := c.stored(layout.BlobList(host, l.Name), l.Size); err != nil || !there {
			return false, err
		}
		c.lists[l.Name] = l.Size
	}
	for _, k := range m.Keys {
		if now, there := c.epochs[k.Epoch]; there && now == (keyObject{k.N, k.Size}) {
			continue
		}
		key := layout.EpochKey(host, k.Epoch, k.N)
		if there, err := c.stored(key, k.Size); err != nil || !there {
			return false, err
		}
	}
	if c.rooted {
		return true, nil
	}
	return c.stored(layout.Root(host, m.Root.Name), m.Root.Size)
}

// blobs are those of the index that are wanted, as they were made, and their epochs.
func (c *committer) blobs(wanted func(blob.Name) bool) (
	sizes []snapshot.BlobSize, epochs map[layout.Epoch]struct{},
) {
	epochs = map[layout.Epoch]struct{}{}
	c.run.spec.Index.Blobs(func(_ index.BlobNum, in blob.Info) bool {
		if wanted(in.Name) {
			epochs[in.Epoch] = struct{}{}
			sizes = append(sizes, snapshot.BlobSize{Name: in.Name, Size: in.Size})
		}
		return true
	})
	return sizes, epochs
}

// missing makes the index forget needed blobs that are missing from the store, and counts them.
func (c *committer) missing() (int, error) {
	own, gone := c.run.blobs.unlisted()
	for _, name := range own {
		there, err := c.stored(layout.Blob(c.run.spec.Host.ID, name), c.run.blobs.size(name))
		if err != nil {
			return 0, err
		}
		if there {
			c.run.blobs.stored(name)
		} else {
			c.run.blobs.lost(name)
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	return len(gone), c.drop(gone)
}

// needs stores the blob lists that say which blobs are wanted, and names them.
func (c *committer) needs(wanted func(blob.Name) bool) (n snapshot.Needs, err error) {
	blobs, epochs := c.blobs(wanted)
	if n.Keys, err = c.keyRefs(epochs); err != nil {
		return n, err
	}
	n.Count, n.Bytes = int64(len(blobs)), snapshot.TotalSize(blobs)
	lists, tail := snapshot.CutBlobLists(blobs)
	n.Blobs = tail
	for _, l := range lists {
		b, sum, err := c.blobList(l)
		if err != nil {
			return n, err
		}
		n.Lists = append(n.Lists,
			snapshot.ListRef{Name: sum, Size: int64(len(b)), Count: int64(len(l))})
		if size, there := c.lists[sum]; there && size == int64(len(b)) {
			continue
		}
		if err := c.put(layout.BlobList(c.run.spec.Host.ID, sum), b, sum); err != nil {
			return n, err
		}
		c.lists[sum] = int64(len(b))
	}
	return n, nil
}

// blobList makes a blob list whose name is not condemned: such a name is never stored again,
// or a prune that was held up could delete it later. The salt is the lowest that will do, so
// that later backups share the list.
func (c *committer) blobList(blobs []snapshot.BlobSize) (b []byte, sum snapshot.Sum, err error) {
	for salt := uint64(0); ; salt++ {
		if b, err = snapshot.EncodeBlobList(blobs, salt); err != nil {
			return nil, sum, err
		}
		sum = sha256.Sum256(b)
		if !c.doomed.Has(layout.BlobList(c.run.spec.Host.ID, sum)) {
			return b, sum, nil
		}
	}
}

// write stores blob lists and root, and returns the manifest that names them.
func (c *committer) write(top page.Ref) (*snapshot.Manifest, error) {
	spec := c.run.spec
	needs, err := c.needs(c.run.blobs.needed)
	if err != nil {
		return nil, err
	}
	if n, _ := c.run.blobs.count(); int64(n) != needs.Count {
		return nil, fmt.Errorf("%d blobs are needed, but only %d are in the index", n, needs.Count)
	}
	m := &snapshot.Manifest{
		Store: spec.Opened.Doc.Store, Host: spec.Host.ID, Set: spec.Set, Seq: c.head.Seq + 1,
		Prev: snapshot.Sum(c.head.Sum), Time: c.run.now().UTC().Truncate(time.Second),
		Complete: c.run.tally.now().failed == 0 && !spec.Partial, Needs: needs,
	}
	if h, _ := spec.Opened.Trust.Host(spec.Host.ID); len(h.Recipients) > 0 {
		m.Recipients = spec.Recipients.Sum()
	}
	root, err := c.root(m, top)
	if err != nil {
		return nil, err
	}
	b, sum, err := snapshot.SealRoot(root, spec.Recipients, c.run.epoch)
	if err != nil {
		return nil, err
	}
	m.Root = snapshot.RootRef{Name: sum, Size: int64(len(b))}
	c.sealed, c.rooted = m.Root, true
	return m, c.put(layout.Root(spec.Host.ID, sum), b, sum)
}

func (c *committer) put(key string, b []byte, sum [32]byte) error {
	if _, err := putObject(c.run.ctx, c.run.spec.Store,
		storeObject{Key: key, Bytes: b, Sum: sum}); err != nil {
		return notStored(key, err)
	}
	c.run.accepted(int64(len(b)))
	return nil
}

// publish creates the manifest: the commit point. It is not published if the time that the
// listing leaves was too short, and the store does not have it.
func (c *committer) publish(m *snapshot.Manifest) (published bool, err error) {
	spec := c.run.spec
	b, err := snapshot.EncodeManifest(m, spec.Host.Signer)
	if err != nil {
		return false, err
	}
	next := Head{Seq: m.Seq, Sum: sha256.Sum256(b)}
	key, conditional := layout.Manifest(spec.Host.ID, spec.Set, m.Seq), c.conditional()
	if !conditional {
		key = layout.Weak(layout.Manifest(spec.Host.ID, spec.Set, m.Seq), next.Sum)
	}
	if err := spec.SaveNext(next); err != nil {
		return false, fmt.Errorf("note which snapshot is about to be written: %w", err)
	}
	c.head.Next = append(c.head.Next, next.Sum)
	err = c.putManifest(storeObject{Key: key, Bytes: b, Sum: next.Sum, IfAbsent: conditional})
	switch late := errors.Is(err, context.DeadlineExceeded) && c.run.ctx.Err() == nil; {
	case late, errors.Is(err, backends.ErrExists):
		sum, err := c.arrived(m.Seq)
		return err == nil && sum == next.Sum, err
	case err != nil:
		return false, notStored(key, err)
	}
	c.run.accepted(int64(len(b)))
	if err := c.written(next); err != nil {
		return false, err
	}
	if !conditional {
		if _, err := c.manifest(m.Seq); err != nil {
			return false, err
		}
	}
	return true, nil
}

// putManifest creates a manifest within the time that the listing leaves. Where the store
// cannot refuse a second one there is no such bound: the first could still arrive after it.
func (c *committer) putManifest(o storeObject) error {
	ctx := c.run.ctx
	if o.IfAbsent {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, freshListing-c.age())
		defer cancel()
	}
	_, err := putObject(ctx, c.run.spec.Store, o)
	return err
}

// arrived looks which manifest is in a place where this machine was about to write one, and
// goes on after it. Zero: there is none. It may be of a request that was given up before.
func (c *committer) arrived(seq uint64) (sum [32]byte, err error) {
	l, err := c.manifest(seq)
	var bad snapshot.Problem
	switch {
	case errors.Is(err, backends.ErrNotFound):
		return [32]byte{}, nil
	case errors.As(err, &bad) && snapshot.Unproven(bad.Err):
		return sum, &InTheWay{bad.Key, c.run.spec.SetName, bad.Err}
	case err != nil:
		return sum, err
	}
	if sum = l.Sum; !slices.Contains(c.head.Next, sum) {
		return sum, c.foreign(seq)
	}
	return sum, c.written(Head{Seq: seq, Sum: sum})
}

// written notes a manifest that is in the store.
func (c *committer) written(h Head) error {
	if err := c.advance(h); err != nil {
		return fmt.Errorf("the snapshot is saved, but could not be recorded: %w", err)
	}
	return nil
}
