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

// storeState is what a backup knows of its host's part of the store, and how it
// commits. prepare and commit run beside the actors, one after the other.
type storeState struct {
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

// keyObject is the newest wrapping of an epoch key in the store.
type keyObject struct {
	n    int
	size int64
}

// ErrForeignWriter says that the store has manifests of this host and set that this
// machine did not write. Two machines use one identity.
var ErrForeignWriter = errors.New("another machine writes to the store as this host")

// prepare looks at the store before anything is written: what is there, which
// index rows are void, whether the chain of manifests is the one remembered; and
// makes sure that there is an epoch key.
func prepare(run *backupRun) (*storeState, error) {
	s := &storeState{run: run, objects: backends.Objects(run.spec.Store), head: run.spec.Head}
	if err := s.list(); err != nil {
		return nil, err
	}
	if err := s.dropMissing(); err != nil {
		return nil, err
	}
	if err := s.checkHead(); err != nil {
		return nil, err
	}
	if err := s.epochKey(); err != nil {
		return nil, err
	}
	return s, nil
}

// list reads the names of the host's objects, and its newest gc object. What
// that condemns counts as absent.
func (s *storeState) list() error {
	at := clock.Boot()
	host := s.run.spec.Host.ID
	present := map[blob.Name]struct{}{}
	s.lists, s.epochs, s.newest = map[snapshot.Sum]int64{}, map[layout.Epoch]keyObject{}, 0
	condemned, err := s.condemned()
	if err != nil {
		return err
	}
	err = s.objects.List(s.run.ctx, layout.HostPrefix(host), func(key string, size int64) error {
		if _, gone := condemned[key]; gone {
			return nil
		}
		o, perr := layout.Parse(key)
		if perr != nil {
			return nil //nolint:nilerr // a foreign name is not ours to judge
		}
		switch o.Kind {
		case layout.KindBlob:
			if n, ok := s.run.spec.Index.Num(o.Sum); ok {
				if b, ok := s.run.spec.Index.Blob(n); ok && b.Size != size {
					return nil // truncated: as good as absent
				}
			}
			present[o.Sum] = struct{}{}
		case layout.KindBlobList:
			s.lists[o.Sum] = size
		case layout.KindEpochKey:
			if k, ok := s.epochs[o.Epoch]; !ok || o.N > k.n {
				s.epochs[o.Epoch] = keyObject{o.N, size}
			}
		case layout.KindManifest:
			if o.Set == s.run.spec.Set {
				s.newest = max(s.newest, o.Seq)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	s.run.mu.Lock()
	s.run.present = present
	s.run.mu.Unlock()
	s.listedAt = at
	return nil
}

// condemned reads the newest gc object. A host that cannot verify it must not commit.
func (s *storeState) condemned() (map[string]snapshot.Condemned, error) {
	gc, err := s.run.spec.Opened.GC(s.run.ctx, s.run.spec.Host.ID)
	if err != nil {
		return nil, fmt.Errorf("cannot back up without knowing which objects prune has condemned: %w", err)
	}
	if gc == nil {
		return nil, nil
	}
	s.gc = &snapshot.GCSeen{Seq: gc.Seq, SHA256: gc.Sum}
	return gc.Keys(), nil
}

// dropMissing voids index rows of blobs that the store has not.
func (s *storeState) dropMissing() error {
	var gone []blob.Name
	s.run.spec.Index.Blobs(func(_ index.BlobNum, b blob.Info) bool {
		if _, ok := s.run.present[b.Name]; !ok {
			gone = append(gone, b.Name)
		}
		return true
	})
	if len(gone) == 0 {
		return nil
	}
	s.run.spec.warn(fmt.Sprintf("%d blobs in the index are missing from the store; their files are read and stored again", len(gone)))
	if err := s.run.spec.Index.DropBlobs(gone); err != nil {
		return fmt.Errorf("update the index: %w", err)
	}
	return nil
}

// checkHead compares the newest manifest of the set with the one remembered.
func (s *storeState) checkHead() error {
	spec := s.run.spec
	switch {
	case s.newest < s.head.Seq:
		spec.warn(fmt.Sprintf("manifest %d of this set, the newest that this machine has seen, is missing from the store; run: vaultik verify", s.head.Seq))
	case s.newest > s.head.Seq+1:
		return fmt.Errorf("%w: it has manifest %d of set %q, this machine remembers %d", ErrForeignWriter, s.newest, spec.SetName, s.head.Seq)
	}
	for seq := max(1, min(s.newest, s.head.Seq)); seq <= s.newest; seq++ {
		m, sum, err := s.manifest(seq)
		if err != nil {
			if seq == s.head.Seq {
				spec.warn(fmt.Sprintf("manifest %d of this set is unreadable: %v; run: vaultik verify", seq, err))
				continue
			}
			return err
		}
		if seq == s.head.Seq && sum != s.head.Sum {
			return fmt.Errorf("%w: manifest %d of set %q is not the one that this machine wrote", ErrForeignWriter, seq, spec.SetName)
		}
		if seq == s.head.Seq+1 {
			// Written by this machine in a run that ended before it could note so, or not by it.
			if m.Prev != snapshot.Sum(s.head.Sum) {
				return fmt.Errorf("%w: manifest %d of set %q does not follow the one that this machine wrote", ErrForeignWriter, seq, spec.SetName)
			}
			s.head = Head{Seq: seq, Sum: sum}
			if err := spec.SaveHead(s.head); err != nil {
				return err
			}
		}
		s.prevKeys = map[layout.Epoch]snapshot.KeyRef{}
		for _, k := range m.Keys {
			s.prevKeys[k.Epoch] = k
		}
		if seq == s.newest {
			s.sayForgotten(m)
		}
	}
	return nil
}

// sayForgotten warns when the index does not know the last blobs of the newest
// snapshot: it is an older copy.
func (s *storeState) sayForgotten(m *snapshot.Manifest) {
	n := 0
	for _, b := range m.Blobs {
		_, known := s.run.spec.Index.Num(b.Name)
		if _, there := s.run.present[b.Name]; there && !known {
			n++
		}
	}
	if n > 0 && !s.run.spec.Index.Empty() {
		s.run.spec.warn(fmt.Sprintf("the index is older than the newest snapshot: it lacks %d of its blobs; their files are read and stored again", n))
	}
}

func (s *storeState) manifest(seq uint64) (*snapshot.Manifest, [32]byte, error) {
	spec := s.run.spec
	key := layout.Manifest(spec.Host.ID, spec.Set, seq)
	b, err := s.objects.Get(s.run.ctx, key, 0, -1)
	if errors.Is(err, backends.ErrNotFound) {
		b, key, err = s.weakManifest(seq)
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
func (s *storeState) weakManifest(seq uint64) (b []byte, key string, err error) {
	spec := s.run.spec
	var found []string
	stem := strings.TrimSuffix(layout.Manifest(spec.Host.ID, spec.Set, seq), ".json.zst") + "-"
	err = s.objects.List(s.run.ctx, stem, func(key string, _ int64) error {
		found = append(found, key)
		return nil
	})
	switch {
	case err != nil:
		return nil, stem, err
	case len(found) == 0:
		return nil, stem, backends.ErrNotFound
	case len(found) > 1:
		return nil, stem, fmt.Errorf("%w: %d manifests have seq %d", ErrForeignWriter, len(found), seq)
	}
	b, err = s.objects.Get(s.run.ctx, found[0], 0, -1)
	return b, found[0], err
}

// epochKey keeps the host's epoch while it is fresh, or makes one and stores it
// before the first blob is sealed to it.
func (s *storeState) epochKey() error {
	spec := s.run.spec
	if _, there := s.epochs[spec.Epoch.ID]; there && spec.Epoch.Fresh(spec.Recipients, s.run.now()) {
		s.run.epoch = spec.Epoch
		return nil
	}
	e, sealed, err := keys.NewEpoch(spec.Recipients, s.run.now())
	if err != nil {
		return err
	}
	key := layout.EpochKey(spec.Host.ID, e.ID, 0)
	put := storeObject{Key: key, Bytes: sealed, Sum: sha256.Sum256(sealed), IfAbsent: s.conditional()}
	if _, err := putObject(s.run.ctx, spec.Store, put); err != nil {
		return notStored(key, err)
	}
	s.run.accepted(int64(len(sealed)), nil)
	if err := spec.SaveEpoch(e); err != nil {
		return err
	}
	s.run.epoch = e
	s.epochs[e.ID] = keyObject{0, int64(len(sealed))}
	return nil
}

func (s *storeState) conditional() bool {
	info, err := s.run.spec.Store.Info(s.run.ctx)
	return err == nil && info.ConditionalPut
}

// keyRefs are the sealed epoch keys that a snapshot needs. A lost one loses
// nothing: blobs are sealed to the recipients as well.
func (s *storeState) keyRefs(epochs map[layout.Epoch]struct{}) ([]snapshot.KeyRef, error) {
	var refs []snapshot.KeyRef
	for e := range epochs {
		k, there := s.epochs[e]
		if !there {
			s.run.spec.warn(fmt.Sprintf("the sealed key of epoch %s is missing from the store; its blobs can still be opened by the recipients", e))
			continue
		}
		if e == s.run.epoch.ID && k.n == 0 {
			var sum snapshot.Sum
			if _, err := hex.Decode(sum[:], []byte(s.run.epoch.Sum)); err != nil {
				return nil, fmt.Errorf("sum of epoch %s: %w", e, err)
			}
			refs = append(refs, snapshot.KeyRef{Epoch: e, Size: s.run.epoch.Size, SHA256: sum})
			continue
		}
		if old, ok := s.prevKeys[e]; ok && old.N == k.n && old.Size == k.size {
			refs = append(refs, old)
			continue
		}
		key := layout.EpochKey(s.run.spec.Host.ID, e, k.n)
		b, err := s.objects.Get(s.run.ctx, key, 0, -1)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		refs = append(refs, snapshot.KeyRef{Epoch: e, N: k.n, Size: int64(len(b)), SHA256: sha256.Sum256(b)})
	}
	slices.SortFunc(refs, func(a, b snapshot.KeyRef) int { return bytes.Compare(a.Epoch[:], b.Epoch[:]) })
	return refs, nil
}
