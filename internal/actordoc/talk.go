package actordoc

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"iter"
	"maps"
	"slices"
	"strings"
)

// talk is who says what to whom in one tree.
type talk struct {
	*analyser
	tree    *Tree
	edges   []edge
	answers []edge // to whom is not known before all is read
}

// edge is one message on its way.
type edge struct {
	message  *types.TypeName
	from, to *Actor
	pos      token.Pos
}

// talk fills the table of a tree.
func (a *analyser) talk(tree *Tree) {
	t := &talk{analyser: a, tree: tree}
	for _, x := range tree.Actors {
		code := t.reach(x)
		x.takes = a.takes(x)
		for c := range calls(code) {
			t.call(x, c)
		}
		for _, n := range x.code {
			if lit, ok := n.(*ast.FuncLit); ok && x.Kind == "beside" {
				t.returned(x, lit)
			}
		}
	}
	for _, e := range t.answers {
		for _, x := range tree.Actors {
			if x.takes[e.message].IsValid() {
				t.edges = append(t.edges, edge{e.message, e.from, x, e.pos})
			}
		}
	}
	t.check()
	t.table()
}

// returned are the messages that code beside the job ends with.
func (t *talk) returned(x *Actor, lit *ast.FuncLit) {
	for _, r := range returns(lit.Body) {
		if m := named(t.info.TypeOf(r)); m != nil {
			t.edges = append(t.edges, edge{m, x, t.tree.Actors[0], r.Pos()})
		}
	}
}

