package index

import (
	"maps"
	"reflect"
	"testing"

	"vaultik/vault/blob"
	"vaultik/vault/layout"
)

// What sets use, and how many bytes blobs have, is there again after the index was closed. A
// blob that is gone, or whose number another one has by now, is left out; one that is written
// again in part keeps what is known of it.
func TestIndex_Uses(t *testing.T) {
	r := newSource(t)
	x := open(t, t.TempDir()+"/index")
	stored := []StoredBlob{r.stored(3), r.stored(2), r.stored(1)}
	stored[2].Part = true
	nums := write(t, x, &Batch{Blobs: stored})
	a, b := r.set(), r.set()
	long := []Use{{nums[0], 5, 20_000}} // takes several pieces
	for range 60_000 {
		long = append(long, Use{nums[1], 1 << 30, 0})
	}
	want := map[layout.SetID][]Use{a: long, b: {{nums[2], 0, 0}}}
	write(t, x, &Batch{Uses: []UseRow{{a, nil}, {b, want[b]}}})
	write(t, x, &Batch{Uses: []UseRow{{a, want[a]}}})
	write(t, x, &Batch{Blobs: []StoredBlob{{Info: stored[0].Info, Part: true}}})
	for range 2 {
		for i, s := range stored {
			raw := int64(0)
			for _, row := range s.Rows {
				raw += int64(row.Len)
			}
			if s.Part {
				raw = 0
			}
			if got := x.Raw(nums[i]); got != raw {
				t.Errorf("blob %d: %d bytes, not %d", i, got, raw)
			}
		}
		if got := x.Uses(); !maps.EqualFunc(got, want, func(a, b []Use) bool {
			return reflect.DeepEqual(a, b)
		}) {
			t.Errorf("uses of %d sets: %v", len(got), got[b])
		}
		x = reopen(t, x)
	}
	if err := x.DropBlobs([]blob.Name{stored[0].Name}); err != nil {
		t.Fatal(err)
	}
	if got := x.Uses(); len(got[a]) != len(long)-1 || x.Raw(nums[0]) != 0 {
		t.Errorf("%d uses and %d bytes, after a blob was dropped", len(got[a]), x.Raw(nums[0]))
	}
	if _, err := x.Write(&Batch{Uses: []UseRow{{b, []Use{{nums[0], 1, 0}}}}}); err != nil ||
		x.Uses()[b] != nil || x.Stats().Skipped != 1 {
		t.Errorf("a row with a blob that is gone: %v, %v", x.Uses()[b], err)
	}
}
