package s3

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"vaultik/backends"
	"vaultik/internal/testserver"
)

// A server that lists its names in no order is sorted here, over any number of pages, and
// what it does is known to all handles of the store.
func TestList_Unsorted(t *testing.T) {
	s, u := newOdd(t)
	b := openOdd(t, u)
	var want []string
	for i := range 2300 {
		key := fmt.Sprintf("k/%04d", i)
		want = append(want, key)
		if err := put(t.Context(), b, key, "x"); err != nil {
			t.Fatal(err)
		}
	}
	s.Be(testserver.Oddity{Order: func(names []string) {
		r := rand.New(rand.NewPCG(1, 2))
		r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	}})
	list, err := backends.List(t.Context(), b, "")
	var got []string
	for _, o := range list {
		got = append(got, o.Key)
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d names, %v, sorted %v", len(got), err, slices.IsSorted(got))
	}
	other := openOdd(t, u)
	if info, err := other.Info(t.Context()); err != nil || info.Sorted {
		t.Errorf("said to list in order: %v, %v", info.Sorted, err)
	}
}
