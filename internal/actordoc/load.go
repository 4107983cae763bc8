package actordoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/doc"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	kitPath     = "vaultik/actors"
	messagePath = "vaultik/messages"
	actorPath   = "github.com/asynkron/protoactor-go/actor"
)

// source is a package whose code has been read.
type source struct {
	fset  *token.FileSet
	pkg   *types.Package
	info  types.Info
	decls map[*types.Func]*ast.FuncDecl
	order []*ast.FuncDecl   // by file and line
	says  map[string]string // of types and functions: type, function, or type.method
}

// load reads the packages that match patterns, seen from dir, without their tests. What
// they import is as the go command has compiled it.
func load(dir string, patterns ...string) (all []*source, err error) {
	const fields = "-json=ImportPath,Dir,Export,GoFiles,DepOnly"
	list := exec.Command("go", append([]string{"list", "-export", "-deps", fields}, patterns...)...)
	list.Dir, list.Stderr = dir, os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	fset, exports := token.NewFileSet(), map[string]string{}
	compiled := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p struct {
			ImportPath, Dir, Export string
			GoFiles                 []string
			DepOnly                 bool
		}
		if err := d.Decode(&p); err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		exports[p.ImportPath] = p.Export // before those that import it
		if p.DepOnly {
			continue
		}
		s := &source{fset: fset, decls: map[*types.Func]*ast.FuncDecl{}, says: map[string]string{}}
		if err := s.read(compiled, p.ImportPath, p.Dir, p.GoFiles); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// read type-checks the files of one package.
func (s *source) read(compiled types.Importer, path, dir string, names []string) (err error) {
	if _, err := os.ReadDir(dir); err != nil { // so that go test sees new files
		return err
	}
	var files []*ast.File
	for _, name := range names {
		const mode = parser.ParseComments | parser.SkipObjectResolution
		f, err := parser.ParseFile(s.fset, filepath.Join(dir, name), nil, mode)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	s.info = types.Info{
		Types: map[ast.Expr]types.TypeAndValue{},
		Uses:  map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
	}
	s.pkg, err = (&types.Config{Importer: compiled}).Check(path, s.fset, files, &s.info)
	for _, f := range files {
		for _, d := range f.Decls {
			s.declare(d)
		}
	}
	return err
}

// declare notes a declaration, and what is said of it.
func (s *source) declare(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		f := s.info.Defs[d.Name].(*types.Func)
		s.decls[f], s.order = d, append(s.order, d)
		s.says[method(f)] = sentence(f.Name(), d.Doc)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if t, ok := spec.(*ast.TypeSpec); ok {
				comment := t.Doc
				if comment == nil && !d.Lparen.IsValid() {
					comment = d.Doc
				}
				s.says[t.Name.Name] = sentence(t.Name.Name, comment)
			}
		}
	}
}

// sentence is the first one of a comment, without the name that it begins with.
func sentence(name string, comment *ast.CommentGroup) string {
	said := new(doc.Package).Synopsis(comment.Text())
	if strings.HasPrefix(strings.ToLower(said), strings.ToLower(name)+" ") {
		said = said[len(name)+1:]
	}
	said = strings.TrimPrefix(said, "makes a leaf that ")
	return strings.TrimRight(said, ".:;")
}

// receiver is the type of which f is a method; nil: of none.
func receiver(f *types.Func) *types.TypeName {
	if r := f.Signature().Recv(); r != nil {
		return named(r.Type())
	}
	return nil
}

// method is the name of a function, with the type if it is one.
func method(f *types.Func) string {
	if t := receiver(f); t != nil {
		return t.Name() + "." + f.Name()
	}
	return f.Name()
}

// named is the name of a type, or of what it points to; nil: it has none.
func named(t types.Type) *types.TypeName {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	if n, ok := types.Unalias(t).(*types.Named); ok {
		return n.Origin().Obj()
	}
	return nil
}

// full is the name of a type with its package, but without the arguments of a generic one.
func full(t *types.TypeName) string {
	if t == nil || t.Pkg() == nil {
		return ""
	}
	return t.Pkg().Name() + "." + t.Name()
}

// callee is the function or method that is called, with the path of its package; nil: a
// value of a function type, a conversion, or a built-in.
func (s *source) callee(c *ast.CallExpr) (f *types.Func, path string) {
	fun := c.Fun
	if x, ok := fun.(*ast.IndexExpr); ok {
		fun = x.X
	}
	f, ok := s.object(fun).(*types.Func)
	if !ok || f.Pkg() == nil {
		return nil, ""
	}
	return f.Origin(), f.Pkg().Path()
}

// object is the variable, field or function that an expression names.
func (s *source) object(e ast.Expr) types.Object {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return s.info.ObjectOf(e)
	case *ast.SelectorExpr:
		return s.info.ObjectOf(e.Sel)
	}
	return nil
}

// within are all nodes of n that are not in a function literal to be left out.
func within(n ast.Node, leaveOut func(*ast.FuncLit) bool) iter.Seq[ast.Node] {
	return func(yield func(ast.Node) bool) {
		on := true
		ast.Inspect(n, func(n ast.Node) bool {
			if lit, ok := n.(*ast.FuncLit); ok && leaveOut(lit) {
				return false
			}
			on = on && n != nil && yield(n) || on && n == nil
			return on
		})
	}
}

// anyLit leaves out every function literal.
func anyLit(*ast.FuncLit) bool { return true }

// calls are those among nodes.
func calls(nodes iter.Seq[ast.Node]) iter.Seq[*ast.CallExpr] {
	return func(yield func(*ast.CallExpr) bool) {
		for n := range nodes {
			if c, ok := n.(*ast.CallExpr); ok && !yield(c) {
				return
			}
		}
	}
}

// returns are the first results of a function.
func returns(body *ast.BlockStmt) (out []ast.Expr) {
	for n := range within(body, anyLit) {
		if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > 0 {
			out = append(out, r.Results[0])
		}
	}
	return out
}
