// Package fuzzbound limits the memory of fuzz targets. A decoder that allocates what
// some bytes claim, before it has seen that many, lets an attacker end the process; a
// target that only waits for a crash does not notice.
package fuzzbound

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

// Check calls fn, which must be able to run again, and fails if it allocates more
// than limit bytes, counting all that it takes, also what it gives back at once.
func Check(t testing.TB, limit int64, fn func()) {
	t.Helper()
	before := roughly()
	fn()
	if roughly()-before <= limit {
		return
	}
	// Others allocate too, and what counts quickly counts late. The least of some
	// exact measurements is what fn needs.
	least := exactly(fn)
	for range 2 {
		if least > limit {
			least = min(least, exactly(fn))
		}
	}
	if least > limit {
		t.Fatalf("%d bytes were allocated, more than %d", least, limit)
	}
}

// roughly counts the bytes allocated so far, except small ones of late. Unlike
// runtime.ReadMemStats it stops nothing, so it can be asked 100,000 times a second.
func roughly() int64 {
	sample := [1]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample[:])
	return int64(sample[0].Value.Uint64())
}

func exactly(fn func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}
