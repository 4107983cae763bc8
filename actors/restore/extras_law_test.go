package restore_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/vault/filter"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// TestExtras_ofTheSource: what a backup was just made of has nothing that may be
// deleted, whatever the rules left out and whichever directory is restored there.
// What is added to a directory, and is not left out, is all that may. If a pattern left out
// an ignore file above the directory, the snapshot cannot tell, and nothing may go.
func TestExtras_ofTheSource(t *testing.T) {
	testsize.Long(t)
	for seed := range testsize.Seeds(t, 6) {
		r := rand.New(rand.NewPCG(seed, 0x65787472))
		h, dir := jobtest.New(t), t.TempDir()
		jobtest.MakeTree(t, testtree.Random(seed, testtree.RandomOptions{Nodes: 300, MaxSize: 300}), dir)
		var dirs []string
		jobtest.Must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() && !strings.ContainsRune(path, 0) {
				dirs = append(dirs, path)
			}
			return err
		}))
		rules := jobtest.RandomRules(t, r)
		rules.Ignore = true
		for _, d := range dirs {
			switch r.IntN(6) {
			case 0, 1:
				_ = os.WriteFile(filepath.Join(d, filter.IgnoreFile), []byte(jobtest.RandomPattern(r)+"\n"+jobtest.RandomPattern(r)), 0o600)
			case 2:
				_ = os.WriteFile(filepath.Join(d, ".tag"), nil, 0o600)
			}
		}
		if r.IntN(2) == 0 {
			rules.Tags = []filter.Tag{{Name: ".tag", Source: "test"}}
		}
		rules.Keep(dir)
		h.Edit = func(s *backup.Spec) { s.Choose = func() vfs.Chooser { return rules.Walk(nil) } }
		if res := h.Backup(dir); res.Errors > 0 {
			t.Fatalf("%+v", res)
		}
		_, _, all := h.Newest()
		all.Target = t.TempDir()
		run := restore.NewRestoreRun(all)
		jobtest.Must(t, run.Open(t.Context()))
		saved := map[string]bool{}
		jobtest.Must(t, run.Below(dir[1:], func(e *page.Entry) error {
			saved["/"+e.Path] = e.Type == page.Dir
			return nil
		}))
		run.Close()
		// refused reports whether nothing may be deleted in a directory.
		refused := func(d string, err error) bool {
			t.Helper()
			could, mustBe := false, false
			holds, _ := os.ReadDir(d) // in an empty one there is nothing to refuse
			for above := filepath.Dir(d); len(above) >= len(dir); above = filepath.Dir(above) {
				ignore := filepath.Join(above, filter.IgnoreFile)
				if _, ok := saved[ignore]; ok {
					continue
				}
				_, statErr := os.Lstat(ignore)
				out, _ := rules.Match(ignore, false)
				could, mustBe = could || out, mustBe || statErr == nil && len(holds) > 0
			}
			if err != nil && !(could && strings.Contains(err.Error(), "may have excluded more")) || err == nil && mustBe {
				t.Fatalf("%q: %v; ignore files above it were excluded: %v", d, err, mustBe)
			}
			return err != nil
		}
		for _, d := range dirs {
			if !saved[d] {
				continue
			}
			gone, _, res, err := h.TryExtras(d, &restore.ExtrasSpec{Restore: h.RestoreSpec(d, d), Rules: rules})
			if !refused(d, err) && res.Failed > 0 || gone != "" {
				t.Fatalf("%q: %q would go, %+v", d, gone, res.Problems)
			}
		}
		// A new file that a backup would save goes; one that it would leave out stays.
		for _, d := range dirs[:min(len(dirs), 20)] {
			if !saved[d] {
				continue
			}
			name := fmt.Sprint(string(rune('a'+r.IntN(26))), string(rune('a'+r.IntN(26))), seed)
			jobtest.Must(t, os.WriteFile(filepath.Join(d, name), nil, 0o600))
			_, wanted := jobtest.Walked(t, rules, dir)[filepath.Join(d, name)[1:]]
			gone, _, _, err := h.TryExtras(d, &restore.ExtrasSpec{Restore: h.RestoreSpec(d, d), Rules: rules})
			wanted = wanted && !refused(d, err)
			if (gone == name) != wanted || gone != "" && !wanted {
				t.Fatalf("%q in %q: would it go: %v, but %q would", name, d, wanted, gone)
			}
			jobtest.Must(t, os.Remove(filepath.Join(d, name)))
		}
	}
}
