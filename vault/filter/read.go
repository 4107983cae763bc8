package filter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// maxFile bounds a file of patterns, in bytes.
const maxFile = 64 << 20

// Read reads a file of patterns: one a line, without the space around it. Empty
// lines and those that begin with # are left out; a pattern that begins with # is
// written \#. $NAME and ${NAME} stand for variables, which lookup knows (os.LookupEnv,
// say), and $$ for a $; ~ is left to the caller. A byte order mark is left out, and
// UTF-16 with one is understood.
//
// name is for messages and the patterns' sources. Errors: Errors for lines that
// cannot be expanded, or that of the reader. The patterns are not checked.
func Read(name string, r io.Reader, lookup func(string) (string, bool)) ([]Pattern, error) {
	lines, _, err := readLines(name, r, maxFile, maxPatterns)
	if err != nil {
		return nil, err
	}
	var bad Errors
	for i := range lines {
		text, reason := Expand(lines[i].Text, lookup)
		if reason != "" {
			bad = append(bad, &Error{lines[i], reason})
		}
		lines[i].Text = text
	}
	if len(bad) > 0 {
		return nil, bad
	}
	return lines, nil
}

// readLines reads a file of patterns without changing them, at most so many bytes and
// patterns, and returns its size.
func readLines(name string, r io.Reader, maxBytes, maxLines int) (out []Pattern, size int, err error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(maxBytes)+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read patterns from %s: %w", name, err)
	}
	if len(data) > maxBytes {
		return nil, 0, fmt.Errorf("read patterns from %s: it is larger than %d MiB", name, maxBytes>>20)
	}
	number := 0
	for line := range strings.SplitSeq(decode(data), "\n") {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if len(out) == maxLines {
			return nil, 0, fmt.Errorf("read patterns from %s: it has more than %d", name, maxLines)
		}
		out = append(out, Pattern{line, fmt.Sprintf("%s:%d", name, number)})
	}
	return out, len(data), nil
}

// Expand puts in the variables of a pattern; reason says why it cannot. What a
// variable holds is part of the pattern: a * in it has its meaning.
func Expand(s string, lookup func(string) (string, bool)) (text, reason string) {
	const noName = "a $ must begin a variable's name; write $$ for a literal $"
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			return b.String(), ""
		}
		name, after := variable(rest)
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			s = rest[1:]
		case isName(name):
			v, ok := lookup(name)
			if !ok {
				return "", fmt.Sprintf("the variable %s is not set; write $$ for a literal $", name)
			}
			b.WriteString(v)
			s = after
		case rest == "" || name == "" && strings.IndexByte("{*#@!?-", rest[0]) < 0:
			b.WriteByte('$') // as in a shell
			s = rest
		default:
			return "", noName
		}
	}
}

// variable cuts the name of a variable, with or without braces, off what follows a $.
func variable(s string) (name, rest string) {
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		name, rest, ok = strings.Cut(inner, "}")
		if !ok {
			return "", s
		}
		return name, rest
	}
	n := 0
	for n < len(s) && isName("_"+s[n:n+1]) {
		n++
	}
	return s[:n], s[n:]
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// decode takes off a byte order mark, and makes UTF-8 of UTF-16.
func decode(b []byte) string {
	if rest, ok := bytes.CutPrefix(b, []byte("\xef\xbb\xbf")); ok {
		return string(rest)
	}
	var order binary.ByteOrder = binary.LittleEndian
	rest, ok := bytes.CutPrefix(b, []byte("\xff\xfe"))
	if !ok {
		order = binary.BigEndian
		if rest, ok = bytes.CutPrefix(b, []byte("\xfe\xff")); !ok {
			return string(b)
		}
	}
	units := make([]uint16, len(rest)/2)
	for i := range units {
		units[i] = order.Uint16(rest[2*i:])
	}
	return string(utf16.Decode(units))
}
