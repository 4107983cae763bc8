package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vaultik/actors/backup"
	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/filter"
	"vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// exclusions are what the flags leave out, or a set of the configuration.
type exclusions struct {
	config.Filters
	exact, folded *filter.List
}

// exclusionsOf reads the pattern files of a set of the configuration.
func exclusionsOf(conf *config.Config, name string) (x exclusions, err error) {
	set, ok := conf.Set(name)
	if !ok {
		return x, nil
	}
	x.Filters = set.Filters
	if err := x.compile(); err != nil {
		return x, fmt.Errorf("set %q: %w", name, err)
	}
	return x, nil
}

// maxPatternBytes bounds what all patterns of a set may take in the snapshot's root.
const maxPatternBytes = 8 << 20

func (x *exclusions) compile() (err error) {
	if x.exact, err = compilePatterns(&x.Exclude, x.ExcludeFiles, filter.Options{}); err != nil {
		return err
	}
	x.folded, err = compilePatterns(&x.IExclude, x.IExcludeFiles, filter.Options{IgnoreCase: true})
	return err
}

// compilePatterns adds the patterns in files to those of the list.
func compilePatterns(list *[]filter.Pattern, files []string, o filter.Options) (*filter.List,
	error) {
	all := (*list)[:len(*list):len(*list)]
	for _, file := range files {
		more, err := readPatterns(file)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	*list = slices.Clone(all)
	total := 0
	for i := range *list {
		p := &(*list)[i]
		var err error
		if p.Text, err = config.ExpandHome(p.Text); err != nil {
			return nil, err
		}
		total += len(p.Text)
	}
	if total > maxPatternBytes {
		return nil, fault.Misuse("backup", fmt.Sprintf("patterns take %s, more than %s",
			words.Size(int64(total)), words.Size(maxPatternBytes)))
	}
	return filter.Compile(*list, o)
}

func readPatterns(file string) ([]filter.Pattern, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read patterns: %w", err)
	}
	defer f.Close()
	return filter.Read(file, f, os.LookupEnv)
}

// sets are what is to be backed up, each with its rules.
func (b *backupJob) sets(known *config.Sets, flags exclusions) ([]backupSet, error) {
	sets, err := b.chosen(known)
	if err != nil {
		return nil, err
	}
	return sets, compileExcludes(b.conf, sets, flags)
}

// compileExcludes gives each set its rules: those that the configuration has for a
// set of this name, and those of the flags.
func compileExcludes(conf *config.Config, sets []backupSet, flags exclusions) error {
	for i := range sets {
		own, err := exclusionsOf(conf, sets[i].name)
		if err != nil {
			return err
		}
		sets[i].combine(own, flags)
	}
	return nil
}

// combine makes the rules of a set; what the flags say counts more.
func (b *backupSet) combine(own, flags exclusions) {
	r := &b.rules
	r.Before, r.After = []*filter.List{own.exact, own.folded},
		[]*filter.List{flags.exact, flags.folded}
	r.Tags = append(own.IfPresent[:len(own.IfPresent):len(own.IfPresent)], flags.IfPresent...)
	if caches := flags.Caches.Or(own.Caches); caches.On {
		r.Tags = append(r.Tags, filter.CacheTag(caches.Source))
	}
	if r.Larger = own.LargerThan; flags.LargerThan.Source != "" {
		r.Larger = flags.LargerThan
	}
	r.Ignore = flags.IgnoreFiles.Or(own.IgnoreFiles).Or(config.Switch{On: true}).On
	b.oneFS = flags.OneFileSystem.Or(own.OneFileSystem)
	b.fixed = flags.FixedSize.Or(own.FixedSize).On
	if !flags.Xattrs.Or(own.Xattrs).Or(config.Switch{On: true}).On {
		b.attrs = fs.NoXattrs
	}
	if flags.IgnoreInode.Or(own.IgnoreInode).On {
		b.ignore |= fs.IgnoreInode
	}
	if flags.IgnoreCtime.Or(own.IgnoreCtime).On {
		b.ignore |= fs.IgnoreCtime
	}
	b.rereadDays = own.Reread

	b.excludes = append(own.exact.Strings(), flags.exact.Strings()...)
	b.filters = &snapshot.Filters{OneFileSystem: b.oneFS.On, ExcludesLast: flags.exact.Len(),
		IExcludesLast: flags.folded.Len()}
	for _, text := range append(own.folded.Strings(), flags.folded.Strings()...) {
		b.filters.IExcludes = append(b.filters.IExcludes, snapshot.Text(text))
	}
	for _, t := range r.Tags {
		b.filters.Tags = append(b.filters.Tags, snapshot.Text(t.String()))
	}
	if r.Larger.Source != "" {
		b.filters.LargerThan = &r.Larger.Bytes
	}
	if r.Ignore {
		b.filters.IgnoreFile = filter.IgnoreFile
	}
}

// patterns is how many there are, in words.
func (b *backupSet) patterns() string {
	return words.Plural(int64(len(b.excludes)+len(b.filters.IExcludes)), "pattern", "patterns")
}

// maxEmptied is how many named directories that a pattern empties are told.
const maxEmptied = 10

