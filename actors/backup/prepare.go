package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"vaultik/backends"
	"vaultik/index"
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
	asOf     moment // before the newest listing
	lists    map[snapshot.Sum]int64
	sealed   snapshot.RootRef // the root that was written last
	rooted   bool             // the newest listing has it
	epochs   map[layout.Epoch]keyObject
	newest   uint64 // highest seq of the set in the store
	gc       *snapshot.GCSeen
	gcKeys   []string     // of the newest gc objects that were read
	doomed   layout.Marks // what the newest gc object condemns
	prevKeys map[layout.Epoch]snapshot.KeyRef
	head     Head
	done     bool // the snapshot is made, and nothing is to be pinned any more
}

// moment is a point in time, by all clocks that may tell of a pause.
type moment struct {
	boot time.Duration // backupRun.boot
	wall time.Time     // by this machine's wall clock
}

// wall is a time without the clock that stops while the machine sleeps.
func wall(t time.Time) time.Time { return t.Round(0) }

// keyObject is a wrapping of an epoch key in the store.
type keyObject struct {
	n    int
	size int64
}

// ErrForeignWriter says that the store has manifests of this host and set that this
// machine does not know for its own: its state is an older copy, or another machine has
// a copy of its keys.
var ErrForeignWriter = errors.New(
	"the store has snapshots of this host that this machine does not know of")

// ErrUnknownGC says that it is not known which objects prune has condemned: a host must not
// commit then.
var ErrUnknownGC = errors.New(
	"cannot back up without knowing which objects prune has condemned")

// InTheWay is the error for an object that no host of the store has signed in the place
// where this host would write its next manifest.
type InTheWay struct {
	Key string
	Set string // name
	Err error  // what is wrong with it
}

func (e *InTheWay) Error() string {
	return fmt.Sprintf("%s is where the next snapshot of set %q goes, and is not one of this "+
		"host: %v", e.Key, e.Set, e.Err)
}

// Unwrap returns the cause.
func (e *InTheWay) Unwrap() error { return e.Err }

// prepare looks at the store before anything is written: which objects it has, which
// index rows are void, and whether the chain of manifests is the one remembered. It also
// makes sure that there is an epoch key.
func prepare(run *backupRun) (*committer, error) {
	c := &committer{run: run, objects: backends.Objects(run.spec.Store), head: run.spec.Head}
	if err := c.list(); err != nil {
		return nil, err
	}
	info, err := run.spec.Store.Info(run.ctx)
	if err != nil {
		return nil, fmt.Errorf("ask what the store can do: %w", err)
	}
	run.conditional = info.ConditionalPut
	if err := c.dropMissing(); err != nil {
		return nil, err
	}
	if err := c.checkHead(); err != nil {
		return nil, err
	}
	// The newest manifest may name a gc object that was not there when list read the newest.
	if err := c.run.spec.Opened.CheckGC(c.run.ctx, c.run.spec.Host.ID); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknownGC, err)
	}
	if err := c.epochKey(); err != nil {
		return nil, err
	}
	run.compaction.choose()
	return c, nil
}

