package page

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

var cutKey = [32]byte{1, 2, 3}

// somePaths makes n paths in order, from a seed.
func somePaths(seed uint64, n int) []string {
	r := rand.New(rand.NewPCG(seed, 0))
	paths := []string{"."}
	for range n - 1 {
		paths = append(paths, fmt.Sprintf("home/d%02x/f%08x", r.IntN(64), r.Uint32()))
	}
	slices.SortFunc(paths, Compare)
	return slices.Compact(paths)
}

var idHash = NewCutter([32]byte{9})

// someID makes an id of a text; tests that use it do not run beside each other.
func someID(s string) chunk.ID { return chunk.ID(idHash.Hash(s)) }

func leafItems(paths []string) []Item {
	items := make([]Item, len(paths))
	for i, p := range paths {
		items[i] = Item{Last: p, Entries: 3, Ref: Ref{ID: someID(p), Span: blob.Span{FrameLen: 1, Len: 1}}}
	}
	return items
}

// The cuts of version 1 do not change either.
func TestCutter_Golden(t *testing.T) {
	cut := NewCutter(cutKey)
	if got, want := hex.EncodeToString(cut.Hash("etc/hosts").slice()), "f24ed8b2a5cc02cea6ef955c2d6e0de8ca1a5efd6576e2b59a1704a62330cec2"; got != want {
		t.Errorf("hash: got %s, want %s", got, want)
	}
	sum := BranchDigest([]Item{{Last: "a", Entries: 1, Ref: Ref{ID: chunk.ID{1}}}, {Last: "b", Entries: 2, Ref: Ref{ID: chunk.ID{2}}}})
	if got, want := hex.EncodeToString(sum[:]), "c6a45c4e6d5d95d01c16adba3c34f558b882a0776cac34425709be29050de19b"; got != want {
		t.Errorf("branch digest: got %s, want %s", got, want)
	}
	ends := 0
	for i := range 1 << 14 {
		if cut.ListEnds(chunk.ID{byte(i), byte(i >> 8)}, chunk.ID{7}, 1) {
			ends++
		}
	}
	if ends != 74 { // 64 expected of any key
		t.Errorf("list: got %d ends in 16384", ends)
	}
}

func (h PathHash) slice() []byte { return h[:] }

func TestPathHash_Ends(t *testing.T) {
	h := PathHash{0, 1, 0}
	for level, want := range map[int]bool{0: true, 1: false, 2: true, 31: true, 32: false, 99: false} {
		if h.Ends(level) != want {
			t.Errorf("level %d: got %v", level, !want)
		}
	}
}

// cutLeaves cuts entries into leaves. The runs are parts of entries.
func cutLeaves(entries []Entry, cut *Cutter) [][]Entry {
	run := cut.Run(0)
	return cutAfter(entries, func(i int) bool { return run.Add(entries[i].Path) })
}

func TestCutLeaves_Sizes(t *testing.T) {
	paths := somePaths(1, 50_000)
	entries := make([]Entry, len(paths))
	for i, p := range paths {
		entries[i].Path = p
	}
	runs := cutLeaves(entries, NewCutter(cutKey))
	for i, run := range runs {
		if n := len(run); n < 1 || n > MaxItems {
			t.Errorf("leaf %d: %d entries", i, n)
		}
	}
	if n := len(runs); n < 150 || n > 250 { // 256 entries on average, less what MaxItems cuts
		t.Errorf("%d leaves of %d entries", n, len(paths))
	}
	if joined := slices.Concat(runs...); !reflect.DeepEqual(joined, entries) {
		t.Error("the leaves are not the entries")
	}
}

