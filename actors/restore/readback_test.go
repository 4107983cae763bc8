package restore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
)

func TestReadBack_SeesEachDifference(t *testing.T) {
	h, dir := jobtest.New(t), t.TempDir()
	for _, n := range []string{"flipped", "cut", "longer", "gone", "filled", "good", "link"} {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, n), testtree.Bytes(3, 2<<20), 0o600))
	}
	jobtest.Must(t, os.Truncate(filepath.Join(dir, "filled"), 8<<20)) // six megabytes of hole
	h.Backup(dir)
	out := t.TempDir()
	h.Restore(h.RestoreSpec(dir, out))

	check := func(want ...string) {
		t.Helper()
		r, err := restore.ReadBack(t.Context(), h.System, h.RestoreSpec(dir, out))
		jobtest.Must(t, err)
		got := map[string]string{}
		for _, d := range r.Different {
			got[filepath.Base(d.Path)] = d.Reason
		}
		if len(got) != len(want) || int(r.Differ) != len(want) || int(r.Files) != 7-len(want) {
			t.Errorf("%+v, want %v", r, want)
		}
		for _, n := range want {
			if got[n] == "" {
				t.Errorf("%s was taken for good", n)
			}
		}
	}
	check()
	at := func(n string) string { return filepath.Join(out, n) }
	b, err := os.ReadFile(at("flipped"))
	jobtest.Must(t, err)
	b[1<<20+5] ^= 1
	jobtest.Must(t, os.WriteFile(at("flipped"), b, 0o600))
	jobtest.Must(t, os.Truncate(at("cut"), 2<<20-1))
	jobtest.Must(t, os.Truncate(at("longer"), 2<<20+1))
	jobtest.Must(t, os.Remove(at("gone")))
	f, err := os.OpenFile(at("filled"), os.O_WRONLY, 0)
	jobtest.Must(t, err)
	_, err = f.WriteAt([]byte{1}, 5<<20)
	jobtest.Must(t, err)
	jobtest.Must(t, f.Close())
	jobtest.Must(t, os.Remove(at("link")))
	jobtest.Must(t, os.Symlink("good", at("link")))
	check("flipped", "cut", "longer", "gone", "filled", "link")
}

func TestReadBack_Cancel(t *testing.T) {
	h, dir := jobtest.New(t), t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), testtree.Bytes(3, 1<<20), 0o600))
	h.Backup(dir)
	out := t.TempDir()
	h.Restore(h.RestoreSpec(dir, out))
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := restore.ReadBack(ctx, h.System, h.RestoreSpec(dir, out)); err == nil {
		t.Error("it went on")
	}
}

// Holes of the target are not read: a sparse file of a terabyte is compared in a moment.
func TestReadBack_Holes(t *testing.T) {
	h, dir := jobtest.New(t), t.TempDir()
	name := filepath.Join(dir, "sparse")
	jobtest.Must(t, os.WriteFile(name, testtree.Bytes(3, 1<<20), 0o600))
	jobtest.Must(t, os.Truncate(name, 8<<30))
	h.Backup(dir)
	out := t.TempDir()
	h.Restore(h.RestoreSpec(dir, out))
	before := bytesRead(t)
	r, err := restore.ReadBack(t.Context(), h.System, h.RestoreSpec(dir, out))
	jobtest.Must(t, err)
	if r.Differ != 0 || r.Files != 1 || r.Bytes != 8<<30 {
		t.Errorf("%+v", r)
	}
	if n := bytesRead(t) - before; n > 1<<30 {
		t.Errorf("%d bytes were read of a file with 1 MiB of data", n)
	}
}

// bytesRead is how many bytes this process has read, from anywhere.
func bytesRead(t *testing.T) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	jobtest.Must(t, err)
	_, err = fmt.Sscanf(string(b), "rchar: %d", &n)
	jobtest.Must(t, err)
	return n
}

// Where a target knows no holes all of one must be read, which may take hours.
func TestZeros_Cancel(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	jobtest.Must(t, err)
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	if zero, err := restore.Zeros(ctx, f, 0, 1<<40, make([]byte, 1)); err != nil || !zero {
		t.Errorf("%v, %v", zero, err)
	}
	cancel()
	if _, err := restore.Zeros(ctx, f, 0, 1<<40, make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
