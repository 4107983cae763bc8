package prunemodel

import (
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// within is in how many histories each rule that is left out must break something.
const within = 2000

// first returns the lowest seed below n whose history breaks something; n: none does.
func first(n uint64, weak weakness) (seed uint64, steps int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	next, found := uint64(0), n
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				mu.Lock()
				seed, done := next, next >= found
				next++
				mu.Unlock()
				if done {
					return
				}
				some, err := history(seed, weak, nil)
				mu.Lock()
				steps += some
				if err != nil {
					found = min(found, seed)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return found, steps
}

// trace is what happened in a history.
func trace(seed uint64, weak weakness) string {
	var told strings.Builder
	_, _ = history(seed, weak, &told)
	return told.String()
}

// No history breaks what the protocol promises. SEEDS says how many, and SEED tells one.
func TestHistories(t *testing.T) {
	if seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		t.Log(trace(seed, weakness{}))
		return
	}
	n, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64)
	if err != nil {
		n = 1000
	}
	if race {
		n = 10
	}
	seed, steps := first(n, weakness{})
	if seed < n {
		t.Fatalf("%s\nrepeat it with SEED=%d make model", trace(seed, weakness{}), seed)
	}
	t.Logf("%d histories, %d calls of the store: none broken", n, steps)
}

// weaknesses are those of one rule each.
func weaknesses() func(func(weakness) bool) {
	return func(yield func(weakness) bool) {
		for i := range reflect.TypeFor[weakness]().NumField() {
			var w weakness
			v := reflect.ValueOf(&w).Elem().Field(i)
			*(*bool)(v.Addr().UnsafePointer()) = true
			if !yield(w) {
				return
			}
		}
	}
}

// Each rule is needed: without it, something breaks.
func TestWeakened(t *testing.T) {
	if race {
		t.Skip("one goroutine at a time works on a history")
	}
	for weak := range weaknesses() {
		t.Run(weak.String(), func(t *testing.T) {
			seed, _ := first(within, weak)
			if seed == within {
				t.Fatalf("nothing breaks in %d histories", within)
			}
			told := trace(seed, weak)
			t.Logf("seed %d: %s", seed, told[strings.LastIndex(told, "BROKEN"):])
		})
	}
}
