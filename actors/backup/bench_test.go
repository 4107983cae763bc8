package backup_test

import (
	"os"
	"path/filepath"
	"testing"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/backends"
	_ "vaultik/backends/file"
	"vaultik/internal/testtree"
)

// BenchmarkBackup is a first backup to a directory, of a random tree or of
// VAULTIK_BENCH_DIR; take profiles of it with -cpuprofile and -memprofile.
func BenchmarkBackup(b *testing.B) {
	dir := os.Getenv("VAULTIK_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
		jobtest.MakeTree(b, testtree.Random(1, testtree.RandomOptions{Nodes: 2000, MaxSize: 1 << 20}), dir)
	}
	for b.Loop() {
		b.StopTimer()
		h := jobtest.New(b)
		store, err := backends.Open(b.Context(), "file://"+filepath.Join(b.TempDir(), "store"), backends.Options{Create: true})
		jobtest.Must(b, err)
		h.Store = store
		h.Edit = func(s *backup.Spec) { s.Chunkers = 0 }
		b.StartTimer()
		r := h.Backup(dir)
		b.SetBytes(r.BytesRead)
		b.StopTimer()
		h.CloseIndex()
		jobtest.Must(b, store.Close())
		b.StartTimer()
	}
}
