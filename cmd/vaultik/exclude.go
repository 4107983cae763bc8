package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"vaultik/config"
	"vaultik/vault/filter"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// excludeFlags name patterns of what is left out.
type excludeFlags struct {
	Exclude     []string `sep:"none" help:"Leave out what matches this pattern, and all below it; may be repeated." placeholder:"PATTERN"`
	ExcludeFile []string `sep:"none" name:"exclude-file" help:"Leave out what matches the patterns in this file, one a line; may be repeated." placeholder:"FILE"`
}

// excludeHelp is what patterns are, for --help.
const excludeHelp = `A pattern matches whole components: foo leaves out every file and directory of that
name, *.o all that end so, a/**/b every b below an a, /tmp/x (with a leading slash) only
that path. ? and [a-z] are one character, ! before a pattern takes earlier matches back,
\ takes the meaning from what follows. In a file # begins a comment and $NAME is a
variable. A path that is named is never left out itself. Try it: --dry-run -v`

// patterns reads and checks what the flags name.
func (f *excludeFlags) patterns() ([]filter.Pattern, error) {
	list := filter.From("--exclude", f.Exclude...)
	for _, file := range f.ExcludeFile {
		more, err := readPatterns(file)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	_, err := filter.Compile(list, filter.Options{})
	return list, err
}

func readPatterns(file string) ([]filter.Pattern, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read patterns: %w", err)
	}
	defer f.Close()
	return filter.Read(file, f, os.LookupEnv)
}

// compileExcludes gives each set its patterns: those that the configuration has
// for a set of this name, then those of the flags.
func compileExcludes(conf *config.Config, sets []backupSet, flags []filter.Pattern) error {
	for i := range sets {
		var list []filter.Pattern
		if set, ok := conf.Set(sets[i].name); ok {
			list = append(list, set.Exclude...)
			for _, file := range set.ExcludeFiles {
				more, err := readPatterns(file)
				if err != nil {
					return fmt.Errorf("set %q: %w", set.Name, err)
				}
				list = append(list, more...)
			}
		}
		var err error
		if sets[i].exclude, err = filter.Compile(append(list, flags...), filter.Options{}); err != nil {
			return err
		}
	}
	return nil
}

// exclusion says what of a set is left out, and why. Paths are those of entries.
type exclusion struct {
	list  *filter.List
	own   map[string]string // of this program: what it is
	named map[string]bool   // the paths that were asked for, and the directories above them
}

// exclusionOf is for one set; it says what of the program's own lies inside.
func (s *session) exclusionOf(conf *config.Config, url string, set backupSet, roots []string) *exclusion {
	x := &exclusion{list: set.exclude, own: s.ownPlaces(conf, url, roots), named: map[string]bool{}}
	for _, path := range append(roots[:len(roots):len(roots)], set.paths...) {
		for path = filepath.Clean(path); !x.named[entryPath(path)]; path = filepath.Dir(path) {
			x.named[entryPath(path)] = true
		}
	}
	for _, r := range roots {
		if ok, by := x.list.Match(r, true); ok {
			s.out.warn("", "the pattern %q matches %s itself: that is kept because it was named, but what is in it is left out", by, r)
		}
	}
	return x
}

func entryPath(path string) string {
	if path == "/" {
		return "."
	}
	return strings.TrimPrefix(path, "/")
}

// ownPlaces are the program's own store and index, where they lie in the roots.
func (s *session) ownPlaces(conf *config.Config, url string, roots []string) map[string]string {
	own := map[string]string{s.places.IndexDir(conf): "index"}
	if p := filePath(url); p != "" {
		own[p] = "store"
	}
	inside := map[string]string{}
	for p, what := range own {
		path, err := filepath.EvalSymlinks(p)
		if err != nil {
			continue
		}
		for _, r := range roots {
			if path == r || strings.HasPrefix(path, strings.TrimSuffix(r, "/")+"/") {
				s.out.note("left out: %s, the %s of these backups", path, what)
				inside[entryPath(path)] = what
				break
			}
		}
	}
	return inside
}

// decide is fs.WalkOptions.Exclude.
func (x *exclusion) decide(path string, st *fs.Stat) fs.Decision {
	if x.own[path] != "" {
		return fs.Skip
	}
	if x.named[path] {
		return fs.Keep
	}
	return x.list.Decide(path, st)
}

// why says what excluded a path that decide skips.
func (x *exclusion) why(path string, st *fs.Stat) string {
	if what := x.own[path]; what != "" {
		return "the " + what + " of these backups"
	}
	_, by := x.list.MatchEntry(path, st.Type == page.Dir)
	return "pattern " + by
}
