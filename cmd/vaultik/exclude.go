package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vaultik/actors/backup"
	"vaultik/config"
	"vaultik/vault/filter"
	"vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// excludeFlags say what is left out.
type excludeFlags struct {
	Exclude           []string `sep:"none" help:"Leave out what matches this pattern, and all below it; may be repeated." placeholder:"PATTERN"`
	ExcludeFile       []string `sep:"none" name:"exclude-file" help:"Leave out what matches the patterns in this file, one a line; may be repeated." placeholder:"FILE"`
	IExclude          []string `sep:"none" name:"iexclude" help:"As --exclude, whatever the case of letters." placeholder:"PATTERN"`
	IExcludeFile      []string `sep:"none" name:"iexclude-file" help:"As --exclude-file, whatever the case of letters." placeholder:"FILE"`
	IgnoreFiles       *bool    `name:"ignore-files" negatable:"" help:"Obey files called .vaultikignore, which hold patterns for their directory (that is so unless the configuration says otherwise)."`
	ExcludeCaches     *bool    `name:"exclude-caches" negatable:"" help:"Leave out what is in directories with a CACHEDIR.TAG, but for that file."`
	ExcludeIfPresent  []string `sep:"none" name:"exclude-if-present" help:"Leave out what is in directories that hold NAME, a file that begins with HEADER, but for NAME; may be repeated." placeholder:"NAME[:HEADER]"`
	ExcludeLargerThan string   `name:"exclude-larger-than" help:"Leave out files over this size, such as 500MiB." placeholder:"SIZE"`
	OneFileSystem     *bool    `short:"x" name:"one-file-system" negatable:"" help:"Leave out what is in other file systems mounted below a path; their mount points are kept."`
	FixedSize         *bool    `name:"fixed-size" negatable:"" help:"Of each file read no more than its size when it is opened: one that grows is saved once, as long as it was."`
}

// excludeHelp is what patterns are, for --help.
const excludeHelp = `A pattern matches whole components: foo leaves out every file and directory of that
name, foo/ directories only, *.o all that end so, a/**/b every b below an a, /tmp/x (with a
leading slash) only that path. ? and [a-z] are one character, ! before a pattern takes
earlier matches back, \ takes the meaning from what follows. In a file # begins a comment
and $NAME is a variable. A path that is named is never left out itself.

The last pattern that matches decides. Those of the configuration come first, then those
in .vaultikignore files, where a leading slash is the directory of the file, then those of
the command line. Nothing in a directory that is left out can be taken back. Which rule
decided about what: --dry-run -v`

// exclusions are what the flags leave out, or a set of the configuration.
type exclusions struct {
	config.Filters
	exact, folded *filter.List
}

// exclusions reads and checks what the flags say.
func (f *excludeFlags) exclusions() (x exclusions, err error) {
	x.Exclude, x.ExcludeFiles = filter.From("--exclude", f.Exclude...), f.ExcludeFile
	x.IExclude, x.IExcludeFiles = filter.From("--iexclude", f.IExclude...), f.IExcludeFile
	x.IgnoreFiles = switchOf("--[no-]ignore-files", f.IgnoreFiles)
	x.Caches = switchOf("--exclude-caches", f.ExcludeCaches)
	x.OneFileSystem = switchOf("--one-file-system", f.OneFileSystem)
	x.FixedSize = switchOf("--fixed-size", f.FixedSize)
	for _, text := range f.ExcludeIfPresent {
		t, err := filter.ParseTag(text, "--exclude-if-present")
		if err != nil {
			return x, &usageError{msg: "--exclude-if-present: " + err.Error(), command: "backup"}
		}
		x.IfPresent = append(x.IfPresent, t)
	}
	if f.ExcludeLargerThan != "" {
		if x.LargerThan.Bytes, err = config.ParseSize(f.ExcludeLargerThan); err != nil {
			return x, &usageError{msg: "--exclude-larger-than: " + err.Error(), command: "backup"}
		}
		x.LargerThan.Source = "--exclude-larger-than"
	}
	return x, x.compile()
}

// given reports whether any of the flags is set.
func (f *excludeFlags) given() bool {
	return len(f.Exclude)+len(f.ExcludeFile)+len(f.IExclude)+len(f.IExcludeFile)+len(f.ExcludeIfPresent) > 0 || f.ExcludeLargerThan != "" ||
		f.IgnoreFiles != nil || f.ExcludeCaches != nil || f.OneFileSystem != nil || f.FixedSize != nil
}

