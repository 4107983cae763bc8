package backends

import (
	"fmt"
	"strings"
)

// Limits of a key, in bytes, so that every store can hold every key.
const (
	MaxKey  = 255 // the whole key
	MaxName = 100 // one part between slashes
)

// CheckKey returns nil if key can name an object: parts of [a-z0-9._-] that start
// with a letter or digit, joined by single slashes, within MaxKey and MaxName.
// Such a key cannot leave its store, hide, or differ from another in case only.
// The error is ErrInvalidKey.
func CheckKey(key string) error {
	if len(key) > MaxKey {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrInvalidKey, len(key), MaxKey)
	}
	for part := range strings.SplitSeq(key, "/") {
		if !ValidName(part) {
			return fmt.Errorf("%w: part %q", ErrInvalidKey, part)
		}
	}
	return nil
}

// CheckPrefix returns nil if prefix can be the beginning of a key: any key, cut
// anywhere; also the empty string. The error is ErrInvalidKey.
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return CheckKey(strings.TrimSuffix(prefix, "/"))
}

// ValidName reports whether name can be one part of a key.
func ValidName(name string) bool {
	if name == "" || len(name) > MaxName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}
