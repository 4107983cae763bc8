package oddtree_test

import (
	"path/filepath"
	"testing"

	"vaultik/internal/oddtree"
	"vaultik/internal/testsize"
	"vaultik/internal/treecmp"
)

// The same seed makes the same tree; another seed another one.
func TestMake_same(t *testing.T) {
	testsize.Long(t)
	t.Parallel()
	top := t.TempDir()
	a, b, c := filepath.Join(top, "a"), filepath.Join(top, "b"), filepath.Join(top, "c")
	for dir, seed := range map[string]uint64{a: 1, b: 1, c: 2} {
		leftOut, err := oddtree.Make(dir, oddtree.Options{Small: true, Deeper: true, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range leftOut {
			t.Log("left out:", what)
		}
	}
	r, err := treecmp.Compare(t.Context(), a, b, treecmp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Differences {
		t.Error(d)
	}
	if r, err = treecmp.Compare(t.Context(), a, c, treecmp.Options{}); err != nil || len(r.Differences) < 100 {
		t.Errorf("another seed: %d differences, %v", len(r.Differences), err)
	}
	if _, err := oddtree.Make(a, oddtree.Options{}); err == nil {
		t.Error("made a tree in a directory that is not empty")
	}
}
