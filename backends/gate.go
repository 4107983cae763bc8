package backends

import "sync"

// Gate lets a backend close while calls run: it counts them in and out. The zero
// value is open. For those who write backends.
type Gate struct {
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// Enter begins a call; each that returned nil must be followed by Leave.
// Afterwards Close waits for it. ErrClosed once Close was called.
func (g *Gate) Enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	g.running.Add(1)
	return nil
}

// Leave ends a call.
func (g *Gate) Leave() { g.running.Done() }

// Close refuses new calls and waits for those that run. It reports whether it was
// the first: only then there is something to release.
func (g *Gate) Close() bool {
	g.mu.Lock()
	first := !g.closed
	g.closed = true
	g.mu.Unlock()
	g.running.Wait()
	return first
}
