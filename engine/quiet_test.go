package engine_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Only the command line prints, reads the command line and handles signals.
func TestQuiet(t *testing.T) {
	for _, pattern := range []string{"*.go", "events/*.go", "placecheck/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"os.Stdout", "os.Stderr", "os.Stdin", "os.Args",
				"os.Exit", "fmt.Print", "println(", "signal.Notify"} {
				if bytes.Contains(text, []byte(word)) {
					t.Errorf("%s has %s", file, word)
				}
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range f.Imports {
				if path := strings.Trim(i.Path.Value, `"`); path == "log" || path == "os/signal" || path == "flag" {
					t.Errorf("%s imports %s", file, path)
				}
			}
		}
	}
}
