package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"vaultik/backends"
	"vaultik/index"
	"vaultik/internal/clock"
	"vaultik/vault/blob"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// committer is what a backup knows of its host's part of the store, and how it
// commits. prepare and commit run beside the actors, one after the other.
type committer struct {
	run      *backupRun
	mu       sync.Mutex // of the rest: a checkpoint and the commit may overlap
	objects  backends.ObjectReader
	listedAt time.Duration // clock.Boot before the newest listing
	lists    map[snapshot.Sum]int64
	epochs   map[layout.Epoch]keyObject
	newest   uint64 // highest seq of the set in the store
	gc       *snapshot.GCSeen
	prevKeys map[layout.Epoch]snapshot.KeyRef
	head     Head
}

// maxEpochKey is more than any sealed epoch key has, in bytes.
const maxEpochKey = 1 << 20

// keyObject is the newest wrapping of an epoch key in the store.
type keyObject struct {
	n    int
	size int64
}

// ErrForeignWriter says that the store has manifests of this host and set that this
// machine did not write. Two machines use one identity.
var ErrForeignWriter = errors.New("another machine writes to the store as this host")

// prepare looks at the store before anything is written: which objects it has, which
// index rows are void, and whether the chain of manifests is the one remembered. It also
// makes sure that there is an epoch key.
func prepare(run *backupRun) (*committer, error) {
	c := &committer{run: run, objects: backends.Objects(run.spec.Store), head: run.spec.Head}
	if err := c.list(); err != nil {
		return nil, err
	}
	if err := c.dropMissing(); err != nil {
		return nil, err
	}
	if err := c.checkHead(); err != nil {
		return nil, err
	}
	if err := c.epochKey(); err != nil {
		return nil, err
	}
	return c, nil
}

