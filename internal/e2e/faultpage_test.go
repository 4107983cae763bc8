package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// noise is what differs from run to run and tells nothing.
var noise = []struct {
	is *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`vaultik-[a-z0-9]{12}`), "BUCKET"},
	{regexp.MustCompile(`/tmp/[A-Za-z0-9_/.-]*`), "/DIR"},
	{regexp.MustCompile(`h/[0-9a-f]{16}/`), "h/HOST/"},
	{regexp.MustCompile(`/[0-9a-f]{2}/[0-9a-f]{64}`), "/NN/NAME"},
	{regexp.MustCompile(`[0-9a-f]{64}`), "NAME"},
	{regexp.MustCompile(`k/[0-9a-f]{16}/`), "k/EPOCH/"},
	{regexp.MustCompile(`[0-9.]+:53`), "SERVER:53"},
	{regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:]+Z`), "TIME"},
}

// faultsPage is docs/faults.md.
func faultsPage(list []fault, seen []observed) string {
	var b strings.Builder
	b.WriteString(`# Faults between the program and its store

What a user sees when something breaks between the program and the store. For each fault
below a test in internal/e2e runs backup and restore with the built program, through a
proxy in front of a MinIO server (internal/faultproxy). After each backup and after each restore the
store is verified with ` + "`--read-data`" + `, and what was restored is compared with what was
backed up, in full (internal/treecmp): it was identical every time. If a command failed, it
was rerun without the fault, and then everything was there.

The tree has 12 MiB in blobs of 1 MiB, four transfers run at once, ` + "`retry: {elapsed: 5m}`" + `.
Progress and results of the commands are omitted.

| fault | what happens | backup: exit, took | restore: exit, took |
| --- | --- | --- | --- |
`)
	for i, f := range list {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", f.name, strings.ReplaceAll(strings.ToLower(f.name), " ", "-"), f.what, seen[i].backup.cell(), seen[i].restore.cell())
	}
	for i, f := range list {
		fmt.Fprintf(&b, "\n## %s\n\n%s: %s.\n", f.name, strings.ToUpper(f.name[:1])+f.name[1:], f.what)
		for _, c := range []struct {
			name string
			s    sight
		}{{"backup", seen[i].backup}, {"restore", seen[i].restore}} {
			fmt.Fprintf(&b, "\n`vaultik %s`:\n\n```\n%s```\n", c.name, c.s.text())
		}
	}
	return b.String()
}

func (s sight) cell() string {
	return fmt.Sprintf("%d, %v", s.exit, s.took.Round(100*time.Millisecond))
}

// text is what was said of the fault.
func (s sight) text() string {
	var b strings.Builder
	for _, line := range s.lines {
		for _, n := range noise {
			line = n.is.ReplaceAllString(line, n.to)
		}
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	if b.Len() == 0 {
		return "(nothing)\n"
	}
	return b.String()
}
