package actors_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"vaultik/internal/testsize"

	"vaultik/actors"
	"vaultik/actors/jobtest"
	"vaultik/backends"
	"vaultik/internal/testtree"
	"vaultik/vault/page"
	"vaultik/vault/read"
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
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.MakeTree(t, testtree.Random(41, testtree.RandomOptions{Nodes: 2000, Plain: true, MaxSize: 100}), dir)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(1, 40<<20), 0o600))
	h.Backup(dir)
	_, root, s := h.Newest()
	store := &counted{Backend: h.Store}
	tree, err := actors.OpenTree(store, root, s.Identities)
	jobtest.Must(t, err)
	var paths []string
	jobtest.Must(t, tree.Walk(t.Context(), "", func(e *page.Entry) error {
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

	if _, err := actors.OpenTree(h.Store, &snapshot.Root{}, nil); !errors.Is(err, read.ErrEmptySnapshot) {
		t.Errorf("nothing in it: %v", err)
	}
}
