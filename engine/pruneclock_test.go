package engine

import (
	"strings"
	"testing"
	"time"
)

// Nothing is deleted while the store's clock and this machine's differ: one of them has jumped.
func TestClockError(t *testing.T) {
	here := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for by, wrong := range map[time.Duration]bool{
		0: false, 59 * time.Minute: false, -time.Hour: false, 61 * time.Minute: true,
		-96 * time.Hour: true, 96 * time.Hour: true,
	} {
		err := clockError(here.Add(by), here)
		if (err != nil) != wrong || wrong && !strings.Contains(Explain(err).Hint, "set the clock") {
			t.Errorf("%v apart: %v", by, err)
		}
	}
	if err := clockError(time.Time{}, here); err != nil {
		t.Errorf("a store without times: %v", err)
	}
}
