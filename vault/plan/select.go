package plan

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"vaultik/vault/page"
)

// Selection is a part of a snapshot, and where it goes.
type Selection struct {
	From string   // the path whose contents come directly into the target; "." for full paths
	Tops []string // what is selected with all below it: sorted, none within another
	File bool     // From is not a directory: it comes into the target under its own name
}

// ErrOutside means that a path is not within the one that its contents are restored from.
var ErrOutside = errors.New("not within the path that is restored")

// Select checks paths, spelt as entries are, and puts them in order. No paths: all of from.
func Select(from string, paths []string) (Selection, error) {
	if from == "" {
		from = "."
	}
	s := Selection{From: from}
	if len(paths) == 0 {
		paths = []string{from}
	}
	for _, p := range append([]string{from}, paths...) {
		if err := page.CheckPath(p); err != nil {
			return s, err
		}
		if !page.Within(from, p) {
			return s, fmt.Errorf("select %q: %w, %q", p, ErrOutside, from)
		}
	}
	paths = slices.Clone(paths)
	slices.SortFunc(paths, page.Compare)
	for _, p := range paths {
		if n := len(s.Tops); n == 0 || !page.Within(s.Tops[n-1], p) {
			s.Tops = append(s.Tops, p)
		}
	}
	return s, nil
}

// Place is where the entry of a path is restored in the target. The path must be within
// From.
func (s *Selection) Place(p string) string {
	switch {
	case s.From == ".":
		return p
	case s.File:
		return path.Base(p)
	case p == s.From:
		return "."
	}
	return p[len(s.From)+1:]
}

// Origin is the path of the entry that comes to stand at a place of the target: the inverse of
// Place.
func (s *Selection) Origin(place string) string {
	switch {
	case s.From == ".":
		return place
	case s.File, place == ".":
		return s.From
	}
	return s.From + "/" + place
}

// Above are the directories from From down to the parent of p, without p.
func (s *Selection) Above(p string) []string {
	var out []string
	if p == s.From {
		return nil
	}
	out = append(out, s.From)
	start := 0
	if s.From != "." {
		start = len(s.From) + 1
	}
	for i := start; i < len(p); i++ {
		if p[i] == '/' {
			out = append(out, p[:i])
		}
	}
	return out
}
