package backup_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/vault/filter"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// TestBackup_FiltersChange: whatever the rules were before, and whatever the index
// carries over, a snapshot has exactly what the rules of its own run leave, with
// the content of now; and what two runs both keep is not read again.
func TestBackup_FiltersChange(t *testing.T) {
	testsize.Long(t)
	for seed := range testsize.Seeds(t, 3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0x66696c74))
			h, dir := jobtest.New(t), t.TempDir()
			jobtest.MakeTree(t, testtree.Random(seed, testtree.RandomOptions{Nodes: 1500, MaxSize: 300}), dir)
			ignore := filepath.Join(dir, filter.IgnoreFile)
			seen := map[string]bool{} // files that were saved before
			for run := range 8 {
				rules := jobtest.RandomRules(t, r)
				if r.IntN(2) == 0 {
					jobtest.Must(t, os.WriteFile(ignore, []byte(jobtest.RandomPattern(r)+"\n"+jobtest.RandomPattern(r)), 0o600))
				}
				h.Edit = func(s *backup.Spec) { s.Choose = func() vfs.Chooser { return rules.Walk(nil) } }
				res := h.Backup(dir)
				if res.Errors != 0 {
					t.Fatalf("run %d: %+v", run, res)
				}
				got, want := h.ReadBack(), jobtest.Walked(t, rules, dir)
				for p, e := range want {
					if g, ok := got[p]; !ok || g.Type != e.Type || g.Sum != e.Sum {
						t.Fatalf("run %d: %q is %+v, want %+v", run, p, g, e)
					}
				}
				for p := range got {
					if _, ok := want[p]; !ok {
						t.Fatalf("run %d: %q was left out, but is in the snapshot", run, p)
					}
				}
				unread := int64(0)
				for p, e := range want {
					if e.Type == page.File && seen[p] && p != ignore[1:] {
						unread++
					}
					seen[p] = e.Type == page.File
				}
				// The index remembers the last run; files that one run left out are read anew.
				if res.Counts.Unchanged > unread+1 {
					t.Fatalf("run %d: %d files unchanged, but only %d were ever saved", run, res.Counts.Unchanged, unread)
				}
				if again := h.Backup(dir); again.BytesRead != 0 {
					t.Fatalf("run %d: by the same rules %d bytes are read again", run, again.BytesRead)
				}
			}
			h.VerifyClean()
			h.CloseIndex()
		})
	}
}

// TestBackup_BrokenIgnoreFile: it makes the snapshot incomplete, each time, and is in its root.
func TestBackup_BrokenIgnoreFile(t *testing.T) {
	h, dir := jobtest.New(t), t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600))
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, filter.IgnoreFile), []byte("a\n["), 0o600))
	rules := &filter.Rules{Ignore: true}
	h.Edit = func(s *backup.Spec) { s.Choose = func() vfs.Chooser { return rules.Walk(nil) } }
	for run := range 2 {
		r := h.Backup(dir)
		if r.Complete || r.Errors != 1 || r.Counts.Files != 1 {
			t.Errorf("run %d: %+v", run, r)
		}
	}
	if _, there := h.ReadBack()[dir[1:]+"/a"]; there {
		t.Error("the line that is right does not count")
	}
	jobtest.Must(t, os.Remove(filepath.Join(dir, filter.IgnoreFile)))
	if r := h.Backup(dir); !r.Complete {
		t.Errorf("%+v", r)
	}
	h.CheckTree(dir)
}
