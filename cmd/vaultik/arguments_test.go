package main

import (
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestArguments_Bytes gives every flag and argument of every command a value that is not
// UTF-8: it arrives as it is, or is refused. So a new one cannot name another file.
func TestArguments_Bytes(t *testing.T) {
	const odd = "p\xff\xfe,\xc3é"
	refused, intact := 0, 0
	try := func(name string, args []string, value func(*cli) reflect.Value) {
		var line cli
		parser := newParser(&line, io.Discard, io.Discard, func(int) {})
		if _, err := parser.Parse(args); err != nil {
			if !strings.Contains(err.Error(), "UTF-8") && !strings.Contains(err.Error(), "must be one of") {
				t.Errorf("%s: %v", name, err)
			}
			refused++
			return
		}
		if got := textIn(value(&line)); got != odd {
			t.Errorf("%s became %q", name, got)
		}
		intact++
	}
	var line cli
	model := newParser(&line, io.Discard, io.Discard, func(int) {}).Model
	err := kong.Visit(model.Node, func(node kong.Visitable, next kong.Next) error {
		n, ok := node.(*kong.Node)
		if !ok || n.Type == kong.CommandNode && len(n.Children) > 0 {
			return next(nil)
		}
		command := strings.Fields(strings.TrimPrefix(n.FullPath(), "vaultik"))
		if n.Type == kong.ApplicationNode {
			command = []string{"version"} // any, for the flags that all have
		}
		for _, f := range n.Flags {
			if isText(f.Value) {
				for _, form := range [][]string{{"--" + f.Name, odd}, {"--" + f.Name + "=" + odd}} {
					try(n.FullPath()+" --"+f.Name, append(withRequired(n, command, f.Name), form...),
						sameField(&line, f.Value))
				}
			}
		}
		for i, p := range n.Positional {
			if isText(p) {
				args := withRequired(n, command, "")[:len(command)]
				for range i {
					args = append(args, "x")
				}
				for _, f := range n.Flags {
					if f.Required {
						args = append(args, "--"+f.Name+"=x")
					}
				}
				args = append(args, odd)
				for _, after := range n.Positional[i+1:] {
					if after.Required {
						args = append(args, "x")
					}
				}
				try(n.FullPath()+" "+p.Name, args, sameField(&line, p))
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if intact < 60 || refused == 0 {
		t.Errorf("only %d arguments arrived, %d were refused: the walk misses some", intact, refused)
	}
}

// withRequired is a command line with all that it cannot do without, but for one flag.
func withRequired(n *kong.Node, command []string, but string) []string {
	args := append([]string{}, command...)
	for _, p := range n.Positional {
		if p.Required {
			args = append(args, "x")
		}
	}
	for _, f := range n.Flags {
		if f.Required && f.Name != but {
			args = append(args, "--"+f.Name+"=x")
		}
	}
	return args
}

func isText(v *kong.Value) bool {
	t := v.Target.Type()
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t.Kind() == reflect.String
}

// sameField finds in another command line the field that v fills in the model's.
func sameField(model *cli, v *kong.Value) func(*cli) reflect.Value {
	offset := v.Target.Addr().Pointer() - reflect.ValueOf(model).Pointer()
	return func(c *cli) reflect.Value {
		return fieldAt(reflect.ValueOf(c).Elem(), offset, v.Target.Type())
	}
}

func fieldAt(v reflect.Value, offset uintptr, want reflect.Type) reflect.Value {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if offset < f.Offset || offset >= f.Offset+f.Type.Size() {
			continue
		}
		if f.Type == want {
			return v.Field(i)
		}
		return fieldAt(v.Field(i), offset-f.Offset, want)
	}
	panic("no such field")
}

// textIn is the last string in a value.
func textIn(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		return textIn(v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			return ""
		}
		return textIn(v.Index(v.Len() - 1))
	}
	return v.String()
}
