package actors

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

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
			h, dir := newTestHost(t), t.TempDir()
			makeTree(t, testtree.Random(seed, testtree.RandomOptions{Nodes: 1500, MaxSize: 300}), dir)
			ignore := filepath.Join(dir, filter.IgnoreFile)
			seen := map[string]bool{} // files that were saved before
			for run := range 8 {
				rules := randomRules(t, r)
				if r.IntN(2) == 0 {
					must(t, os.WriteFile(ignore, []byte(randomPattern(r)+"\n"+randomPattern(r)), 0o600))
				}
				h.edit = func(s *BackupSpec) { s.Choose = func() vfs.Chooser { return rules.Walk(nil) } }
				res := h.backup(dir)
				if res.Errors != 0 {
					t.Fatalf("run %d: %+v", run, res)
				}
				got, want := h.readBack(), walked(t, rules, dir)
				for p, e := range want {
					if g, ok := got[p]; !ok || g.Type != e.Type || g.sum != e.sum {
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
				if again := h.backup(dir); again.BytesRead != 0 {
					t.Fatalf("run %d: by the same rules %d bytes are read again", run, again.BytesRead)
				}
			}
			h.verifyClean()
			h.closeIndex()
		})
	}
}

func randomPattern(r *rand.Rand) string {
	letter := string(rune('a' + r.IntN(26)))
	return []string{letter + "*", "*" + letter, "?" + letter + "*", "*" + letter + "*/", "!*" + letter, "[" + letter + "-z]*"}[r.IntN(6)]
}

func randomRules(t *testing.T, r *rand.Rand) *filter.Rules {
	rules := &filter.Rules{Ignore: r.IntN(2) == 0}
	var texts []string
	for range r.IntN(4) {
		texts = append(texts, randomPattern(r))
	}
	l, err := filter.Compile(filter.From("test", texts...), filter.Options{})
	must(t, err)
	rules.After = []*filter.List{l}
	if r.IntN(3) == 0 {
		rules.Larger = filter.Limit{Bytes: r.Int64N(300), Source: "test"}
	}
	return rules
}

// walked is what a walk by the rules finds, with the content of files.
func walked(t *testing.T, rules *filter.Rules, dir string) map[string]readEntry {
	t.Helper()
	out := map[string]readEntry{}
	must(t, vfs.Walk(t.Context(), []string{dir}, vfs.WalkOptions{Choose: rules.Walk(nil)}, func(it vfs.WalkItem) error {
		e := readEntry{}
		e.Type = it.Stat.Type
		if e.Type == page.File {
			b, err := os.ReadFile("/" + it.Path)
			must(t, err)
			sum := sha256.Sum256(b)
			e.sum = hex.EncodeToString(sum[:])
		}
		out[it.Path] = e
		return it.Err
	}))
	return out
}

// TestBackup_BrokenIgnoreFile: it makes the snapshot incomplete, each time, and is in its root.
func TestBackup_BrokenIgnoreFile(t *testing.T) {
	h, dir := newTestHost(t), t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, filter.IgnoreFile), []byte("a\n["), 0o600))
	rules := &filter.Rules{Ignore: true}
	h.edit = func(s *BackupSpec) { s.Choose = func() vfs.Chooser { return rules.Walk(nil) } }
	for run := range 2 {
		r := h.backup(dir)
		if r.Complete || r.Errors != 1 || r.Counts.Files != 1 {
			t.Errorf("run %d: %+v", run, r)
		}
	}
	if _, there := h.readBack()[dir[1:]+"/a"]; there {
		t.Error("the line that is right does not count")
	}
	must(t, os.Remove(filepath.Join(dir, filter.IgnoreFile)))
	if r := h.backup(dir); !r.Complete {
		t.Errorf("%+v", r)
	}
	h.checkTree(dir)
}
