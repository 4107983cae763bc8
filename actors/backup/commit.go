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
	"vaultik/vault/commit"
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

// commit writes lists and root, then makes sure that everything the manifest names is in
// the store, and writes the manifest while that is known.
func (c *committer) commit(top page.Ref) (res commitResult, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run.faults.CommitStart()
	s := &committing{committer: c, top: top}
	missing, err := commit.Run(s)
	s.result.missing = missing
	c.done = err == nil && missing == 0
	return s.result, err
}

// committing is one commit: what [commit.Run] decides about.
type committing struct {
	*committer
	top    page.Ref
	next   *snapshot.Manifest // of the newest attempt
	result commitResult
}

// Age is how old the newest listing is, by whichever clock says more: none counts the time for
// which a virtual machine was paused, but the wall clock is often set after that.
func (c *committing) Age() time.Duration {
	return max(c.run.boot()-c.asOf.boot, wall(c.run.now()).Sub(c.asOf.wall))
}

// List is list.
func (c *committing) List() error { return c.list() }

// Missing makes the index forget needed blobs that are missing from the store, and counts them.
func (c *committing) Missing() (int, error) {
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

// Whole reports whether the store has what the manifest names beside blobs: lists, root and
// keys.
func (c *committing) Whole() (bool, error) {
	m := c.next
	for _, l := range m.Lists {
		if size, there := c.lists[l.Name]; there && size == l.Size {
			continue
		}
		if there, err := c.stored(layout.BlobList(m.Host, l.Name), l.Size); err != nil || !there {
			return false, err
		}
		c.lists[l.Name] = l.Size
	}
	for _, k := range m.Keys {
		if there, err := c.hasKey(k); err != nil || !there {
			return false, err
		}
	}
	if c.rooted {
		return true, nil
	}
	return c.stored(layout.Root(m.Host, m.Root.Name), m.Root.Size)
}

// Heeded asks for the gc object after the one that was read; where two pruners do not see each
// other, for another of the same number too. A host that may not ask lists once more.
func (c *committing) Heeded() (bool, error) {
	host, next := c.run.spec.Host.ID, uint64(1)
	if c.gc != nil {
		next = c.gc.Seq + 1
	}
	if !c.run.conditional {
		return c.noOtherGC(next)
	}
	key := layout.GC(host, next)
	_, err := c.run.spec.Store.Stat(c.run.ctx, key)
	switch {
	case errors.Is(err, backends.ErrNotFound):
		return true, nil
	case err != nil && !errors.Is(err, backends.ErrPermission):
		return false, fmt.Errorf("look for %s: %w", key, err)
	}
	return false, nil
}

// noOtherGC reports whether the store lists no gc object of this number or the one before that
// was not read.
func (c *committing) noOtherGC(next uint64) (none bool, err error) {
	prefix, none := layout.GCPrefix(c.run.spec.Host.ID), true
	err = c.objects.List(c.run.ctx, prefix, func(key string, _ int64, _ time.Time) error {
		o, err := layout.Parse(key)
		other := err == nil && o.Kind == layout.KindGC && o.Seq+1 >= next
		none = none && (!other || slices.Contains(c.gcKeys, key))
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("list %s: %w", prefix, err)
	}
	return none, nil
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

// Write stores blob lists and root, and makes the manifest that names them.
func (c *committing) Write() error {
	spec := c.run.spec
	needs, err := c.needs(c.run.blobs.needed)
	if err != nil {
		return err
	}
	if n, _ := c.run.blobs.count(); int64(n) != needs.Count {
		return fmt.Errorf("%d blobs are needed, but only %d are in the index", n, needs.Count)
	}
	m := &snapshot.Manifest{
		Store: spec.Opened.Doc.Store, Host: spec.Host.ID, Set: spec.Set, Seq: c.head.Seq + 1,
		Prev: snapshot.Sum(c.head.Sum), Time: c.run.now().UTC().Truncate(time.Second),
		Complete: c.run.tally.now().failed == 0 && !spec.Partial, Needs: needs,
	}
	if h, _ := spec.Opened.Trust.Host(spec.Host.ID); len(h.Recipients) > 0 {
		m.Recipients = spec.Recipients.Sum()
	}
	root, err := c.root(m, c.top)
	if err != nil {
		return err
	}
	b, sum, err := snapshot.SealRoot(root, spec.Recipients, c.run.epoch)
	if err != nil {
		return err
	}
	m.Root = snapshot.RootRef{Name: sum, Size: int64(len(b))}
	c.next, c.sealed, c.rooted = m, m.Root, true
	if err := c.put(layout.Root(spec.Host.ID, sum), b, sum); err != nil {
		return err
	}
	if err := spec.Index.Sync(); err != nil {
		return fmt.Errorf("sync the index: %w", err)
	}
	return nil
}

// put stores an object.
func (c *committer) put(key string, b []byte, sum [32]byte) error {
	err := c.run.put(c.run.ctx, storeObject{Key: key, Bytes: b, Sum: sum})
	if err != nil {
		return notStored(key, err)
	}
	c.run.accepted(int64(len(b)))
	return nil
}

// Publish creates the manifest: the commit point. It is not published if the time was too
// short, and the store does not have it.
func (c *committing) Publish(within time.Duration) (published bool, err error) {
	spec, m := c.run.spec, c.next
	m.GC = c.gc
	b, err := snapshot.EncodeManifest(m, spec.Host.Signer)
	if err != nil {
		return false, err
	}
	next := Head{Seq: m.Seq, Sum: sha256.Sum256(b)}
	key := layout.Manifest(spec.Host.ID, spec.Set, m.Seq)
	if !c.run.conditional {
		key = layout.Weak(key, next.Sum)
	}
	if err := spec.SaveNext(next); err != nil {
		return false, fmt.Errorf("note which snapshot is about to be written: %w", err)
	}
	c.head.Next = append(c.head.Next, next.Sum)
	err = c.putManifest(storeObject{Key: key, Bytes: b, Sum: next.Sum}, within)
	switch late := errors.Is(err, context.DeadlineExceeded) && c.run.ctx.Err() == nil; {
	case late, errors.Is(err, backends.ErrExists):
		sum, err := c.arrived(m.Seq)
		if err != nil || sum != next.Sum {
			return false, err
		}
	case err != nil:
		return false, notStored(key, err)
	default:
		c.run.accepted(int64(len(b)))
		if err := c.written(next); err != nil {
			return false, err
		}
	}
	if !c.run.conditional {
		if _, err := c.manifest(m.Seq); err != nil {
			return false, err
		}
	}
	c.result = commitResult{sum: next.Sum, seq: next.Seq, complete: m.Complete}
	return true, nil
}

// putManifest creates a manifest within this time, or what is left of it by now. Where the store
// cannot refuse a second one there is no such bound: the first could still arrive after it.
func (c *committing) putManifest(o storeObject, within time.Duration) error {
	ctx := c.run.ctx
	if c.run.conditional {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, min(within, commit.Fresh-c.Age()))
		defer cancel()
	}
	return c.run.put(ctx, o)
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
