package actors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vaultik/internal/testtree"
)

func TestReadBack_SeesEachDifference(t *testing.T) {
	h, dir := newTestHost(t), t.TempDir()
	for _, n := range []string{"flipped", "cut", "longer", "gone", "filled", "good", "link"} {
		must(t, os.WriteFile(filepath.Join(dir, n), testtree.Bytes(3, 2<<20), 0o600))
	}
	must(t, os.Truncate(filepath.Join(dir, "filled"), 8<<20)) // six megabytes of hole
	h.backup(dir)
	out := t.TempDir()
	h.restore(h.restoreSpec(dir, out))

	check := func(want ...string) {
		t.Helper()
		r, err := h.system.ReadBack(t.Context(), h.restoreSpec(dir, out))
		must(t, err)
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
	must(t, err)
	b[1<<20+5] ^= 1
	must(t, os.WriteFile(at("flipped"), b, 0o600))
	must(t, os.Truncate(at("cut"), 2<<20-1))
	must(t, os.Truncate(at("longer"), 2<<20+1))
	must(t, os.Remove(at("gone")))
	f, err := os.OpenFile(at("filled"), os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte{1}, 5<<20)
	must(t, err)
	must(t, f.Close())
	must(t, os.Remove(at("link")))
	must(t, os.Symlink("good", at("link")))
	check("flipped", "cut", "longer", "gone", "filled", "link")
}

func TestReadBack_Cancel(t *testing.T) {
	h, dir := newTestHost(t), t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), testtree.Bytes(3, 1<<20), 0o600))
	h.backup(dir)
	out := t.TempDir()
	h.restore(h.restoreSpec(dir, out))
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := h.system.ReadBack(ctx, h.restoreSpec(dir, out)); err == nil {
		t.Error("it went on")
	}
}

// Holes of the target are not read: a sparse file of a terabyte is compared in a moment.
func TestReadBack_Holes(t *testing.T) {
	h, dir := newTestHost(t), t.TempDir()
	name := filepath.Join(dir, "sparse")
	must(t, os.WriteFile(name, testtree.Bytes(3, 1<<20), 0o600))
	must(t, os.Truncate(name, 8<<30))
	h.backup(dir)
	out := t.TempDir()
	h.restore(h.restoreSpec(dir, out))
	before := bytesRead(t)
	r, err := h.system.ReadBack(t.Context(), h.restoreSpec(dir, out))
	must(t, err)
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
	must(t, err)
	_, err = fmt.Sscanf(string(b), "rchar: %d", &n)
	must(t, err)
	return n
}

// Where a target knows no holes all of one must be read, which may take hours.
func TestZeros_Cancel(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	must(t, err)
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	if zero, err := zeros(ctx, f, 0, 1<<40, make([]byte, 1)); err != nil || !zero {
		t.Errorf("%v, %v", zero, err)
	}
	cancel()
	if _, err := zeros(ctx, f, 0, 1<<40, make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
