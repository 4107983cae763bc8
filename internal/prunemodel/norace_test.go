//go:build !race

package prunemodel

// race is whether the race detector is on, which makes a history ten times as slow.
const race = false
