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
	m := events.NewMeter(w, time.Now())
	every, show := drawEvery, func(now time.Time) {
		s.out.draw(progressLine(m, now, terminalWidth(s.out.stderr)))
	}
	if s.out.json {
		every, show = eventEvery, func(now time.Time) { s.out.event(m.Event(now)) }
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

// progressLine is what a terminal of this width shows; it never wraps.
func progressLine(m *events.Meter, now time.Time, width int) string {
	left := m.Measure(now)
	p, total := m.Progress, m.Progress.TotalKnown.Load()
	var b strings.Builder
	if total && p.BytesTotal.Load() > 0 {
		drawPart(&b, min(1, float64(p.BytesDone.Load())/float64(p.BytesTotal.Load())), width)
	}
	if phase := p.Phase.Load(); phase != nil && *phase != "" {
		b.WriteString(*phase + "  ")
	}
	plus := map[bool]string{true: "", false: "+"}[total] // more to come
	unit := "files"
	if u := p.Unit.Load(); u != nil {
		unit = *u
	}
	fmt.Fprintf(&b, "%s/%s%s %s", words.Count(p.FilesDone.Load()),
		words.Count(p.FilesTotal.Load()), plus, unit)
	// The size of a stream is unknown, so more may be done than the total says.
	done, all := p.BytesDone.Load(), p.BytesTotal.Load()
	if bytes := words.Size(done); done > 0 || all > 0 || !total {
		if total || all >= done {
			bytes += "/" + words.Size(all) + plus
		}
		fmt.Fprintf(&b, "  %s  %s/s", bytes, words.Size(int64(m.Rate())))
	}
	if left >= 0 {
		fmt.Fprintf(&b, "  %s left", words.Clock(left))
	}
	if n := p.Errors.Load(); n > 0 {
		b.WriteString("  " + words.Plural(n, "error", "errors"))
	}
	if d := m.Waiting(now); d > 0 {
		b.WriteString("  store not responding for " + words.Lasting(d) + ", retrying")
	} else if cur := p.Current.Load(); cur != nil && *cur != "" {
		b.WriteString("  " + tail(words.Printable(*cur), width-3-columns(b.String())))
	}
	return fit(b.String(), width-1) // the last column makes some terminals wrap
}

// drawPart draws how much is done, with a bar where there is room.
func drawPart(b *strings.Builder, part float64, width int) {
	if width >= barFrom {
		fill := int(part * barWidth)
		fmt.Fprintf(b, "[%s%s] ", strings.Repeat("=", fill), strings.Repeat(" ", barWidth-fill))
	}
	fmt.Fprintf(b, "%3.0f %%  ", part*100)
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