// list reads the names of the host's objects, and the newest gc object. What the gc
// object condemns counts as missing.
func (c *committer) list() error {
	at := clock.Boot()
	host := c.run.spec.Host.ID
	c.lists, c.epochs, c.newest = map[snapshot.Sum]int64{}, map[layout.Epoch]keyObject{}, 0
	condemned, err := c.condemned()
	if err != nil {
		return err
	}
	c.run.blobs.list()
	err = c.objects.List(c.run.ctx, layout.HostPrefix(host), func(key string, size int64) error {
		if _, gone := condemned[key]; gone {
			return nil
		}
		// A foreign name is not ours to judge.
		if o, err := layout.Parse(key); err == nil {
			c.listed(o, size)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	c.listedAt = at
	return nil
}

// listed notes one object of the host that the store has.
func (c *committer) listed(o layout.Object, size int64) {
	switch o.Kind {
	case layout.KindBlob:
		if n, ok := c.run.spec.Index.Num(o.Sum); ok {
			if b, ok := c.run.spec.Index.Blob(n); ok && b.Size != size {
				return // truncated: as good as missing
			}
		}
		c.run.blobs.stored(o.Sum)
	case layout.KindBlobList:
		c.lists[o.Sum] = size
	case layout.KindEpochKey:
		if k, ok := c.epochs[o.Epoch]; !ok || o.N > k.n {
			c.epochs[o.Epoch] = keyObject{o.N, size}
		}
	case layout.KindManifest:
		if o.Set == c.run.spec.Set {
			c.newest = max(c.newest, o.Seq)
		}
	}
}

// condemned reads the newest gc object. A host that cannot verify it must not commit.
func (c *committer) condemned() (map[string]snapshot.Condemned, error) {
	gc, err := c.run.spec.Opened.GC(c.run.ctx, c.run.spec.Host.ID)
	if err != nil {
		return nil, fmt.Errorf(
			"cannot back up without knowing which objects prune has condemned: %w", err)
	}
	if gc == nil {
		return nil, nil
	}
	c.gc = &snapshot.GCSeen{Seq: gc.Seq, SHA256: gc.Sum}
	return gc.Keys(), nil
}

// dropMissing drops index rows of blobs that are missing from the store.
func (c *committer) dropMissing() error {
	var gone []blob.Name
	c.run.spec.Index.Blobs(func(_ index.BlobNum, b blob.Info) bool {
		if !c.run.blobs.present(b.Name) {
			gone = append(gone, b.Name)
		}
		return true
	})
	if len(gone) == 0 {
		return nil
	}
	c.run.spec.warn(fmt.Sprintf("blobs that the index knows, but the store has not: %d; "+
		"their files are read and stored again", len(gone)))
	return c.drop(gone)
}

// drop makes the index forget blobs that are missing from the store.
func (c *committer) drop(gone []blob.Name) error {
	if err := c.run.spec.Index.DropBlobs(gone); err != nil {
		return fmt.Errorf("update the index: %w", err)
	}
	c.run.blobs.forget(gone)
	return nil
}

// checkHead compares the newest manifest of the set with the one remembered.
func (c *committer) checkHead() error {
	spec := c.run.spec
	switch {
	case c.newest < c.head.Seq:
		spec.warn(fmt.Sprintf("manifest %d of this set, the newest that this machine has seen, "+
			"is missing from the store; run: vaultik verify", c.head.Seq))
	case c.newest > c.head.Seq+1:
		return fmt.Errorf("%w: it has manifest %d of set %q, this machine remembers %d",
			ErrForeignWriter, c.newest, spec.SetName, c.head.Seq)
	}
	for seq := max(1, min(c.newest, c.head.Seq)); seq <= c.newest; seq++ {
		if err := c.checkManifest(seq); err != nil {
			return err
		}
	}
	return nil
}

// checkManifest compares one manifest with the one remembered, and moves the head on to
// one that follows it.
func (c *committer) checkManifest(seq uint64) error {
	spec := c.run.spec
	m, sum, err := c.manifest(seq)
	if err != nil && seq == c.head.Seq {
		spec.warn(fmt.Sprintf("manifest %d of this set is unreadable: %v; run: vaultik verify",
			seq, err))
		return nil
	}
	if err != nil {
		return err
	}
	if seq == c.head.Seq && sum != c.head.Sum {
		return fmt.Errorf("%w: manifest %d of set %q is not the one that this machine wrote",
			ErrForeignWriter, seq, spec.SetName)
	}
	if seq == c.head.Seq+1 {
		// Either a run of this machine was interrupted before it could note that it wrote
		// this manifest, or another machine wrote it.
		if m.Prev != snapshot.Sum(c.head.Sum) {
			return fmt.Errorf("%w: manifest %d of set %q does not follow the one that this "+
				"machine wrote", ErrForeignWriter, seq, spec.SetName)
		}
		c.head = Head{Seq: seq, Sum: sum}
		if err := spec.SaveHead(c.head); err != nil {
			return err
		}
	}
	c.prevKeys = map[layout.Epoch]snapshot.KeyRef{}
	for _, k := range m.Keys {
		c.prevKeys[k.Epoch] = k
	}
	if seq == c.newest {
		c.sayForgotten(m)
	}
	return nil
}

// sayForgotten warns when the index does not know the last blobs of the newest
// snapshot: it is an older copy.
func (c *committer) sayForgotten(m *snapshot.Manifest) {
	n := 0
	for _, b := range m.Blobs {
		_, known := c.run.spec.Index.Num(b.Name)
		if !known && c.run.blobs.present(b.Name) {
			n++
		}
	}
	if n > 0 && !c.run.spec.Index.Empty() {
		c.run.spec.warn(fmt.Sprintf("the index is older than the newest snapshot: "+
			"it lacks %d of its blobs; their files are read and stored again", n))
	}
}

func (c *committer) manifest(seq uint64) (*snapshot.Manifest, [32]byte, error) {
	spec := c.run.spec
	key := layout.Manifest(spec.Host.ID, spec.Set, seq)
	b, err := c.objects.Head(c.run.ctx, key, snapshot.MaxManifest+1)
	if errors.Is(err, backends.ErrNotFound) {
		b, key, err = c.weakManifest(seq)
	}
	if err != nil {
		return nil, [32]byte{}, fmt.Errorf("read %s: %w", key, err)
	}
	m, err := snapshot.DecodeManifest(b, spec.Host.Signer.Public())
	if err == nil {
		err = m.Check(spec.Opened.Doc.Store, spec.Host.ID, spec.Set, seq)
	}
	if err != nil {
		return nil, [32]byte{}, fmt.Errorf("check %s: %w", key, err)
	}
	return m, sha256.Sum256(b), nil
}

// weakManifest finds a manifest in a store without create-if-absent, where its
// name ends with a part of its hash. Two of one seq are a fork.
func (c *committer) weakManifest(seq uint64) (b []byte, key string, err error) {
	spec := c.run.spec
	var found []string
	stem := strings.TrimSuffix(layout.Manifest(spec.Host.ID, spec.Set, seq), ".json.zst") + "-"
	err = c.objects.List(c.run.ctx, stem, func(key string, _ int64) error {
		found = append(found, key)
		return nil
	})
	switch {
	case err != nil:
		return nil, stem, err
	case len(found) == 0:
		return nil, stem, backends.ErrNotFound
	case len(found) > 1:
		return nil, stem, fmt.Errorf("%w: %d manifests have seq %d",
			ErrForeignWriter, len(found), seq)
	}
	b, err = c.objects.Head(c.run.ctx, found[0], snapshot.MaxManifest+1)
	return b, found[0], err
}

// epochKey keeps the host's epoch while it is fresh, or makes one and stores it
// before the first blob is sealed to it.
func (c *committer) epochKey() error {
	spec := c.run.spec
	if _, there := c.epochs[spec.Epoch.ID]; there &&
		spec.Epoch.Fresh(spec.Recipients, c.run.now()) {
		c.run.epoch = spec.Epoch
		return nil
	}
	e, sealed, err := keys.NewEpoch(spec.Recipients, c.run.now())
	if err != nil {
		return err
	}
	key := layout.EpochKey(spec.Host.ID, e.ID, 0)
	put := storeObject{
		Key: key, Bytes: sealed, Sum: sha256.Sum256(sealed), IfAbsent: c.conditional(),
	}
	if _, err := putObject(c.run.ctx, spec.Store, put); err != nil {
		return notStored(key, err)
	}
	c.run.accepted(int64(len(sealed)), nil)
	if err := spec.SaveEpoch(e); err != nil {
		return err
	}
	c.run.epoch = e
	c.epochs[e.ID] = keyObject{0, int64(len(sealed))}
	return nil
}

func (c *committer) conditional() bool {
	info, err := c.run.spec.Store.Info(c.run.ctx)
	return err == nil && info.ConditionalPut
}

// keyRefs are the sealed epoch keys that a snapshot needs. If one is missing nothing is
// lost: blobs are sealed to the recipients as well.
func (c *committer) keyRefs(epochs map[layout.Epoch]struct{}) ([]snapshot.KeyRef, error) {
	var refs []snapshot.KeyRef
	for e := range epochs {
		k, there := c.epochs[e]
		if !there {
			c.run.spec.warn(fmt.Sprintf("the sealed key of epoch %s is missing from the store; "+
				"its blobs can still be opened by the recipients", e))
			continue
		}
		if e == c.run.epoch.ID && k.n == 0 {
			var sum snapshot.Sum
			if _, err := hex.Decode(sum[:], []byte(c.run.epoch.Sum)); err != nil {
				return nil, fmt.Errorf("sum of epoch %s: %w", e, err)
			}
			refs = append(refs, snapshot.KeyRef{Epoch: e, Size: c.run.epoch.Size, SHA256: sum})
			continue
		}
		if old, ok := c.prevKeys[e]; ok && old.N == k.n && old.Size == k.size {
			refs = append(refs, old)
			continue
		}
		key := layout.EpochKey(c.run.spec.Host.ID, e, k.n)
		b, err := c.objects.Head(c.run.ctx, key, min(k.size, maxEpochKey)+1)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		refs = append(refs,
			snapshot.KeyRef{Epoch: e, N: k.n, Size: int64(len(b)), SHA256: sha256.Sum256(b)})
	}
	slices.SortFunc(refs,
		func(a, b snapshot.KeyRef) int { return bytes.Compare(a.Epoch[:], b.Epoch[:]) })
	return refs, nil
}