// list reads the names of the host's objects, and the newest gc object. What the gc
// object condemns counts as missing.
func (c *committer) list() error {
	at := moment{boot: c.run.boot(), wall: wall(c.run.now())}
	host := c.run.spec.Host.ID
	c.lists, c.epochs = map[snapshot.Sum]int64{}, map[layout.Epoch]keyObject{}
	c.rooted = false
	err := c.condemned()
	if err != nil {
		return err
	}
	c.run.blobs.list()
	prefix := layout.HostPrefix(host)
	err = c.objects.List(c.run.ctx, prefix, func(key string, size int64, _ time.Time) error {
		if c.doomed.Has(key) {
			return nil
		}
		// A foreign name is not ours to judge.
		if o, err := layout.Parse(key); err == nil {
			c.listed(o, size)
		}
		if len(c.lists)+len(c.epochs) > maxListed {
			return fmt.Errorf("%w: blob lists or epoch keys under %s, over %d",
				snapshot.ErrFlooded, layout.HostPrefix(host), maxListed)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	c.asOf = at
	return nil
}

// maxListed is how many blob lists and epoch keys a host may have, all together: enough for
// two billion blobs.
const maxListed = 1 << 20

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
		// Anybody who may write there can add a higher number.
		if k, ok := c.epochs[o.Epoch]; size <= snapshot.MaxEpochKey && (!ok || o.N < k.n) {
			c.epochs[o.Epoch] = keyObject{o.N, size}
		}
	case layout.KindRoot:
		c.rooted = c.rooted || c.sealed == snapshot.RootRef{Name: o.Sum, Size: size}
	}
}

// condemned reads the newest gc object. A host that cannot verify it must not commit.
func (c *committer) condemned() error {
	opened := c.run.spec.Opened
	gc, err := opened.GC(c.run.ctx, c.run.spec.Host.ID)
	if err == nil {
		c.doomed, err = opened.Condemned(c.run.ctx, gc)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnknownGC, err)
	}
	if gc != nil {
		c.gc = &snapshot.GCSeen{Seq: gc.Seq, SHA256: gc.Sum}
		c.gcKeys = []string{gc.Key}
		for _, sum := range gc.Beside {
			c.gcKeys = append(c.gcKeys, layout.Weak(layout.GC(gc.Host, gc.Seq), sum))
		}
	}
	return nil
}

