package events

import "time"

// Meter turns the counters of a [Work] into a rate and a forecast. One goroutine uses it.
type Meter struct {
	Work
	began     time.Time
	last      time.Time
	lastBytes int64
	rate      float64
}

// NewMeter is a meter of work that begins now.
func NewMeter(w Work, now time.Time) *Meter { return &Meter{Work: w, began: now, last: now} }

// Rate is in bytes a second, smoothed over some seconds.
func (m *Meter) Rate() float64 { return m.rate }

// Measure updates the rate; it returns the time left, negative if that is unknown.
func (m *Meter) Measure(now time.Time) time.Duration {
	done := m.Progress.BytesDone.Load()
	if dt := now.Sub(m.last).Seconds(); dt > 0 {
		cur := float64(done-m.lastBytes) / dt
		// A plain mean at first, then of about 5 s.
		weight := min(1, max(dt/5, dt/now.Sub(m.began).Seconds()))
		m.rate += weight * (cur - m.rate)
		m.last, m.lastBytes = now, done
	}
	left := m.Progress.BytesTotal.Load() - done
	if !m.Progress.TotalKnown.Load() || m.rate < 1 || left < 0 {
		return -1
	}
	return time.Duration(float64(left) / m.rate * float64(time.Second))
}

// Event is how far the work is now.
func (m *Meter) Event(now time.Time) Progress {
	left, p := m.Measure(now), m.Progress
	ev := Progress{Type: "progress", FilesDone: p.FilesDone.Load(), FilesTotal: p.FilesTotal.Load(),
		BytesDone: p.BytesDone.Load(), BytesTotal: p.BytesTotal.Load(),
		BytesRead: p.BytesRead.Load(),
		Stored:    p.Stored.Load(), Errors: p.Errors.Load(), TotalKnown: p.TotalKnown.Load(),
		Seconds: now.Sub(m.began).Seconds()}
	if phase := p.Phase.Load(); phase != nil {
		ev.Phase = *phase
	}
	if cur := p.Current.Load(); cur != nil {
		ev.PathText = PathOf(*cur)
	}
	if left >= 0 {
		s := left.Seconds()
		ev.Left = &s
	}
	return ev
}
