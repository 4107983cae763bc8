package actors

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"vaultik/backends"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/vault/blob"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// counted counts the calls that read.
type counted struct {
	backends.Backend
	reads atomic.Int64
}

func (c *counted) ReadRange(ctx context.Context, key string, p []byte, off int64) (int, error) {
	c.reads.Add(1)
	b, err := backends.ReadRange(ctx, c.Backend, key, off, int64(len(p)), p)
	return len(b), err
}

func TestOpenTree(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir := t.TempDir()
	makeTree(t, testtree.Random(41, testtree.RandomOptions{Nodes: 2000, Plain: true, MaxSize: 100}), dir)
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(1, 40<<20), 0o600))
	h.backup(dir)
	_, root, s := h.newest()
	store := &counted{Backend: h.store}
	tree, err := OpenTree(store, root, s.Identities)
	must(t, err)
	var paths []string
	must(t, tree.Walk(t.Context(), "", func(e *page.Entry) error {
		paths = append(paths, e.Path)
		return nil
	}))
	if n := store.reads.Load(); len(paths) < 1900 || n > 40 {
		t.Errorf("%d entries by %d reads", len(paths), n)
	}
	var wait sync.WaitGroup
	for w := range 4 {
		wait.Go(func() {
			for i := w; i < len(paths); i += 97 {
				if e, err := tree.Find(t.Context(), paths[i]); err != nil || e.Path != paths[i] {
					t.Errorf("%q: %v", paths[i], err)
				}
			}
		})
	}
	wait.Wait()

	ref := root.Top.Ref()
	ref.ID[0] ^= 1
	r := newChunkReader(h.store, root.Host, s.Identities, root.Secret.ChunkID())
	if _, err := r.fetch(t.Context(), ref); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("another id: %v", err)
	}
	ref = root.Top.Ref()
	ref.Span.Len = 1 << 20
	if _, err := r.fetch(t.Context(), ref); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("outside of its frame: %v", err)
	}
	for _, ref := range []page.Ref{{}, {Hole: 5}} {
		if _, err := r.fetch(t.Context(), ref); !errors.Is(err, blob.ErrDamaged) {
			t.Errorf("%+v: %v", ref, err)
		}
	}
	if _, err := OpenTree(h.store, &snapshot.Root{}, nil); !errors.Is(err, ErrEmptySnapshot) {
		t.Errorf("nothing in it: %v", err)
	}
}

func TestLRU(t *testing.T) {
	l := newLRU[int, string](10)
	l.put(1, "one", 4)
	l.put(2, "two", 4)
	if v, ok := l.get(1); !ok || v != "one" {
		t.Error(v, ok)
	}
	l.put(3, "three", 4) // in place of 2, which was used longest ago
	if _, ok := l.get(2); ok {
		t.Error("2 is still there")
	}
	if _, ok := l.get(1); !ok {
		t.Error("1 is gone")
	}
	l.put(4, "large", 50)
	if _, ok := l.get(4); !ok || len(l.items) != 1 {
		t.Error("the newest is not kept alone", len(l.items))
	}
}
