// Package arena gives out large buffers that the garbage collector neither scans
// nor counts. A program whose buffers are most of its memory would otherwise need
// a good part of them again as room for garbage.
package arena

import (
	"slices"
	"sync"
	"unsafe"

	"vaultik/internal/platform"
)

// Arena owns the buffers of one job. Safe for many goroutines.
type Arena struct {
	mu     sync.Mutex
	maps   [][]byte
	closed bool
}

// Make returns size zero bytes. Memory is taken from the system when it is first
// touched. Where the system has no mapping to give, the collector's heap serves.
func (a *Arena) Make(size int) []byte {
	if size <= 0 {
		return nil
	}
	b, err := platform.Map(size)
	if err != nil {
		return make([]byte, size)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		panic("arena: used after Close")
	}
	a.maps = append(a.maps, b)
	return b
}

// Free returns a buffer to the system before the arena is closed. Nothing may use it
// any more. What Make did not give out is left alone.
func (a *Arena) Free(b []byte) {
	if cap(b) == 0 {
		return
	}
	first := unsafe.SliceData(b)
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, m := range a.maps {
		if unsafe.SliceData(m) == first {
			a.maps = slices.Delete(a.maps, i, i+1)
			_ = platform.Unmap(m) // cannot fail for what Map returned
			return
		}
	}
}

// Close returns everything to the system. Nothing may use the buffers any more:
// a job closes its arena when its last actor has ended.
func (a *Arena) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, b := range a.maps {
		_ = platform.Unmap(b) // cannot fail for what Map returned
	}
	a.maps = nil
}
