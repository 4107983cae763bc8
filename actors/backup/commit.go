package backup

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"vaultik/backends"
	"vaultik/index"
	"vaultik/internal/clock"
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

// commit writes lists, root and manifest, in this order, after making sure that
// everything the manifest names is in the store.
func (c *committer) commit(top page.Ref) (res commitResult, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run.faults.CommitStart()
	fresh := c.run.freshListing()
	if clock.Boot()-c.listedAt > fresh-fresh/5 {
		if err := c.list(); err != nil {
			return res, err
		}
	}
	if res.missing, err = c.missing(); err != nil || res.missing > 0 {
		return res, err
	}
	m, err := c.write(top)
	if err != nil {
		return res, err
	}
	if err := c.run.spec.Index.Sync(); err != nil {
		return res, fmt.Errorf("sync the index: %w", err)
	}
	if err := c.publish(m); err != nil {
		return res, err
	}
	res.sum, res.seq, res.complete = c.head.Sum, c.head.Seq, m.Complete
	if clock.Boot()-c.listedAt <= fresh {
		return res, nil
	}
	// The listing is too old, since the store or this machine was suspended meanwhile.
	// Blobs condemned since then may have been deleted: list again, and if so, write
	// another manifest.
	if err := c.list(); err != nil {
		return res, err
	}
	res.missing, err = c.missing()
	return res, err
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
	gone := c.run.blobs.missing()
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
		b, err := snapshot.EncodeBlobList(l)
		if err != nil {
			return n, err
		}
		sum := sha256.Sum256(b)
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
		Complete: c.run.tally.now().failed == 0 && !spec.Partial, GC: c.gc, Needs: needs,
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
	return m, c.put(layout.Root(spec.Host.ID, sum), b, sum)
}

func (c *committer) put(key string, b []byte, sum [32]byte) error {
	if _, err := putObject(c.run.ctx, c.run.spec.Store,
		storeObject{Key: key, Bytes: b, Sum: sum}); err != nil {
		return notStored(key, err)
	}
	c.run.accepted(int64(len(b)), nil)
	return nil
}

// publish creates the manifest: the commit point.
func (c *committer) publish(m *snapshot.Manifest) error {
	spec := c.run.spec
	b, err := snapshot.EncodeManifest(m, spec.Host.Signer)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	key, conditional := layout.Manifest(spec.Host.ID, spec.Set, m.Seq), c.conditional()
	if !conditional {
		key = layout.ManifestWeak(spec.Host.ID, spec.Set, m.Seq, sum)
	}
	_, err = putObject(c.run.ctx, spec.Store,
		storeObject{Key: key, Bytes: b, Sum: sum, IfAbsent: conditional})
	if errors.Is(err, backends.ErrExists) {
		return fmt.Errorf("%w: manifest %d of set %q was written in the meantime", ErrForeignWriter,
			m.Seq, spec.SetName)
	}
	if err != nil {
		return notStored(key, err)
	}
	c.run.accepted(int64(len(b)), nil)
	c.head = Head{Seq: m.Seq, Sum: sum}
	if err := spec.SaveHead(c.head); err != nil {
		return fmt.Errorf("the snapshot is saved, but could not be recorded: %w", err)
	}
	if !conditional {
		if _, _, err := c.weakManifest(m.Seq); err != nil {
			return err
		}
	}
	return nil
}
