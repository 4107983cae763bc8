// Package testsize sizes tests: small ones run always, large ones where SOAK is set,
// as make soak does.
package testsize

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// Pick returns small, or large when SOAK is set.
func Pick(small, large int) int {
	if os.Getenv("SOAK") != "" {
		return large
	}
	return small
}

// Seeds returns how many seeds a test of laws tries: what SEEDS says, else few.
func Seeds(tb testing.TB, few int) int {
	tb.Helper()
	return int(number(tb, "SEEDS", uint64(few)))
}

// Seed returns the seed of a test, which it should print: what SEED says, to
// repeat a failure, else another one each time.
func Seed(tb testing.TB) uint64 {
	tb.Helper()
	return number(tb, "SEED", uint64(time.Now().UnixNano())%1e9)
}

func number(tb testing.TB, name string, other uint64) uint64 {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return other
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		tb.Fatalf("%s=%q: want a number", name, text)
	}
	return n
}
