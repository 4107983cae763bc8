package plan

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Choice says of objects of an inventory, by their numbers, which are chosen.
type Choice func(i int) bool

// Part chooses the objects of one of some equal parts, the one of number part from 1. It goes
// by their SHA-256: every object is in exactly one part, and stays in it whatever is added or
// deleted.
func (v *Inventory) Part(part, of uint64) Choice {
	return func(i int) bool {
		sum := v.Sum(i)
		return binary.BigEndian.Uint64(sum[:])%of == part-1
	}
}

// Sample chooses a random share of the objects, from 0 to 1; at least one if there are any.
func (v *Inventory) Sample(share float64, r *rand.Rand) Choice {
	chosen := make([]uint64, (v.Len()+63)/64)
	wanted := int(math.Ceil(share * float64(v.Len())))
	for i := range v.Len() {
		if r.IntN(v.Len()-i) < wanted {
			chosen[i/64] |= 1 << (i % 64)
			wanted--
		}
	}
	return func(i int) bool { return chosen[i/64]&(1<<(i%64)) != 0 }
}

// Due chooses the objects that have to be read now for every byte to be read once a period, if
// from now on equal parts are read in equal times: those that were read longest ago, and no more
// of them than it takes for none to become older than the period. age is how long ago an object
// was read.
func (v *Inventory) Due(age func(i int) time.Duration, period time.Duration) Choice {
	order, total := make([]uint32, v.Len()), 0.0
	ages := make([]time.Duration, v.Len())
	for i := range order {
		order[i], ages[i] = uint32(i), age(i)
		total += float64(v.At(i).Size)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(ages[b], ages[a]), cmp.Compare(a, b))
	})
	// At this rate, what has so many bytes before it has its turn when they were read.
	due, before := 0.0, 0.0
	for _, i := range order {
		before += float64(v.At(int(i)).Size)
		left := 1 - float64(ages[i])/float64(period)
		due = max(due, before-total*max(0, left))
	}
	chosen := make([]bool, v.Len())
	for _, i := range order {
		size := float64(v.At(int(i)).Size)
		if due <= 0 || due < size/2 && ages[i] < period { // half of one more or less is as much
			break
		}
		chosen[i] = true
		due -= size
	}
	return func(i int) bool { return chosen[i] }
}
