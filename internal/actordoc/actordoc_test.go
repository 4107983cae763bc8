package actordoc

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the trees and tables of actors into the documents")

// TestDocuments holds the documents against the code. go test ./internal/actordoc -update
// writes them.
func TestDocuments(t *testing.T) {
	const root = "../.."
	trees, err := Trees(root, "./actors/...")
	if err != nil {
		t.Fatal(err)
	}
	files, err := Files(root, trees)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		path := filepath.Join(root, name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		is := strings.Split(string(b), "\n")
		for i, line := range strings.Split(want, "\n") {
			if i >= len(is) || is[i] != line {
				t.Errorf("%s:%d is not what the code says; run: make docs\nit should be\n%s", name, i+1, line)
				break
			}
		}
		if len(b) > len(want) && strings.HasPrefix(string(b), want) {
			t.Errorf("%s says more than the code; run: make docs", name)
		}
	}
}

// TestTrees_Bakery draws a job that has one of each: a stage, a pool, code beside,
// a message through a function, an answer.
func TestTrees_Bakery(t *testing.T) {
	trees, err := Trees(".", "./testdata/bakery")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/bakery.md")
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(Page(trees), "\n## ")
	if "## "+got != string(want) {
		t.Errorf("it is drawn as\n## %s\nnot as\n%s", got, want)
	}
}

// TestTrees_Wrong finds each thing that is wrong in a job, and nothing else.
func TestTrees_Wrong(t *testing.T) {
	_, err := Trees(".", "./testdata/wrong")
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	src, rerr := os.ReadFile("testdata/wrong/wrong.go")
	if rerr != nil {
		t.Fatal(rerr)
	}
	told := strings.Split(err.Error(), "\n")
	for i, line := range strings.Split(string(src), "\n") {
		_, want, ok := strings.Cut(line, "// wrong: ")
		if !ok {
			continue
		}
		at := len(told)
		for k, s := range told {
			_, says, _ := strings.Cut(s, "wrong.go:")
			if strings.HasPrefix(says, strconv.Itoa(i+1)+":") && strings.HasSuffix(says, ": "+want) {
				at = k
			}
		}
		if at == len(told) {
			t.Errorf("line %d: it is not told that %s", i+1, want)
			continue
		}
		told = append(told[:at], told[at+1:]...)
	}
	if len(told) > 0 {
		t.Errorf("what is told besides:\n%s", strings.Join(told, "\n"))
	}
}

// TestComment_KeepsProse: what was written by hand stays, and the trees are not added twice.
func TestComment_KeepsProse(t *testing.T) {
	const prose = "// Package p is a package.\n//\n// It is.\n"
	const want = prose + "//\n" + section + "//\n//\tp-<n> job     ends\npackage p\n"
	root := &Actor{Name: "p", Kind: "job", Says: "ends: with the rest"}
	trees := []*Tree{{Package: "p", Actors: []*Actor{root}}}
	once := comment(prose+"package p\n", "p", trees)
	if once != want {
		t.Errorf("%s\nis not\n%s", once, want)
	}
	if twice := comment(once, "p", trees); twice != want {
		t.Errorf("again:\n%s\nis not\n%s", twice, want)
	}
}
