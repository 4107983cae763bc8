package page

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// maxNames is how many attributes one thing can have: Linux lists 64 KiB of their names, each
// with a NUL.
const maxNames = 32 << 10

// SortXattrs puts attributes into the order that a page wants, by name.
func SortXattrs(list []Xattr) {
	slices.SortFunc(list, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
}

// XattrsFit reports whether the attributes are in the entry itself: their JSON is at
// most MaxInlineXattrs bytes. If not, it goes to chunks that Entry.XattrRefs names.
func XattrsFit(list []Xattr) bool {
	n := 0
	for i := range list { // no need to encode what is much too long
		n += len(list[i].Name) + len(list[i].Value)
	}
	return n <= MaxInlineXattrs && len(EncodeXattrs(nil, list)) <= MaxInlineXattrs
}

// EncodeXattrs appends one line of JSON without newline: [["name","base64 of the value"],...],
// and ["","value","base64 of the name"] for a name that is not plain text. The list is sorted;
// more than MaxXattrs bytes cannot be read back.
func EncodeXattrs(b []byte, list []Xattr) []byte {
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		name := list[i].Name
		text := plain(name)
		b = append(b, '[')
		if text {
			b = appendQuoted(b, name)
		} else {
			b = append(b, `""`...)
		}
		b = append(b, `,"`...)
		b = append(base64.StdEncoding.AppendEncode(b, list[i].Value), '"')
		if !text {
			b = append(b, `,"`...)
			b = append(base64.StdEncoding.AppendEncode(b, []byte(name)), '"')
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

// DecodeXattrs reads what EncodeXattrs wrote. The error is ErrDamaged.
func DecodeXattrs(b []byte) ([]Xattr, error) {
	if len(b) > MaxXattrs {
		return nil, fmt.Errorf("decode xattrs: %d bytes: %w", len(b), ErrDamaged)
	}
	s := scanner{b: b}
	list := s.xattrs()
	s.end()
	if s.err == nil {
		if problem := xattrsProblem(list); problem != "" {
			s.fail(problem)
		}
	}
	if s.err != nil {
		return nil, fmt.Errorf("decode xattrs: %w", s.err)
	}
	return list, nil
}

func xattrsProblem(list []Xattr) string {
	for i := range list {
		name := list[i].Name
		if name == "" || strings.IndexByte(name, 0) >= 0 {
			return "malformed xattr name"
		}
		if i > 0 && list[i-1].Name >= name {
			return "xattrs are not sorted"
		}
	}
	return ""
}

func (s *scanner) xattrs() (list []Xattr) {
	s.array(func() {
		if len(list) == maxNames {
			s.fail("too many xattrs")
			return
		}
		var fields [3][]byte
		n := 0
		s.array(func() {
			if n == len(fields) {
				s.fail("malformed xattr")
				return
			}
			fields[n] = s.raw()
			n++
		})
		if n < 2 || (n == 3) != (len(fields[0]) == 0) {
			s.fail("malformed xattr")
			return
		}
		x := Xattr{Name: string(fields[0]), Value: s.unbase64(fields[1])}
		if n == 3 {
			x.Name = string(s.unbase64(fields[2]))
		}
		if plain(x.Name) != (n == 2) {
			s.fail("xattr name in the wrong form")
			return
		}
		list = append(list, x)
	})
	return list
}
