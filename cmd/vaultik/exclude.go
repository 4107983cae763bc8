package main

import (
	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/vault/filter"
)

type excludeFlags struct {
	Exclude           []string `sep:"none" help:"Exclude what matches this pattern, and everything below it; may be repeated." placeholder:"PATTERN"`
	ExcludeFile       []string `sep:"none" name:"exclude-file" help:"Exclude what matches the patterns in this file, one per line; may be repeated." placeholder:"FILE"`
	IExclude          []string `sep:"none" name:"iexclude" help:"Like --exclude, ignoring case." placeholder:"PATTERN"`
	IExcludeFile      []string `sep:"none" name:"iexclude-file" help:"Like --exclude-file, ignoring case." placeholder:"FILE"`
	IgnoreFiles       *bool    `name:"ignore-files" negatable:"" help:"Use the patterns in .vaultikignore files for their directories (on unless configured otherwise)."`
	ExcludeCaches     *bool    `name:"exclude-caches" negatable:"" help:"Exclude the contents of directories with a CACHEDIR.TAG, except that file."`
	ExcludeIfPresent  []string `sep:"none" name:"exclude-if-present" help:"Exclude the contents of directories that contain NAME (beginning with HEADER), except NAME itself; may be repeated." placeholder:"NAME[:HEADER]"`
	ExcludeLargerThan string   `name:"exclude-larger-than" help:"Exclude files larger than this, such as 500MiB." placeholder:"SIZE"`
	OneFileSystem     *bool    `short:"x" name:"one-file-system" negatable:"" help:"Exclude the contents of other file systems mounted below a path; mount points are saved."`
	FixedSize         *bool    `name:"fixed-size" negatable:"" help:"Read at most the size that a file has when it is opened, and read it once: for files that grow."`
	Xattrs            *bool    `negatable:"" help:"Save extended attributes, ACLs among them (on unless configured otherwise)."`
	IgnoreInode       *bool    `name:"ignore-inode" negatable:"" help:"A file is unchanged though its inode number is another: for file systems that number files anew at each mount."`
	IgnoreCtime       *bool    `name:"ignore-ctime" negatable:"" help:"A file is unchanged though its ctime is another: for trees whose modes or owners are set again and again."`
}

// excludeHelp is the part of --help about patterns.
const excludeHelp = `A pattern matches whole components: foo excludes every file and directory of
that name, foo/ only directories, *.o all names that end in it, a/**/b every b below an a,
/tmp/x (with a leading slash) only that path. ? and [a-z] match one character, ! before a
pattern reverses earlier matches, \ quotes the next character. In a file # begins a comment and
$NAME is a variable; ~/ at the beginning is the home directory. A requested path is never excluded
itself, and what is excluded by its name is not touched.

The last matching pattern decides. Patterns in the configuration come first, then those
in .vaultikignore files, where a leading slash stands for the directory of the file, then
those on the command line. Nothing in an excluded directory can be included again. To see
which rule decided about which path: --dry-run -v`

func (f *excludeFlags) filters() (x config.Filters, err error) {
	if err := atHome(f.ExcludeFile, f.IExcludeFile); err != nil {
		return x, err
	}
	x.Exclude, x.ExcludeFiles = filter.From("--exclude", f.Exclude...), f.ExcludeFile
	x.IExclude, x.IExcludeFiles = filter.From("--iexclude", f.IExclude...), f.IExcludeFile
	x.IgnoreFiles = switchOf("--[no-]ignore-files", f.IgnoreFiles)
	x.Caches = switchOf("--exclude-caches", f.ExcludeCaches)
	x.OneFileSystem = switchOf("--one-file-system", f.OneFileSystem)
	x.FixedSize = switchOf("--fixed-size", f.FixedSize)
	x.Xattrs = switchOf("--[no-]xattrs", f.Xattrs)
	x.IgnoreInode = switchOf("--ignore-inode", f.IgnoreInode)
	x.IgnoreCtime = switchOf("--ignore-ctime", f.IgnoreCtime)
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

// atHome expands ~/ where the shell has not, as in --exclude-file=~/x.
func atHome(lists ...[]string) (err error) {
	for _, list := range lists {
		for i := range list {
			if list[i], err = config.ExpandHome(list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *excludeFlags) given() bool {
	lists := len(f.Exclude) + len(f.ExcludeFile) + len(f.IExclude) + len(f.IExcludeFile) +
		len(f.ExcludeIfPresent)
	return lists > 0 || f.ExcludeLargerThan != "" || f.IgnoreFiles != nil ||
		f.ExcludeCaches != nil || f.OneFileSystem != nil || f.FixedSize != nil ||
		f.Xattrs != nil || f.IgnoreInode != nil || f.IgnoreCtime != nil
}

func switchOf(flag string, value *bool) config.Switch {
	if value == nil {
		return config.Switch{}
	}
	return config.Switch{On: *value, Source: flag}
}
