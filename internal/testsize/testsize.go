// Package testsize sizes tests: small ones run always, long ones unless go test -short
// leaves them out, as make quick does, and large ones where SOAK is set, as make soak does.
// It gives random tests their seeds, and prints them when they fail.
package testsize

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// Long skips a test that takes seconds, or needs servers, under go test -short.
func Long(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("left out by -short")
	}
}

// Seed returns the seed of a random test: what SEED says, else another one each time.
// If the test fails, however it does, it prints the seed and how to repeat it.
func Seed(tb testing.TB) uint64 {
	tb.Helper()
	seed := number(tb, "SEED", uint64(time.Now().UnixNano())%1e9)
	Name(tb, seed)
	return seed
}

// Name has a test print its seed and how to repeat it, if it fails. Tests that have their
// seeds from Seed or Seeds do, but for subtests of [Seeds] that run in parallel.
func Name(tb testing.TB, seed uint64) {
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Log(repeat(tb, seed))
		}
	})
}

// Seeds gives a test of laws one seed after another: as many as SEEDS says, else few, or a
// fifth of them under go test -short, beginning with the one that SEED says, else anywhere. The
// first one that fails is the last; it is printed, with how to repeat it.
func Seeds(tb testing.TB, few int) iter.Seq[uint64] {
	tb.Helper()
	first := number(tb, "SEED", uint64(time.Now().UnixNano())%1e9)
	if testing.Short() {
		few = max(1, few/5)
	}
	count := number(tb, "SEEDS", uint64(few))
	return func(yield func(uint64) bool) {
		for seed := first; seed < first+count; seed++ {
			if !tried(tb, seed, yield) {
				return
			}
		}
	}
}

// tried reports whether a seed has passed and another one is wanted. A deferred function
// prints those that fail, since a fatal failure does not return.
func tried(tb testing.TB, seed uint64, yield func(uint64) bool) (next bool) {
	returned := false
	defer func() {
		if tb.Failed() || !returned && !tb.Skipped() {
			tb.Log(repeat(tb, seed))
		}
	}()
	next = yield(seed)
	returned = true
	return next && !tb.Failed()
}

// repeat is the command that runs a test with a seed.
func repeat(tb testing.TB, seed uint64) string {
	test, _, _ := strings.Cut(tb.Name(), "/")
	return fmt.Sprintf("repeat it with: SEED=%d SEEDS=1 go test -count=1 -run '^%s$' %s", seed, test, testedPackage)
}

// testedPackage is the package whose tests run, as a path in the module: go test runs them there.
var testedPackage = func() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for top := dir; top != filepath.Dir(top); top = filepath.Dir(top) {
		if _, err := os.Stat(filepath.Join(top, "go.mod")); err == nil {
			return "." + filepath.ToSlash(strings.TrimPrefix(dir, top))
		}
	}
	return "."
}()

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
