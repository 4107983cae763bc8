package main

import (
	"io"
	"os"
	"strings"
	"testing"
)

// TestThreatModel_Commands: the command line knows each command that threat-model.md tells
// somebody to paste who has no time to look up another.
func TestThreatModel_Commands(t *testing.T) {
	text, err := os.ReadFile("../../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	block, n := false, 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "```") {
			block = !block
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		if at := strings.Index(line, "$(vaultik "); at >= 0 {
			line, _, _ = strings.Cut(line[at+len("$("):], ")")
		}
		args := strings.Fields(line)
		if !block || len(args) == 0 || args[0] != "vaultik" {
			continue
		}
		n++
		var c cli
		if _, err := newParser(&c, io.Discard, io.Discard, func(int) {}).Parse(args[1:]); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if n < 25 {
		t.Errorf("only %d commands were found", n)
	}
}