func TestCutBranch_Rules(t *testing.T) {
	items, cut := leafItems(somePaths(2, 20_000)), NewCutter(cutKey)
	for level := 1; level <= 2; level++ {
		runs := CutBranch(items, level, cut)
		for i, run := range runs {
			n := len(run)
			byHash := cut.Hash(run[n-1].Last).Ends(level)
			if n > MaxItems || i < len(runs)-1 && (n < 2 || n < MaxItems && !byHash) {
				t.Errorf("level %d branch %d: %d items, ends by hash: %v", level, i, n, byHash)
			}
			for k := 1; k < n-1; k++ {
				if cut.Hash(run[k].Last).Ends(level) {
					t.Errorf("level %d branch %d does not end at item %d", level, i, k)
				}
			}
		}
		if !reflect.DeepEqual(slices.Concat(runs...), items) {
			t.Error("the branches are not the items")
		}
	}
}

// A page ends at 1 MiB of paths, so that whatever fits in entries fits in a page.
func TestRun_LongPaths(t *testing.T) {
	var entries []Entry
	quotes := strings.Repeat(`"`, 4095)
	for i := range MaxItems {
		entries = append(entries, Entry{Path: fmt.Sprintf("%s/%05d", quotes, i), Type: Symlink, Target: quotes,
			Xattrs: []Xattr{{Name: "a", Value: make([]byte, 3000)}}})
	}
	for _, run := range cutLeaves(entries, NewCutter(cutKey)) {
		if _, err := EncodeLeaf(nil, run); err != nil {
			t.Errorf("%d entries: %v", len(run), err)
		}
	}
}

// An entry more or less changes the leaves around it and no others.
func TestCutLeaves_Local(t *testing.T) {
	cut := NewCutter(cutKey)
	paths := somePaths(3, 20_000)
	leaves := func(paths []string) map[string]bool {
		entries := make([]Entry, len(paths))
		for i, p := range paths {
			entries[i].Path = p
		}
		seen := map[string]bool{}
		for _, run := range cutLeaves(entries, cut) {
			seen[run[0].Path+"\x00"+run[len(run)-1].Path] = true
		}
		return seen
	}
	before := leaves(paths)
	for i := 100; i < len(paths); i += 997 {
		changed := 0
		for leaf := range leaves(slices.Delete(slices.Clone(paths), i, i+1)) {
			if !before[leaf] {
				changed++
			}
		}
		if changed > 4 { // one or two; more only where runs of MaxItems move
			t.Errorf("without entry %d: %d new leaves", i, changed)
		}
	}
}

func TestBranchDigest_Differs(t *testing.T) {
	base := leafItems([]string{"a", "b", "c"})
	sum := BranchDigest(base)
	for name, change := range map[string]func([]Item) []Item{
		"last path": func(x []Item) []Item { x[1].Last = "bb"; return x },
		"id":        func(x []Item) []Item { x[1].Ref.ID[31]++; return x },
		"count":     func(x []Item) []Item { x[1].Entries++; return x },
		"fewer":     func(x []Item) []Item { return x[:2] },
		"place":     func(x []Item) []Item { x[0].Ref.Span.FrameOff++; return x },
		"blob":      func(x []Item) []Item { x[0].Ref.Blob = &blob.Info{Name: blob.Name{1}}; return x },
	} {
		if BranchDigest(change(slices.Clone(base))) == sum {
			t.Errorf("%s: the same digest", name)
		}
	}
}

func someRefs(n int) []Ref {
	refs := make([]Ref, n)
	for i := range refs {
		refs[i] = Ref{ID: someID(fmt.Sprint(i)), Span: blob.Span{FrameOff: uint32(i), FrameLen: 1, Len: uint32(1 + i%100)}}
		if i%9 == 8 {
			refs[i] = Ref{Hole: 1 << 16}
		}
	}
	return refs
}

func TestCutLists_Rules(t *testing.T) {
	cut := NewCutter(cutKey)
	for _, n := range []int{1, 16, 17, 64, 65, 1024, 5000, 30_000} {
		refs := someRefs(n)
		runs := CutLists(refs, 0, cut)
		for i, run := range runs {
			if len(run) > MaxItems || i < len(runs)-1 && len(run) < minList {
				t.Errorf("list page of %d references", len(run))
			}
		}
		if !slices.Equal(slices.Concat(runs...), refs) {
			t.Errorf("%d references: the pages are not the references", n)
		}
	}
}
