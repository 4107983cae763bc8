package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"vaultik/vault/filter"
)

// Filters say what a set excludes, and how its files are read.
type Filters struct {
	Exclude       []filter.Pattern // each is valid; variables and ~ are expanded
	ExcludeFiles  []string         // absolute and clean; files of more patterns
	IExclude      []filter.Pattern // as Exclude, in any case
	IExcludeFiles []string
	Caches        Switch
	IfPresent     []filter.Tag
	LargerThan    filter.Limit
	OneFileSystem Switch
	IgnoreFiles   Switch // on unless set
	FixedSize     Switch
	Xattrs        Switch // on unless set
	IgnoreInode   Switch
	IgnoreCtime   Switch
	Reread        int // days within which each file is read again; 0: never
}

// Switch is a setting that is on or off.
type Switch struct {
	On     bool
	Source string // for messages; "": not set
}

// Or returns s, or other if s is not set.
func (s Switch) Or(other Switch) Switch {
	if s.Source != "" {
		return s
	}
	return other
}

func filterKeys() []string {
	return []string{"exclude", "exclude_file", "iexclude", "iexclude_file", "ignore_files", "exclude_caches",
		"exclude_if_present", "exclude_larger_than", "one_file_system", "fixed_size",
		"xattrs", "ignore_inode", "ignore_ctime", "reread"}
}

// filter reads one of filterKeys.
func (l *loader) filter(f *Filters, key, in string, v ast.Node) (err error) {
	switch key {
	case "exclude":
		f.Exclude, err = l.patterns(in, v)
	case "exclude_file":
		f.ExcludeFiles, err = l.paths(in, v)
	case "iexclude":
		f.IExclude, err = l.patterns(in, v)
	case "iexclude_file":
		f.IExcludeFiles, err = l.paths(in, v)
	case "ignore_files":
		f.IgnoreFiles, err = l.flag(in, v)
	case "exclude_caches":
		f.Caches, err = l.flag(in, v)
	case "exclude_if_present":
		f.IfPresent, err = l.tags(in, v)
	case "exclude_larger_than":
		f.LargerThan.Bytes, err = l.size(in, v, 0, 1<<62)
		f.LargerThan.Source = l.source(v)
	case "one_file_system":
		f.OneFileSystem, err = l.flag(in, v)
	case "fixed_size":
		f.FixedSize, err = l.flag(in, v)
	case "xattrs":
		f.Xattrs, err = l.flag(in, v)
	case "ignore_inode":
		f.IgnoreInode, err = l.flag(in, v)
	case "ignore_ctime":
		f.IgnoreCtime, err = l.flag(in, v)
	case "reread":
		f.Reread, err = l.days(in, v)
	}
	return err
}

// source is where a value stands.
func (l *loader) source(v ast.Node) string {
	return fmt.Sprintf("%s:%d", l.file, v.GetToken().Position.Line)
}

func (l *loader) flag(key string, v ast.Node) (Switch, error) {
	b, ok := v.(*ast.BoolNode)
	if !ok {
		return Switch{}, l.fail(v, "%s must be true or false", key)
	}
	return Switch{b.Value, l.source(v)}, nil
}

// maxReread is ten years: longer than a disk lives.
const maxReread = 3650

// days reads a number of days, such as 30d.
func (l *loader) days(key string, v ast.Node) (int, error) {
	s, err := l.text(key, v)
	if err != nil {
		return 0, err
	}
	digits, ok := strings.CutSuffix(s, "d")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > maxReread {
		return 0, l.fail(v, "%s must be a number of days from 1d to %dd, such as 30d", key, maxReread)
	}
	return n, nil
}

func (l *loader) tags(key string, v ast.Node) ([]filter.Tag, error) {
	items, err := l.list(key, v)
	if err != nil {
		return nil, err
	}
	var out []filter.Tag
	for _, n := range items {
		s, err := l.text(key, n)
		if err != nil {
			return nil, err
		}
		t, err := filter.ParseTag(s, l.source(n))
		if err != nil {
			return nil, l.fail(n, "%s: %v", key, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// Settings are those of the set that are set, in the order of the documentation.
func (s Set) Settings() []Setting {
	out := []Setting{{"paths", s.Paths}}
	if s.Retention != nil {
		out = append(out, Setting{retentionKey, policySettings(s.Retention)})
	}
	return append(out, s.settings()...)
}

// settings are those that are set, in the order of filterKeys.
func (f *Filters) settings() (out []Setting) {
	list := func(key string, values []string) {
		if len(values) > 0 {
			out = append(out, Setting{key, values})
		}
	}
	flag := func(key string, s Switch) {
		if s.Source != "" {
			out = append(out, Setting{key, s.On})
		}
	}
	list("exclude", texts(f.Exclude))
	list("exclude_file", f.ExcludeFiles)
	list("iexclude", texts(f.IExclude))
	list("iexclude_file", f.IExcludeFiles)
	flag("ignore_files", f.IgnoreFiles)
	flag("exclude_caches", f.Caches)
	var tags []string
	for _, t := range f.IfPresent {
		tags = append(tags, t.String())
	}
	list("exclude_if_present", tags)
	if f.LargerThan.Source != "" {
		out = append(out, Setting{"exclude_larger_than", FormatSize(f.LargerThan.Bytes)})
	}
	flag("one_file_system", f.OneFileSystem)
	flag("fixed_size", f.FixedSize)
	flag("xattrs", f.Xattrs)
	flag("ignore_inode", f.IgnoreInode)
	flag("ignore_ctime", f.IgnoreCtime)
	if f.Reread > 0 {
		out = append(out, Setting{"reread", fmt.Sprintf("%dd", f.Reread)})
	}
	return out
}

func texts(patterns []filter.Pattern) []string {
	var out []string
	for _, p := range patterns {
		out = append(out, p.Text)
	}
	return out
}
