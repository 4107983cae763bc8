package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/internal/treecmp"
)

// TestRandomTrees: the program itself saves a random tree, which then changes, two to
// four times; each snapshot comes back as the tree was, and tells when files were born.
// TestBackup_RandomEdits in actors does the same faster, and with accidents.
func TestRandomTrees(t *testing.T) {
	for seed := range testsize.Seeds(t, 3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			testsize.Name(t, seed)
			randomTree(t, seed)
		})
	}
}

func randomTree(t *testing.T, seed uint64) {
	m := newMachine(t)
	m.exits(0, "init")
	key := secretOf(t, m.config("recovery-kit.txt"))
	src := filepath.Join(m.root, "src")
	must(t, os.Mkdir(src, 0o755))
	e := &testtree.Editor{Rand: rand.New(rand.NewPCG(seed, 7)), Dir: src, All: true}
	testtree.Random(seed, testtree.RandomOptions{Nodes: 20 + e.IntN(150), All: true}).Make(t, src)
	var log []string
	for k := range 2 + e.IntN(3) {
		for range k * 5 {
			what, err := e.Edit()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			log = append(log, what)
		}
		m.key = ""
		m.exits(0, "backup", src)
		m.key = key
		out := filepath.Join(m.root, fmt.Sprint("out", k))
		m.exits(0, "restore", "latest:"+src, "--target", out)
		r, err := treecmp.Compare(t.Context(), src, out, treecmp.Options{Outside: true})
		must(t, err)
		for _, d := range r.Differences[:min(len(r.Differences), 10)] {
			t.Error(d)
		}
		checkBirths(t, src, m.exits(0, "--json", "ls", "latest").stdout)
		if t.Failed() {
			t.Fatalf("backup %d, after %q", k, log)
		}
	}
	m.exits(0, "verify", "--read-data")
	// Each snapshot is what it was, now that there are later ones.
	for k, line := range strings.Split(strings.TrimSpace(m.exits(0, "--json", "snapshots").stdout), "\n") {
		var s struct{ Type, ID string }
		must(t, json.Unmarshal([]byte(line), &s))
		if s.Type != "snapshot" {
			continue
		}
		again := filepath.Join(m.root, fmt.Sprint("again", k))
		m.exits(0, "restore", s.ID+":"+src, "--target", again)
		sameTree(t, filepath.Join(m.root, fmt.Sprint("out", k)), again)
	}
}

// checkBirths compares the birth times of a listing with those of the tree: nothing
// can restore them, so comparing trees does not tell.
func checkBirths(t *testing.T, src, listing string) {
	t.Helper()
	checked := 0
	for line := range strings.Lines(listing) {
		var e struct {
			Type, Path, Path64 string
			Btime              string
		}
		must(t, json.Unmarshal([]byte(line), &e))
		if e.Type != "entry" || e.Path == "" || !strings.HasPrefix(e.Path, src) {
			continue
		}
		var x unix.Statx_t
		if err := unix.Statx(unix.AT_FDCWD, e.Path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &x); err != nil {
			continue // a path that is too long for the kernel
		}
		want := ""
		if x.Mask&unix.STATX_BTIME != 0 {
			want = time.Unix(x.Btime.Sec, int64(x.Btime.Nsec)).UTC().Format(time.RFC3339Nano)
		}
		if e.Btime != want {
			t.Errorf("%s: born %q, not %q", e.Path, e.Btime, want)
		}
		checked++
	}
	if checked == 0 {
		t.Error("no birth time was compared")
	}
}
