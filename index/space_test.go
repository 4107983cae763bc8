package index

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"vaultik/internal/testsize"
	"vaultik/vault/blob"
)

// A full disk stops writing, with a typed error, and nothing else.
func TestIndex_NoSpace(t *testing.T) {
	r := newSource(t)
	x := open(t, t.TempDir())
	a, b := r.stored(100), r.stored(20_000)
	write(t, x, &Batch{Blobs: []StoredBlob{a}})
	full, after := false, -1
	x.free = func(string) (int64, int64, error) {
		if after--; full || after == 0 {
			return baseSpace / 2, largeDisk / 2, nil
		}
		return 1 << 40, 1 << 40, nil
	}
	noSpace := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrNoSpace) {
			t.Errorf("%s: %v", what, err)
		}
	}
	after = 3 // in the middle of a batch
	_, err := x.Write(&Batch{Blobs: []StoredBlob{b}})
	noSpace("write", err)
	full = true
	_, err = x.Write(&Batch{Blobs: []StoredBlob{b}})
	noSpace("write again", err)
	noSpace("reset", x.Reset())
	noSpace("close", x.Close())
	noSpace("drop", x.DropBlobs([]blob.Name{a.Name}))
	wantChunks(t, x, a, 0) // nobody relies on a blob that is said to be gone
	must(t, x.Sync())
	full = false
	num := write(t, x, &Batch{Blobs: []StoredBlob{b}})[0]
	wantChunks(t, x, b, num)
	x = reopen(t, x)
	wantChunks(t, x, b, num)
	wantConsistent(t, x)
}

// The same on a real one, where the machine allows to make it.
func TestIndex_SmallTmpfs(t *testing.T) {
	testsize.Long(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=40m"); err != nil {
		t.Logf("no tmpfs can be mounted (%v): TestIndex_NoSpace has to do", err)
		return
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	r := newSource(t)
	path := filepath.Join(dir, "index")
	x := open(t, path)
	var kept []StoredBlob
	var err error
	for i := 0; err == nil; i++ {
		s := r.stored(8000)
		if _, err = x.Write(&Batch{Blobs: []StoredBlob{s}}); err == nil && i%10 == 0 {
			kept = append(kept, s)
		}
	}
	if !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	must(t, x.db.Close()) // Badger at rest, before the rest of the disk is filled
	x.db = nil
	must(t, x.lock.Close())

	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	if _, err := Open(path, Options{Key: testKey}); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("open on a full disk: %v", err)
	}
	must(t, os.Remove(filler))
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=256m"))
	x = open(t, path)
	for _, s := range kept {
		n, ok := x.Num(s.Name)
		if !ok {
			t.Fatal("blob lost")
		}
		wantChunks(t, x, s, n)
	}
	wantConsistent(t, x)
	fresh := r.stored(100)
	wantChunks(t, x, fresh, write(t, x, &Batch{Blobs: []StoredBlob{fresh}})[0])
	must(t, x.Close())
}

// fill takes all that is left of a disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

func TestNeedSpace(t *testing.T) {
	tests := []struct{ tables, total, want int64 }{
		{0, 64 << 20, 24 << 20},
		{10 << 20, 64 << 20, 34 << 20},
		{10 << 30, 4 << 30, 96 << 20},
		{0, 1 << 40, 256 << 20},
	}
	for _, tt := range tests {
		if got := needSpace(tt.tables, tt.total); got != tt.want {
			t.Errorf("tables %d on %d: %d, want %d", tt.tables, tt.total, got, tt.want)
		}
	}
}