// stored asks the store for an object that this run has stored, or another one that the
// newest listing lacks: lists may lag behind. What is condemned counts as missing.
func (c *committer) stored(key string, size int64) (bool, error) {
	if c.doomed.Has(key) {
		return false, nil
	}
	info, err := c.run.stat(c.run.ctx, key)
	switch {
	case errors.Is(err, backends.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for %s: %w", key, err)
	}
	return size == 0 || info.Size == size, nil
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
	if lost := c.unexplained(gone); lost > 0 {
		c.run.spec.warn(fmt.Sprintf("blobs that the index knows, but the store does not list: %d; "+
			"their files are read and stored again", lost))
	}
	if len(gone) == 0 {
		return nil
	}
	return c.drop(gone)
}

// unexplained is how many of the blobs that are missing prune has not condemned.
func (c *committer) unexplained(gone []blob.Name) (n int) {
	for _, name := range gone {
		if !c.doomed.Has(layout.Blob(c.run.spec.Host.ID, name)) {
			n++
		}
	}
	return n
}

// drop makes the index forget blobs that are missing from the store.
func (c *committer) drop(gone []blob.Name) error {
	if err := c.run.spec.Index.DropBlobs(gone); err != nil {
		return fmt.Errorf("update the index: %w", err)
	}
	c.run.blobs.forget(gone)
	return nil
}

// checkHead compares the newest manifest of the set with the one that this machine wrote.
func (c *committer) checkHead() error {
	spec := c.run.spec
	head, err := c.newestManifest()
	if err != nil {
		return err
	}
	at := snapshot.Place{Host: spec.Host.ID, Set: spec.Set, Seq: c.head.Seq}
	switch {
	case c.newest < c.head.Seq && spec.Opened.Explained(c.run.ctx, at, c.head.Sum):
		// The store was put back from an older copy, which the owner knows, or prune has removed
		// the whole set. It goes on from there.
	case c.newest < c.head.Seq:
		what := "missing from the store"
		if _, err := c.manifest(c.head.Seq); err != nil && !errors.Is(err, backends.ErrNotFound) {
			what = fmt.Sprintf("unreadable: %v", err)
		}
		spec.warn(fmt.Sprintf("manifest %d of this set, the newest that this machine has written, "+
			"is %s; run: vaultik verify", c.head.Seq, what))
	case c.newest > c.head.Seq+1:
		return c.foreign(c.newest)
	}
	for seq := max(1, min(c.newest, c.head.Seq)); seq <= c.newest; seq++ {
		m, err := head, error(nil)
		if m == nil || m.Seq != seq {
			m, err = c.manifest(seq)
		}
		if err := c.checkManifest(seq, m, err); err != nil {
			return err
		}
	}
	return nil
}

// newestManifest finds the newest manifest of the set, nil where it has to be read by its
// place. Only what this host has signed counts: anybody who may write there can put
// something under any name.
func (c *committer) newestManifest() (*snapshot.Loaded, error) {
	spec := c.run.spec
	heads, problems, err := spec.Opened.Head(c.run.ctx, spec.Host.ID, spec.Set)
	if err != nil {
		return nil, err
	}
	c.newest = 0
	for _, l := range heads {
		c.newest = l.Seq
	}
	for _, p := range problems {
		switch {
		case p.Seq <= c.head.Seq: // one of this host's, damaged: said where it is read
			c.newest = max(c.newest, p.Seq)
		case snapshot.Unproven(p.Err):
			return nil, &InTheWay{p.Key, spec.SetName, p.Err}
		case !errors.Is(p, snapshot.ErrFork):
			return nil, p
		}
	}
	if len(heads) == 1 {
		return heads[0], nil
	}
	return nil, nil
}

// foreign is the error for a manifest that this machine does not know for its own.
func (c *committer) foreign(seq uint64) error {
	return fmt.Errorf("%w: snapshot %d of set %q; the last that it wrote is %d",
		ErrForeignWriter, seq, c.run.spec.SetName, c.head.Seq)
}

// checkManifest compares one manifest with the one that this machine wrote, and moves the
// head on to one that it was about to write when a run was interrupted.
func (c *committer) checkManifest(seq uint64, m *snapshot.Loaded, err error) error {
	spec := c.run.spec
	if err != nil && seq == c.head.Seq {
		spec.warn(fmt.Sprintf("manifest %d of this set is unreadable: %v; run: vaultik verify",
			seq, err))
		return nil
	}
	if err != nil {
		return err
	}
	sum := [32]byte(m.Sum)
	switch {
	case seq == c.head.Seq && sum != c.head.Sum:
		return fmt.Errorf("%w: snapshot %d of set %q is not the one that it wrote",
			ErrForeignWriter, seq, spec.SetName)
	case seq == c.head.Seq+1 && !slices.Contains(c.head.Next, sum):
		return c.foreign(seq)
	case seq == c.head.Seq+1:
		if err := c.advance(Head{Seq: seq, Sum: sum}); err != nil { // a run was killed
			return err
		}
	}
	c.prevKeys = map[layout.Epoch]snapshot.KeyRef{}
	for _, k := range m.Keys {
		c.prevKeys[k.Epoch] = k
	}
	if seq == c.newest {
		c.sayForgotten(m.Manifest)
	}
	return nil
}

// advance notes a manifest that this machine wrote.
func (c *committer) advance(h Head) error {
	c.head = h
	return c.run.spec.SaveHead(h)
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

// manifest reads the manifest in one place. Two of one seq are a fork.
func (c *committer) manifest(seq uint64) (*snapshot.Loaded, error) {
	spec := c.run.spec
	place := snapshot.Place{Host: spec.Host.ID, Set: spec.Set, Seq: seq}
	loaded, problems, err := spec.Opened.At(c.run.ctx, place)
	switch {
	case err != nil:
		return nil, err
	case len(loaded) > 1:
		return nil, fmt.Errorf("%w: there are %d snapshots %d of set %q",
			ErrForeignWriter, len(loaded), seq, spec.SetName)
	case len(loaded) == 1:
		return loaded[0], nil
	case len(problems) > 0:
		return nil, problems[0]
	}
	return nil, fmt.Errorf("snapshot %d of set %q: %w", seq, spec.SetName, backends.ErrNotFound)
}

// epochKey keeps the host's epoch while it is fresh and its key is in the store, or makes one
// and stores it before the first blob is sealed to it.
func (c *committer) epochKey() error {
	spec := c.run.spec
	if spec.Epoch.Fresh(spec.Recipients, c.run.now()) {
		there, err := c.hasKey(snapshot.KeyRef{Epoch: spec.Epoch.ID, Size: spec.Epoch.Size})
		if err != nil {
			return err
		}
		if there {
			c.run.epoch = spec.Epoch
			return nil
		}
	}
	e, sealed, err := keys.NewEpoch(spec.Recipients, c.run.now())
	if err != nil {
		return err
	}
	if err := c.put(layout.EpochKey(spec.Host.ID, e.ID, 0), sealed,
		sha256.Sum256(sealed)); err != nil {
		return err
	}
	if err := spec.SaveEpoch(e); err != nil {
		return err
	}
	c.run.epoch = e
	c.epochs[e.ID] = keyObject{0, int64(len(sealed))}
	return nil
}

// hasKey reports whether the store has a wrapping of an epoch key, listed yet or not.
func (c *committer) hasKey(k snapshot.KeyRef) (bool, error) {
	if now, listed := c.epochs[k.Epoch]; listed && now == (keyObject{k.N, k.Size}) {
		return true, nil
	}
	return c.stored(layout.EpochKey(c.run.spec.Host.ID, k.Epoch, k.N), k.Size)
}

// keyRef is the wrapping of an epoch key that a snapshot names: the one that this host wrote,
// or that its newest snapshot of the set names. Which others are good it cannot tell: anybody
// who may write there can put something under the next number.
func (c *committer) keyRef(e layout.Epoch) (k snapshot.KeyRef, there bool, err error) {
	k, pinned := c.prevKeys[e]
	switch own := c.run.epoch; {
	case e == own.ID:
		k = snapshot.KeyRef{Epoch: e, Size: own.Size}
		if _, err := hex.Decode(k.SHA256[:], []byte(own.Sum)); err != nil {
			return k, false, fmt.Errorf("sum of epoch %s: %w", e, err)
		}
	case !pinned:
		return c.ownKey(e)
	}
	there, err = c.hasKey(k)
	return k, there, err
}

// ownKey reads the wrapping that this host wrote, of an epoch that only other sets of it have
// used.
func (c *committer) ownKey(e layout.Epoch) (k snapshot.KeyRef, there bool, err error) {
	key := layout.EpochKey(c.run.spec.Host.ID, e, 0)
	if c.doomed.Has(key) {
		return k, false, nil
	}
	b, err := c.objects.Head(c.run.ctx, key, snapshot.MaxEpochKey+1)
	switch {
	case errors.Is(err, backends.ErrNotFound):
		return k, false, nil
	case err != nil:
		return k, false, fmt.Errorf("read %s: %w", key, err)
	}
	return snapshot.KeyRef{Epoch: e, Size: int64(len(b)), SHA256: sha256.Sum256(b)},
		len(b) <= snapshot.MaxEpochKey, nil
}

// keyRefs are the sealed epoch keys that a snapshot needs. If one is missing nothing is
// lost: blobs are sealed to the recipients as well.
func (c *committer) keyRefs(epochs map[layout.Epoch]struct{}) ([]snapshot.KeyRef, error) {
	var refs []snapshot.KeyRef
	for e := range epochs {
		k, there, err := c.keyRef(e)
		if err != nil {
			return nil, err
		}
		if !there {
			c.run.spec.warn(fmt.Sprintf("the sealed key of epoch %s is missing from the store; "+
				"its blobs can still be opened by the recipients", e))
			continue
		}
		refs = append(refs, k)
	}
	slices.SortFunc(refs,
		func(a, b snapshot.KeyRef) int { return bytes.Compare(a.Epoch[:], b.Epoch[:]) })
	return refs, nil
}
