package actordoc

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

const (
	page         = "docs/actors.md"
	architecture = "docs/architecture.md"
	begin        = "<!-- generated: trees of actors, by make docs -->\n"
	end          = "<!-- end -->\n"
	section      = "// # Actors, as make docs draws them\n"
	width        = 84 // characters of a drawing, so that a comment of it fits as well
)

const intro = `# Actors and their messages

Do not edit: ` + "`make docs`" + ` makes this page of the code in ` + "`actors/`" + `
(` + "`go test ./internal/actordoc -update`" + `). Its words are the first sentences of comments.

* A **job** is a root, with a number of its own. The first error ends it, and the answer goes out
  when all its children are gone.
* A **stage** keeps state, so a bug in it fails the job.
* A **pool** leases each job that it is sent to one of its workers, which keep nothing: after a
  bug they start anew, and the job is leased again. The result goes to whoever asked.
* What stands **beside** blocks, and is no actor. It has no mailbox.

Names without a package are those of the job's. What the kit says by itself stands in no table:
` + "`actors.Start` and `messages.Cancel`" + ` to each root, and leases between a pool and its
workers (` + "`messages/lease.go`" + `).
`

// Draw is the tree, line by line: name, kind, and what is said of each actor, up to the
// first colon.
func (t *Tree) Draw() string {
	var b strings.Builder
	column := 0
	for _, x := range t.Actors {
		column = max(column, utf8.RuneCountInString(x.Name)+5)
	}
	for i, x := range t.Actors {
		name, more := "├─ "+x.Name, "│"
		switch i {
		case 0:
			name = x.Name + "-<n>"
		case len(t.Actors) - 1:
			name, more = "└─ "+x.Name, " "
		}
		line := fmt.Sprintf("%-*s%-8s", column, name, x.Kind)
		says, _, _ := strings.Cut(strings.ReplaceAll(x.Says, ";", ":"), ":")
		for _, word := range strings.Fields(says) {
			if utf8.RuneCountInString(line+word) > width {
				fmt.Fprintln(&b, strings.TrimRight(line, " "))
				line = fmt.Sprintf("%-*s", column+8, more)
			}
			line += word + " "
		}
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
	}
	return b.String()
}

// drawn are the trees as they stand in a document.
func drawn(trees []*Tree) string {
	var all []string
	for _, t := range trees {
		all = append(all, t.Draw())
	}
	return "```\n" + strings.Join(all, "\n") + "```\n"
}

// Page is docs/actors.md.
func Page(trees []*Tree) string {
	var b strings.Builder
	b.WriteString(intro)
	for _, t := range trees {
		fmt.Fprintf(&b, "\n## %s\n\n`actors/%s`\n\n%s\n", t.Actors[0].Name, t.Package, drawn([]*Tree{t}))
		b.WriteString("| message | from | to | meaning |\n| --- | --- | --- | --- |\n")
		for _, m := range t.Messages {
			from, to := strings.Join(m.From, ", "), strings.Join(m.To, ", ")
			says := strings.ReplaceAll(m.Says, "|", `\|`)
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, from, to, says)
		}
	}
	return b.String()
}

// Files are the documents below root with the trees in them, as they should be.
func Files(root string, trees []*Tree) (map[string]string, error) {
	files := map[string]string{page: Page(trees)}
	arch, err := os.ReadFile(filepath.Join(root, architecture))
	if err != nil {
		return nil, err
	}
	before, rest, ok := strings.Cut(string(arch), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return nil, fmt.Errorf("%s has no lines %q and %q", architecture, begin, end)
	}
	files[architecture] = before + begin + drawn(trees) + end + after
	ofPackage := map[string][]*Tree{}
	for _, t := range trees {
		ofPackage[t.Package] = append(ofPackage[t.Package], t)
	}
	for pkg, ts := range ofPackage {
		name := "actors/" + pkg + "/doc.go"
		old, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, fmt.Errorf("each job has a doc.go that says what it does: %w", err)
		}
		files[name] = comment(string(old), pkg, ts)
	}
	return files, nil
}

// comment is a doc.go with its prose as it was, and with the trees of the package below that.
func comment(old, pkg string, trees []*Tree) string {
	clause := "package " + pkg + "\n"
	prose, _, _ := strings.Cut(old, "\n"+clause)
	prose, _, _ = strings.Cut(prose, section)
	prose = strings.TrimRight(prose, "/\n") + "\n//\n" + section
	for _, t := range trees {
		prose += "//\n//\t" + strings.ReplaceAll(strings.TrimSpace(t.Draw()), "\n", "\n//\t") + "\n"
	}
	return prose + clause
}
