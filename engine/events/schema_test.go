package events

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSchema: docs/json.md has exactly the types and fields that the source has, and says
// which may be omitted; of a field and its twin in base64, one is.
// An event is any struct with a field `json:"type"`; the comment on that field
// begins with the type's name.
func TestSchema(t *testing.T) {
	source, docs := sourceSchema(t), docsSchema(t)
	if len(source) < 8 {
		t.Fatalf("only %d events found in the source", len(source))
	}
	for name, fields := range source {
		if !slices.Equal(fields, docs[name]) {
			t.Errorf("%s:\nsource %v\ndocs   %v", name, fields, docs[name])
		}
	}
	for name := range docs {
		if source[name] == nil {
			t.Errorf("%s is documented, but is not in the source", name)
		}
	}
}

// sourceSchema lists the JSON names of all events.
func sourceSchema(t *testing.T) map[string][]string {
	out := map[string][]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]*ast.StructType{} // those with a name
	var all []*ast.StructType
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if st, ok := n.Type.(*ast.StructType); ok {
					structs[n.Name.Name] = st
				}
			case *ast.StructType:
				all = append(all, n)
			}
			return true
		})
	}
	for _, st := range all {
		if name, fields := eventOf(st, structs); name != "" {
			out[name] = fields
		}
	}
	return out
}

func eventOf(st *ast.StructType, structs map[string]*ast.StructType) (name string,
	fields []string) {
	for _, f := range st.Fields.List {
		if id, ok := f.Type.(*ast.Ident); ok && len(f.Names) == 0 && structs[id.Name] != nil {
			_, embedded := eventOf(structs[id.Name], structs)
			fields = append(fields, embedded...)
		}
		if f.Tag == nil {
			continue
		}
		tag, opt, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
		if tag == "type" && f.Comment != nil {
			name = strings.TrimRight(strings.Fields(f.Comment.Text())[0], ":")
		}
		if tag != "" && tag != "-" {
			fields = append(fields, tag+strings.Replace(opt, "omitempty", "?", 1))
		}
	}
	slices.Sort(fields)
	return name, fields
}

var quoted = regexp.MustCompile("`([a-z0-9_]+)`")

// docsSchema lists the fields in the first column of the tables, with ? those that may be
// omitted.
func docsSchema(t *testing.T) map[string][]string {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	name := ""
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(line, "### "); ok {
			name = strings.TrimSpace(title)
		}
		if strings.HasPrefix(line, "| `") {
			columns := strings.Split(line, "|")
			opt := strings.TrimSpace(columns[2]) == "opt"
			for _, m := range quoted.FindAllStringSubmatch(columns[1], -1) {
				field := m[1]
				twin := strings.Contains(columns[1], "`"+field+"64`") || strings.HasSuffix(field, "64")
				if opt || twin {
					field += "?"
				}
				out[name] = append(out[name], field)
			}
		}
	}
	for _, fields := range out {
		slices.Sort(fields)
	}
	return out
}
