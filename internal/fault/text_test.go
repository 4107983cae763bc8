package fault

import (
	"errors"
	"fmt"
	"testing"
)

func TestText(t *testing.T) {
	a, b, name := errors.New("a"), errors.New("b"), errors.New("two\nlines")
	for want, err := range map[string]error{
		"a":                     a,
		"a; b":                  errors.Join(a, b),
		"x: a; b; a, y":         fmt.Errorf("x: %w, y", errors.Join(a, errors.Join(b, a))),
		"a: b; two\nlines":      fmt.Errorf("%w: %w", a, errors.Join(b, name)),
		"a; b (and two\nlines)": fmt.Errorf("%w (and %w)", errors.Join(a, b), name),
		"two\nlines":            WithHint(name, "h"),
		"read: a; b; close: a; two\nlines": errors.Join(fmt.Errorf("read: %w", errors.Join(a, b)),
			fmt.Errorf("close: %w", errors.Join(a, name))),
	} {
		if got := Text(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
