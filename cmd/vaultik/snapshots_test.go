package main

import (
	"strings"
	"testing"
)

// A table fits a terminal, whatever the names of sets.
func TestNarrow(t *testing.T) {
	many := strings.Repeat("/home/ann/project:", 40)
	for _, width := range []int{80, 81, 120, 200, 1000} {
		table := [][]string{{"ID", "TIME", "HOST", "SET", "FILES", "SIZE", "STORED", ""},
			{"12345678", "2026-01-02 03:04:05", "host", many, "1,204", "41 MiB", "41 MiB", ""},
			{"12345678", "2026-01-02 03:04:05", "h", "short", "-", "-", "9 B", ""},
			{"12345678", "2026-01-02 03:04:05", "h", strings.Repeat("ä字", 300), "-", "-", "9 B", ""}}
		narrow(table, setColumn, width)
		wide, cut := 0, 0
		for i := range table[0] {
			widest := 0
			for _, row := range table {
				widest = max(widest, columns(row[i]))
			}
			wide += widest
			if i > 0 && widest > 0 {
				wide += 2
			}
		}
		for _, row := range table {
			if strings.HasSuffix(row[setColumn], "...") {
				cut++
			}
		}
		if wide >= width || wide < min(width-4, 700) || cut == 0 && width < 700 || table[2][setColumn] != "short" {
			t.Errorf("%d columns: %d are used, %d names cut", width, wide, cut)
		}
	}
}
