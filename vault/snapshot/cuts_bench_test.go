package snapshot

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// BenchmarkCutBlobLists prints what a year of hourly snapshots costs by where blobs are cut into
// lists, for docs/decisions/bloblists.md. Each hour brings a blob, now and then some more, of
// which half are needed for a day and half for a year. Of the old blobs, groups of four go
// together, as those of a large file.
func BenchmarkCutBlobLists(b *testing.B) {
	for b.Loop() {
		for _, blobs := range []int{16_000, 75_000} {
			for _, perDay := range []int{1, 5, 24} {
				fmt.Print(yearOfCuts(b, blobs, perDay))
			}
		}
	}
}

// cutCost is what one way to cut has cost.
type cutCost struct {
	cuts                           []int
	known                          map[listEnds]bool
	manifests, lists, inline, refs int64 // bytes, bytes, blobs, lists
}

// listEnds tell a list from others: blobs only leave it.
type listEnds struct {
	first, last BlobSize
	n           int
}

// lifeOf is a blob until it is not needed any more.
type lifeOf struct {
	BlobSize
	hours int // that are left
	group int
}

func yearOfCuts(tb testing.TB, blobs, perDay int) string {
	const seeds, year, sample = 4, 365 * 24, 24
	var costs []*cutCost
	for _, cuts := range [][]int{{10}, {10, 5}, {10, 4}, {9, 5}, {9, 4}, {8, 5}, {8, 4}, {7}} {
		costs = append(costs, &cutCost{cuts: cuts, known: map[listEnds]bool{}})
	}
	signer := keys.NewSigner()
	for seed := range seeds {
		rng, names := rand.New(rand.NewPCG(uint64(seed), 1)), rand.NewChaCha8([32]byte{byte(seed)})
		add := func(live []lifeOf, hours, group int) []lifeOf {
			l := lifeOf{BlobSize{Size: 50<<20 + rng.Int64N(14<<20)}, hours, group}
			_, _ = names.Read(l.Name[:])
			return append(live, l)
		}
		var live []lifeOf
		for i := range blobs {
			live = add(live, 100*year, i/4)
		}
		for hour := range year {
			more := 1
			if rng.IntN(10) == 0 {
				more += rng.IntN(6)
			}
			for range more {
				needed := 24.0
				if rng.IntN(2) == 0 {
					needed = year
				}
				live = add(live, 1+int(rng.ExpFloat64()*needed), -1)
			}
			gone := -2
			if rng.IntN(24) < perDay {
				gone = rng.IntN(blobs / 4)
			}
			live = slices.DeleteFunc(live, func(l lifeOf) bool { return l.group == gone })
			needed := make([]BlobSize, 0, len(live))
			for i := range live {
				needed = append(needed, live[i].BlobSize)
				live[i].hours--
			}
			live = slices.DeleteFunc(live, func(l lifeOf) bool { return l.hours < 0 })
			for _, c := range costs {
				c.count(tb, needed, hour%sample == 0, names, signer)
			}
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%d blobs, %d large files a day go\n\n| low bits | bytes a manifest | inline blobs | "+
		"lists named | lists a backup writes | their bytes | lists after a year | their MB |\n"+
		"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n", blobs, perDay)
	for _, c := range costs {
		n := int64(seeds * year)
		fmt.Fprintf(&out, "| %v | %d | %d | %d | %.2f | %d | %d | %.0f |\n", c.cuts,
			c.manifests/(n/sample), c.inline/n, c.refs/n, float64(len(c.known))/float64(n), c.lists/n,
			len(c.known)/seeds, float64(c.lists)/seeds/1e6)
	}
	return out.String()
}

// count adds one snapshot.
func (c *cutCost) count(tb testing.TB, blobs []BlobSize, encode bool, random *rand.ChaCha8,
	signer *keys.Signer) {
	lists, tail := cutBlobLists(blobs, c.cuts)
	c.inline += int64(len(tail))
	c.refs += int64(len(lists))
	m := Manifest{Store: layout.StoreID{1}, Host: layout.HostID{1}, Set: layout.SetID{1}, Seq: 1,
		Time: time.Now(), Root: RootRef{Size: 2000}, Needs: Needs{Blobs: tail, Count: int64(len(blobs)),
			Bytes: TotalSize(blobs)}}
	for _, l := range lists {
		ref := ListRef{Size: int64(120 + 37*len(l)), Count: int64(len(l))}
		if k := (listEnds{l[0], l[len(l)-1], len(l)}); !c.known[k] {
			c.known[k] = true
			c.lists += ref.Size
		}
		_, _ = random.Read(ref.Name[:])
		m.Lists = append(m.Lists, ref)
	}
	if !encode {
		return
	}
	_, _ = random.Read(m.Root.Name[:])
	for range 6 { // of half a year
		k := KeyRef{Size: 1955}
		_, _ = random.Read(k.Epoch[:])
		_, _ = random.Read(k.SHA256[:])
		m.Keys = append(m.Keys, k)
	}
	b, err := EncodeManifest(&m, signer)
	if err != nil {
		tb.Fatal(err)
	}
	c.manifests += int64(len(b))
}
