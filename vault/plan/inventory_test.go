package plan

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"testing"

	"vaultik/vault/blob"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

func sum(i int) [32]byte { return sha256.Sum256(fmt.Append(nil, i)) }

// Every object is there once, under the name that the store lists, with the
// snapshots that need it.
func TestInventory(t *testing.T) {
	r := newRand(t)
	v := NewInventory()
	hosts := []layout.HostID{layout.NewHostID(), layout.NewHostID()}
	want := map[int][]int{}
	for snap := range 60 {
		host := v.Host(hosts[snap%2])
		if snap >= 2 {
			v.Follows(snap, snap-2)
		}
		note := func(i int, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if l := want[i]; len(l) == 0 || l[len(l)-1] != snap {
				want[i] = append(l, snap)
			}
		}
		note(v.AddRoot(snap, host, snapshot.RootRef{Name: sum(-snap), Size: 7}))
		note(v.AddKey(snap, host, snapshot.KeyRef{Epoch: layout.Epoch{byte(snap / 10)}, N: 3, Size: 9, SHA256: sum(1000 + snap/10)}))
		note(v.AddList(snap, host, snapshot.ListRef{Name: sum(2000 + snap/7), Size: 11, Count: 1}))
		for range 50 {
			n := r.IntN(200)
			note(v.AddBlob(snap, host, snapshot.BlobSize{Name: sum(n), Size: int64(n + 1)}))
		}
	}
	if v.Len() != len(want) || !slices.Equal(v.Hosts(), hosts) {
		t.Fatalf("%d objects, not %d", v.Len(), len(want))
	}
	kinds := map[layout.Kind]int{}
	for i := range v.Len() {
		if got := v.Snapshots(i); !slices.Equal(got, want[i]) {
			t.Errorf("object %d: snapshots %v, not %v", i, got, want[i])
		}
		o, err := layout.Parse(v.Key(i))
		if err != nil {
			t.Fatal(err)
		}
		kinds[o.Kind]++
		if back, ok := v.Find(o); !ok || back != i {
			t.Errorf("%s is object %d, not %d", v.Key(i), back, i)
		}
		if v.IsBlob(i) != (o.Kind == layout.KindBlob) || v.Hosts()[v.HostOf(i)] != o.Host {
			t.Errorf("%s: %+v", v.Key(i), v.At(i))
		}
		switch o.Kind {
		case layout.KindBlob:
			if back, ok := v.FindBlob(v.HostOf(i), blob.Name(o.Sum)); !ok || back != i || v.Sum(i) != o.Sum {
				t.Errorf("%s is blob %d, not %d", v.Key(i), back, i)
			}
		case layout.KindEpochKey:
			if v.Sum(i) != sum(1000+int(o.Epoch[0])) || o.N != 3 {
				t.Errorf("%s has another hash", v.Key(i))
			}
		default:
			if v.Sum(i) != o.Sum {
				t.Errorf("%s has another hash", v.Key(i))
			}
		}
	}
	if kinds[layout.KindRoot] != 60 || kinds[layout.KindEpochKey] != 12 || kinds[layout.KindBlobList] != 18 {
		t.Errorf("%v", kinds)
	}
	for _, o := range []layout.Object{{Kind: layout.KindStore}, {Kind: layout.KindBlob, Host: hosts[0]}, {Kind: layout.KindBlob}} {
		if i, ok := v.Find(o); ok {
			t.Errorf("%+v is object %d", o, i)
		}
	}
}

// What an object takes does not grow with the snapshots that need it, though each snapshot
// adds objects that all later ones need, and snapshots of two chains alternate and share some.
func TestInventory_Small(t *testing.T) {
	v := NewInventory()
	h := v.Host(layout.NewHostID())
	const snapshots = 400
	for snap := range snapshots {
		if snap >= 2 {
			v.Follows(snap, snap-2)
		}
		for n := range snap + 1 {
			if n%2 == snap%2 || n%10 == 0 {
				if _, err := v.AddBlob(snap, h, snapshot.BlobSize{Name: sum(n), Size: 1}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	runs := v.Len()
	for _, more := range v.more {
		runs += len(more)
	}
	if most := snapshots + snapshots/10; runs > most {
		t.Errorf("%d runs, want at most %d", runs, most)
	}
	for n := range snapshots {
		i, _ := v.FindBlob(h, sum(n))
		var want []int
		for snap := n; snap < snapshots; snap++ {
			if n%2 == snap%2 || n%10 == 0 {
				want = append(want, snap)
			}
		}
		if got := v.Snapshots(i); !slices.Equal(got, want) {
			t.Fatalf("blob %d: %v", n, got)
		}
	}
}

// Who needs a list needs its blobs, whichever lists name one, and beside those that name it
// themselves.
func TestInventory_Listed(t *testing.T) {
	r := newRand(t)
	v := NewInventory()
	h := v.Host(layout.NewHostID())
	lists, want := map[int][]int{}, map[int]map[int]bool{}
	need := func(n, snap int) {
		if want[n] == nil {
			want[n] = map[int]bool{}
		}
		want[n][snap] = true
	}
	for snap := range 100 {
		if snap > 0 {
			v.Follows(snap, snap-1)
		}
		for range 4 {
			n := r.IntN(30)
			i, err := v.AddList(snap, h, snapshot.ListRef{Name: sum(1000 + n), Size: 1, Count: 5})
			if err != nil {
				t.Fatal(err)
			}
			if lists[n] == nil {
				for range 5 {
					b := r.IntN(40)
					lists[n] = append(lists[n], b)
					if _, err := v.AddListed(i, h, snapshot.BlobSize{Name: sum(b), Size: 1}); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, b := range lists[n] {
				need(b, snap)
			}
		}
		b := r.IntN(50)
		if _, err := v.AddBlob(snap, h, snapshot.BlobSize{Name: sum(b), Size: 1}); err != nil {
			t.Fatal(err)
		}
		need(b, snap)
	}
	for b, snaps := range want {
		i, ok := v.FindBlob(h, sum(b))
		if got := v.Snapshots(i); !ok || !slices.Equal(got, slices.Sorted(maps.Keys(snaps))) {
			t.Errorf("blob %d: snapshots %v, not %v", b, got, snaps)
		}
	}
	i, _ := v.AddList(99, h, snapshot.ListRef{Name: sum(1), Size: 1, Count: 1})
	for b := range want {
		if _, err := v.AddListed(i, h, snapshot.BlobSize{Name: sum(b), Size: 2}); err == nil {
			t.Fatal("a list names a blob with another size, and nobody is told")
		}
		break
	}
}

func TestInventory_Disagreement(t *testing.T) {
	v := NewInventory()
	h := v.Host(layout.NewHostID())
	for i, size := range []int64{1, 1, 2} {
		if _, err := v.AddBlob(i, h, snapshot.BlobSize{Size: size}); (err != nil) != (size == 2) {
			t.Errorf("size %d: %v", size, err)
		}
	}
	for i := range 2 {
		if _, err := v.AddKey(i, h, snapshot.KeyRef{Size: 1, SHA256: sum(i)}); (err != nil) != (i == 1) {
			t.Errorf("key %d: %v", i, err)
		}
	}
}
