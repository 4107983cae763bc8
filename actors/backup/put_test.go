package backup_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/backends"
	"vaultik/backends/faulty"
	"vaultik/vault/blob"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// Every object is created only if its name is free, where the store can tell: a host may have
// no right to put anything else.
func TestBackup_CreatesOnly(t *testing.T) {
	for _, can := range []bool{true, false} {
		h := newTraced(t)
		store := &creations{Backend: h.Store, can: can}
		h.Store = store
		p := h.run()
		store.created, store.replacing = nil, nil // what the test has put itself
		jobtest.Must(t, p.Checkpoint())
		h.commits(p, 1, 0)
		h.wall += 40 * 24 * time.Hour // another epoch
		h.Backup(small(t, 6))
		for kind, want := range map[string]int{"b/": 18, "k/": 2, "l/": 1, "p/": 1, "r/": 2, "m/": 2} {
			if n := len(h.Keys(kind)); n != want {
				t.Errorf("%d objects in %s, want %d", n, kind, want)
			}
		}
		if len(store.replacing) > 0 || len(store.created) == 0 != !can {
			t.Errorf("put otherwise: %q; created: %q", store.replacing, store.created)
		}
		h.NewestIsWhole()
	}
}

// creations is a store that can create objects only if they are absent, or not, and notes puts
// that are not of the one kind that it ought to be asked for.
type creations struct {
	backends.Backend
	can bool

	mu                 sync.Mutex
	created, replacing []string
}

func (c *creations) Info(ctx context.Context) (backends.Info, error) {
	info, err := c.Backend.Info(ctx)
	info.ConditionalPut = c.can
	return info, err
}

func (c *creations) Put(ctx context.Context, key string, src backends.Source,
	o backends.PutOptions) (backends.ObjectInfo, error) {
	c.mu.Lock()
	if o.IfAbsent {
		c.created = append(c.created, key)
	}
	if o.IfAbsent != c.can {
		c.replacing = append(c.replacing, key)
	}
	c.mu.Unlock()
	return c.Backend.Put(ctx, key, src, o)
}

// What stands under a name already is success if it is the same, and is replaced if the name
// says that it is damaged.
func TestPut_Taken(t *testing.T) {
	h := newTraced(t)
	right, sum := []byte("right"), sha256.Sum256([]byte("right"))
	host := h.Host.Host.ID
	named := []string{layout.Blob(host, sum), layout.BlobList(host, sum), layout.Root(host, sum)}
	manifest := layout.Manifest(host, h.Set, 1)
	store := faulty.New(h.inner)
	h.Store = store
	p := h.prepare()
	defer p.End()
	for _, c := range []struct {
		there  string // "": nothing
		vouch  bool   // the store knows the hash of what is there
		puts   int    // of one that names its content
		exists bool   // for a manifest
	}{
		{"", false, 1, false},
		{"right", true, 1, false},
		{"right", false, 1, false},
		{"wrong", true, 2, true},
		{"wrong", false, 2, true},
		{"rig", false, 2, true},
	} {
		for _, key := range append(slices.Clone(named), manifest) {
			jobtest.Must(t, h.inner.Delete(t.Context(), key))
			if c.there != "" {
				var is *[32]byte
				if s := sha256.Sum256([]byte(c.there)); c.vouch {
					is = &s
				}
				_, err := h.inner.Put(t.Context(), key, backends.Bytes([]byte(c.there), is),
					backends.PutOptions{})
				jobtest.Must(t, err)
			}
			before := store.Calls(faulty.Put)
			err := p.Put(backup.StoreObject{Key: key, Bytes: right, Sum: sum})
			want := "right"
			if key == manifest && c.exists {
				want = c.there
			}
			if errors.Is(err, backends.ErrExists) != (want != "right") || err != nil && want == "right" {
				t.Errorf("%q is at %s: error %v", c.there, key, err)
			}
			got, err := backends.Objects(h.inner).Get(t.Context(), key, 0, -1)
			if err != nil || string(got) != want {
				t.Errorf("%q was at %s: there is %q, %v", c.there, key, got, err)
			}
			if n := store.Calls(faulty.Put) - before; key != manifest && n != c.puts {
				t.Errorf("%q was at %s: %d puts", c.there, key, n)
			}
		}
	}
}

