package main

import (
	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/vault/filter"
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

// filters reads what the flags say.
func (f *excludeFlags) filters() (x config.Filters, err error) {
	x.Exclude, x.ExcludeFiles = filter.From("--exclude", f.Exclude...), f.ExcludeFile
	x.IExclude, x.IExcludeFiles = filter.From("--iexclude", f.IExclude...), f.IExcludeFile
	x.IgnoreFiles = switchOf("--[no-]ignore-files", f.IgnoreFiles)
	x.Caches = switchOf("--exclude-caches", f.ExcludeCaches)
	x.OneFileSystem = switchOf("--one-file-system", f.OneFileSystem)
	x.FixedSize = switchOf("--fixed-size", f.FixedSize)
	for _, text := range f.ExcludeIfPresent {
		t, err := filter.ParseTag(text, "--exclude-if-present")
		if err != nil {
			return x, fault.Misuse("backup", "--exclude-if-present: "+err.Error())
		}
		x.IfPresent = append(x.IfPresent, t)
	}
	if f.ExcludeLargerThan != "" {
		if x.LargerThan.Bytes, err = config.ParseSize(f.ExcludeLargerThan); err != nil {
			return x, fault.Misuse("backup", "--exclude-larger-than: "+err.Error())
		}
		x.LargerThan.Source = "--exclude-larger-than"
	}
	return x, nil
}

// given reports whether any of the flags is set.
func (f *excludeFlags) given() bool {
	return len(f.Exclude)+len(f.ExcludeFile)+len(f.IExclude)+len(f.IExcludeFile)+len(f.ExcludeIfPresent) > 0 ||
		f.ExcludeLargerThan != "" ||
		f.IgnoreFiles != nil || f.ExcludeCaches != nil || f.OneFileSystem != nil ||
		f.FixedSize != nil
}

func switchOf(flag string, value *bool) config.Switch {
	if value == nil {
		return config.Switch{}
	}
	return config.Switch{On: *value, Source: flag}
}
