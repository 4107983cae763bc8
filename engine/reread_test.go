package engine

import (
	"math/rand/v2"
	"testing"

	"vaultik/internal/testsize"
)

// Law: on whatever days a set is backed up, after each backup every path has been read
// within the last N days, counted from the first backup that ended well; and none is read
// again and again.
func TestReread(t *testing.T) {
	t.Parallel()
	for seed := range testsize.Seeds(t, 50) {
		r := rand.New(rand.NewPCG(seed, 0x7265))
		set := &backupSet{rereadDays: 1 + r.IntN(40)}
		n := int64(set.rereadDays)
		paths := make([][16]byte, 50)
		for i := range paths {
			for k := range paths[i] {
				paths[i][k] = byte(r.IntN(256))
			}
		}
		read, times := map[[16]byte]int64{}, map[[16]byte]int64{}
		last, day, first := int64(0), int64(20000), int64(0)
		for range 100 {
			due := set.reread(false, last, day)
			ends := r.IntN(5) > 0 // else the run is interrupted, and the next reads the same
			for _, p := range paths {
				if due != nil && due(p) {
					read[p] = day
					if ends {
						times[p]++
					}
				}
				if first > 0 && day >= first+n && read[p] <= day-n {
					t.Fatalf("seed %d: day %d: %x was read on day %d, more than %d days ago", seed, day, p, read[p], n)
				}
			}
			if due != nil && ends {
				last = day
				if first == 0 {
					first = day
				}
			}
			day += int64(r.IntN(4) * r.IntN(4))
		}
		for p, k := range times {
			if most := 2 * ((day-20000)/n + 2); k > most {
				t.Errorf("seed %d: %x was read %d times in %d days", seed, p, k, day-20000)
			}
		}
		if set.reread(false, day, day) != nil || set.reread(false, day+5, day) != nil {
			t.Errorf("seed %d: read twice on a day, or in the past", seed)
		}
	}
	set := &backupSet{rereadDays: 10}
	due := 0
	for day := int64(20000); day < 20010; day++ {
		for p := range 256 {
			if set.reread(false, day-1, day)([16]byte{7: byte(p)}) {
				due++
			}
		}
	}
	if due != 256 {
		t.Errorf("%d of 256 paths were read in ten days", due)
	}
	if (&backupSet{}).reread(false, 0, 20000) != nil {
		t.Error("a set without reread reads something again")
	}
}