// A host that may not read its blobs, nor ask for them, sees by the list that they are there.
func TestPut_MayNotLook(t *testing.T) {
	h := newTraced(t)
	h.Store = &blind{h.Store}
	h.commits(h.run(), 1, 0)
	p := h.prepare()
	defer p.End()
	right, sum := []byte("right"), sha256.Sum256([]byte("right"))
	key := layout.Blob(h.Host.Host.ID, sum)
	h.Put(key, []byte("there"))
	jobtest.Must(t, p.Put(backup.StoreObject{Key: key, Bytes: right, Sum: sum}))
	manifest := layout.Manifest(h.Host.Host.ID, h.Set, 1)
	if err := p.Put(backup.StoreObject{Key: manifest, Bytes: right, Sum: sum}); !errors.Is(err,
		backends.ErrExists) {
		t.Errorf("a manifest: %v", err)
	}
}

// blind is a store that does not let blobs be read, nor asked for.
type blind struct{ backends.Backend }

func (b *blind) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	if strings.Contains(key, "/b/") {
		return backends.ObjectInfo{}, backends.ErrPermission
	}
	return b.Backend.Stat(ctx, key)
}

func (b *blind) Get(ctx context.Context, key string, off, n int64) (
	io.ReadCloser, backends.ObjectInfo, error) {
	if strings.Contains(key, "/b/") {
		return nil, backends.ObjectInfo{}, backends.ErrPermission
	}
	return b.Backend.Get(ctx, key, off, n)
}

// A host names only that wrapping of an epoch key that it wrote, or that its newest snapshot
// names: anybody who may write there can put garbage under another number.
func TestCommit_GarbageEpochKey(t *testing.T) {
	for _, lost := range []bool{false, true} {
		h := newTraced(t)
		host := h.Host.Host.ID
		h.commits(h.run(), 1, 0)
		old, err := layout.Parse(h.one("k/"))
		jobtest.Must(t, err)
		h.Put(layout.EpochKey(host, old.Epoch, 9999), []byte("garbage"))
		if lost {
			jobtest.Must(t, h.inner.Delete(t.Context(), h.one("k/")))
		}
		h.wall += 40 * 24 * time.Hour // another epoch
		for _, set := range []layout.SetID{h.Set, layout.NewSetID()} {
			if h.said = nil; set != h.Set { // it has no snapshot yet, and uses blobs of the first one
				h.Set, h.Head = set, backup.Head{}
			}
			h.commits(h.run(), h.Head.Seq+1, 0)
			all, _, err := h.Opened.Head(t.Context(), host, h.Set)
			jobtest.Must(t, err)
			var named []int
			for _, k := range all[0].Keys {
				if k.Epoch == old.Epoch {
					named = append(named, k.N)
				}
			}
			if lost != (len(named) == 0) || !lost && named[0] != 0 {
				t.Errorf("lost %v: wrappings %v are named", lost, named)
			}
			said := strings.Contains(strings.Join(h.said, ""), "the sealed key of epoch "+old.Epoch.String())
			if said != lost {
				t.Errorf("lost %v: said %q", lost, h.said)
			}
		}
	}
}

// A checkpoint pins what its run has stored and used, and not all that the index knows; and it
// is of the snapshot that the run leads to.
func TestCheckpoint_PinsWhatTheRunUses(t *testing.T) {
	h := newTraced(t)
	h.commits(h.run(), 1, 0)
	p := h.prepare()
	defer p.End()
	stored := h.blob(p, "stored", false)
	p.Use(h.old[0], false)
	p.Use(stored, true)
	jobtest.Must(t, p.Checkpoint())
	var all []*snapshot.LoadedCheckpoint
	problems, err := h.Opened.EachCheckpoint(t.Context(), h.Host.Host.ID, time.Now(),
		func(string) bool { return false }, func(c *snapshot.LoadedCheckpoint) error {
			all = append(all, c)
			return nil
		})
	if err != nil || len(problems) > 0 || len(all) != 1 {
		t.Fatalf("%d checkpoints, %v, %v", len(all), problems, err)
	}
	var pinned []blob.Name
	for _, b := range all[0].Blobs {
		pinned = append(pinned, b.Name)
	}
	if want := []blob.Name{h.old[0].Name, stored.Name}; !slices.Equal(pinned, want) || len(all[0].Lists) > 0 {
		t.Errorf("pinned %v, want %v", pinned, want)
	}
	if seq, _, err := p.Commit(); err != nil || seq != all[0].Seq {
		t.Errorf("snapshot %d, %v, the checkpoint leads to %d", seq, err, all[0].Seq)
	}
}
