package verify_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"vaultik/actors/jobtest"
	"vaultik/actors/survey"
	"vaultik/actors/verify"
	"vaultik/backends"
	"vaultik/internal/testtree"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// counting counts how often each part of an object is read.
type counting struct {
	backends.Backend
	mu    sync.Mutex
	reads map[part]int
}

type part struct {
	key string
	off int64
}

func (c *counting) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser,
	backends.ObjectInfo, error) {
	c.mu.Lock()
	c.reads[part{key, off}]++
	late := len(c.reads)%7 == 0
	c.mu.Unlock()
	if late { // answers of a store come in no order
		time.Sleep(5 * time.Millisecond)
	}
	return c.Backend.Get(ctx, key, off, n)
}

// manySnapshots are of some files, one of which changes each time.
func manySnapshots(t *testing.T, n, files int) (*jobtest.Host, string) {
	h := jobtest.New(t)
	dir := t.TempDir()
	write := func(i, round int) {
		name := filepath.Join(dir, fmt.Sprintf("d%d", i%3), fmt.Sprintf("f%d", i))
		jobtest.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		jobtest.Must(t, os.WriteFile(name, fmt.Appendf(nil, "%d in round %d", i, round), 0o600))
	}
	for i := range files {
		write(i, 0)
	}
	// It has list pages, and stands in the page that changes.
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "d1", "large"),
		testtree.Bytes(1, 40<<20), 0o600))
	for round := range n {
		write(round%files, round+1)
		h.Backup(dir)
	}
	return h, dir
}

// However many snapshots share an object, verify reads it once, with any number of transfers.
func TestVerify_ReadsEachObjectOnce(t *testing.T) {
	h, _ := manySnapshots(t, 200, 300)
	// How many pages one snapshot has depends on a random key. At least one of them is shared.
	one := h.VerifySpec(true, false)
	one.Snapshots = one.Snapshots[:1]
	alone, err := verify.Run(t.Context(), h.System, one)
	jobtest.Must(t, err)
	for _, parallel := range []int{1, 4, 64} {
		spec := h.VerifySpec(true, false)
		c := &counting{Backend: h.Store, reads: map[part]int{}}
		spec.Store, spec.Parallel = c, parallel
		opened, err := snapshot.OpenStore(t.Context(), backends.Objects(c), snapshot.Pin{})
		jobtest.Must(t, err)
		opened.Parallel = parallel
		spec.Opened = opened
		r, err := verify.Run(t.Context(), h.System, spec)
		if err != nil || r.Found != 0 || r.Pages < 200 {
			t.Errorf("%d at once: %+v, %v", parallel, r, err)
		}
		blobs := 0
		for p, n := range c.reads {
			if n > 1 {
				t.Errorf("%d at once: %s was read %d times from %d on", parallel, p.key, n, p.off)
			}
			if o, err := layout.Parse(p.key); err == nil && o.Kind == layout.KindBlob {
				blobs++
			}
		}
		if most := 200*(alone.Pages-1) + 5; r.Pages > most {
			t.Errorf("%d at once: %d pages were read, want at most %d", parallel, r.Pages, most)
		}
		if blobs < 200 {
			t.Errorf("%d at once: only %d blobs were read", parallel, blobs)
		}
	}
	h.CloseIndex()
}

// A page that an earlier snapshot has brought up is held against the manifest of each that
// has it; and a reference of one snapshot against the table, whichever snapshot read that.
func TestVerify_KnownPageOfManySnapshots(t *testing.T) {
	h, dir := manySnapshots(t, 25, 20)
	h.Backup(dir) // nothing has changed: every page is known
	m, _, _ := h.Newest()
	c := *m.Manifest
	blobs, err := h.Opened.Blobs(t.Context(), &c)
	jobtest.Must(t, err)
	left := blobs[len(blobs)/2]
	c.Lists, c.Blobs = nil, slices.DeleteFunc(blobs, func(b snapshot.BlobSize) bool {
		return b == left
	})
	c.Count, c.Bytes = c.Count-1, c.Bytes-left.Size
	b, err := snapshot.EncodeManifest(&c, h.Host.Signer)
	jobtest.Must(t, err)
	h.Put(m.Key, b)
	newest, _, _ := h.Newest()
	r := h.Verify(true, false)
	if r.Found != 1 || r.Problems[0].Kind != survey.ProblemReference ||
		r.Problems[0].Key != layout.Blob(h.Host.ID, left.Name) ||
		!slices.Equal(r.Problems[0].Snapshots, []string{newest.ID()}) {
		t.Errorf("%+v", r.Problems)
	}
	h.CloseIndex()
}
