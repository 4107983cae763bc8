package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests that hardening.md and threat-model.md name exist.
func TestHardening(t *testing.T) {
	tests := testsOfProject(t)
	for _, doc := range []struct {
		name  string
		cells int // that a row has, with the empty ones beside it
		held  int // the cell that names tests
		least int // tests that are named
	}{{"hardening.md", 6, 2, 80}, {"threat-model.md", 6, 4, 40}} {
		text, err := os.ReadFile(doc.name)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(line, "|")
			if len(cells) < doc.cells {
				continue
			}
			for _, m := range named.FindAllStringSubmatch(cells[doc.held], -1) {
				n++
				if name := m[1] + m[2] + m[4]; m[3] == "" && !tests[name] {
					t.Errorf("%s: there is no test %s", doc.name, name)
				}
			}
		}
		if n < doc.least {
			t.Errorf("%s: only %d tests are named", doc.name, n)
		}
	}
}

var (
	named    = regexp.MustCompile(`TestScripts/(\w+)|\b((?:Test|Fuzz)\w+)(\*?)|(\w+)\.txtar`)
	declared = regexp.MustCompile(`(?m)^func ((Test|Fuzz)\w+)`)
)

// testsOfProject are the names of all tests and scripts.
func testsOfProject(t *testing.T) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(path, ".txtar"):
			tests[strings.TrimSuffix(filepath.Base(path), ".txtar")] = true
		case strings.HasSuffix(path, "_test.go"):
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range declared.FindAllStringSubmatch(string(b), -1) {
				tests[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
