package filter

import (
	"math/bits"
	"slices"
	"strings"
)

// List is a compiled list of patterns. The zero value and nil match nothing.
type List struct {
	patterns []*pattern
	fold     bool // case is ignored

	// Each pattern waits for a component that it cannot do without: found by its
	// name, by its first or last byte, or, if it has none such, always.
	byName  map[string][]int32
	lengths uint64     // bit n%64 is set for each length n in byName
	first   [256]bool  // first bytes in byName
	byHead  [][]waiter // of 256 by first byte; nil: none
	byTail  [][]waiter // by last byte
	always  []int32
}

// waiter is a pattern that needs a component that fits part.
type waiter struct {
	index int32
	part  *component
}

// maxDepth components are split without an allocation.
const maxDepth = 64

// Len is the number of patterns.
func (l *List) Len() int {
	if l == nil {
		return 0
	}
	return len(l.patterns)
}

// Strings are the patterns as they were given, in their order.
func (l *List) Strings() []string {
	if l == nil {
		return nil
	}
	out := make([]string, 0, len(l.patterns))
	for _, p := range l.patterns {
		out = append(out, p.Text)
	}
	return out
}

// Match reports whether an absolute, clean path is matched, and by which pattern.
// For a path that is not, it names the pattern that took the match back, or nil.
func (l *List) Match(path string, isDir bool) (matched bool, by *Pattern) {
	return l.MatchEntry(strings.TrimPrefix(path, "/"), isDir)
}

// MatchEntry is Match for the path of an entry: without the leading slash, "."
// for the root.
func (l *List) MatchEntry(path string, isDir bool) (matched bool, by *Pattern) {
	if l.Len() == 0 {
		return false, nil // before there is a buffer: to clear it takes a while
	}
	var buf [maxDepth]string
	best := l.last(l.split(buf[:0], path), isDir)
	if best < 0 {
		return false, nil
	}
	p := l.patterns[best]
	return !p.negated, &p.Pattern
}

// anyNames stand for all the names that something can have.
var anyNames = []string{"q\x01", "\x01q", "7.Q"}

// takesAll is a pattern that matches whatever is in a directory, given as the path of an
// entry; nil for none. Where patterns take something back, which is asked of this list and
// may be true of others, some is meant to stay.
func (l *List) takesAll(dir string, back bool) (by *Pattern) {
	if l == nil || back || l.takesBack() {
		return nil
	}
	for _, name := range anyNames {
		if dir != "" && dir != "." {
			name = dir + "/" + name
		}
		var matched bool
		if matched, by = l.MatchEntry(name, false); !matched {
			return nil
		}
	}
	return by
}

func (l *List) takesBack() bool {
	return l != nil && slices.ContainsFunc(l.patterns, func(p *pattern) bool { return p.negated })
}

// MayMatchBelow reports whether something below the directory may match: what a
// walk that looks for matches asks before it leaves one out. It may say so where
// nothing does, never the other way.
func (l *List) MayMatchBelow(path string) bool {
	return l.MayMatchBelowEntry(strings.TrimPrefix(path, "/"))
}

// MayMatchBelowEntry is MayMatchBelow for the path of an entry.
func (l *List) MayMatchBelowEntry(path string) bool {
	if l == nil {
		return false
	}
	var buf [maxDepth]string
	parts := l.split(buf[:0], path)
	may := false
	for _, p := range l.patterns {
		if p.negated {
			may = may && !p.match(parts, true) // all below is taken back with it
		} else if !may {
			may = p.reaches(parts)
		}
	}
	return may
}

// split appends the components of an entry's path.
func (l *List) split(parts []string, path string) []string {
	if l.fold {
		path = lower(path)
	}
	for path != "" && path != "." {
		name, rest, _ := strings.Cut(path, "/")
		if name != "" {
			parts = append(parts, name)
		}
		path = rest
	}
	return parts
}

// last is the last pattern that matches, -1 for none.
func (l *List) last(parts []string, isDir bool) int32 {
	best := int32(-1)
	try := func(i int32) {
		if i > best && l.patterns[i].match(parts, isDir) {
			best = i
		}
	}
	for _, i := range l.always {
		try(i)
	}
	for _, name := range parts {
		if l.first[name[0]] && l.lengths&(1<<(len(name)%64)) != 0 {
			for _, i := range l.byName[name] {
				try(i)
			}
		}
		if l.byHead != nil {
			for _, w := range l.byHead[name[0]] {
				if w.index > best && w.part.match(name) {
					try(w.index)
				}
			}
		}
		if l.byTail != nil {
			for _, w := range l.byTail[name[len(name)-1]] {
				if w.index > best && w.part.match(name) {
					try(w.index)
				}
			}
		}
	}
	return best
}

// add puts a pattern into the tables.
func (l *List) add(p *pattern) {
	i := int32(len(l.patterns)) //nolint:gosec // maxPatterns
	l.patterns = append(l.patterns, p)
	key := p.key()
	switch {
	case key == nil:
		l.always = append(l.always, i)
	case key.kind == literal:
		if l.byName == nil {
			l.byName = map[string][]int32{}
		}
		l.byName[key.head] = append(l.byName[key.head], i)
		l.lengths |= bits.RotateLeft64(1, len(key.head))
		l.first[key.head[0]] = true
	case key.head != "":
		l.byHead = wait(l.byHead, key.head[0], waiter{i, key})
	default:
		l.byTail = wait(l.byTail, key.tail[len(key.tail)-1], waiter{i, key})
	}
}

func wait(table [][]waiter, b byte, w waiter) [][]waiter {
	if table == nil {
		table = make([][]waiter, 256)
	}
	table[b] = append(table[b], w)
	return table
}
