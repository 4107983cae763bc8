package plan

import (
	"testing"
	"time"

	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// inventoryOf has an object of each of these sizes.
func inventoryOf(t *testing.T, sizes ...int64) *Inventory {
	t.Helper()
	v := NewInventory()
	h := v.Host(layout.NewHostID())
	for i, size := range sizes {
		if _, err := v.AddBlob(0, h, snapshot.BlobSize{Name: sum(i), Size: size}); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func count(v *Inventory, c Choice) (n int) {
	for i := range v.Len() {
		if c(i) {
			n++
		}
	}
	return n
}

// Every object is in exactly one part, and in the same one when others are there.
func TestInventory_Part(t *testing.T) {
	v := inventoryOf(t, make([]int64, 1000)...)
	fewer := inventoryOf(t, make([]int64, 100)...)
	for _, of := range []uint64{1, 2, 30} {
		in := make([]uint64, v.Len())
		for part := uint64(1); part <= of; part++ {
			chosen, few := v.Part(part, of), fewer.Part(part, of)
			for i := range v.Len() {
				if chosen(i) {
					if in[i] != 0 {
						t.Fatalf("object %d is in parts %d and %d of %d", i, in[i], part, of)
					}
					in[i] = part
				}
				if i < fewer.Len() && few(i) != chosen(i) {
					t.Fatalf("object %d of part %d of %d depends on the others", i, part, of)
				}
			}
			if n := count(v, chosen); n < v.Len()/int(of)/2 || n > 2*v.Len()/int(of) {
				t.Errorf("part %d of %d has %d of %d objects", part, of, n, v.Len())
			}
		}
		for i, part := range in {
			if part == 0 {
				t.Fatalf("object %d is in no part of %d", i, of)
			}
		}
	}
}

func TestInventory_Sample(t *testing.T) {
	r := newRand(t)
	v := inventoryOf(t, make([]int64, 1000)...)
	often := make([]int, v.Len())
	for range 200 {
		c := v.Sample(0.05, r)
		if n := count(v, c); n != 50 {
			t.Fatalf("5 %% of %d are %d", v.Len(), n)
		}
		for i := range often {
			if c(i) {
				often[i]++
			}
		}
	}
	for i, n := range often {
		if n == 0 || n > 40 { // 10 on the average
			t.Errorf("object %d was chosen %d times of 200", i, n)
		}
	}
	for _, c := range []struct {
		objects int
		share   float64
		want    int
	}{{0, 1, 0}, {3, 0.001, 1}, {3, 1, 3}, {7, 0.5, 4}} {
		v := inventoryOf(t, make([]int64, c.objects)...)
		if n := count(v, v.Sample(c.share, r)); n != c.want {
			t.Errorf("%v of %d objects: %d, not %d", c.share, c.objects, n, c.want)
		}
	}
}

func TestInventory_Due(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name  string
		sizes []int64
		days  []float64 // ages
		want  []int     // chosen
	}{
		{"nothing there", nil, nil, nil},
		{"all just read", []int64{5, 5, 5}, []float64{0, 0, 0}, nil},
		{"evenly spread", []int64{1, 1, 1, 1, 1}, []float64{8, 6, 4, 2, 0}, nil},
		{"a fifth later", []int64{1, 1, 1, 1, 1}, []float64{10, 8, 6, 4, 2}, []int{0}},
		{"all at once a fifth ago", []int64{1, 1, 1, 1, 1}, []float64{2, 2, 2, 2, 2}, []int{0}},
		{"longest ago first", []int64{1, 1, 1, 1, 1}, []float64{2, 10, 4, 6, 8}, []int{1}},
		{"overdue", []int64{9, 1, 1}, []float64{0, 11, 12}, []int{1, 2}},
		{"all overdue", []int64{9, 1, 1}, []float64{30, 11, 12}, []int{0, 1, 2}},
		{"one that is large", []int64{100, 1}, []float64{2, 0}, nil},
		{"and half due", []int64{100, 1}, []float64{6, 0}, []int{0}},
	} {
		v := inventoryOf(t, c.sizes...)
		chosen := v.Due(func(i int) time.Duration {
			return time.Duration(c.days[i] * float64(day))
		}, 10*day)
		want := map[int]bool{}
		for _, i := range c.want {
			want[i] = true
		}
		for i := range c.sizes {
			if chosen(i) != want[i] {
				t.Errorf("%s: object %d chosen: %v", c.name, i, chosen(i))
			}
		}
	}
}
