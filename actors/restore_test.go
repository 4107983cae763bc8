package actors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/internal/treecmp"
	"vaultik/messages"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// newest opens the newest snapshot.
func (h *testHost) newest() (*snapshot.Loaded, *snapshot.Root, *RestoreSpec) {
	h.t.Helper()
	ctx := h.t.Context()
	all, problems, err := h.opened.Manifests(ctx, snapshot.Filter{})
	must(h.t, err)
	if len(problems) > 0 {
		h.t.Fatalf("problems: %v", problems)
	}
	m := slices.MaxFunc(all, func(a, b *snapshot.Loaded) int { return int(a.Seq) - int(b.Seq) })
	ids, problems, err := h.opened.Identities(ctx, m.Manifest, h.identity)
	must(h.t, err)
	if len(problems) > 0 {
		h.t.Fatalf("problems: %v", problems)
	}
	root, err := h.opened.Root(ctx, m.Manifest, ids)
	must(h.t, err)
	return m, root, &RestoreSpec{Store: h.store, Root: root, Identities: ids, Progress: &messages.Progress{}, Warn: func(text string) { h.t.Log("warning:", text) }}
}

// restoreSpec restores the contents of dir, as the newest snapshot has them.
func (h *testHost) restoreSpec(dir, target string) *RestoreSpec {
	_, _, s := h.newest()
	s.From, s.Target = strings.TrimPrefix(dir, "/"), target
	return s
}

func (h *testHost) restore(s *RestoreSpec) *RestoreResult {
	h.t.Helper()
	r, err := h.system.Restore(h.t.Context(), s)
	must(h.t, err)
	return r
}

// sameTree fails unless both directories are the same in all that can be compared.
func sameTree(t testing.TB, a, b string, ignore ...treecmp.Kind) {
	t.Helper()
	r, err := treecmp.Compare(t.Context(), a, b, treecmp.Options{Ignore: ignore})
	must(t, err)
	for i, d := range r.Differences {
		if i == 20 {
			t.Errorf("and %d more", len(r.Differences)-i)
			break
		}
		t.Error(d)
	}
}

// makeOdd makes a tree of all kinds of entries, but sockets, which are never restored.
func makeOdd(t testing.TB, dir string, seed uint64, nodes int) {
	t.Helper()
	tree := testtree.Random(seed, testtree.RandomOptions{Nodes: nodes})
	tree = slices.DeleteFunc(tree, func(n testtree.Node) bool { return n.Kind == testtree.Socket })
	makeTree(t, tree, dir)
}

func TestRestore_RoundTrip(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, leakOptions...)
	h := newTestHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	makeOdd(t, dir, 11, 1500)
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(7, 40<<20), 0o600))
	h.backup(dir)
	s := h.restoreSpec(dir, out)
	r := h.restore(s)
	if r.Failed != 0 || r.Damaged || len(r.Meta) > 0 {
		t.Errorf("%+v", r)
	}
	sameTree(t, dir, out)
	if n := s.Progress; n.FilesDone.Load() != n.FilesTotal.Load() || n.BytesDone.Load() != n.BytesTotal.Load() || r.Counts.Files != n.FilesDone.Load() {
		t.Errorf("progress: %d of %d files, %d of %d bytes", n.FilesDone.Load(), n.FilesTotal.Load(), n.BytesDone.Load(), n.BytesTotal.Load())
	}

	again := h.restore(h.restoreSpec(dir, out))
	if again.BlobsRead != 0 || again.Restored+again.Replaced != 0 || again.Unchanged != r.Restored {
		t.Errorf("a second restore: %+v", again)
	}
	sameTree(t, dir, out)
	h.closeIndex()
}

func TestRestore_FullPaths(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "a", "out")
	makeOdd(t, dir, 12, 300)
	h.backup(dir)
	_, _, s := h.newest()
	s.Target = out
	r := h.restore(s)
	sameTree(t, dir, filepath.Join(out, dir))
	if n := s.Progress; n.FilesDone.Load() != n.FilesTotal.Load() || n.BytesDone.Load() != n.BytesTotal.Load() {
		t.Errorf("progress: %+v", r)
	}
	for p := filepath.Dir(dir); p != "/"; p = filepath.Dir(p) { // made by the restore, so with their attributes
		a, err := os.Lstat(p)
		must(t, err)
		b, err := os.Lstat(filepath.Join(out, p))
		must(t, err)
		if a.Mode() != b.Mode() {
			t.Errorf("%s: mode %v, not %v", p, b.Mode(), a.Mode())
		}
	}
	var item atomic.Int64
	_, _, s = h.newest()
	s.Target = out
	s.OnItem = func(string, messages.Status, string) { item.Add(1) }
	if r := h.restore(s); r.BlobsRead != 0 || item.Load() == 0 {
		t.Errorf("%+v", r)
	}
}

