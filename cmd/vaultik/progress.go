package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"vaultik/engine/events"
	"vaultik/internal/words"
	"vaultik/messages"
)

const (
	drawEvery  = 200 * time.Millisecond // often enough for the eye
	eventEvery = time.Second            // --json

	barFrom  = 110 // columns of a terminal that leave room for a bar
	barWidth = 20
)

// Watch shows how a part of a job comes on until the returned function is called: a line
// on a terminal, with --json objects, else (and with -q) nothing.
func (s *session) Watch(w events.Work) (stop func()) {
	width := terminalWidth(s.out.stderr)
	if s.out.quiet || width == 0 && !s.out.json {
		return func() {}
	}
	m := &meter{p: w.Progress, began: time.Now(), waiting: w.Waiting}
	m.last = m.began
	every, show := drawEvery, func(now time.Time) { s.out.draw(m.line(now, terminalWidth(s.out.stderr))) }
	if s.out.json {
		every, show = eventEvery, func(now time.Time) { s.out.event(m.event(now)) }
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				show(now)
			case <-done:
				s.out.draw("")
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// terminalWidth is the width of w in columns, 0 if it is no terminal.
func terminalWidth(w any) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		return 80
	}
	return width
}

// draw puts line where the last one stood; "" removes it.
func (o *output) draw(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if line == o.drawn {
		return
	}
	o.clear()
	if line != "" {
		fmt.Fprint(o.stderr, line)
		o.drawn = line
	}
}

// meter turns counters into a rate and a forecast. One goroutine uses it.
type meter struct {
	p         *messages.Progress
	began     time.Time
	last      time.Time
	lastBytes int64
	rate      float64 // bytes a second, smoothed over some seconds
	waiting   func(now time.Time) time.Duration
}

// measure updates the rate; it returns the time left, negative if unknown.
func (m *meter) measure(now time.Time) time.Duration {
	done := m.p.BytesDone.Load()
	if dt := now.Sub(m.last).Seconds(); dt > 0 {
		cur := float64(done-m.lastBytes) / dt
		weight := min(1, max(dt/5, dt/now.Sub(m.began).Seconds())) // a plain mean at first, then of about 5 s
		m.rate += weight * (cur - m.rate)
		m.last, m.lastBytes = now, done
	}
	left := m.p.BytesTotal.Load() - done
	if !m.p.TotalKnown.Load() || m.rate < 1 || left < 0 {
		return -1
	}
	return time.Duration(float64(left) / m.rate * float64(time.Second))
}

// line is what a terminal of this width shows; it never wraps.
func (m *meter) line(now time.Time, width int) string {
	left := m.measure(now)
	p, total := m.p, m.p.TotalKnown.Load()
	var b strings.Builder
	if total && p.BytesTotal.Load() > 0 {
		part := min(1, float64(p.BytesDone.Load())/float64(p.BytesTotal.Load()))
		if width >= barFrom {
			fill := int(part * barWidth)
			fmt.Fprintf(&b, "[%s%s] ", strings.Repeat("=", fill), strings.Repeat(" ", barWidth-fill))
		}
		fmt.Fprintf(&b, "%3.0f %%  ", part*100)
	}
	if phase := p.Phase.Load(); phase != nil && *phase != "" {
		b.WriteString(*phase + "  ")
	}
	plus := map[bool]string{true: "", false: "+"}[total] // more to come
	bytes := words.Size(p.BytesDone.Load())              // more than the total is where nobody knows the total: of a stream
	if all := p.BytesTotal.Load(); total || all >= p.BytesDone.Load() {
		bytes += "/" + words.Size(all) + plus
	}
	fmt.Fprintf(&b, "%s/%s%s files  %s  %s/s", words.Count(p.FilesDone.Load()), words.Count(p.FilesTotal.Load()), plus, bytes, words.Size(int64(m.rate)))
	if left >= 0 {
		fmt.Fprintf(&b, "  %s left", words.Clock(left))
	}
	if n := p.Errors.Load(); n > 0 {
		fmt.Fprintf(&b, "  %s errors", words.Count(n))
	}
	if d := m.waiting(now); d > 0 {
		b.WriteString("  the store fails, waiting for " + words.Lasting(d))
	} else if cur := p.Current.Load(); cur != nil && *cur != "" {
		b.WriteString("  " + tail(words.Printable(*cur), width-3-columns(b.String())))
	}
	return fit(b.String(), width-1) // the last column makes some terminals wrap
}

func (m *meter) event(now time.Time) events.Progress {
	left, p := m.measure(now), m.p
	ev := events.Progress{Type: "progress", FilesDone: p.FilesDone.Load(), FilesTotal: p.FilesTotal.Load(),
		BytesDone: p.BytesDone.Load(), BytesTotal: p.BytesTotal.Load(), BytesRead: p.BytesRead.Load(),
		Stored: p.Stored.Load(), Errors: p.Errors.Load(), TotalKnown: p.TotalKnown.Load(), Seconds: now.Sub(m.began).Seconds()}
	if phase := p.Phase.Load(); phase != nil {
		ev.Phase = *phase
	}
	if cur := p.Current.Load(); cur != nil {
		ev.PathText = events.PathOf(*cur)
	}
	if left >= 0 {
		s := left.Seconds()
		ev.Left = &s
	}
	return ev
}

// columns is how wide s is at most: a rune beyond Latin may take two.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if r >= 0x300 {
		return 2
	}
	return 1
}

// fit cuts s to so many columns.
func fit(s string, limit int) string {
	used := 0
	for i, r := range s {
		if used += runeColumns(r); used > limit {
			return s[:i]
		}
	}
	return s
}

// tail keeps the end of a path, which tells more than its beginning; "" where
// hardly anything of it would be left.
func tail(s string, limit int) string {
	if columns(s) <= limit {
		return s
	}
	if limit < 8 {
		return ""
	}
	for i, r := range s {
		if rest := s[i+utf8.RuneLen(r):]; columns(rest) <= limit-3 {
			return "..." + rest
		}
	}
	return ""
}
