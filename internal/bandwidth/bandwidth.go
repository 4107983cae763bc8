// Package bandwidth reads how fast a store may be used: "2M", "2M:10M" (up:down),
// "off", or a timetable of these, "08:00,2M 18:00,off". It stands below both the
// configuration, which checks it, and package limit, which obeys it.
package bandwidth

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Min is the slowest limit, in bytes a second: below it no transfer would be seen
// to move.
const Min = 1 << 10

// Rate is bytes a second in both directions; 0 is no limit.
type Rate struct{ Up, Down int64 }

// Schedule says which rate holds when. The zero value is no limit, ever.
type Schedule struct {
	text string
	week []entry // by minute, each in force until the next; the last one also before the first
}

type entry struct {
	minute int // of the week, from Sunday 00:00 local time
	rate   Rate
}

const day = 24 * 60 // minutes

// Parse reads a limit or a timetable. Units are K, M, G (1024 each), with or
// without "iB", bytes a second; a bare number is refused, since programs do not
// agree on what it means. An entry of a timetable is [Day-]HH:MM,LIMIT, Day of
// Sun, Mon, ...; without one it holds every day.
func Parse(text string) (Schedule, error) {
	text = strings.TrimSpace(text)
	s := Schedule{text: text}
	if text == "" {
		return s, fmt.Errorf("the limit is empty; write off for none")
	}
	if !strings.Contains(text, ",") {
		r, err := parseRate(text)
		if err != nil {
			return Schedule{}, err
		}
		if r != (Rate{}) {
			s.week = []entry{{0, r}}
		}
		return s, nil
	}
	for _, field := range strings.Fields(text) {
		list, err := parseEntry(field)
		if err != nil {
			return Schedule{}, err
		}
		s.week = append(s.week, list...)
	}
	slices.SortStableFunc(s.week, func(a, b entry) int { return cmp.Compare(a.minute, b.minute) })
	for i := range s.week[1:] {
		if m := s.week[i].minute; m == s.week[i+1].minute {
			return Schedule{}, fmt.Errorf("%s %02d:%02d occurs twice in the timetable", time.Weekday(m/day), m%day/60, m%60)
		}
	}
	return s, nil
}

// parseEntry reads one entry of a timetable, as one for each day that it holds.
func parseEntry(field string) ([]entry, error) {
	when, limit, ok := strings.Cut(field, ",")
	if !ok {
		return nil, fmt.Errorf("%q is not an entry of a timetable; write it like 08:00,2M", field)
	}
	rate, err := parseRate(limit)
	if err != nil {
		return nil, err
	}
	first, last := 0, 6
	if name, rest, ok := strings.Cut(when, "-"); ok {
		if first, err = parseDay(name); err != nil {
			return nil, err
		}
		last, when = first, rest
	}
	clock, err := time.Parse("15:04", when)
	if err != nil {
		return nil, fmt.Errorf("%q is not a time of day; write it like 08:00", when)
	}
	var out []entry
	for d := first; d <= last; d++ {
		out = append(out, entry{d*day + clock.Hour()*60 + clock.Minute(), rate})
	}
	return out, nil
}

func parseDay(name string) (int, error) {
	for d := range 7 {
		if full := time.Weekday(d).String(); strings.EqualFold(name, full) || strings.EqualFold(name, full[:3]) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%q is not a day; write it like Mon-08:00", name)
}

// parseRate reads LIMIT or UP:DOWN.
func parseRate(s string) (r Rate, err error) {
	up, down, both := strings.Cut(s, ":")
	if r.Up, err = parseLimit(up); err != nil {
		return Rate{}, err
	}
	if r.Down = r.Up; both {
		r.Down, err = parseLimit(down)
	}
	return r, err
}

var units = map[string]float64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

func parseLimit(s string) (int64, error) {
	if strings.EqualFold(s, "off") {
		return 0, nil
	}
	low := strings.ToLower(s)
	number := strings.TrimRight(low, "bikmgt")
	n, err := strconv.ParseFloat(number, 64)
	unit := units[strings.TrimSuffix(low[len(number):], "ib")]
	switch {
	case err != nil || strings.Trim(number, "0123456789.") != "":
		return 0, fmt.Errorf("%q is not a limit; write it like 512K, 2M, 2M:10M (up:down) or off", s)
	case unit == 0:
		return 0, fmt.Errorf("%q has no unit that is known; write it like 512K, 2M or 1G, bytes a second", s)
	case n*unit < Min:
		return 0, fmt.Errorf("%q is too slow: at least 1K, or off for no limit", s)
	case n*unit > math.MaxInt32<<16:
		return 0, fmt.Errorf("%q is too fast to be a limit; write off", s)
	}
	return int64(n * unit), nil
}

// At is the rate in force at t, by its clock and zone.
func (s Schedule) At(t time.Time) Rate {
	if len(s.week) == 0 {
		return Rate{}
	}
	now := int(t.Weekday())*day + t.Hour()*60 + t.Minute()
	in := s.week[len(s.week)-1]
	for _, e := range s.week {
		if e.minute > now {
			break
		}
		in = e
	}
	return in.rate
}

// Off reports whether there is no limit, ever.
func (s Schedule) Off() bool {
	return !slices.ContainsFunc(s.week, func(e entry) bool { return e.rate != Rate{} })
}

// String is what was parsed, "off" for the zero value.
func (s Schedule) String() string {
	if s.text == "" {
		return "off"
	}
	return s.text
}
