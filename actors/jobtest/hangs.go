package jobtest

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// HangTime is how long a call of a test may take before it counts as one that hangs.
const HangTime = 200 * time.Millisecond

// Hang is a call that does not return until the test has ended.
type Hang struct {
	once   sync.Once
	began  chan struct{}
	resume chan struct{}

	mu     sync.Mutex
	warned []string
}

// NewHang makes one. Whoever calls Call is let go when the test ends.
func NewHang(t testing.TB) *Hang {
	h := &Hang{began: make(chan struct{}), resume: make(chan struct{})}
	t.Cleanup(func() { close(h.resume) })
	return h
}

// Call does not return.
func (h *Hang) Call() {
	h.once.Do(func() { close(h.began) })
	<-h.resume
}

// Warn takes the warnings of the job.
func (h *Hang) Warn(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.warned = append(h.warned, text)
}

// Ends holds that a job ends, when it is cancelled while the call hangs, and that it
// has said without what.
func (h *Hang) Ends(t testing.TB, cancel func(error), run func() error, says string) {
	t.Helper()
	why := errors.New("enough")
	go func() {
		<-h.began
		cancel(why)
	}()
	ended := make(chan error, 1)
	go func() { ended <- run() }()
	select {
	case err := <-ended:
		if !errors.Is(err, why) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the job waits for a call that never returns")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, text := range h.warned {
		if strings.Contains(text, says) && strings.Contains(text, "is not responding") {
			return
		}
	}
	t.Errorf("no warning about %q: %q", says, h.warned)
}
