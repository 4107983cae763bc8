package fs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// Nothing that waits for a file system is called where a signal could make it fail: each
// such call is repeated, by platform.Again or filled.
func TestSystemCalls_AreRepeated(t *testing.T) {
	harmless := []string{
		"Close", "Major", "Minor", "Mkdev", "Seek", "Sync", "FcntlInt", "TimeToTimespec",
		"Errno", "SetNonblock",
	}
	for _, dir := range []string{".", "../../internal/atomicfile"} {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		checked := 0
		for _, f := range files {
			name := f.Name()
			if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "portable") ||
				!strings.HasSuffix(name, "_linux.go") && !strings.HasSuffix(name, "_unix.go") {
				continue
			}
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, dir+"/"+name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range bareCalls(parsed) {
				checked++
				if !slices.Contains(harmless, call.Sel.Name) {
					t.Errorf("%v: unix.%s is not repeated after a signal", set.Position(call.Pos()),
						call.Sel.Name)
				}
			}
		}
		if checked == 0 {
			t.Errorf("no system call found in %s", dir)
		}
	}
}

// repeating are the functions whose arguments are called again after a signal.
var repeating = []string{"Again", "filled", "readAttr", "do", "openat", "fsync", "renameExclusive"}

// bareCalls are the calls of package unix that are in no function handed to one of repeating,
// nor in a function of that name.
func bareCalls(file *ast.File) (found []*ast.SelectorExpr) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			return !slices.Contains(repeating, n.Name.Name)
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
				if slices.Contains(repeating, sel.Sel.Name) {
					return false
				}
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "unix" {
					found = append(found, sel)
				}
			}
			if id, ok := n.Fun.(*ast.Ident); ok && slices.Contains(repeating, id.Name) {
				return false
			}
		}
		return true
	})
	return found
}
