package filter

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pattern is one pattern and where it stands.
type Pattern struct {
	Text   string
	Source string // for messages: a flag, or file:line
}

// From gives patterns their source.
func From(source string, texts ...string) []Pattern {
	out := make([]Pattern, 0, len(texts))
	for _, t := range texts {
		out = append(out, Pattern{t, source})
	}
	return out
}

// String is how messages name a pattern.
func (p Pattern) String() string { return fmt.Sprintf("pattern %q, %s", p.Text, p.Source) }

// Options change what patterns mean.
type Options struct {
	IgnoreCase bool // of letters, also beyond ASCII
}

// ErrPattern is a malformed pattern. Correct it at its source.
var ErrPattern = errors.New("invalid pattern")

// Error is one invalid pattern; it is ErrPattern.
type Error struct {
	Pattern
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: pattern %q: %s", e.Source, e.Text, e.Reason) }

// Is makes it an ErrPattern.
func (e *Error) Is(target error) bool { return target == ErrPattern }

// Errors are all that is wrong with a list or file of patterns.
type Errors []*Error

func (e Errors) Error() string {
	var b strings.Builder
	for i, one := range e {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(one.Error())
	}
	return b.String()
}

// Unwrap gives them one by one.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i := range e {
		out[i] = e[i]
	}
	return out
}

// maxPatterns is far more than anybody writes; it limits what a file can cost.
const maxPatterns = 1 << 20

// Compile checks and prepares patterns. The order counts where there is a !.
// Every invalid pattern is named in the error, which is of type Errors.
func Compile(patterns []Pattern, o Options) (*List, error) {
	if len(patterns) > maxPatterns {
		return nil, fmt.Errorf("%w: %d patterns, at most %d", ErrPattern, len(patterns), maxPatterns)
	}
	l, bad := compileValid(patterns, o)
	if len(bad) > 0 {
		return nil, bad
	}
	return l, nil
}

// compileValid prepares the patterns that are valid, and names the others.
func compileValid(patterns []Pattern, o Options) (l *List, bad Errors) {
	l = &List{fold: o.IgnoreCase}
	for _, p := range patterns {
		if reason := Check(p.Text); reason != "" {
			bad = append(bad, &Error{p, reason})
		} else {
			l.add(parse(p, o))
		}
	}
	return l, bad
}

// Check says what is wrong with a pattern, "" for nothing.
func Check(text string) string {
	s := strings.TrimPrefix(text, "!")
	switch {
	case text == "":
		return "it is empty"
	case s == "":
		return "nothing follows the !"
	case strings.IndexByte(s, 0) >= 0:
		return "it contains a NUL byte"
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(path.Clean(s), "/"), "/") {
		if reason := checkPart(part); reason != "" {
			return reason
		}
	}
	return ""
}

func checkPart(part string) string {
	switch part {
	case ".":
		return "it names no file or directory"
	case "..":
		return "it matches nothing: paths are absolute and have no .."
	case "**":
		return ""
	}
	if _, err := path.Match(part, ""); err != nil {
		if !strings.Contains(part, "[") {
			return `a \ is at its end or before a slash; write \\ for a literal \`
		}
		return `the characters between [ and ] are malformed; write \[ for a literal [`
	}
	if doubled(part) {
		return "** must be a component of its own, as in a/**/b; within a name write *"
	}
	return ""
}

// doubled reports whether two asterisks with their meaning stand side by side in
// a part that path.Match accepts.
func doubled(part string) bool {
	class := false
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '*' && strings.HasPrefix(part[i+1:], "*"):
			return true
		}
	}
	return false
}

// lower is strings.ToLower that leaves bytes that are not UTF-8 as they are.
func lower(s string) string {
	if utf8.ValidString(s) {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for i, r := range s {
		if r == utf8.RuneError {
			_, n := utf8.DecodeRuneInString(s[i:])
			b.WriteString(s[i : i+n])
			continue
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
