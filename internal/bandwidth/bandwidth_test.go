package bandwidth

import (
	"testing"
	"time"

	"vaultik/internal/fuzzbound"
)

const (
	k = int64(1 << 10)
	m = int64(1 << 20)
)

func TestParse_Rates(t *testing.T) {
	for _, c := range []struct {
		text string
		want Rate
	}{
		{"off", Rate{}}, {"OFF", Rate{}}, {"off:off", Rate{}},
		{"2M", Rate{2 * m, 2 * m}}, {" 2m ", Rate{2 * m, 2 * m}}, {"2MiB", Rate{2 * m, 2 * m}},
		{"512K:10M", Rate{512 * k, 10 * m}}, {"off:1G", Rate{0, 1 << 30}}, {"1.5M:off", Rate{3 * m / 2, 0}}, {"1k", Rate{k, k}},
	} {
		s, err := Parse(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := s.At(time.Now()); got != c.want {
			t.Errorf("%q: %v, want %v", c.text, got, c.want)
		}
		if s.Off() != (c.want == Rate{}) {
			t.Errorf("%q: Off %v", c.text, s.Off())
		}
		if again, err := Parse(s.String()); err != nil || again.At(time.Now()) != c.want {
			t.Errorf("%q is written as %q: %v", c.text, s.String(), err)
		}
	}
	if s := (Schedule{}); !s.Off() || s.String() != "off" || s.At(time.Now()) != (Rate{}) {
		t.Error("the zero value is a limit")
	}
}

func TestParse_Refused(t *testing.T) {
	for _, text := range []string{
		"", " ", "2", "0", "2M:", ":2M", "2M:3M:4M", "2X", "2MB", "2B", "M", "-2M", "+2M", "1e3K", "0x2M", "infM", "nanM", "1_0M", "2 M",
		"1", "0.5K", "99999999T", "2M,", ",2M", "08:00,2M 18:00", "8,2M", "25:00,2M", "08:60,2M", "08:00,2M,3M", "08:00", "08:00,",
		"08:00,2M 08:00,3M", "Mon-08:00,1M 08:00,2M", "Foo-08:00,1M", "-08:00,1M", "Mon-Fri-08:00,1M", "08:00:00,2M",
	} {
		if s, err := Parse(text); err == nil {
			t.Errorf("%q is taken for %v", text, s.week)
		}
	}
}

// 2026-10-04 is a Sunday.
func TestSchedule_At(t *testing.T) {
	for _, c := range []struct {
		text, when string
		want       Rate
	}{
		{"08:00,2M 18:00,off", "2026-10-04 08:00", Rate{2 * m, 2 * m}},
		{"08:00,2M 18:00,off", "2026-10-04 17:59", Rate{2 * m, 2 * m}},
		{"08:00,2M 18:00,off", "2026-10-04 18:00", Rate{}},
		{"08:00,2M 18:00,off", "2026-10-04 07:59", Rate{}}, // of Saturday evening
		{"18:00,off 08:00,2M:1M", "2026-10-09 12:00", Rate{2 * m, m}},
		{"08:00,2M", "2026-10-07 03:00", Rate{2 * m, 2 * m}},
		{"Mon-08:00,1M fri-18:00,off Saturday-23:00,2M", "2026-10-04 12:00", Rate{2 * m, 2 * m}},
		{"Mon-08:00,1M fri-18:00,off Saturday-23:00,2M", "2026-10-05 07:59", Rate{2 * m, 2 * m}},
		{"Mon-08:00,1M fri-18:00,off Saturday-23:00,2M", "2026-10-05 08:00", Rate{m, m}},
		{"Mon-08:00,1M fri-18:00,off Saturday-23:00,2M", "2026-10-10 22:00", Rate{}},
		{"Mon-08:00,1M 20:00,off", "2026-10-05 19:59", Rate{m, m}},
		{"Mon-08:00,1M 20:00,off", "2026-10-06 09:00", Rate{}},
	} {
		s, err := Parse(c.text)
		if err != nil {
			t.Fatalf("%q: %v", c.text, err)
		}
		at, err := time.ParseInLocation("2006-01-02 15:04", c.when, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.At(at); got != c.want {
			t.Errorf("%q at %s: %v, want %v", c.text, c.when, got, c.want)
		}
		if s.Off() || s.String() != c.text {
			t.Errorf("%q: Off %v, String %q", c.text, s.Off(), s)
		}
	}
}

// What is accepted has a rate at any time that is no nonsense, and comes back the
// same after it was written.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"off", "2M", "512K:10M", "off:1.5G", "08:00,2M 18:00,off", "Mon-08:00,1M Sat-00:00,off 12:30,1M:2M", "", "8,2M", "99999999T", "Foo-08:00,1M"} {
		f.Add(s, int64(1_700_000_000))
	}
	f.Fuzz(func(t *testing.T, text string, sec int64) {
		var s Schedule
		var err error
		fuzzbound.Check(t, 256<<10+100*int64(len(text)), func() { s, err = Parse(text) })
		if err != nil {
			return
		}
		again, err := Parse(s.String())
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, s.String(), err)
		}
		for _, when := range []time.Time{time.Unix(sec%(1<<40), 0).UTC(), time.Unix(0, 0).UTC()} {
			r := s.At(when)
			if r.Up < 0 || r.Down < 0 || again.At(when) != r || s.Off() && r != (Rate{}) {
				t.Fatalf("%q at %v: %v, then %v", text, when, r, again.At(when))
			}
		}
	})
}
