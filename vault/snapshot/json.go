package snapshot

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"fmt"
)

// Version is the format that this package writes, and the highest it reads.
const Version = 1

// maxDepth bounds how deep values are nested; this format needs four levels.
const maxDepth = 32

// maxValues bounds the values in a document of n bytes. Each takes a few dozen
// bytes of memory, and {} only two of the document; what this format holds in
// numbers, names and sums, takes more than 16 bytes each.
func maxValues(n int) int { return 1<<16 + n/16 }

// maxInt is the highest integer that every JSON reader keeps exactly.
const maxInt = 1<<53 - 1

// Header begins every object. Encoding fills it in.
type Header struct {
	Type     string   `json:"type"`
	V        int      `json:"v"`
	Required []string `json:"required"` // what a reader must understand beyond V
}

func newHeader(kind string) Header {
	return Header{Type: kind, V: Version, Required: []string{}}
}

// marshal writes one line with its newline.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return buf.Bytes(), nil
}

// headed is an object with its header.
type headed interface{ header() *Header }

func (h *Header) header() *Header { return h }

// unmarshal reads one JSON object of this kind strictly.
func unmarshal(line []byte, kind string, dst headed) error {
	if err := checkJSON(line); err != nil {
		return err
	}
	malformed := json.Unmarshal(line, dst)
	h := dst.header()
	if malformed != nil { // which a newer version may have to be
		h = new(Header)
		if err := json.Unmarshal(line, h); err != nil {
			return damaged("malformed header")
		}
	}
	switch {
	case h.Type != kind:
		return damaged("it is a %.40q, not a %q", h.Type, kind)
	case h.V < 1:
		return damaged("it has no version")
	case h.V > Version:
		return fmt.Errorf("%w: it has version %d, this program reads up to %d", ErrNewerFormat, h.V, Version)
	case len(h.Required) > 0:
		return fmt.Errorf("%w: it requires %.200q", ErrNewerFormat, strings.Join(h.Required, " "))
	}
	if malformed != nil {
		return damaged("%w", malformed)
	}
	return nil
}

// checkJSON refuses what encoding/json would let pass: keys that occur twice
// or differ only in case, text that is not UTF-8, and very many tiny values.
func checkJSON(b []byte) error {
	if !utf8.Valid(b) {
		return damaged("not UTF-8")
	}
	if !json.Valid(b) {
		return damaged("not JSON")
	}
	var stack []map[string]struct{} // nil: an array
	key := false                    // the next string is one
	left := maxValues(len(b))
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[', ',':
			if left--; left < 0 {
				return damaged("it has too many values")
			}
		}
		switch b[i] {
		case '{', '[':
			if len(stack) == maxDepth {
				return damaged("nested too deeply")
			}
			key = b[i] == '{'
			var seen map[string]struct{}
			if key {
				seen = make(map[string]struct{})
			}
			stack = append(stack, seen)
		case '}', ']':
			stack, key = stack[:len(stack)-1], false
		case ',':
			key = stack[len(stack)-1] != nil
		case '"':
			end := stringEnd(b, i)
			if key {
				if err := addKey(stack[len(stack)-1], b[i+1:end]); err != nil {
					return err
				}
				key = false
			}
			i = end
		}
	}
	return nil
}

// stringEnd returns the index of the quote that ends the string that begins at i.
func stringEnd(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i
}

func addKey(seen map[string]struct{}, key []byte) error {
	for _, c := range key {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return damaged("key %.40q is not of a-z, 0-9 and _", key)
		}
	}
	if _, twice := seen[string(key)]; twice {
		return damaged("key %.40q occurs twice", key)
	}
	seen[string(key)] = struct{}{}
	return nil
}

// tuple reads an array of exactly these values.
func tuple(b []byte, dst ...any) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil || len(raw) != len(dst) {
		return fmt.Errorf("want an array of %d", len(dst))
	}
	for i := range dst {
		if err := json.Unmarshal(raw[i], dst[i]); err != nil || string(raw[i]) == "null" {
			return fmt.Errorf("value %d of an array is malformed", i+1)
		}
	}
	return nil
}

// list makes a nil slice an empty one, which JSON writes as [] and not as null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// seconds is how precisely this format tells times of its own.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// whole reports whether n is a size that is above zero and exact in JSON.
func whole(n int64) bool { return n > 0 && n <= maxInt }
