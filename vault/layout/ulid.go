package layout

import (
	"crypto/rand"
	"time"
)

// ulidDigits is Crockford's base 32 in lower case: no i, l, o, u.
const ulidDigits = "0123456789abcdefghjkmnpqrstvwxyz"

// NewULID returns a name of 26 lowercase digits that sorts by time: 48 bits of
// milliseconds, then 80 random bits (github.com/ulid/spec).
func NewULID(now time.Time) string {
	var raw [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		raw[i] = byte(ms >> (40 - 8*i))
	}
	_, _ = rand.Read(raw[6:])

	// 26 digits of 5 bits are 130 bits: the two highest are zero.
	var out [26]byte
	for i := range out {
		var v byte
		for b := range 5 {
			bit := 5*i + b - 2
			v <<= 1
			if bit >= 0 {
				v |= raw[bit/8] >> (7 - bit%8) & 1
			}
		}
		out[i] = ulidDigits[v]
	}
	return string(out[:])
}

// ValidULID reports whether s has the form of [NewULID]'s names.
func ValidULID(s string) bool {
	if len(s) != 26 || s[0] > '7' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'z' && c != 'i' && c != 'l' && c != 'o' && c != 'u':
		default:
			return false
		}
	}
	return true
}