// prepareRules tells the rules of a set what was named, and what of the program's
// own lies inside.
func (j *job) prepareRules(conf *config.Config, url string, set *backupSet, roots []string) {
	r := &set.rules
	r.Warn = func(text string) { j.Warn("", "%s", text) }
	j.leaveOutOwn(conf, url, set, roots)
	for _, path := range append(roots[:len(roots):len(roots)], set.paths...) {
		r.Keep(path)
	}
	said := 0
	named := append(slices.Clone(roots), set.paths...) // those that others cover too
	slices.Sort(named)
	for _, path := range slices.Compact(named) {
		if by := set.emptied(path); by != nil {
			if said++; said <= maxEmptied {
				j.Warn("",
					"%s: pattern %q matches the requested path %s: it is saved, but its contents "+
						"are excluded", by.Source, by.Text, path)
			}
		}
	}
	if said > maxEmptied {
		j.Warn("", "patterns match %s more requested paths", words.Count(int64(said-maxEmptied)))
	}
}

// emptied is the pattern that leaves out what is in a named directory, nil for none.
func (b *backupSet) emptied(root string) *filter.Pattern {
	by := b.rules.Empties(root)
	if by == nil {
		return nil
	}
	if st, err := fs.Lstat(root); err != nil || st.Type != page.Dir {
		return nil
	}
	return by
}

// kernelReason says why what is in a file system of the kernel is left out.
func kernelReason(kind string) filter.Reason {
	return filter.Reason{Rule: "its contents, which come from the kernel", Source: kind +
		" file system"}
}

// maxKernel is how many file systems of the kernel are named.
const maxKernel = 10

// tellKernel says, once for a set, that file systems of the kernel were left out.
func (j *job) tellKernel(mounts []backup.KernelMount) {
	var at []string
	for i, m := range mounts {
		if i == maxKernel {
			at = append(at, "and "+words.Count(int64(len(mounts)-i))+" more")
			break
		}
		at = append(at, m.Path)
	}
	if len(at) > 0 {
		j.Note(
			"excluded, since its contents come from the kernel: %s; to save one of them, request "+
				"it too", strings.Join(at, ", "))
	}
}

// maxUnused is how many patterns that decided nothing are named at once.
const maxUnused = 10

// tellUnused says which patterns have decided about nothing in a walk that is over: those
// that look as if they were meant for another program always, the others to who asked
// for details.
func (j *job) tellUnused(walk *filter.Walk) {
	walk.End()
	var plain []string
	said := 0
	for _, p := range walk.Unused() {
		switch reason := filter.Doubt(p.Text); {
		case reason == "":
			plain = append(plain, fmt.Sprintf("%q (%s)", p.Text, p.Source))
		case said < maxUnused:
			said++
			j.Warn("", "%s excluded nothing: %s", p, reason)
		}
	}
	if more := len(plain) - maxUnused; more > 0 {
		plain = append(plain[:maxUnused], "and "+words.Count(int64(more))+" more")
	}
	if len(plain) > 0 {
		j.Detail("patterns that decided about nothing: %s", strings.Join(plain, ", "))
	}
}

// choice is one walk by the rules; it counts the directories with an ignore file
// that means nothing.
type choice struct {
	*filter.Walk
	broken *int64
}

// Enter implements fs.Chooser.
func (c choice) Enter(d fs.Dir) (func(string) bool, error) {
	visit, err := c.Walk.Enter(d)
	if err != nil {
		*c.broken++
	}
	return visit, err
}

// leaveOutOwn leaves out the program's own store, its mirrors and index, where they lie in
// the roots, also under another name than the configuration has for them.
func (j *job) leaveOutOwn(conf *config.Config, url string, set *backupSet, roots []string) {
	j.leaveOutPlace(j.places.IndexDir(conf), "index", set, roots)
	j.leaveOutPlace(config.FilePath(url), "store", set, roots)
	known, err := j.state.LoadKnown()
	if err != nil {
		return // whoever opens the store says so
	}
	own, _ := known.ByURL(url)
	for _, k := range known.Stores {
		if k.URL != url && (k.Mirror || k.Store == own.Store) {
			j.leaveOutPlace(config.FilePath(k.URL), "mirror", set, roots)
		}
	}
}

// leaveOutPlace leaves out one directory, "" for none.
func (j *job) leaveOutPlace(dir, what string, set *backupSet, roots []string) {
	if dir == "" {
		return
	}
	defer j.touch(dir)()
	reason := "the " + what + " of these backups"
	out := func(path string) {
		if text := snapshot.Text(path); !slices.Contains(set.filters.LeftOut, text) {
			j.Note("excluded: %s, %s", path, reason)
			set.filters.LeftOut = append(set.filters.LeftOut, text)
		}
	}
	inside := func(path string) bool {
		return slices.ContainsFunc(roots, func(r string) bool {
			return path == r || strings.HasPrefix(path, strings.TrimSuffix(r, "/")+"/")
		})
	}
	if !fs.Local(dir) { // it may not answer; its name must do
		if inside(dir) {
			set.rules.LeaveOut(dir, reason)
			out(dir)
		}
		return
	}
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return
	}
	if inside(path) {
		set.rules.LeaveOut(path, reason)
		out(path)
	}
	if st, err := fs.Lstat(path); err == nil {
		set.rules.LeaveOutDir(st, reason, out)
	}
}
