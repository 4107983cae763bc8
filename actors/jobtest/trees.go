package jobtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vaultik/internal/testtree"
	"vaultik/internal/treecmp"
)

// SameTree fails unless both directories are the same in all that can be compared.
func SameTree(t testing.TB, a, b string, ignore ...treecmp.Kind) {
	t.Helper()
	r, err := treecmp.Compare(t.Context(), a, b, treecmp.Options{Ignore: ignore})
	Must(t, err)
	for i, d := range r.Differences {
		if i == 20 {
			t.Errorf("and %d more", len(r.Differences)-i)
			break
		}
		t.Error(d)
	}
}

// MakeOdd makes a tree of all kinds of entries, but sockets, which are never restored.
func MakeOdd(t testing.TB, dir string, seed uint64, nodes int) {
	t.Helper()
	tree := testtree.Random(seed, testtree.RandomOptions{Nodes: nodes})
	tree = slices.DeleteFunc(tree, func(n testtree.Node) bool { return n.Kind == testtree.Socket })
	MakeTree(t, tree, dir)
}

func NoTemps(t *testing.T, dir string) {
	t.Helper()
	Must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if strings.Contains(p, ".vaultik-tmp-") {
			t.Errorf("left behind: %s", p)
		}
		return err
	}))
}
