package actordoc

import (
	"go/ast"
	"go/types"
)

// What holds one of these means another actor for each that runs the code, or several.
var (
	self   = &Actor{Name: "self"}
	parent = &Actor{Name: "parent"}
	many   = &Actor{Name: "many"}
)

// addresses are the actors whose addresses variables, fields and parameters hold,
// wherever they were handed on to.
type addresses struct {
	*source
	spawned  map[*ast.CallExpr]*Actor
	held     map[types.Object]*Actor
	forwards map[*ast.CallExpr]bool // what their function is called with
	changed  bool
}

func newAddresses(s *source) *addresses {
	return &addresses{
		source: s, spawned: map[*ast.CallExpr]*Actor{},
		held: map[types.Object]*Actor{}, forwards: map[*ast.CallExpr]bool{},
	}
}

// follow finds what every variable of the package holds.
func (a *addresses) follow() {
	for a.changed = true; a.changed; {
		a.changed = false
		for _, d := range a.order {
			for n := range ast.Preorder(d) {
				switch n := n.(type) {
				case *ast.AssignStmt:
					for i := 0; i < len(n.Lhs) && len(n.Lhs) == len(n.Rhs); i++ {
						a.give(a.object(n.Lhs[i]), n.Rhs[i])
					}
				case *ast.CallExpr:
					f, _ := a.callee(n)
					for i := 0; a.decls[f] != nil && i < min(len(n.Args), f.Signature().Params().Len()); i++ {
						a.give(f.Signature().Params().At(i), n.Args[i])
					}
				case *ast.CompositeLit:
					a.fields(n)
				}
			}
		}
	}
}

func (a *addresses) fields(lit *ast.CompositeLit) {
	s, ok := a.info.TypeOf(lit).Underlying().(*types.Struct)
	for i, e := range lit.Elts {
		if kv, is := e.(*ast.KeyValueExpr); is {
			a.give(a.object(kv.Key), kv.Value)
		} else if ok {
			a.give(s.Field(i), e)
		}
	}
}

func (a *addresses) give(to types.Object, e ast.Expr) {
	x := a.of(e)
	if to == nil || x == nil || a.held[to] == x || a.held[to] == many {
		return
	}
	if a.held[to] != nil {
		x = many
	}
	a.held[to], a.changed = x, true
}

// of is the actor whose address an expression is, or who gets all that a function is
// called with; nil: of none that is known.
func (a *addresses) of(e ast.Expr) *Actor {
	switch e := ast.Unparen(e).(type) {
	case *ast.FuncLit:
		for c := range calls(ast.Preorder(e.Body)) {
			if to, m, name := a.parts(c); name != "" && types.IsInterface(a.info.TypeOf(m)) {
				a.forwards[c] = true
				return a.of(to)
			}
		}
		return nil
	case *ast.CallExpr:
		if f, path := a.callee(e); path == actorPath && f.Name() == "Self" {
			return self
		} else if path == actorPath && f.Name() == "Parent" {
			return parent
		}
		return a.spawned[e]
	}
	return a.held[a.object(e)]
}
