package actordoc

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// Tree is one job: its actors and what they say to each other.
type Tree struct {
	Package  string
	Actors   []*Actor // the root first, then in the order of the data
	Messages []Message
}

// Actor is one of a job.
type Actor struct {
	Name string
	Kind string // job, stage, pool, or beside: code that blocks and is no actor
	Says string // what it does

	typ         *types.TypeName // whose methods are its code; nil: a function is
	code        []ast.Node      // where its code begins, beside the methods of typ
	pos         token.Pos       // where it is spawned
	takes       map[*types.TypeName]token.Pos
	job, result *types.TypeName // of a pool
}

// Message is one row of a job's table: all who send it to the same actors.
type Message struct {
	Name     string
	From, To []string
	Says     string
}

// analyser reads one package with jobs.
type analyser struct {
	*source
	said  map[string]string // of types of all packages, by full name
	trees []*Tree
	owner map[*types.TypeName]*Actor // of methods
	lits  map[*ast.FuncLit]*Actor    // that run as a part of an actor
	sent  map[*ast.CallExpr]bool     // seen in the code of an actor
	who   *addresses
	errs  []string
}

// Trees are the jobs of the packages that match patterns, seen from dir.
func Trees(dir string, patterns ...string) (trees []*Tree, err error) {
	all, err := load(dir, append([]string{kitPath, messagePath}, patterns...)...)
	if err != nil {
		return nil, err
	}
	var errs []string
	said := map[string]string{}
	for _, s := range all {
		for name, says := range s.says {
			said[s.pkg.Name()+"."+name] = says
		}
	}
	for _, s := range all {
		if s.pkg.Path() == kitPath {
			continue
		}
		a := &analyser{
			source: s, said: said, who: newAddresses(s), sent: map[*ast.CallExpr]bool{},
			owner: map[*types.TypeName]*Actor{}, lits: map[*ast.FuncLit]*Actor{},
		}
		a.roots()
		for _, d := range a.order {
			a.children(d)
		}
		a.who.follow()
		for _, t := range a.trees {
			a.talk(t)
		}
		a.unheard()
		trees, errs = append(trees, a.trees...), append(errs, a.errs...)
	}
	slices.Sort(errs)
	if errs = slices.Compact(errs); len(errs) > 0 {
		return nil, errors.New(strings.Join(errs, "\n"))
	}
	return trees, nil
}

func (a *analyser) fail(pos token.Pos, format string, args ...any) {
	a.errs = append(a.errs, fmt.Sprintf("%s: ", a.fset.Position(pos))+fmt.Sprintf(format, args...))
}

// roots finds the types that embed the kit's Job, by what sets the job's name.
func (a *analyser) roots() {
	for _, d := range a.order {
		for n := range ast.Preorder(d) {
			set, ok := n.(*ast.AssignStmt)
			for i := 0; ok && i < len(set.Lhs) && len(set.Lhs) == len(set.Rhs); i++ {
				s, ok := set.Lhs[i].(*ast.SelectorExpr)
				if !ok || s.Sel.Name != "Name" || !a.isRoot(a.info.TypeOf(s.X)) {
					continue
				}
				t := named(a.info.TypeOf(s.X))
				root := &Actor{Name: a.text(set.Rhs[i]), Kind: "job", Says: a.says[t.Name()], typ: t}
				root.code = []ast.Node{d}
				a.owner[t] = root
				a.trees = append(a.trees, &Tree{Package: a.pkg.Name(), Actors: []*Actor{root}})
			}
		}
	}
	for _, name := range a.pkg.Scope().Names() {
		t, ok := a.pkg.Scope().Lookup(name).(*types.TypeName)
		if ok && a.isRoot(t.Type()) && a.owner[t] == nil {
			a.fail(t.Pos(), "%s embeds actors.Job, and nothing sets its Name", name)
		}
	}
}

// isRoot reports whether t is the root of a job of this package.
func (a *analyser) isRoot(t types.Type) bool {
	n := named(t)
	if n == nil || n.Pkg() != a.pkg {
		return false
	}
	s, ok := n.Type().Underlying().(*types.Struct)
	for i := 0; ok && i < s.NumFields(); i++ {
		if f := s.Field(i); f.Embedded() && full(named(f.Type())) == "actors.Job" {
			return true
		}
	}
	return false
}

// text is the value of a constant.
func (a *analyser) text(e ast.Expr) string {
	if v := a.info.Types[e].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v)
	}
	a.fail(e.Pos(), "a name that is no constant")
	return "?"
}

