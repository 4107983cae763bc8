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
// What is added to a directory, and is not left out, is all that may.
func TestExtras_ofTheSource(t *testing.T) {
	first := testsize.Seed(t)
	for n := range testsize.Seeds(t, 6) {
		seed := first + uint64(n)
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
			t.Fatalf("SEED=%d: %+v", seed, res)
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
		for _, d := range dirs {
			if !saved[d] {
				continue
			}
			gone, _, res := h.FindExtras(d, &restore.ExtrasSpec{Restore: h.RestoreSpec(d, d), Rules: rules})
			if gone != "" || res.Failed > 0 {
				t.Fatalf("SEED=%d: %s: %q would go, %+v", seed, d, gone, res.Problems)
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
			gone, _, _ := h.FindExtras(d, &restore.ExtrasSpec{Restore: h.RestoreSpec(d, d), Rules: rules})
			if (gone == name) != wanted || gone != "" && !wanted {
				t.Fatalf("SEED=%d: %q in %s: a backup would save it: %v, but %q would go", seed, name, d, wanted, gone)
			}
			jobtest.Must(t, os.Remove(filepath.Join(d, name)))
		}
	}
}
