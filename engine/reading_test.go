package engine

import (
	"testing"

	"vaultik/vault/page"
)

func TestSnapshotPath(t *testing.T) {
	for _, c := range [][3]string{
		{".", "", "."}, {".", "/", "."}, {".", "/a/b", "a/b"}, {".", "a/b/", "a/b"},
		{".", "//a/./b/../c", "a/c"}, {".", "../..", "."},
		{"a/b", "c", "a/b/c"}, {"a/b", "/c", "c"}, {"a/b", ".", "a/b"}, {"a/b", "..", "a"},
		{"a", "\xff", "a/\xff"},
	} {
		if got := snapshotPath(c[0], c[1]); got != c[2] {
			t.Errorf("%q below %q: %q, want %q", c[1], c[0], got, c[2])
		}
	}
}

func TestTimeText(t *testing.T) {
	for want, at := range map[string]page.Time{
		"1970-01-01T00:00:00Z":             {},
		"1969-12-31T23:59:59.5Z":           {Sec: -1, Nsec: 500_000_000},
		"2006-01-02T15:04:05.000000001Z":   {Sec: 1136214245, Nsec: 1},
		"292277026596-12-04T15:30:07.001Z": {Sec: 1<<63 - 1, Nsec: 1_000_000},
	} {
		if got := timeText(at); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
}

// TestSelection: what a walk that asks as restore.Spec says ends up with.
func TestSelection(t *testing.T) {
	tree := []struct {
		path string
		typ  page.Type
	}{
		{"s", page.Dir}, {"s/a.go", page.File}, {"s/b.txt", page.File}, {"s/d", page.Dir},
		{"s/d/c.go", page.File},
		{"s/d/x", page.Dir}, {"s/d/x/e.txt", page.File}, {"s/d/y.txt", page.File},
		{"s/z", page.Dir}, {"s/z/f.go", page.File},
	}
	for _, c := range []struct {
		include, exclude []string
		want             string // files
	}{
		{nil, nil, "s/a.go s/b.txt s/d/c.go s/d/x/e.txt s/d/y.txt s/z/f.go "},
		{[]string{"*.go"}, nil, "s/a.go s/d/c.go s/z/f.go "},
		{[]string{"*.go"}, []string{"z"}, "s/a.go s/d/c.go "},
		{[]string{"d"}, nil, "s/d/c.go s/d/x/e.txt s/d/y.txt "},
		{[]string{"d", "!x"}, nil, "s/d/c.go s/d/y.txt "},
		{[]string{"d", "!x", "e.txt"}, nil, "s/d/c.go s/d/x/e.txt s/d/y.txt "},
		{[]string{"/s/d"}, []string{"*.txt", "!e.txt"}, "s/d/c.go s/d/x/e.txt "},
		{[]string{"/d"}, nil, ""},
		{nil, []string{"*"}, ""},
	} {
		include, err := patterns("--include", c.include)
		if err != nil {
			t.Fatal(err)
		}
		exclude, err := patterns("--exclude", c.exclude)
		if err != nil {
			t.Fatal(err)
		}
		in, out := selection(include, exclude)
		got := ""
		var skipped, included []string
		for _, e := range tree {
			below := func(dirs []string) bool {
				for _, d := range dirs {
					if page.Within(d, e.path) {
						return true
					}
				}
				return false
			}
			if below(skipped) {
				continue
			}
			if out != nil && out(e.path, e.typ) {
				skipped = append(skipped, e.path)
				continue
			}
			chosen := in == nil || below(included) || in(e.path, e.typ)
			if e.typ == page.Dir && chosen {
				included = append(included, e.path)
			}
			if e.typ == page.File && chosen {
				got += e.path + " "
			}
		}
		if got != c.want {
			t.Errorf("include %q, exclude %q: %s, want %s", c.include, c.exclude, got, c.want)
		}
	}
}
