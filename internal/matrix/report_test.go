package matrix

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"vaultik/backends"
	"vaultik/backends/backendtest"
)

// report gathers what was seen, column by column.
type report struct{ seen []*seen }

type seen struct {
	column *column
	cells  []backendtest.Result
	caps   backends.Capabilities
}

func (r *report) column(c *column) *seen {
	s := &seen{column: c}
	r.seen = append(r.seen, s)
	return s
}

func (s *seen) add(r backendtest.Result) { s.cells = append(s.cells, r) }

func (s *seen) extra(t *testing.T, c *column, e extra) {
	t.Helper()
	r := backendtest.Result{Name: e.name, Lacks: e.lacks(c)}
	if r.Lacks == "" && !t.Run(e.name, func(t *testing.T) { e.run(t, c) }) {
		r.Failures = []string{"see the test"}
	}
	s.add(r)
}

func (s *seen) capabilities(t *testing.T, c *column) {
	t.Helper()
	b, err := c.fresh(t).open(t.Context(), backends.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	info, err := b.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.caps = info.Capabilities
}

// whole reports whether all columns are there with all cells: -run leaves some out.
func (r *report) whole() bool {
	if len(r.seen) != len(columns()) {
		return false
	}
	want := len(backendtest.Cases()) + len(extras())
	for _, s := range r.seen {
		if len(s.cells) != want || s.caps.Connections == 0 {
			return false
		}
	}
	return true
}

// compare writes the text to the file, or fails if that says something else.
func (r *report) compare(t *testing.T, file string, write bool) {
	t.Helper()
	text := r.text()
	if write {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(old) == text {
		return
	}
	oldLines, lines := strings.Split(string(old), "\n"), strings.Split(text, "\n")
	for i, line := range lines {
		if i >= len(oldLines) || oldLines[i] != line {
			t.Errorf("%s, line %d, is not what was seen:\n%s\nrun: go test ./internal/matrix -update", file, i+1, line)
			return
		}
	}
	t.Errorf("%s has more lines than was seen", file)
}

// text is the page. Nothing in it changes from run to run.
func (r *report) text() string {
	var b strings.Builder
	b.WriteString(`# Conformance

What every kind of store promises, on every server it is tested with. The test of
internal/matrix runs all of it and writes this page; continuous integration runs it
and fails if a cell differs. No case is skipped.

**✓** the promise holds. A letter: the store lacks the ability in question, and the test
only showed that it says so, with an error and without harm; such a cell is not counted
as passed.

`)
	var notes []string
	header := []string{"promise"}
	for i := range r.seen {
		header = append(header, fmt.Sprint(i+1))
	}
	var rows [][]string
	passed, refused := 0, 0
	for i, first := range r.seen[0].cells {
		row := []string{first.Name}
		for _, s := range r.seen {
			lacks := s.cells[i].Lacks
			if lacks == "" {
				row = append(row, "✓")
				passed++
				continue
			}
			n := slices.Index(notes, lacks)
			if n < 0 {
				n = len(notes)
				notes = append(notes, lacks)
			}
			row = append(row, string(rune('a'+n)))
			refused++
		}
		rows = append(rows, row)
	}
	table(&b, header, rows)
	b.WriteString("\n")
	for i, n := range notes {
		fmt.Fprintf(&b, "%c: does not have %s  \n", 'a'+i, n)
	}
	fmt.Fprintf(&b, "\n%d cells: %d passed, %d do not apply.\n\n## The stores\n\n", passed+refused, passed, refused)
	rows = nil
	for i, s := range r.seen {
		command := "`" + s.column.command + "`"
		if s.column.command == "" {
			command = "no server"
		}
		rows = append(rows, []string{fmt.Sprint(i + 1), s.column.name, "`" + s.column.url + "`", command})
	}
	table(&b, []string{"", "store", "URL", "server, as the test starts it"}, rows)
	for i, s := range r.seen {
		if s.column.note != "" {
			fmt.Fprintf(&b, "\n%d: %s\n", i+1, s.column.note)
		}
	}
	b.WriteString("\nThe servers are children of the test, on free ports of the loopback interface, with\n" +
		"random keys in their environment; `scripts/tools test` installs them.\n\n## What each can do\n\n")
	rows = nil
	for i, s := range r.seen {
		c := s.caps
		limit := "none"
		if c.MaxObjectSize > 0 {
			limit = fmt.Sprint(c.MaxObjectSize)
		}
		rows = append(rows, []string{fmt.Sprint(i + 1), s.column.name, mark(c.ConditionalPut), mark(c.ServerChecksum), mark(c.AtomicReplace),
			mark(c.Sorted), mark(c.RangeNative), mark(c.EmptyObjects), limit, fmt.Sprint(c.Connections)})
	}
	table(&b, []string{"", "store", "create if absent", "checks SHA-256", "replaces atomically", "lists in order", "cheap ranges", "empty objects", "largest object, bytes", "connections"}, rows)
	return b.String()
}

func mark(has bool) string {
	if has {
		return "yes"
	}
	return "no"
}

func table(b *strings.Builder, header []string, rows [][]string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
}
