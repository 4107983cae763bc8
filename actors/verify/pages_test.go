package verify_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"vaultik/internal/testsize"

	"vaultik/actors/jobtest"
	"vaultik/vault/snapshot"
)

// TestVerify_KnownPageBehindNewOne: what a page uses that an earlier snapshot has brought up
// is not taken for what the page before it uses, which later snapshots may have without it.
func TestVerify_KnownPageBehindNewOne(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir := t.TempDir()
	var names []string
	for i := range 3000 { // a leaf has at most 1,024 entries
		names = append(names, filepath.Join(dir, fmt.Sprintf("f%04d", i)))
	}
	write := func(round int, names []string) {
		for _, name := range names {
			jobtest.Must(t, os.WriteFile(name, fmt.Appendf(nil, "%s in round %d", name, round), 0o600))
		}
	}
	blobs := func() []snapshot.BlobSize {
		m, _, _ := h.Newest()
		all, err := h.Opened.Blobs(t.Context(), m.Manifest)
		jobtest.Must(t, err)
		return all
	}
	write(1, names)
	h.Backup(dir)
	h.Backup(dir) // pages that stood beside their data stand alone from here on
	second := blobs()
	lastLeaf := h.LastLeaf()
	cut := slices.IndexFunc(names, func(name string) bool { return name[1:] == lastLeaf })
	if cut <= 0 {
		t.Fatalf("the last leaf begins with %q", lastLeaf)
	}
	write(3, names[:cut])
	h.Backup(dir)
	h.Backup(dir) // the leaf before the last is new, and stands alone; the last is known
	write(5, names[cut:])
	h.Backup(dir) // the leaf before the last is known, the last is new
	fifth := blobs()
	if !slices.ContainsFunc(second, func(b snapshot.BlobSize) bool { return !slices.Contains(fifth, b) }) {
		t.Fatal("all blobs are needed still: the test says nothing")
	}
	h.VerifyClean()
}
