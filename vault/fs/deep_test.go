//go:build !portable

package fs

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testtree"
)

// Longer than the kernel takes in one call, deeper than descriptors are held.
func TestRoundTrip_deep(t *testing.T) {
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
