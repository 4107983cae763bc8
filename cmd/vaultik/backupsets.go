package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"vaultik/config"
	"vaultik/vault/filter"
	"vaultik/vault/fs"
	"vaultik/vault/snapshot"
)

// backupSet is one set to be backed up now.
type backupSet struct {
	name   string
	source string   // of config.SetRecord
	paths  []string // absolute, clean, sorted

	rules    filter.Rules
	oneFS    config.Switch
	fixed    bool     // read files only up to their size
	excludes []string // for the record
	filters  *snapshot.Filters
	broken   int64 // ignore files that mean nothing, in part or as a whole
}

// madeSet is the set of a list or stream, nil for paths. It asks nothing of the
// configuration: what cannot be meant so is refused before there is one.
func (c *backupCmd) madeSet() ([]backupSet, error) {
	switch {
	case c.streamed():
		return c.streamSet()
	case c.StdinName != nil:
		return nil, &usageError{msg: "--stdin-name: there is no --stdin and no --stdin-command", command: "backup"}
	case c.listed():
		return c.listSet()
	}
	return nil, nil
}

// sets are what is to be backed up: the paths given, or what the configuration says.
func (c *backupCmd) sets(conf *config.Config, known *config.Sets) ([]backupSet, error) {
	if len(c.Path) > 0 {
		paths, err := absolute(c.Path)
		if err != nil {
			return nil, err
		}
		name := c.Set
		if name == "" {
			name = nameOf(paths, conf, known)
		}
		return []backupSet{{name: name, paths: paths}}, nil
	}
	if c.Set != "" {
		if set, ok := conf.Set(c.Set); ok {
			return []backupSet{{name: set.Name, paths: config.SortedPaths(set.Paths)}}, nil
		}
		if old := known.ByName(c.Set); len(old) > 0 {
			switch old[len(old)-1].Source {
			case config.SourceList:
				return nil, &usageError{msg: fmt.Sprintf("--set %q: its paths came from a list", c.Set),
					hint: "name the list: vaultik backup --set " + config.Quote(c.Set) + " --files-from FILE"}
			case config.SourceStream:
				return nil, &usageError{msg: fmt.Sprintf("--set %q: what it saved was in no file", c.Set),
					hint: "say where it comes from: vaultik backup --set " + config.Quote(c.Set) + " --stdin-command -- PROGRAM"}
			}
			return []backupSet{{name: c.Set, paths: old[len(old)-1].PathStrings()}}, nil
		}
		return nil, &usageError{msg: fmt.Sprintf("--set %q: no set of this name in the configuration, and none was backed up", c.Set),
			hint: "name its paths: vaultik backup --set " + config.Quote(c.Set) + " PATH"}
	}
	if len(conf.Sets) == 0 {
		return nil, &usageError{msg: "nothing to back up: no path is given, and the configuration has no set", hint: "name a path: vaultik backup ~/Documents"}
	}
	var sets []backupSet
	for _, set := range conf.Sets {
		sets = append(sets, backupSet{name: set.Name, paths: config.SortedPaths(set.Paths)})
	}
	return sets, nil
}

func absolute(paths []string) ([]string, error) {
	var out []string
	for _, p := range paths {
		if p == "" {
			return nil, &usageError{msg: "a path is empty", command: "backup"}
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, fmt.Errorf("find %q: %w", p, err)
		}
		out = append(out, abs)
	}
	return config.SortedPaths(out), nil
}

// nameOf is the name of the set that has exactly these paths.
func nameOf(paths []string, conf *config.Config, known *config.Sets) string {
	for _, set := range conf.Sets {
		if slices.Equal(config.SortedPaths(set.Paths), paths) {
			return set.Name
		}
	}
	if old := known.ByPaths(paths); len(old) > 0 {
		return string(old[len(old)-1].Name)
	}
	return strings.Join(paths, ":")
}

// record finds or makes the set's id.
func (s *session) record(set *backupSet) (rec config.SetRecord, err error) {
	err = s.state.UpdateSets(func(sets *config.Sets) error {
		if set.source != "" {
			rec = sets.Named(set.source, set.name)
			return nil
		}
		for _, r := range sets.ByPaths(set.paths) {
			if string(r.Name) == set.name {
				rec = r
				return nil
			}
		}
		rec = sets.Add(set.name, set.paths)
		return nil
	})
	return rec, err
}

// roots are the set's paths as they are walked; missing says that some are not
// there, which was said.
func (s *session) roots(set *backupSet) (roots []string, missing bool, err error) {
	roots, err = fs.Roots(set.paths)
	if err == nil {
		return roots, false, nil
	}
	var gone fs.RootErrors
	switch {
	case len(roots) == 0:
		return nil, true, &nothingToSave{err}
	case !errors.As(err, &gone):
		return nil, true, err
	}
	for _, m := range gone {
		s.out.warn("", "%v", m)
	}
	return roots, true, nil
}
