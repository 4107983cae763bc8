package fidelity

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vaultik/internal/treecmp"
)

// Fate is what became of one attribute.
type Fate struct {
	Restored bool
	Saved    bool   // it is in the archive
	Said     bool   // the program named the file, on the way out or back
	Why      string // what differs, for -v
}

// Row is one attribute and its fate with each tool.
type Row struct {
	Name    string
	Missing error // this machine cannot have it
	Fates   []Fate
}

// Measure makes the tree below dir and has each tool save and restore it.
func Measure(ctx context.Context, tools []*Tool, dir string, log func(format string, args ...any)) ([]Row, error) {
	list := attributes()
	src := filepath.Join(dir, "tree")
	missing, err := makeTree(src, list)
	defer unlock(src)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(list))
	for i, a := range list {
		rows[i] = Row{Name: a.name, Missing: missing[a.slug]}
	}
	for _, t := range tools {
		fates, err := t.measure(ctx, src, list, log)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		for i := range rows {
			rows[i].Fates = append(rows[i].Fates, fates[i])
		}
	}
	return rows, nil
}

func (t *Tool) measure(ctx context.Context, src string, list []attribute, log func(string, ...any)) ([]Fate, error) {
	out := filepath.Join(t.home, "out")
	defer unlock(out)
	log("%s saves", t.Name)
	saving, err := t.save(ctx, t, src)
	if err != nil {
		return nil, err
	}
	log("%s restores", t.Name)
	top, restoring, err := t.restore(ctx, t, src, out)
	if err != nil {
		return nil, err
	}
	listing := ""
	if t.list != nil {
		if listing, err = t.list(ctx, t, src); err != nil {
			return nil, err
		}
	}
	log("%s said:\n%s%s", t.Name, saving, restoring)
	if _, err := os.Lstat(top); err != nil {
		return nil, fmt.Errorf("nothing was restored: %w\n%s%s", err, saving, restoring)
	}
	fates := make([]Fate, len(list))
	for i := range list {
		a := &list[i]
		f := &fates[i]
		f.Restored, f.Why = a.survived(ctx, filepath.Join(src, a.slug), filepath.Join(top, a.slug))
		f.Said = strings.Contains(saving+restoring, "/"+a.slug+"/")
		f.Saved = f.Restored || a.listed[t.Name] != "" && slices.ContainsFunc(strings.Split(listing, "\n"), func(line string) bool {
			return strings.Contains(line, "/"+a.slug+"/") && strings.Contains(line, a.listed[t.Name])
		})
	}
	return fates, nil
}

// survived reports whether what is in b has the attribute that is in a, and why not.
func (a *attribute) survived(ctx context.Context, was, is string) (bool, string) {
	if _, err := os.Lstat(is); err != nil {
		return false, err.Error()
	}
	if a.same != nil {
		ok, err := a.same(was, is)
		return ok && err == nil, fmt.Sprint(errors.Join(err, errors.New("another")))
	}
	r, err := treecmp.Compare(ctx, was, is, treecmp.Options{SkipTop: true})
	if err != nil {
		return false, err.Error()
	}
	for _, d := range r.Differences {
		if d.Kind == treecmp.Missing || d.Kind == treecmp.Type || slices.Contains(a.kinds, d.Kind) {
			return false, d.String()
		}
	}
	return true, ""
}
