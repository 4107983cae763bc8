package fuzzbound

import (
	"runtime"
	"testing"
)

var sink []byte

// recorder is a test that notes its failure.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Fatalf(string, ...any) { r.failed = true; runtime.Goexit() }

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		take   int
		limit  int64
		failed bool
	}{{0, 0, false}, {1 << 20, 2 << 20, false}, {4 << 20, 2 << 20, true}, {100, 1 << 20, false}} {
		r := &recorder{TB: t}
		done := make(chan bool)
		go func() {
			defer close(done)
			Check(r, c.limit+16<<10, func() { sink = make([]byte, c.take) }) // other goroutines take some
		}()
		<-done
		if r.failed != c.failed {
			t.Errorf("%d bytes under a limit of %d: failed %v", c.take, c.limit, r.failed)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for b.Loop() {
		Check(b, 1<<30, func() {})
	}
}