func switchOf(flag string, value *bool) config.Switch {
	if value == nil {
		return config.Switch{}
	}
	return config.Switch{On: *value, Source: flag}
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
func compilePatterns(list *[]filter.Pattern, files []string, o filter.Options) (*filter.List, error) {
	all := (*list)[:len(*list):len(*list)]
	for _, file := range files {
		more, err := readPatterns(file)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	*list = all
	total := 0
	for _, p := range all {
		total += len(p.Text)
	}
	if total > maxPatternBytes {
		return nil, &usageError{msg: fmt.Sprintf("patterns of %s are more than %s", size(int64(total)), size(maxPatternBytes)), command: "backup"}
	}
	return filter.Compile(all, o)
}

func readPatterns(file string) ([]filter.Pattern, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read patterns: %w", err)
	}
	defer f.Close()
	return filter.Read(file, f, os.LookupEnv)
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
	r.Before, r.After = []*filter.List{own.exact, own.folded}, []*filter.List{flags.exact, flags.folded}
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

	b.excludes = append(own.exact.Strings(), flags.exact.Strings()...)
	b.filters = &snapshot.Filters{OneFileSystem: b.oneFS.On, ExcludesLast: flags.exact.Len(), IExcludesLast: flags.folded.Len()}
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
	return plural(int64(len(b.excludes)+len(b.filters.IExcludes)), "pattern", "patterns")
}

// maxEmptied is how many named directories that a pattern empties are told.
const maxEmptied = 10

// prepareRules tells the rules of a set what was named, and what of the program's
// own lies inside.
func (s *session) prepareRules(conf *config.Config, url string, set *backupSet, roots []string) {
	r := &set.rules
	r.Warn = func(text string) { s.out.warn("", "%s", text) }
	s.leaveOutOwn(conf, url, set, roots)
	for _, path := range append(roots[:len(roots):len(roots)], set.paths...) {
		r.Keep(path)
	}
	said := 0
	for _, path := range roots {
		if by := set.emptied(path); by != nil {
			if said++; said <= maxEmptied {
				s.out.warn("", "%s: pattern %q matches %s itself: that is kept because it was named, but what is in it is left out", by.Source, by.Text, path)
			}
		}
	}
	if said > maxEmptied {
		s.out.warn("", "patterns match %s more that were named", count(int64(said-maxEmptied)))
	}
}

// emptied is the pattern that leaves out what is in a named directory, nil for none.
func (b *backupSet) emptied(root string) *filter.Pattern {
	matched, by := b.rules.Match(root, true)
	if !matched {
		return nil
	}
	if st, err := fs.Lstat(root); err != nil || st.Type != page.Dir {
		return nil
	}
	return by
}

// kernelReason says why what is in a file system of the kernel is left out.
func kernelReason(kind string) filter.Reason {
	return filter.Reason{Rule: "what is in it, which the kernel makes up", Source: kind + " file system"}
}

// maxKernel is how many file systems of the kernel are named.
const maxKernel = 10

// tellKernel says, once for a set, that file systems of the kernel were left out.
func (s *session) tellKernel(mounts []backup.KernelMount) {
	var at []string
	for i, m := range mounts {
		if i == maxKernel {
			at = append(at, "and "+count(int64(len(mounts)-i))+" more")
			break
		}
		at = append(at, m.Path)
	}
	if len(at) > 0 {
		s.out.note("left out, since the kernel makes it up: %s; to save one of them, name it too", strings.Join(at, ", "))
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

// leaveOutOwn leaves out the program's own store and index, where they lie in the
// roots, also under another name than the configuration has for them.
func (s *session) leaveOutOwn(conf *config.Config, url string, set *backupSet, roots []string) {
	for p, what := range map[string]string{s.places.IndexDir(conf): "index", filePath(url): "store"} {
		path, err := filepath.EvalSymlinks(p)
		if p == "" || err != nil {
			continue
		}
		reason := "the " + what + " of these backups"
		out := func(path string) {
			if text := snapshot.Text(path); !slices.Contains(set.filters.LeftOut, text) {
				s.out.note("left out: %s, %s", path, reason)
				set.filters.LeftOut = append(set.filters.LeftOut, text)
			}
		}
		for _, r := range roots {
			if path == r || strings.HasPrefix(path, strings.TrimSuffix(r, "/")+"/") {
				set.rules.LeaveOut(path, reason)
				out(path)
				break
			}
		}
		if st, err := fs.Lstat(path); err == nil {
			set.rules.LeaveOutDir(st, reason, out)
		}
	}
}
