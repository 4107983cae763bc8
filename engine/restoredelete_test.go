package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vaultik/config"
	"vaultik/internal/testsize"
	"vaultik/vault/filter"
	"vaultik/vault/fs"
	"vaultik/vault/snapshot"
)

// TestRulesOf: by what a snapshot records, a restore leaves alone what the backup left
// out, whether the configuration, the command line or an ignore file said so.
func TestRulesOf(t *testing.T) {
	testsize.Long(t)
	for seed := range testsize.Seeds(t, 30) {
		r := rand.New(rand.NewPCG(seed, 0x64656c))
		top := t.TempDir()
		pattern := func() string {
			return []string{"", "!"}[r.IntN(2)] + []string{"a", "b", "B", "*a", "b*", "/a/b", "a/",
				"**/b/a", "?", "[ab]c", top[1:] + "/a"}[r.IntN(11)]
		}
		patterns := func() []string {
			var out []string
			for range r.IntN(4) {
				out = append(out, pattern())
			}
			return out
		}
		exclusion := func() exclusions {
			x := exclusions{}
			x.Exclude, x.IExclude = filter.From("test", patterns()...),
				filter.From("test", patterns()...)
			if r.IntN(4) == 0 {
				x.IfPresent = []filter.Tag{{Name: "c", Header: []string{"", "x"}[r.IntN(2)],
					Source: "test"}}
			}
			if r.IntN(4) == 0 {
				x.LargerThan = filter.Limit{Bytes: r.Int64N(6), Source: "test"}
			}
			x.IgnoreFiles = []config.Switch{{}, {On: true, Source: "test"},
				{Source: "test"}}[r.IntN(3)]
			if err := x.compile(); err != nil {
				t.Fatal(err)
			}
			return x
		}
		var grow func(dir string, depth int)
		grow = func(dir string, depth int) {
			for _, name := range []string{"a", "b", "c", "B", "ac", filter.IgnoreFile} {
				path := filepath.Join(dir, name)
				text := strings.Repeat("x", r.IntN(8))
				switch {
				case name == filter.IgnoreFile:
					text = strings.Join(patterns(), "\n")
				case depth > 0 && r.IntN(2) == 0:
					if err := os.Mkdir(path, 0o700); err != nil {
						t.Fatal(err)
					}
					grow(path, depth-1)
					continue
				}
				if r.IntN(2) == 0 {
					if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		grow(top, 3)
		set := backupSet{}
		set.combine(exclusion(), exclusion())
		roots := []string{top}
		for _, p := range roots {
			set.rules.Keep(p)
		}
		root := &snapshot.Root{Filters: set.filters}
		for _, p := range set.excludes {
			root.Excludes = append(root.Excludes, snapshot.Text(p))
		}
		for _, p := range roots {
			root.Paths = append(root.Paths, snapshot.Text(p))
		}
		again, err := rulesOf(&reading{root: root})
		if err != nil {
			t.Fatal(err)
		}
		visited := func(rules *filter.Rules) (out []string) {
			err := fs.Walk(t.Context(), roots, fs.WalkOptions{Choose: rules.Walk(nil)},
				func(it fs.WalkItem) error {
					out = append(out, fmt.Sprint(it.Path, it.Err))
					return nil
				})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		if was, is := visited(&set.rules), visited(again); !slices.Equal(was, is) {
			t.Fatalf("%+v, excludes %q: saved\n%q\nby what the snapshot says\n%q", set.filters,
				set.excludes, was, is)
		}
	}
}