// reach is all code that runs as a part of an actor: its own, and what that calls.
func (t *talk) reach(x *Actor) iter.Seq[ast.Node] {
	todo := slices.Clone(x.code)
	for _, d := range t.order {
		if x.typ != nil && receiver(t.info.Defs[d.Name].(*types.Func)) == x.typ {
			todo = append(todo, d)
		}
	}
	ofOthers := func(lit *ast.FuncLit) bool { return t.lits[lit] != nil && t.lits[lit] != x }
	for i := 0; i < len(todo); i++ {
		for n := range within(todo[i], ofOthers) {
			id, _ := n.(*ast.Ident)
			f, ok := t.info.Uses[id].(*types.Func)
			if !ok {
				continue
			}
			d, o := t.decls[f.Origin()], t.owner[receiver(f)]
			if d != nil && (o == nil || o == x) && !slices.Contains(todo, ast.Node(d)) {
				todo = append(todo, d)
			}
		}
	}
	return func(yield func(ast.Node) bool) {
		for _, body := range todo {
			for n := range within(body, ofOthers) {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// takes are the messages that an actor looks for in Receive.
func (a *analyser) takes(x *Actor) map[*types.TypeName]token.Pos {
	out := map[*types.TypeName]token.Pos{}
	add := func(e ast.Expr) {
		if m := message(a.info.TypeOf(e)); m != nil && m.Pkg() != nil && m.Pkg().Path() != actorPath {
			out[m] = e.Pos()
		}
	}
	for f, d := range a.decls {
		if x.typ == nil || method(f) != x.typ.Name()+".Receive" {
			continue
		}
		for n := range ast.Preorder(d) {
			switch n := n.(type) {
			case *ast.TypeAssertExpr:
				if n.Type != nil {
					add(n.Type)
				}
			case *ast.CaseClause:
				for _, e := range n.List {
					add(e)
				}
			}
		}
	}
	return out
}

// message is the type that has a row in the table: of what is submitted to a pool the
// job, and of what is finished the result.
func message(t types.Type) *types.TypeName {
	n := named(t)
	if n == nil || n.Pkg() == nil || n.Pkg().Path() != messagePath {
		return n
	}
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	args := types.Unalias(t).(*types.Named).TypeArgs()
	switch n.Name() {
	case "Submit":
		return cmp.Or(named(args.At(0)), n)
	case "Finished":
		return cmp.Or(named(args.At(1)), n)
	}
	return n
}

// parts are the receiver and the message of a call that sends one; without a receiver
// it is an answer, or goes to the job, or to the actor itself.
func (s *source) parts(c *ast.CallExpr) (to, m ast.Expr, name string) {
	f, path := s.callee(c)
	if f == nil {
		return nil, nil, ""
	}
	aside := path == kitPath && strings.HasPrefix(method(f), "Aside.")
	switch name = f.Name(); {
	case path == actorPath && name == "Respond", aside && name == "Tell":
		return nil, c.Args[0], name
	case path == actorPath && (name == "Send" || strings.HasPrefix(name, "Request")),
		aside && (name == "Send" || name == "Submit"):
		return c.Args[0], c.Args[1], name
	case path == kitPath && name == "After":
		return nil, c.Args[2], name
	}
	return nil, nil, ""
}

// call notes what a call sends.
func (t *talk) call(x *Actor, c *ast.CallExpr) {
	to, m, name := t.parts(c)
	y := t.tree.Actors[0]
	switch name {
	case "": // but it may be of a function that sends on
		if t.who.held[t.object(c.Fun)] == nil || len(c.Args) != 1 {
			return
		}
		y, m = t.actor(x, c.Fun), c.Args[0]
	case "After":
		y = x
	case "Tell", "Respond":
	default:
		y = t.actor(x, to)
	}
	msg := message(t.info.TypeOf(m))
	switch {
	case msg == nil || types.IsInterface(msg.Type()):
		return // unheard, unless it sends on
	case name == "Respond":
		t.answers = append(t.answers, edge{msg, x, nil, c.Pos()})
	case y == nil:
		t.fail(c.Pos(), "cannot tell to whom %s sends %s", x.Name, msg.Name())
	default:
		t.edges = append(t.edges, edge{msg, x, y, c.Pos()})
	}
	t.sent[c] = true
	if y == nil || y.Kind != "pool" {
		return
	}
	answer, client := y.result, t.client(x, c, name)
	if full(msg) == "actors.Drain" {
		answer = msg.Pkg().Scope().Lookup("Drained").(*types.TypeName)
	}
	if client == nil {
		t.fail(c.Pos(), "cannot tell to whom %s answer %s", y.Name, msg.Name())
		return
	}
	t.edges = append(t.edges, edge{answer, y, client, c.Pos()})
}

// client is who gets the answer of a pool.
func (t *talk) client(x *Actor, c *ast.CallExpr, name string) *Actor {
	switch name {
	case "RequestWithCustomSender":
		return t.actor(x, c.Args[2])
	case "Submit":
		return t.tree.Actors[0]
	}
	return x
}

// actor is whom an address belongs to, in code of x; nil: that cannot be told.
func (t *talk) actor(x *Actor, e ast.Expr) *Actor {
	switch y := t.who.of(e); {
	case y == self:
		return x
	case y == parent:
		return t.tree.Actors[0]
	case slices.Contains(t.tree.Actors, y):
		return y
	}
	return nil
}

// check holds what is sent against what is received. What is the kit's is its own affair.
func (t *talk) check() {
	got := map[*Actor]map[*types.TypeName]bool{}
	for _, e := range t.edges {
		if got[e.to] == nil {
			got[e.to] = map[*types.TypeName]bool{}
		}
		got[e.to][e.message] = true
		if e.message.Pkg() == t.pkg && !e.to.takes[e.message].IsValid() && e.to.job != e.message {
			t.fail(e.pos, "%s sends %s to %s, which does not receive it",
				e.from.Name, e.message.Name(), e.to.Name)
		}
	}
	for _, x := range t.tree.Actors {
		for m, pos := range x.takes {
			if m.Pkg() == t.pkg && !got[x][m] {
				t.fail(pos, "%s receives %s, which nobody sends to it", x.Name, m.Name())
			}
		}
		if x.Kind == "pool" && !got[x][x.job] {
			t.fail(x.pos, "%s receives %s, which nobody submits", x.Name, x.job.Name())
		}
	}
}

// unheard finds what is sent and stands in no row.
func (a *analyser) unheard() {
	for _, d := range a.order {
		for c := range calls(ast.Preorder(d)) {
			_, _, name := a.parts(c)
			if name != "" && !a.sent[c] && !a.who.forwards[c] && len(a.trees) > 0 {
				a.fail(c.Pos(), "cannot tell who sends this, or what it is")
			}
		}
	}
}

// table makes rows of edges.
func (t *talk) table() {
	actors := t.tree.Actors
	type way struct {
		message  *types.TypeName
		from, to int // in the tree
	}
	ways := map[way]bool{}
	for _, e := range t.edges {
		ways[way{e.message, slices.Index(actors, e.from), slices.Index(actors, e.to)}] = true
	}
	sorted := slices.SortedFunc(maps.Keys(ways), func(p, q way) int {
		return cmp.Or(cmp.Compare(full(p.message), full(q.message)), p.to-q.to, p.from-q.from)
	})
	last := &Message{}
	for i := 0; i < len(sorted); {
		w := sorted[i]
		name := full(w.message)
		row := Message{Name: strings.TrimPrefix(name, t.pkg.Name()+"."), Says: t.said[name]}
		for ; i < len(sorted) && sorted[i].message == w.message && sorted[i].to == w.to; i++ {
			row.From = append(row.From, actors[sorted[i].from].Name)
		}
		if row.Says == "" {
			t.fail(w.message.Pos(), "nothing is said of the message %s", row.Name)
		}
		if last.Name != row.Name || !slices.Equal(last.From, row.From) {
			t.tree.Messages = append(t.tree.Messages, row)
			last = &t.tree.Messages[len(t.tree.Messages)-1]
		}
		last.To = append(last.To, actors[w.to].Name)
	}
	rank := func(m Message) int {
		return slices.IndexFunc(actors, func(x *Actor) bool { return x.Name == m.From[0] })
	}
	slices.SortStableFunc(t.tree.Messages, func(p, q Message) int { return rank(p) - rank(q) })
}
