// Package words writes numbers, sizes, times and names as people read them. What a
// program reads has them in full.
package words

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Count writes a number with commas: 1,204.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural writes "1 file", "2 files".
func Plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

// Size writes bytes with two or three digits and a binary unit: 41 MiB, 1.2 GiB.
func Size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f /= 1024; f < 9.95 {
			return fmt.Sprintf("%.1f %s", f, unit)
		} else if f < 1023.5 {
			return fmt.Sprintf("%.0f %s", f, unit)
		}
	}
	return fmt.Sprintf("%.1f PiB", f/1024)
}

// Lasting writes how long something lasts, in words: 12 s, 3 min 5 s, 1 h 2 min.
func Lasting(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600 && s%60 == 0:
		return fmt.Sprintf("%d min", s/60)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s/60%60 == 0:
		return fmt.Sprintf("%d h", s/3600)
	default:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	}
}

// Clock writes a time that is left or was taken: 12 s, 3:05, 1:02:03.
func Clock(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	default:
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
}

// Took writes how long something lasted.
func Took(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return Clock(d)
}

// Day writes a time of long ago.
func Day(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// Moment writes a time to the second.
func Moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// UTF8 replaces bytes that are not UTF-8 by Go escapes, such as \xff.
func UTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if _, n := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Printable replaces what would act on a terminal, line ends included, by Go escapes, and so
// bytes that are not UTF-8.
func Printable(s string) string {
	s = UTF8(s)
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.IndexFunc(s, odd) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if odd(r) {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// MaxLine is how long a message may be, in bytes: two paths of the greatest length that
// Linux opens fit in. A store can name paths of 64 KiB, and say so for each entry.
const MaxLine = 10 << 10

// Cut shortens what is too long in its middle.
func Cut(s string) string {
	if len(s) <= MaxLine {
		return s
	}
	const end = 2 << 10
	return s[:MaxLine-end] + fmt.Sprintf("[%d bytes more]", len(s)-MaxLine) + s[len(s)-end:]
}

// Verdict says how many problems were found.
func Verdict(found int64) string {
	if found == 0 {
		return "no damage found"
	}
	return Plural(found, "problem", "problems") + " found"
}
