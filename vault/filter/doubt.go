package filter

import (
	"regexp"
	"strings"
)

var (
	styled = regexp.MustCompile(`^(re|rx|regex|regexp|glob|iglob|sh|fm|pp|pf|path):`)
	braces = regexp.MustCompile(`\{[^/{}]*,[^/{}]*\}`)
	homeOf = regexp.MustCompile(`^~[^/]*/`)
)

// Doubt says what a valid pattern may have been meant to be in the syntax of another
// program, "" if nothing suggests that. A file may well have such a name, so it is
// of interest only where the pattern matched nothing.
func Doubt(text string) string {
	s := strings.TrimPrefix(text, "!")
	switch {
	case styled.MatchString(s):
		return s[:strings.IndexByte(s, ':')+1] + " has no meaning in a pattern; write it with *, ? and [a-z]"
	case braces.MatchString(s):
		return "braces have no meaning in a pattern; write one pattern for each alternative"
	case homeOf.MatchString(s):
		return "~ has no meaning there; write the path of the home directory"
	case strings.HasPrefix(s, "^"), strings.HasSuffix(s, "$"):
		return "it looks like a regular expression; write it with *, ? and [a-z]"
	case len(s) > 1 && strings.IndexByte(`"'`, s[0]) >= 0 && s[len(s)-1] == s[0]:
		return "the quotes are part of the pattern; leave them out"
	}
	return ""
}
