package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/vault/filter"
	"vaultik/vault/fs"
	"vaultik/vault/snapshot"
)

// backupSet is one set to be backed up now.
type backupSet struct {
	name   string
	source string   // of config.SetRecord
	paths  []string // absolute, clean, sorted
	given  bool     // with the request, not by the configuration or an earlier backup

	now rootStates // of guard

	rules      filter.Rules
	oneFS      config.Switch
	fixed      bool // read files only up to their size
	attrs      fs.Attrs
	ignore     fs.Ignore
	rereadDays int      // config.Filters.Reread
	excludes   []string // for the record
	filters    *snapshot.Filters
	walk       *filter.Walk // the last one
	broken     int64        // ignore files that mean nothing, in part or as a whole
}

// chosen are the sets of the paths given, or what the configuration says.
func (b *backupJob) chosen(known *config.Sets) ([]backupSet, error) {
	switch {
	case b.o.Source == FromStream:
		return []backupSet{{name: b.o.Set, source: FromStream,
			paths: []string{"/" + strings.TrimPrefix(b.o.Paths[0], "/")}}}, nil
	case len(b.o.Paths) > 0:
		paths, err := absolute(b.o.Paths)
		if err != nil {
			return nil, err
		}
		set := backupSet{name: b.o.Set, source: b.o.Source, paths: paths, given: true}
		if set.name == "" {
			if set.name = nameOf(paths, b.conf); set.name == pathsName(paths) {
				b.noteNamed(&set, known)
			}
		}
		return []backupSet{set}, nil
	case b.o.Set != "":
		return b.named(b.o.Set, known)
	case len(b.conf.Sets) == 0:
		return nil, &fault.UsageError{
			Msg:    "nothing to back up: no path given, and no set in the configuration",
			Advice: "name a path: vaultik backup ~/Documents",
		}
	}
	var sets []backupSet
	for _, set := range b.conf.Sets {
		sets = append(sets, backupSet{name: set.Name, paths: config.SortedPaths(set.Paths)})
	}
	return sets, nil
}

// named is the set of a name, of the configuration or backed up before.
func (b *backupJob) named(name string, known *config.Sets) ([]backupSet, error) {
	if set, ok := b.conf.Set(name); ok {
		return []backupSet{{name: set.Name, paths: config.SortedPaths(set.Paths)}}, nil
	}
	old := known.ByName(name)
	if len(old) == 0 {
		return nil, &fault.UsageError{
			Msg: fmt.Sprintf("--set %q: there is no such set in the configuration, "+
				"and none was backed up before", name),
			Advice: "name its paths: vaultik backup --set " + config.Quote(name) + " PATH",
		}
	}
	switch newest := old[len(old)-1]; newest.Source {
	case FromList:
		return nil, &fault.UsageError{Msg: fmt.Sprintf("--set %q: its paths came from a list",
			name),
			Advice: "name the list: vaultik backup --set " + config.Quote(name) +
				" --files-from FILE"}
	case FromStream:
		return nil, &fault.UsageError{Msg: fmt.Sprintf("--set %q: it was saved from a stream",
			name),
			Advice: "name the source: vaultik backup --set " + config.Quote(name) +
				" --stdin-command -- PROGRAM"}
	default:
		return []backupSet{{name: name, paths: newest.PathStrings()}}, nil
	}
}

// noteNamed says that a new set begins, although its paths have been saved under a name.
func (b *backupJob) noteNamed(set *backupSet, known *config.Sets) {
	old := known.ByPaths(set.paths)
	if len(old) == 0 || slices.ContainsFunc(old, func(r config.SetRecord) bool {
		return string(r.Name) == set.name
	}) {
		return
	}
	name := string(old[len(old)-1].Name)
	b.Note("these paths were saved as set %q before; without --set %s they are a set of their own",
		name, config.Quote(name))
}

func absolute(paths []string) ([]string, error) {
	var out []string
	for _, p := range paths {
		if p == "" {
			return nil, fault.Misuse("backup", "a path is empty")
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, fmt.Errorf("find %q: %w", p, err)
		}
		out = append(out, abs)
	}
	return config.SortedPaths(out), nil
}

// nameOf is the name of the set of these paths: the one in the configuration that has exactly
// them, or else the one that is made of them. A set that was named on the command line once
// is that of its name only.
func nameOf(paths []string, conf *config.Config) string {
	for _, set := range conf.Sets {
		if slices.Equal(config.SortedPaths(set.Paths), paths) {
			return set.Name
		}
	}
	return pathsName(paths)
}

func pathsName(paths []string) string { return strings.Join(paths, ":") }

// record finds or makes the set's id.
func (b *backupJob) record(set *backupSet) (rec config.SetRecord, err error) {
	err = b.state.UpdateSets(func(sets *config.Sets) error {
		defer func() { b.several = len(sets.Sets) > 1 }()
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

// findRoots is fs.Roots, which cannot name a path that hangs.
func (j *job) findRoots(paths []string) ([]string, error) {
	for _, p := range paths {
		done := j.touch(p)
		_, _ = os.Lstat(p) // Roots reports the error
		done()
	}
	return fs.Roots(paths)
}

// roots are the set's paths as they are walked; missing says that some are not
// there, which was said.
func (j *job) roots(set *backupSet) (roots []string, missing bool, err error) {
	roots, err = j.findRoots(set.paths)
	if err == nil {
		return roots, false, nil
	}
	var gone fs.RootErrors
	switch {
	case len(roots) == 0:
		return nil, true, &nothingToSave{err, !set.given}
	case !errors.As(err, &gone):
		return nil, true, err
	}
	for _, m := range gone {
		j.Warn("", "%v", m)
	}
	return roots, true, nil
}
