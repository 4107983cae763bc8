package structure

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteTable writes a line for each package and one of totals.
func WriteTable(w io.Writer, packages []*Package) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "files\tlines\texported\tfunctions > %d lines\treferences\trun back up\t  \tpackage\n", Long)
	var files, lines, exported, long, refs, back int
	row := func(files, lines, exported, long, refs, back int, name string) {
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%d\t  \t%s\n", files, lines, exported, long, refs, back, name)
	}
	for _, p := range packages {
		row(len(p.Files), p.Lines, p.Exported, len(p.Long), p.Refs.Count(), len(p.Back), p.Path)
		files, lines, exported = files+len(p.Files), lines+p.Lines, exported+p.Exported
		long, refs, back = long+len(p.Long), refs+p.Refs.Count(), back+len(p.Back)
	}
	row(files, lines, exported, long, refs, back, fmt.Sprintf("total of %d packages", len(packages)))
	return t.Flush()
}

// WriteDetails writes what the table counts: the order of the files of each package,
// the references that run back up in it, and the long functions.
func WriteDetails(w io.Writer, packages []*Package) {
	for _, p := range packages {
		if len(p.Back)+len(p.Long) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", p.Path)
		if len(p.Back) > 0 {
			fmt.Fprintf(w, "  order: %s\n", strings.Join(p.Order, " "))
		}
		for _, b := range p.Back {
			fmt.Fprintf(w, "  back:  %s -> %s: %s\n", b.From, b.To, strings.Join(b.Names, " "))
		}
		for _, f := range p.Long {
			fmt.Fprintf(w, "  long:  %s\n", f)
		}
	}
}
