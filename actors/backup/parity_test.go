package backup_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/backends"
	"vaultik/internal/testtree"
	"vaultik/vault/layout"
	"vaultik/vault/parity"
)

// Each blob of a backup has its parity beside it, of data and of pages, and can be healed by it.
func TestBackup_Parity(t *testing.T) {
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.Parity, s.BlobSize = 10, 1<<20 }
	dir := t.TempDir()
	jobtest.MakeTree(t, testtree.Random(5, testtree.RandomOptions{Nodes: 300}), dir)
	r := h.Backup(dir)
	blobs, beside := h.Keys("b/"), h.Keys("x/")
	if len(blobs) < 2 || len(beside) != len(blobs) {
		t.Fatalf("%d blobs, %d with parity", len(blobs), len(beside))
	}
	stored := int64(0)
	for _, key := range h.Keys("") {
		if !strings.Contains(key, "/m/") && strings.HasPrefix(key, "h/") {
			stored += int64(len(read(t, h.Store, key)))
		}
	}
	if r.BytesStored < stored {
		t.Errorf("%d bytes are counted, %d are stored", r.BytesStored, stored)
	}
	for _, key := range blobs {
		name, err := layout.Parse(key)
		jobtest.Must(t, err)
		blob := read(t, h.Store, key)
		p, err := parity.Open(read(t, h.Store, layout.Parity(name.Host, name.Sum)), name.Sum)
		jobtest.Must(t, err)
		hurt := bytes.Clone(blob)
		hurt[len(hurt)/2] ^= 1
		if healed, n, err := p.Heal(hurt); err != nil || n != 1 || !bytes.Equal(healed, blob) {
			t.Fatalf("%s: %d sectors, %v", key, n, err)
		}
	}
}

func read(t *testing.T, store backends.Backend, key string) []byte {
	t.Helper()
	r, _, err := store.Get(t.Context(), key, 0, -1)
	jobtest.Must(t, err)
	b, err := io.ReadAll(r)
	jobtest.Must(t, err)
	jobtest.Must(t, r.Close())
	return b
}
