package backup_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"vaultik/internal/testsize"

	"go.uber.org/goleak"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/internal/testtree"
)

func TestBackup_RoundTrip(t *testing.T) {
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.MakeTree(t, testtree.Random(1, testtree.RandomOptions{Nodes: 600}), dir)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(7, 40<<20), 0o600))
	r := h.Backup(dir)
	if r.Errors != 0 || !r.Complete {
		t.Errorf("%+v", r)
	}
	h.CheckTree(dir)

	again := h.Backup(dir)
	if again.ObjectsStored > 4 || again.BytesRead != 0 {
		t.Errorf("an unchanged tree read %d bytes and stored %d objects", again.BytesRead, again.ObjectsStored)
	}
	h.CheckTree(dir)

	for range 3 {
		r := h.Backup(dir)
		if r.ObjectsStored > 4 || r.BytesRead != 0 {
			t.Errorf("an unchanged tree read %d bytes and stored %d objects", r.BytesRead, r.ObjectsStored)
		}
	}
	// Root and manifest, and one blob of pages if a directory above, such as /tmp, has changed.
	if r := h.Backup(dir); r.ObjectsStored > 3 {
		t.Errorf("the tree should have settled, but %d objects were stored", r.ObjectsStored)
	}
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(8, 5<<20), 0o600))
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "new"), []byte("new"), 0o600))
	if r := h.Backup(dir); r.Counts.New != 1 || r.Counts.Changed != 1 || r.BytesRead != 5<<20+3 {
		t.Errorf("%+v", r)
	}
	h.CheckTree(dir)
	h.CloseIndex()
}

// TestBackup_ManyLeavesInOneBlob: a blob of data that is larger than a blob of pages
// should be, and is referred to as self by all leaves, stays open for all of them.
func TestBackup_ManyLeavesInOneBlob(t *testing.T) {
	testsize.Long(t)
	for _, files := range []int{700, 3000} {
		h := jobtest.New(t)
		h.Edit = func(s *backup.Spec) { s.Parallel = 1 } // else blobs are smaller
		dir := t.TempDir()
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(7, 5<<20), 0o600))
		for i := range files {
			jobtest.Must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), fmt.Append(nil, i), 0o600))
		}
		if r := h.Backup(dir); r.BlobsStored != 1 {
			t.Errorf("%d blobs", r.BlobsStored)
		}
		h.CheckTree(dir)
	}
}

func TestBackup_SmallIsOneBlob(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("hello"), 0o600))
	if r := h.Backup(dir); r.BlobsStored != 1 {
		t.Errorf("%d blobs", r.BlobsStored)
	}
	h.CheckTree(dir)
}

func TestBackup_WorkerPanicsChangeNothing(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.MakeTree(t, testtree.Random(2, testtree.RandomOptions{Nodes: 800}), dir)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(9, 60<<20), 0o600))
	var n, u, z atomic.Int64
	h.Edit = func(s *backup.Spec) {
		s.Faults.OnChunk = func(path string) {
			if n.Add(1)%40 == 0 {
				panic("injected in chunker at " + path)
			}
		}
		s.Faults.OnUpload = func(bool) {
			if u.Add(1)%5 == 0 {
				panic("injected in uploader")
			}
		}
		s.Faults.OnSeal = func() {
			if z.Add(1)%7 == 0 {
				panic("injected in sealer")
			}
		}
	}
	r := h.Backup(dir)
	if r.Errors != 0 || r.Restarts == 0 {
		t.Errorf("%+v", r)
	}
	h.CheckTree(dir)
}

func TestBackup_PoisonFileFailsAlone(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.MakeTree(t, testtree.Random(3, testtree.RandomOptions{Nodes: 300, Plain: true}), dir)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "poison"), []byte("x"), 0o600))
	h.Edit = func(s *backup.Spec) {
		s.Faults.OnChunk = func(path string) {
			if strings.HasSuffix(path, "/poison") {
				panic("poison")
			}
		}
	}
	r := h.Backup(dir)
	if r.Errors != 1 || r.Complete {
		t.Errorf("%+v", r)
	}
	jobtest.Must(t, os.Remove(filepath.Join(dir, "poison")))
	if got := h.ReadBack(); got[strings.TrimPrefix(dir, "/")+"/poison"].Path != "" {
		t.Error("the poison file is in the snapshot")
	}
}

func TestBackup_StagePanicFailsTheJob(t *testing.T) {
	testsize.Long(t)
	for name, inject := range map[string]func(*actors.Faults){
		"packer":      func(f *actors.Faults) { f.OnPack = func() { panic("injected") } },
		"treebuilder": func(f *actors.Faults) { f.OnBuild = func() { panic("injected") } },
		"indexer":     func(f *actors.Faults) { f.OnIndex = func() { panic("injected") } },
		"scanner":     func(f *actors.Faults) { f.OnScan = func() { panic("injected") } },
	} {
		t.Run(name, func(t *testing.T) {
			h := jobtest.New(t)
			dir := t.TempDir()
			jobtest.MakeTree(t, testtree.Random(4, testtree.RandomOptions{Nodes: 200, Plain: true}), dir)
			h.Edit = func(s *backup.Spec) { inject(&s.Faults) }
			_, err := backup.Run(t.Context(), context.Background(), h.System, h.Spec(dir))
			if err == nil || !strings.Contains(err.Error(), "internal error in") {
				t.Fatalf("error %v", err)
			}
			h.Edit = nil
			h.Backup(dir)
			h.CheckTree(dir)
		})
	}
}