// Files of many pieces, links to them, and bounds so narrow that everything waits for everything.
func TestRestore_NarrowBounds(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	h.edit = func(s *BackupSpec) {
		s.Chunks = chunk.ParamsFor(16 << 10)
		s.BlobSize = 1 << 20
	}
	dir := t.TempDir()
	makeOdd(t, dir, 16, 100)
	for _, name := range []string{"a", "b", "m", "z"} {
		must(t, os.WriteFile(filepath.Join(dir, name), testtree.Bytes(uint64(name[0]), 1<<20), 0o600))
	}
	for i := range 30 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("s%03d", i)), testtree.Bytes(uint64(i), 100<<10), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, "n"), 0o755))
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "n", "link of a")))
	must(t, os.Link(filepath.Join(dir, "m"), filepath.Join(dir, "zz")))
	h.backup(dir)
	for _, b := range []restoreBounds{
		{},
		{items: 1, pieces: 1, batches: 2, parts: 1, planPieces: 1 << 20, planBytes: 1 << 40},
		{items: 4, pieces: 7, batches: 3, parts: 2, planPieces: 1 << 20, planBytes: 1 << 40},
		{items: 4, pieces: 1000, batches: 64, parts: 1, planPieces: 1 << 20, planBytes: 1 << 16},
	} {
		out := filepath.Join(t.TempDir(), "out")
		for round, c := range []struct {
			spec   func(*RestoreSpec)
			damage bool
			reads  bool // from the store
		}{
			{func(*RestoreSpec) {}, false, true},
			{func(*RestoreSpec) {}, false, false},
			{func(s *RestoreSpec) { s.Overwrite = OverwriteAlways }, false, false},
			{func(s *RestoreSpec) { s.Overwrite = OverwriteAlways }, true, true},
			{func(*RestoreSpec) {}, true, true},
			{func(s *RestoreSpec) { s.InPlace = true }, true, true},
			{func(s *RestoreSpec) { s.InPlace, s.Overwrite = true, OverwriteAlways }, false, false},
		} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Minute, errors.New("stuck"))
			if c.damage {
				damageFiles(t, out)
			}
			s := h.restoreSpec(dir, out)
			s.bounds = b
			c.spec(s)
			r, err := h.system.Restore(ctx, s)
			cancel()
			if err != nil || r.Failed != 0 || (r.BlobsRead > 0) != c.reads || c.damage != (r.BytesReused > 0 && r.BlobsRead > 0) {
				t.Fatalf("%+v, round %d: %+v, %v", b, round, r, err)
			}
			sameTree(t, dir, out)
		}
	}
}

// Directories above what is restored have their modes even if it goes no further.
func TestRestore_InterruptedAbove(t *testing.T) {
	h := newTestHost(t)
	dir, out := filepath.Join(t.TempDir(), "above", "dir"), filepath.Join(t.TempDir(), "out")
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.Chmod(filepath.Dir(dir), 0o751))
	must(t, os.WriteFile(filepath.Join(dir, "f"), []byte("f"), 0o600))
	h.backup(dir)
	_, _, s := h.newest()
	s.Target = out
	s.faults.onWrite = func() { panic("always") }
	if r := h.restore(s); r.Failed == 0 {
		t.Errorf("%+v", r)
	}
	_, _, s = h.newest()
	s.Target = out
	h.restore(s)
	sameTree(t, dir, filepath.Join(out, dir))
	fi, err := os.Stat(filepath.Join(out, filepath.Dir(dir)))
	must(t, err)
	if fi.Mode().Perm() != 0o751 {
		t.Errorf("mode %v", fi.Mode())
	}
}

func TestRestore_PanicsChangeNothing(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	makeOdd(t, dir, 13, 800)
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(9, 40<<20), 0o600))
	h.backup(dir)
	s := h.restoreSpec(dir, out)
	var d, w atomic.Int64
	s.faults.onDownload = func() {
		if d.Add(1)%29 == 3 {
			panic("injected in downloader")
		}
	}
	s.faults.onWrite = func() {
		if w.Add(1)%50 == 17 {
			panic("injected in writer")
		}
	}
	r := h.restore(s)
	if r.Failed != 0 || r.Restarts == 0 {
		t.Errorf("%+v", r)
	}
	sameTree(t, dir, out)
}

func TestRestore_WalkerPanicFailsCleanly(t *testing.T) {
	defer goleak.VerifyNone(t, leakOptions...)
	h := newTestHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	makeOdd(t, dir, 14, 300)
	h.backup(dir)
	s := h.restoreSpec(dir, out)
	var n atomic.Int64
	s.faults.onScan = func() {
		if n.Add(1) == 100 {
			panic("injected in walker")
		}
	}
	if _, err := h.system.Restore(t.Context(), s); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("error %v", err)
	}
	noTemps(t, out)
	h.restore(h.restoreSpec(dir, out))
	sameTree(t, dir, out)
	h.closeIndex()
}

func noTemps(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if strings.Contains(p, ".vaultik-tmp-") {
			t.Errorf("left behind: %s", p)
		}
		return err
	}))
}

