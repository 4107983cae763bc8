package page

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Compare orders paths: by bytes, with '/' before all others and "." (the top)
// before all paths. It returns -1, 0 or 1.
func Compare(a, b string) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	if i == len(a) && i == len(b) {
		return 0
	}
	switch {
	case a == ".":
		if b == "" {
			return 1
		}
		return -1
	case b == ".":
		if a == "" {
			return -1
		}
		return 1
	case i == len(a):
		return -1
	case i == len(b):
		return 1
	case a[i] == '/':
		return -1
	case b[i] == '/':
		return 1
	case a[i] < b[i]:
		return -1
	}
	return 1
}

// Within reports whether path is dir or below it. All paths are within ".".
func Within(dir, path string) bool {
	if dir == "." {
		return path != ""
	}
	return strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

// below reports whether path is below dir, which is not the top.
func below(dir, path string) bool {
	return len(path) > len(dir) && path[len(dir)] == '/' && strings.HasPrefix(path, dir)
}

// CheckPath reports what is wrong with a path: it must be ".", or components
// joined by single slashes, none empty, "." or "..", without NUL, at most
// MaxPath bytes. The error is ErrInvalid.
func CheckPath(p string) error {
	switch {
	case p == ".":
		return nil
	case p == "":
		return fmt.Errorf("check path: empty: %w", ErrInvalid)
	case len(p) > MaxPath:
		return fmt.Errorf("check path %q: %d bytes, more than %d: %w", clip(p), len(p), MaxPath, ErrInvalid)
	}
	start := 0
	for i := 0; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			if p[i] == 0 {
				return fmt.Errorf("check path %q: NUL: %w", clip(p), ErrInvalid)
			}
			continue
		}
		n := i - start
		if n == 0 || n == 1 && p[start] == '.' || n == 2 && p[start:i] == ".." {
			return fmt.Errorf("check path %q: component %q: %w", clip(p), p[start:i], ErrInvalid)
		}
		start = i + 1
	}
	return nil
}

// plain reports whether text stands as it is: UTF-8 without control characters.
// All other text is written in base64.
func plain(s string) bool {
	high := false
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c == 0x7f {
			return false
		}
		high = high || c >= 0x80
	}
	return !high || utf8.ValidString(s)
}
