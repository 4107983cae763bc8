package words

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü 漢": "plain ü 漢", "a\nb": `a\nb`, "\x1b[31m": `\x1b[31m`, "\xff/": `\xff/`, "\u202eabc": `\u202eabc`, "\x00": `\x00`,
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	if s := strings.Repeat("x", MaxLine); Cut(s) != s {
		t.Error("what fits was cut")
	}
	long := "begin" + strings.Repeat("x", 3*MaxLine) + "end"
	if got := Cut(long); len(got) > MaxLine+30 || !strings.HasPrefix(got, "beginx") ||
		!strings.HasSuffix(got, "xend") || !strings.Contains(got, "[20488 bytes more]") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\xc3\x28\x1b\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x1b") || Printable(got) != got {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func TestWords(t *testing.T) {
	for in, want := range map[int64]string{0: "0", 999: "999", 1204: "1,204", 1234567: "1,234,567",
		-1000: "-1,000"} {
		if got := Count(in); got != want {
			t.Errorf("count %d: %s", in, got)
		}
	}
	for in, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB",
		41 << 20: "41 MiB", 1288490189: "1.2 GiB",
		1<<20 - 1: "1.0 MiB", 1 << 62: "4096.0 PiB", 10 << 10: "10 KiB"} {
		if got := Size(in); got != want {
			t.Errorf("size %d: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[time.Duration]string{0: "0 s", 12*time.Second +
		400*time.Millisecond: "12 s", 185 * time.Second: "3:05", 3723 * time.Second: "1:02:03"} {
		if got := Clock(in); got != want {
			t.Errorf("clock %v: %s", in, got)
		}
	}
	if Plural(1, "file", "files") != "1 file" || Plural(0, "file", "files") != "0 files" {
		t.Error("plural")
	}
}

func TestLasting(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 1400 * time.Millisecond: "1 s", 59 * time.Second: "59 s",
		15 * time.Minute: "15 min", 123 * time.Second: "2 min 3 s",
		time.Hour: "1 h", 65 * time.Minute: "1 h 5 min", 30 * 24 * time.Hour: "720 h",
	} {
		if got := Lasting(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
