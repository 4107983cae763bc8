package structure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Long is how many lines a function may have, its signature and braces included,
// before it counts as long.
const Long = 40

// Package is what was measured of one package.
type Package struct {
	Path     string // of import
	Files    []string
	Lines    int      // of all files, with comments and empty ones
	Exported int      // names declared at package level that others can use
	Long     []string // functions of more than Long lines: "Type.method (file.go, 52 lines)"
	Refs     References
	Order    []string // Files, as References.Order puts them
	Back     []Reference
}

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Dir        string
	Standard   bool
	DepOnly    bool
	Export     string // file with the types that it exports
	GoFiles    []string
	CgoFiles   []string
}

// Load measures the packages that patterns name, relative to dir, with the build tags.
// It needs their dependencies, compiled or to be compiled, and no network.
func Load(dir, tags string, patterns ...string) ([]*Package, error) {
	all, err := list(dir, tags, patterns)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, l := range all {
		exports[l.ImportPath] = l.Export
	}
	var packages []*Package
	for _, l := range all {
		if l.DepOnly || len(l.GoFiles)+len(l.CgoFiles) == 0 {
			continue
		}
		p, err := measure(l, exports)
		if err != nil {
			return nil, fmt.Errorf("measure %s: %w", l.ImportPath, err)
		}
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(a, b *Package) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	return packages, nil
}

func list(dir, tags string, patterns []string) (all []*listed, err error) {
	args := append([]string{"list", "-deps", "-export", "-tags", tags,
		"-json=ImportPath,Dir,Standard,DepOnly,Export,GoFiles,CgoFiles", "--"}, patterns...)
	c := exec.Command("go", args...)
	c.Dir, c.Stderr = dir, os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: go list: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		l := new(listed)
		if err := d.Decode(l); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("list packages: read what go list says: %w", err)
		}
		all = append(all, l)
	}
}

// measure parses and checks one package; what it imports is read from exports.
func measure(l *listed, exports map[string]string) (*Package, error) {
	p := &Package{Path: l.ImportPath, Files: slices.Concat(l.GoFiles, l.CgoFiles)}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.Files {
		f, err := parser.ParseFile(fset, filepath.Join(l.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		p.Lines += fset.File(f.FileStart).LineCount()
		for _, d := range f.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				p.measureFunc(fset, f)
			}
		}
	}
	conf := types.Config{FakeImportC: true, Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("go list names no file of %s", path)
		}
		return os.Open(exports[path])
	})}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	checked, err := conf.Check(l.ImportPath, fset, files, info)
	if err != nil {
		return nil, err
	}
	for _, name := range checked.Scope().Names() {
		if token.IsExported(name) {
			p.Exported++
		}
	}
	p.Refs = references(fset, checked, info)
	p.Order = p.Refs.Order(p.Files)
	p.Back = p.Refs.Back(p.Order)
	return p, nil
}

func (p *Package) measureFunc(fset *token.FileSet, f *ast.FuncDecl) {
	first, last := fset.Position(f.Pos()), fset.Position(f.End())
	lines := last.Line - first.Line + 1
	if lines <= Long {
		return
	}
	name := f.Name.Name
	if f.Recv != nil {
		receiver := f.Recv.List[0].Type
		if star, ok := receiver.(*ast.StarExpr); ok {
			receiver = star.X
		}
		name = types.ExprString(receiver) + "." + name
	}
	p.Long = append(p.Long, fmt.Sprintf("%s (%s, %d lines)", name, filepath.Base(first.Filename), lines))
}

func references(fset *token.FileSet, p *types.Package, info *types.Info) References {
	file := func(at token.Pos) string { return filepath.Base(fset.Position(at).Filename) }
	r := References{}
	for ident, used := range info.Uses {
		if used.Parent() != p.Scope() {
			continue
		}
		from, to := file(ident.Pos()), file(used.Pos())
		if from == to {
			continue
		}
		if r[from] == nil {
			r[from] = map[string][]string{}
		}
		if names := r[from][to]; !slices.Contains(names, used.Name()) {
			r[from][to] = append(names, used.Name())
		}
	}
	for _, to := range r {
		for _, names := range to {
			slices.Sort(names)
		}
	}
	return r
}