// children finds what a function spawns. Actors are spawned before those that send to
// them, so the order of the data is the other way round.
func (a *analyser) children(d *ast.FuncDecl) {
	found := map[*Tree][]*Actor{}
	for c := range calls(ast.Preorder(d)) {
		f, path := a.callee(c)
		if path == actorPath && strings.HasPrefix(f.Name(), "Spawn") {
			a.fail(c.Pos(), "an actor that the job does not know of: use Job.Spawn")
		}
		if path != kitPath {
			continue
		}
		child, job := &Actor{pos: c.Pos()}, c.Fun
		switch f.Name() {
		case "SpawnPool":
			job = c.Args[0]
			a.pool(child, c.Args[2])
		case "Spawn":
			child.Name, child.Kind = a.text(c.Args[1]), "stage"
			a.made(child, c.Args[2])
		case "Beside":
			a.beside(child, c.Args[1])
		default:
			continue
		}
		if child.Says == "" {
			a.fail(c.Pos(), "nothing is said of the %s %s, or of what it is made", child.Kind, child.Name)
		}
		a.who.spawned[c] = child
		if t := a.treeOf(job); t != nil {
			found[t] = append([]*Actor{child}, found[t]...)
		} else {
			a.fail(c.Pos(), "cannot tell which job spawns %s", child.Name)
		}
	}
	for t, actors := range found {
		t.Actors = append(t.Actors, actors...)
	}
}

// treeOf is the tree of the root in j.Spawn or &j.Job; nil: of none.
func (a *analyser) treeOf(e ast.Expr) *Tree {
	if u, ok := e.(*ast.UnaryExpr); ok {
		e = u.X
	}
	s, ok := e.(*ast.SelectorExpr)
	for _, t := range a.trees {
		if ok && t.Actors[0].typ == named(a.info.TypeOf(s.X)) {
			return t
		}
	}
	return nil
}

// pool is what SpawnPool is asked for.
func (a *analyser) pool(p *Actor, e ast.Expr) {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		a.fail(e.Pos(), "cannot tell what this pool is: write it where it is spawned")
		return
	}
	args := a.info.TypeOf(lit).(*types.Named).TypeArgs()
	p.Kind, p.job, p.result = "pool", named(args.At(0)), named(args.At(1))
	for _, e := range lit.Elts {
		field := e.(*ast.KeyValueExpr)
		switch field.Key.(*ast.Ident).Name {
		case "Name":
			p.Name = a.text(field.Value) + "s"
		case "NewWork":
			a.made(p, field.Value)
		}
	}
}

// made notes what runs as an actor: what the producer returns.
func (a *analyser) made(child *Actor, producer ast.Expr) {
	lit, ok := producer.(*ast.FuncLit)
	if !ok {
		return
	}
	a.lits[lit] = child
	child.code = append(child.code, lit)
	for _, r := range returns(lit.Body) {
		a.is(child, r)
	}
}

// is finds the type behind an expression that makes an actor, or work of a pool. Where
// there is none, the function that makes it says what it does.
func (a *analyser) is(child *Actor, e ast.Expr) {
	t := named(a.info.TypeOf(e))
	if f, ok := a.object(e).(*types.Func); ok {
		t = receiver(f)
	}
	if t != nil && t.Pkg() == a.pkg {
		child.typ, child.Says = t, a.says[t.Name()]
		a.owner[t] = child
	} else if c, ok := e.(*ast.CallExpr); ok {
		if f, _ := a.callee(c); a.decls[f] != nil {
			for _, r := range returns(a.decls[f].Body) {
				a.is(child, r)
			}
			if child.typ == nil {
				child.Says = a.says[f.Name()]
			}
		}
	}
}

// beside is code beside the job: the last thing of this package that it calls. It goes by
// the name of the type if it makes one of its own for that.
func (a *analyser) beside(b *Actor, e ast.Expr) {
	b.Name, b.Kind = "?", "beside"
	lit, ok := e.(*ast.FuncLit)
	if !ok {
		return
	}
	a.lits[lit] = b
	b.code = []ast.Node{lit}
	for c := range calls(within(lit.Body, anyLit)) {
		f, _ := a.callee(c)
		if a.decls[f] == nil {
			continue
		}
		b.Name, b.Says, b.typ = f.Name(), a.says[method(f)], nil
		if s, ok := c.Fun.(*ast.SelectorExpr); ok {
			if v := a.object(s.X); v != nil && lit.Pos() < v.Pos() && v.Pos() < lit.End() {
				b.typ = receiver(f)
				b.Name, b.Says = b.typ.Name(), a.says[b.typ.Name()]
			}
		}
	}
	if b.typ != nil {
		a.owner[b.typ] = b
	}
}
