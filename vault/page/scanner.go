package page

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads one line of strict JSON: no white space between values, keys
// never twice in one object, numbers whole and under 2^53, strings valid UTF-8.
// The first error stays; after it nothing more is read.
type scanner struct {
	b   []byte
	i   int
	err error
}

const (
	maxDepth   = 32  // of values that this version does not know
	maxUnknown = 256 // keys of one object that this version does not know
)

func (s *scanner) fail(problem string) {
	if s.err == nil {
		s.err = fmt.Errorf("%s at byte %d: %w", problem, s.i, ErrDamaged)
	}
	s.i = len(s.b)
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) want(c byte) {
	if !s.take(c) {
		s.fail(fmt.Sprintf("no %q", c))
	}
}

func (s *scanner) end() {
	if s.err == nil && s.i != len(s.b) {
		s.fail("more than one value")
	}
}

// object reads an object. field reads the value of a key that it knows and
// returns the key's number (0 to 63); for others it returns -1 and reads nothing.
func (s *scanner) object(field func(key []byte) int) { s.objectAt(maxDepth, field) }

func (s *scanner) objectAt(depth int, field func(key []byte) int) {
	s.want('{')
	if s.take('}') {
		return
	}
	var seen uint64
	var unknown map[string]struct{}
	for s.err == nil {
		key := s.raw()
		s.want(':')
		if s.err != nil {
			return
		}
		if n := field(key); n >= 0 {
			if seen&(1<<n) != 0 {
				s.fail("key twice")
			}
			seen |= 1 << n
		} else {
			if unknown == nil {
				unknown = make(map[string]struct{})
			}
			if _, twice := unknown[string(key)]; twice || len(unknown) >= maxUnknown {
				s.fail("key twice, or too many keys")
			}
			unknown[string(key)] = struct{}{}
			s.skip(depth - 1)
		}
		if !s.take(',') {
			s.want('}')
			return
		}
	}
}

func (s *scanner) array(value func()) {
	s.want('[')
	if s.take(']') {
		return
	}
	for s.err == nil {
		value()
		if !s.take(',') {
			s.want(']')
			return
		}
	}
}

// skip reads any value.
func (s *scanner) skip(depth int) {
	if depth == 0 {
		s.fail("too deep")
		return
	}
	switch s.peek() {
	case '{':
		s.objectAt(depth, func([]byte) int { return -1 })
	case '[':
		s.array(func() { s.skip(depth - 1) })
	case '"':
		s.raw()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.anyNumber()
	}
}

func (s *scanner) literal(word string) {
	if !bytes.HasPrefix(s.b[s.i:], []byte(word)) {
		s.fail("malformed value")
		return
	}
	s.i += len(word)
}

func (s *scanner) flag() bool {
	if s.peek() == 't' {
		s.literal("true")
		return s.err == nil
	}
	s.literal("false")
	return false
}

// number reads a whole number from 0 to limit.
func (s *scanner) number(limit uint64) uint64 {
	start := s.i
	var n uint64
	for s.i < len(s.b) && s.i-start < 17 {
		c := s.b[s.i] - '0'
		if c > 9 {
			break
		}
		n = n*10 + uint64(c)
		s.i++
	}
	if s.i == start || s.b[start] == '0' && s.i > start+1 || n > limit {
		s.fail("malformed number")
		return 0
	}
	return n
}

// anyNumber reads a number by JSON's rules, for fields that are not known.
func (s *scanner) anyNumber() {
	run := func() {
		start := s.i
		for s.peek()-'0' <= 9 {
			s.i++
		}
		if s.i == start {
			s.fail("malformed value")
		}
	}
	s.take('-')
	if !s.take('0') {
		run()
	}
	if s.take('.') {
		run()
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		run()
	}
}

// raw reads a string; the bytes are part of the line where nothing was escaped.
func (s *scanner) raw() []byte {
	s.want('"')
	start, high := s.i, false
	for s.i < len(s.b) {
		c := s.b[s.i]
		switch {
		case c == '"':
			text := s.b[start:s.i]
			if high && !utf8.Valid(text) {
				s.fail("string is not UTF-8")
				return nil
			}
			s.i++
			return text
		case c == '\\':
			return s.escaped(start)
		case c < 0x20:
			s.fail("control character in a string")
			return nil
		}
		high = high || c >= 0x80
		s.i++
	}
	s.fail("string without end")
	return nil
}

func (s *scanner) escaped(start int) []byte {
	text := append([]byte(nil), s.b[start:s.i]...)
	for s.i < len(s.b) {
		c := s.b[s.i]
		switch {
		case c == '"':
			if !utf8.Valid(text) {
				s.fail("string is not UTF-8")
				return nil
			}
			s.i++
			return text
		case c < 0x20:
			s.fail("control character in a string")
			return nil
		case c != '\\':
			text = append(text, c)
			s.i++
			continue
		}
		s.i++
		switch c := s.peek(); c {
		case '"', '\\', '/':
			text = append(text, c)
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		case 'u':
			text = utf8.AppendRune(text, s.unicode())
			continue
		default:
			s.fail("malformed escape")
			return nil
		}
		s.i++
	}
	s.fail("string without end")
	return nil
}

// unicode reads uXXXX, or a pair of them with a backslash between.
func (s *scanner) unicode() rune {
	r := s.hex4()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if s.take('\\') {
		if pair := utf16.DecodeRune(r, s.hex4()); pair != utf8.RuneError {
			return pair
		}
	}
	s.fail("half a surrogate pair")
	return 0
}

func (s *scanner) hex4() (r rune) {
	s.want('u')
	if len(s.b)-s.i < 4 {
		s.fail("malformed escape")
		return 0
	}
	for range 4 {
		c := s.b[s.i]
		if 'A' <= c && c <= 'F' {
			c += 'a' - 'A'
		}
		if unhex[c] > 15 {
			s.fail("malformed escape")
			return 0
		}
		r = r<<4 | rune(unhex[c])
		s.i++
	}
	return r
}

// hex reads a string of lowercase hex digits that fills dst.
func (s *scanner) hex(dst []byte) {
	text := s.raw()
	if len(text) != 2*len(dst) {
		s.fail("wrong number of hex digits")
		return
	}
	for i := range dst {
		hi, lo := unhex[text[2*i]], unhex[text[2*i+1]]
		if hi > 15 || lo > 15 {
			s.fail("not a hex digit")
			return
		}
		dst[i] = hi<<4 | lo
	}
}

// unhex maps lowercase hex digits to their values and all else to 255.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	return t
}()

var strictBase64 = base64.StdEncoding.Strict()

func (s *scanner) unbase64(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	if bytes.ContainsAny(text, "\r\n") {
		s.fail("malformed base64")
		return nil
	}
	out, err := strictBase64.AppendDecode(nil, text)
	if err != nil {
		s.fail("malformed base64")
		return nil
	}
	return out
}

// text reads the string of a field that has a twin in base64.
func (s *scanner) text() string {
	text := string(s.raw())
	if !plain(text) {
		s.fail("text that belongs in base64")
	}
	return text
}

// text64 reads the string of such a twin.
func (s *scanner) text64() string {
	text := string(s.unbase64(s.raw()))
	if plain(text) {
		s.fail("plain text in base64")
	}
	return text
}
