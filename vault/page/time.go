package page

import (
	"fmt"
	"strconv"
	"time"
)

// Time is a moment to the nanosecond, over the whole range of a file system:
// Sec seconds after 1970 in UTC (before, if negative) and Nsec nanoseconds after
// that, 0 to 999,999,999. Its text is a decimal number of seconds with nine
// digits after the point, as `touch -d @...` takes it: half a second before 1970
// is {-1, 500000000} and "-0.500000000".
type Time struct {
	Sec  int64
	Nsec int32
}

// TimeOf converts from the standard library.
func TimeOf(t time.Time) Time { return Time{Sec: t.Unix(), Nsec: int32(t.Nanosecond())} }

// Time converts to the standard library; moments that it cannot hold come out wrong.
func (t Time) Time() time.Time { return time.Unix(t.Sec, int64(t.Nsec)) }

// IsZero reports whether t is the first moment of 1970, which stands for "not known".
func (t Time) IsZero() bool { return t == Time{} }

// Compare returns -1, 0 or 1 as t is before, at or after u.
func (t Time) Compare(u Time) int {
	switch {
	case t.Sec < u.Sec || t.Sec == u.Sec && t.Nsec < u.Nsec:
		return -1
	case t == u:
		return 0
	}
	return 1
}

func (t Time) valid() bool { return t.Nsec >= 0 && t.Nsec < 1e9 }

func (t Time) String() string { return string(t.append(nil)) }

// MarshalText is String.
func (t Time) MarshalText() ([]byte, error) {
	if !t.valid() {
		return nil, fmt.Errorf("format time: %d nanoseconds: %w", t.Nsec, ErrInvalid)
	}
	return t.append(nil), nil
}

// UnmarshalText is ParseTime.
func (t *Time) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTime(string(b))
	return err
}

func (t Time) append(dst []byte) []byte {
	sec, nsec := uint64(t.Sec), uint64(t.Nsec)
	if t.Sec < 0 {
		dst = append(dst, '-')
		sec = -sec
		if nsec > 0 { // the point counts away from zero
			sec--
			nsec = 1e9 - nsec
		}
	}
	dst = strconv.AppendUint(dst, sec, 10)
	dst = append(dst, '.')
	var digits [9]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + nsec%10)
		nsec /= 10
	}
	return append(dst, digits[:]...)
}

// ParseTime reads what String writes, and nothing else.
func ParseTime(s string) (Time, error) {
	bad := func() (Time, error) {
		return Time{}, fmt.Errorf("parse time %q: want seconds with nine decimals: %w", clip(s), ErrDamaged)
	}
	rest, negative := s, false
	if len(rest) > 0 && rest[0] == '-' {
		rest, negative = rest[1:], true
	}
	point := len(rest) - 10
	if point < 1 || point > 19 || rest[point] != '.' || rest[0] == '0' && point > 1 {
		return bad()
	}
	sec, ok := digits(rest[:point])
	nsec, ok2 := digits(rest[point+1:])
	if !ok || !ok2 {
		return bad()
	}
	switch {
	case !negative && sec < 1<<63:
		return Time{int64(sec), int32(nsec)}, nil
	case negative && nsec == 0 && sec > 0 && sec <= 1<<63:
		return Time{int64(-sec), 0}, nil
	case negative && nsec > 0 && sec < 1<<63:
		return Time{int64(-sec - 1), int32(1e9 - nsec)}, nil
	}
	return bad()
}

// digits reads at most 19 decimal digits.
func digits(s string) (n uint64, ok bool) {
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	return n, true
}

// clip keeps an error line short, whatever the input.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}
