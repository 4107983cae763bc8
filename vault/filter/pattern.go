package filter

import (
	"path"
	"slices"
	"strings"
)

// pattern is one compiled pattern.
type pattern struct {
	Pattern  // as it was given
	negated  bool
	anchored bool
	dirOnly  bool
	runs     [][]component // what stands before, between and after the **
}

// match reports whether the path, or a directory above it, fits. Taking each run
// where it fits first leaves the most for the next, so nothing is tried twice.
func (p *pattern) match(parts []string, isDir bool) bool {
	pos := 0
	for i, run := range p.runs {
		if i == 0 && p.anchored {
			if !fits(run, parts) {
				return false
			}
			pos = len(run)
			continue
		}
		for !fits(run, parts[pos:]) {
			if pos++; pos+len(run) > len(parts) {
				return false
			}
		}
		pos += len(run)
	}
	if !p.anchored && pos == 0 {
		pos = 1 // a lone ** is at least one component
	}
	return pos < len(parts) || pos == len(parts) && (isDir || !p.dirOnly)
}

// reaches reports whether a path below the directory may match.
func (p *pattern) reaches(parts []string) bool {
	if !p.anchored {
		return true
	}
	head := p.runs[0]
	return fits(head[:min(len(head), len(parts))], parts)
}

// fits reports whether parts begin with what run describes.
func fits(run []component, parts []string) bool {
	if len(run) > len(parts) {
		return false
	}
	for i := len(run) - 1; i >= 0; i-- { // the last differ most
		if !run[i].match(parts[i]) {
			return false
		}
	}
	return true
}

// key is the component that says most: without one that fits it the pattern
// cannot match. Nil: none helps.
func (p *pattern) key() *component {
	var best *component
	score := 0
	for _, run := range p.runs {
		for i := range run {
			c := &run[i]
			s := len(c.head) + len(c.tail)
			if c.kind == literal {
				s += 1 << 16
			}
			if s >= score && s > 0 { // the later of two: it is nearer to the leaves
				best, score = c, s
			}
		}
	}
	return best
}

type kind uint8

const (
	literal kind = iota // exactly head
	affix               // head*tail
	glob                // begins with head, ends with tail, and path.Match decides
)

// component is one part of a pattern.
type component struct {
	kind       kind
	head, tail string
	pattern    string // of a glob
}

func (c *component) match(name string) bool {
	switch c.kind {
	case literal:
		return name == c.head
	case affix:
		return len(name) >= len(c.head)+len(c.tail) && strings.HasPrefix(name, c.head) && strings.HasSuffix(name, c.tail)
	default:
		if !strings.HasPrefix(name, c.head) || !strings.HasSuffix(name, c.tail) {
			return false
		}
		ok, _ := path.Match(c.pattern, name) // its form was checked
		return ok
	}
}

// special are the characters with a meaning in a component.
const special = `*?[\`

// newComponent takes one part of a pattern that path.Match accepts.
func newComponent(s string) component {
	first := strings.IndexAny(s, special)
	if first < 0 {
		return component{kind: literal, head: s}
	}
	if plain, ok := unescape(s); ok {
		return component{kind: literal, head: plain}
	}
	c := component{kind: glob, head: s[:first], pattern: s}
	last := strings.LastIndexAny(s, special+"]")
	if s[first] == '*' && first == last {
		c.kind = affix
	}
	if s[last] != '\\' {
		c.tail = s[last+1:]
	}
	return c
}

// unescape removes the backslashes of a part in which nothing else is special.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(special[:3], s[i]) >= 0 {
			return "", false
		}
		if s[i] == '\\' {
			i++ // one always follows: path.Match accepted the part
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}

// parse cuts a pattern that check accepted.
func parse(given Pattern, o Options) *pattern {
	p := &pattern{Pattern: given}
	s := given.Text
	if o.IgnoreCase {
		s = lower(s)
	}
	s, p.negated = strings.CutPrefix(s, "!")
	p.anchored = strings.HasPrefix(s, "/")
	p.dirOnly = strings.HasSuffix(s, "/")
	run := []component{}
	for part := range strings.SplitSeq(strings.TrimPrefix(path.Clean(s), "/"), "/") {
		switch part {
		case "":
		case "**":
			p.runs = append(p.runs, run)
			run = nil
		default:
			run = append(run, newComponent(part))
		}
	}
	p.runs = append(p.runs, run)
	if !p.anchored {
		p.runs = slices.DeleteFunc(p.runs, func(r []component) bool { return len(r) == 0 })
	}
	return p
}
