package structure

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

func TestLoad(t *testing.T) {
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOWORK", "off")
	archive, err := txtar.ParseFile("testdata/module.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, f := range archive.Files {
		// With its signature, return and braces the function has one line too many.
		archive.Files[i].Data = []byte(strings.ReplaceAll(string(f.Data), "LINES\n", strings.Repeat("\n", Long-2)))
	}
	if err := txtar.Write(archive, dir); err != nil {
		t.Fatal(err)
	}
	packages, err := Load(dir, "", "./one", "./two")
	if err != nil {
		t.Fatal(err)
	}
	var table, details strings.Builder
	if err := WriteTable(&table, packages); err != nil {
		t.Fatal(err)
	}
	WriteDetails(&details, packages)
	var rows []string
	for line := range strings.Lines(table.String()) {
		rows = append(rows, strings.Join(strings.Fields(line), " "))
	}
	if want := []string{
		"files lines exported functions > 40 lines references run back up package",
		"1 4 2 0 0 0 example/one",
		fmt.Sprintf("3 %d 1 1 4 1 example/two", Long+26),
		fmt.Sprintf("4 %d 3 1 4 1 total of 2 packages", Long+30),
	}; !slices.Equal(rows, want) {
		t.Errorf("table:\n%s\nwant:\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
	if want := `
example/two
  order: top.go middle.go bottom.go
  back:  bottom.go -> top.go: Top
  long:  bottom.long (bottom.go, 41 lines)
`; details.String() != want {
		t.Errorf("details:%s\nwant:%s", details.String(), want)
	}
	if err := os.WriteFile(filepath.Join(dir, "one/one.go"), []byte("package one\n\nvar x = missing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, "", "./..."); err == nil {
		t.Error("a package that does not compile was measured")
	}
}

func TestReferences_Order(t *testing.T) {
	graph := func(edges ...string) (r References, files []string) {
		r = References{}
		for _, e := range edges {
			from, to := e[:1], e[1:]
			if r[from] == nil {
				r[from] = map[string][]string{}
			}
			r[from][to] = []string{"x"}
			for _, f := range []string{from, to} {
				if !slices.Contains(files, f) {
					files = append(files, f)
				}
			}
		}
		return r, files
	}
	for _, c := range []struct {
		name  string
		edges []string
		back  int
	}{
		{"none", nil, 0},
		{"chain", []string{"cb", "ba", "ca"}, 0},
		{"two that know each other", []string{"ab", "ba"}, 1},
		{"circle", []string{"ab", "bc", "cd", "da"}, 1},
		{"two circles with one edge in common", []string{"ab", "bc", "ca", "bd", "da"}, 1},
		{"two circles with one file in common", []string{"ab", "bc", "ca", "ad", "de", "ea"}, 2},
		{"all know all", []string{"ab", "ac", "ba", "bc", "ca", "cb"}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, files := graph(c.edges...)
			order := r.Order(files)
			if back := r.Back(order); len(back) != c.back {
				t.Errorf("%d references run back up in %v, want %d: %v", len(back), order, c.back, back)
			}
			if r.Count() != len(c.edges) {
				t.Errorf("%d references, want %d", r.Count(), len(c.edges))
			}
			for range 10 {
				rand.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
				if again := r.Order(files); !slices.Equal(again, order) {
					t.Fatalf("%v gives another order, %v instead of %v", files, again, order)
				}
			}
		})
	}
}
