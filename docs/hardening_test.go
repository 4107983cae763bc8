package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests that hardening.md names exist.
func TestHardening(t *testing.T) {
	text, err := os.ReadFile("hardening.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	err = filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
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
			for _, m := range regexp.MustCompile(`(?m)^func ((Test|Fuzz)\w+)`).FindAllStringSubmatch(string(b), -1) {
				tests[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 6 {
			continue
		}
		for _, m := range regexp.MustCompile(`TestScripts/(\w+)|\b((?:Test|Fuzz)\w+)(\*?)|(\w+)\.txtar`).FindAllStringSubmatch(cells[2], -1) {
			n++
			if name := m[1] + m[2] + m[4]; m[3] == "" && !tests[name] {
				t.Errorf("there is no test %s", name)
			}
		}
	}
	if n < 80 {
		t.Errorf("only %d tests are named", n)
	}
}
