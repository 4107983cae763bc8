package config

import (
	"fmt"
	"strings"
)

// didYouMean suggests the nearest known word, or lists them all.
func didYouMean(word string, known []string) string {
	best, dist := "", len(word)
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < dist {
			best, dist = k, d
		}
	}
	if best != "" && (dist <= 2 || dist <= len(best)/2) {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "known: " + strings.Join(known, ", ")
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost = 1 + min(diag, row[j], row[j+1])
			}
			diag, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
