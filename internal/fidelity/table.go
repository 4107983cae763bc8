package fidelity

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// word says what became of an attribute.
func (f Fate) word() string {
	switch {
	case f.Restored:
		return "restored"
	case f.Saved && f.Said:
		return "saved, reported"
	case f.Saved:
		return "saved"
	case f.Said:
		return "**lost**, reported"
	}
	return "**lost**"
}

// Write prints the page.
func Write(w io.Writer, tools []*Tool, absent []string, rows []Row, kernel, fileSystem string, when time.Time) error {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("# What is kept, compared with other programs\n\n")
	p("Made by `make fidelity` on %s: a tree in which each directory has one attribute from the table\n", when.UTC().Format("2006-01-02"))
	p("is saved and restored by each program, as root, and compared by `internal/treecmp`, which shares\n")
	p("no code with any of them. %s, %s, %s.\n\n", kernel, fileSystem, runtime.GOARCH)
	for _, t := range tools {
		p("* %s: %s; `%s`\n", t.Name, t.Version, strings.Join(t.Commands, "`, `"))
	}
	for _, name := range absent {
		p("* %s: not installed\n", name)
	}
	p("\n| word | meaning |\n| --- | --- |\n")
	p("| restored | it is back, exactly |\n")
	p("| saved | it is in the archive, but not restored |\n")
	p("| **lost** | it is in neither |\n")
	p("| reported | the program named the file when it saved or restored the tree; otherwise it was silent |\n\n")
	p("| attribute |")
	for _, t := range tools {
		p(" %s |", t.Name)
	}
	p("\n| --- |%s\n", strings.Repeat(" --- |", len(tools)))
	kept := make([]int, len(tools))
	silent := make([]int, len(tools))
	here := 0
	for _, r := range rows {
		p("| %s |", r.Name)
		if r.Missing != nil {
			p("%s\n", strings.Repeat(" not on this machine |", len(tools)))
			continue
		}
		here++
		for i, f := range r.Fates {
			p(" %s |", f.word())
			switch {
			case f.Restored:
				kept[i]++
			case !f.Said:
				silent[i]++
			}
		}
		p("\n")
	}
	p("| restored, of %d |", here)
	for _, n := range kept {
		p(" %d |", n)
	}
	p("\n| not restored, silently |")
	for _, n := range silent {
		p(" %d |", n)
	}
	p("\n\nNo program can set a birth time; Vaultik shows it in `ls --json`. A socket belongs to the server that created\n")
	p("it. Reading moves atime, so it is not kept; restic and borg save it on request. Of a sparse file\n")
	p("each hole of 64 KiB or more must be a hole again, and nothing else: borg makes holes where it finds enough\n")
	p("zeros.\n")
	_, err := io.WriteString(w, b.String())
	return err
}
