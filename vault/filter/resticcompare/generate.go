package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// generator makes trees and patterns of the same few names, so that they meet.
type generator struct{ *rand.Rand }

func (g *generator) of(list ...string) string { return list[g.IntN(len(list))] }

func (g *generator) name() string {
	return g.of("a", "a", "b", "b", "c", "ab", "abc", "x.o", "y.o", ".h", "A", "a b", "é", "[", "$v", "#", "!", "a*")
}

// tree makes a directory of up to depth levels.
func (g *generator) tree(dir string, depth int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for range 2 + g.IntN(4) {
		path := filepath.Join(dir, g.name())
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		if depth > 0 && g.IntN(2) == 0 {
			if err := g.tree(path, depth-1); err != nil {
				return err
			}
		} else if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// part is one component of a pattern.
func (g *generator) part() string {
	return g.of("a", "a", "b", "c", "ab", "x.o", "*", "?", "a*", "*b", "*.o", "*.*", "[ab]", "[^a]*", "[a-c]?", `\[`, "a?c",
		"*b*", `\a`, "a*c", ".*", "é", "?é", "[a-zé]", `\!`, `#`, `a\*`, `*\**`, "A", "a b", "$v", "$*")
}

// parts are some components with at most one ** among them.
func (g *generator) parts(wild bool) string {
	var list []string
	for n := 1 + g.IntN(3); n > 0; n-- {
		list = append(list, g.part())
	}
	if wild && g.IntN(3) == 0 {
		at := g.IntN(len(list) + 1)
		list = append(list[:at], append([]string{"**"}, list[at:]...)...)
	}
	s := strings.Join(list, g.of("/", "/", "/", "//", "/./"))
	return s + g.of("", "", "", "/", "/x/..")
}

// below is a pattern that begins with dir.
func (g *generator) below(dir string) string {
	p := dir + "/" + g.parts(true)
	if g.IntN(3) == 0 {
		p = dir + "/**/" + g.parts(false)
	}
	return g.of("", "", "", "!") + p
}

// anywhere is a pattern without a beginning.
func (g *generator) anywhere() string {
	for {
		if p := g.parts(true); p[0] != '#' { // a comment
			return g.of("", "", "", "!") + p
		}
	}
}
