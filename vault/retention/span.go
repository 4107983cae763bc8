package retention

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	day     = 24 * time.Hour
	maxSpan = 36600 * day // a hundred years: no limit in practice, and no overflow
)

// spanUnits are the longest that their names can mean, so that nothing goes early. There is
// no m: it is a month for restic and a minute for the other settings.
var spanUnits = map[string]time.Duration{
	"h": time.Hour, "d": day, "w": 7 * day, "mo": 31 * day, "y": 366 * day,
}

// ParseSpan reads a time such as 36h, 30d, 8w, 6mo, 1y or 1y6mo: hours, days of 24 hours,
// weeks, months of 31 days and years of 366 days, added up. It is over 0 and at most a hundred
// years.
func ParseSpan(s string) (time.Duration, error) {
	var sum time.Duration
	for rest := s; rest != "" || sum == 0; {
		number := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
		rest = rest[len(number):]
		unit := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))]
		rest = rest[len(unit):]
		n, err := strconv.ParseInt(number, 10, 32)
		switch length := spanUnits[unit]; {
		case err == nil && unit == "m":
			return 0, fmt.Errorf("%q: m may be minutes or months; write months as mo, like 6mo", s)
		case err != nil || length == 0 || n == 0:
			return 0, fmt.Errorf("%q is not a time; write it like 36h, 30d, 8w, 6mo or 1y", s)
		case n > int64((maxSpan-sum)/length):
			return 0, fmt.Errorf("%q is more than a hundred years; to keep all of them, give a "+
				"number instead: unlimited", s)
		default:
			sum += time.Duration(n) * length
		}
	}
	return sum, nil
}

// FormatSpan writes days and hours as [ParseSpan] reads them. Parts of an hour are lost.
func FormatSpan(d time.Duration) string {
	var s string
	if n := d / day; n > 0 {
		s = fmt.Sprintf("%dd", n)
	}
	if n := d % day / time.Hour; n > 0 || s == "" {
		s += fmt.Sprintf("%dh", n)
	}
	return s
}