// damageFiles changes some bytes of each large file, without its size, and cuts some.
func damageFiles(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		st, err := d.Info()
		if err != nil || st.Size() < 50<<10 {
			return err
		}
		f, err := os.OpenFile(p, os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		b := make([]byte, 1)
		_, err = f.ReadAt(b, st.Size()/2)
		must(t, err)
		b[0]++
		_, err = f.WriteAt(b, st.Size()/2)
		must(t, err)
		if strings.HasSuffix(p, "7") {
			must(t, f.Truncate(st.Size()-1))
		}
		return nil
	}))
}

func TestRestore_Cancel(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, leakOptions...)
	h := newTestHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	makeOdd(t, dir, 15, 500)
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(9, 30<<20), 0o600))
	h.backup(dir)
	for _, at := range []int64{1, 5, 50, 300} {
		s := h.restoreSpec(dir, out)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		var n atomic.Int64
		s.faults.onWrite = func() {
			if n.Add(1) == at {
				cancel(why)
			}
		}
		if r, err := h.system.Restore(ctx, s); !errors.Is(err, why) || r == nil {
			t.Errorf("at %d: error %v", at, err)
		}
		cancel(nil)
		noTemps(t, out)
	}
	h.restore(h.restoreSpec(dir, out))
	sameTree(t, dir, out)
	h.closeIndex()
}

func TestRestore_Selection(t *testing.T) {
	h := newTestHost(t)
	dir := t.TempDir()
	testtree.Make(t, dir, `
dir a mode=750
file a/one text=1
dir a/b mode=700
file a/b/two text=22
file a/b/two.txt text=22t
dir a/c mode=711
file a/c/three text=333
hardlink d/link a/b/two
file e text=eeee
symlink s e
`)
	h.backup(dir)
	top := strings.TrimPrefix(dir, "/")
	for _, c := range []struct {
		name string
		edit func(s *RestoreSpec)
		want string // names below the target
	}{
		{"all", func(s *RestoreSpec) { s.From = top }, "a a/b a/b/two a/b/two.txt a/c a/c/three a/one d d/link e s"},
		{"a directory", func(s *RestoreSpec) { s.From = top + "/a/b" }, "two two.txt"},
		{"a file", func(s *RestoreSpec) { s.From = top + "/a/b/two" }, "two"},
		{"a symlink", func(s *RestoreSpec) { s.From = top + "/s" }, "s"},
		{"paths", func(s *RestoreSpec) { s.From, s.Paths = top, []string{top + "/e", top + "/a/b", top + "/a/b/two"} }, "a a/b a/b/two a/b/two.txt e"},
		{"one name of a file", func(s *RestoreSpec) { s.From, s.Paths = top, []string{top + "/d/link"} }, "d d/link"},
		{"include", func(s *RestoreSpec) {
			s.From = top
			s.Include = func(p string, _ page.Type) bool { return strings.HasSuffix(p, ".txt") || strings.HasSuffix(p, "/c") }
		}, "a a/b a/b/two.txt a/c a/c/three"},
		{"exclude", func(s *RestoreSpec) {
			s.From = top
			s.Exclude = func(p string, typ page.Type) bool { return p == top+"/a" && typ == page.Dir || p == top+"/e" }
		}, "d d/link s"},
		{"both", func(s *RestoreSpec) {
			s.From = top
			s.Include = func(p string, _ page.Type) bool { return p == top+"/a/b" }
			s.Exclude = func(p string, _ page.Type) bool { return strings.HasSuffix(p, "txt") }
		}, "a a/b a/b/two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, s := h.newest()
			s.Target = filepath.Join(t.TempDir(), "out")
			c.edit(s)
			r, err := h.system.Restore(t.Context(), s)
			must(t, err)
			if r.Failed != 0 {
				t.Errorf("%+v", r)
			}
			if got := names(t, s.Target); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			for p := range strings.FieldsSeq(c.want) {
				src := filepath.Join(dir, p)
				if s.From != top {
					src = filepath.Join("/"+s.From, p)
					if !strings.HasSuffix(s.From, "/b") {
						src = "/" + s.From
					}
				}
				a, err := os.Lstat(src)
				must(t, err)
				b, err := os.Lstat(filepath.Join(s.Target, p))
				must(t, err)
				if a.Mode() != b.Mode() || !a.ModTime().Equal(b.ModTime()) {
					t.Errorf("%s: %v %v, not %v %v", p, b.Mode(), b.ModTime(), a.Mode(), a.ModTime())
				}
			}
		})
	}
	for _, paths := range [][]string{{"no/such"}, {top + "/a", top + "/x"}, {"../etc"}, {"a"}} {
		_, _, s := h.newest()
		s.Target, s.From, s.Paths = filepath.Join(t.TempDir(), "out"), top, paths
		if _, err := h.system.Restore(t.Context(), s); err == nil {
			t.Errorf("%q was restored", paths)
		}
		if _, err := os.Lstat(s.Target); err == nil {
			t.Errorf("%q: the target was made", paths)
		}
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if p != dir {
			all = append(all, strings.TrimPrefix(p, dir+"/"))
		}
		return err
	}))
	slices.Sort(all)
	return strings.Join(all, " ")
}
