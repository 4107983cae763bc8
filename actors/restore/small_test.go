package restore_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vaultik/actors/jobtest"
	"vaultik/backends"
)

// crowd is a store whose reads wait for others to come, for a while.
type crowd struct {
	backends.Backend

	mu    sync.Mutex
	want  int // how many make a crowd
	now   int
	most  int
	once  sync.Once
	enter chan struct{} // closed when it is one
}

func (c *crowd) Get(ctx context.Context, key string, off, length int64) (io.ReadCloser,
	backends.ObjectInfo, error) {
	c.mu.Lock()
	c.now++
	if c.most = max(c.most, c.now); c.now == c.want {
		c.once.Do(func() { close(c.enter) })
	}
	c.mu.Unlock()
	select {
	case <-c.enter:
	case <-time.After(100 * time.Millisecond):
	}
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	return c.Backend.Get(ctx, key, off, length)
}

// Small blobs are fetched as many at once as there are connections, also with the memory for
// only one large blob.
func TestRestore_SmallBlobs(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	const files = 24
	for i := range files { // each is in a blob of its own
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), fmt.Appendln(nil, i), 0o600))
		h.Backup(dir)
	}
	s := h.RestoreSpec(dir, out)
	c := &crowd{Backend: s.Store, want: files / 2, enter: make(chan struct{})}
	s.Store, s.Memory, s.Parallel = c, 1, files/2
	if r := h.Restore(s); r.Failed != 0 || r.BlobsRead < files {
		t.Errorf("%+v", r)
	}
	jobtest.SameTree(t, dir, out)
	if c.most < c.want {
		t.Errorf("%d blobs were read at once, of %d; want %d", c.most, files, c.want)
	}
	h.CloseIndex()
}
