//go:build !portable

package fs

import (
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
)

// Longer than the kernel takes in one call, deeper than descriptors are held.
func TestRoundTrip_deep(t *testing.T) {
	testsize.Long(t)
	t.Parallel()
	src, dst := t.TempDir(), t.TempDir()
	var b strings.Builder
	path := ""
	for i := range 300 {
		path += strings.Repeat("d", 20+i%30) + "/"
		if i%7 == 0 {
			b.WriteString("file " + path + "z text=" + strings.Repeat("x", i+1) + "\n")
			b.WriteString("symlink " + path + "a z\n")
		}
	}
	b.WriteString("file " + path + "last size=200000 data=100000:5:7")
	if len(path) < 2*unix.PathMax {
		t.Fatal("not deep enough")
	}
	tree := testtree.Make(t, src, b.String())
	for _, p := range copyTree(t, src, dst, TargetOptions{}) {
		t.Error(p)
	}
	count := 0
	if err := Walk(t.Context(), []string{dst}, WalkOptions{}, func(it WalkItem) error {
		if !it.Implied {
			count++
		}
		return it.Err
	}); err != nil || count != len(tree)+1 {
		t.Errorf("restored %d of %d: %v", count, len(tree)+1, err)
	}
	equal(t, src, dst)
}

// However long the paths of directories in each other are together, a walk does
// not hold them all.
func TestWalk_DeepMemory(t *testing.T) {
	testsize.Long(t)
	const levels = 1500
	top, name := t.TempDir(), strings.Repeat("d", 40)
	fd, err := openat(unix.AT_FDCWD, top, searchFlags, 0)
	for range levels {
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkdirat(fd, name, 0o700); err != nil {
			t.Fatal(err)
		}
		var next int
		next, err = openat(fd, name, searchFlags, 0)
		closeFD(fd)
		fd = next
	}
	closeFD(fd)

	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	seen, deepest := 0, ""
	if err := Walk(t.Context(), []string{top}, WalkOptions{}, func(it WalkItem) error {
		if it.Implied {
			return it.Err
		}
		if seen++; seen == levels+1 {
			deepest = it.Path
			runtime.GC()
			runtime.ReadMemStats(&now)
		}
		return it.Err
	}); err != nil {
		t.Fatal(err)
	}
	if want := top[1:] + strings.Repeat("/"+name, levels); deepest != want {
		t.Fatalf("%d entries, the last of %d bytes, not %d", seen, len(deepest), len(want))
	}
	// All paths are 46 MB, the deepest one is 60 KB.
	if held := int64(now.HeapAlloc) - int64(before.HeapAlloc); held > 4<<20 {
		t.Errorf("%d bytes are held at the bottom", held)
	}
}
