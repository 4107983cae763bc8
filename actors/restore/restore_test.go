package restore_test

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

	"vaultik/internal/testsize"

	"go.uber.org/goleak"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
	"vaultik/messages"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

func TestRestore_RoundTrip(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := jobtest.New(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	jobtest.MakeOdd(t, dir, 11, 1500)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(7, 40<<20), 0o600))
	h.Backup(dir)
	s := h.RestoreSpec(dir, out)
	r := h.Restore(s)
	if r.Failed != 0 || r.Damaged || len(r.Meta) > 0 {
		t.Errorf("%+v", r)
	}
	jobtest.SameTree(t, dir, out)
	if n := s.Progress; n.FilesDone.Load() != n.FilesTotal.Load() || n.BytesDone.Load() != n.BytesTotal.Load() || r.Counts.Files != n.FilesDone.Load() {
		t.Errorf("progress: %d of %d files, %d of %d bytes", n.FilesDone.Load(), n.FilesTotal.Load(), n.BytesDone.Load(), n.BytesTotal.Load())
	}

	again := h.Restore(h.RestoreSpec(dir, out))
	if again.BlobsRead != 0 || again.Restored+again.Replaced != 0 || again.Unchanged != r.Restored {
		t.Errorf("a second restore: %+v", again)
	}
	jobtest.SameTree(t, dir, out)
	h.CloseIndex()
}

func TestRestore_FullPaths(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "a", "out")
	jobtest.MakeOdd(t, dir, 12, 300)
	h.Backup(dir)
	_, _, s := h.Newest()
	s.Target = out
	r := h.Restore(s)
	jobtest.SameTree(t, dir, filepath.Join(out, dir))
	if n := s.Progress; n.FilesDone.Load() != n.FilesTotal.Load() || n.BytesDone.Load() != n.BytesTotal.Load() {
		t.Errorf("progress: %+v", r)
	}
	for p := filepath.Dir(dir); p != "/"; p = filepath.Dir(p) { // made by the restore, so with their attributes
		a, err := os.Lstat(p)
		jobtest.Must(t, err)
		b, err := os.Lstat(filepath.Join(out, p))
		jobtest.Must(t, err)
		if a.Mode() != b.Mode() {
			t.Errorf("%s: mode %v, not %v", p, b.Mode(), a.Mode())
		}
	}
	var item atomic.Int64
	_, _, s = h.Newest()
	s.Target = out
	s.OnItem = func(string, messages.Status, string) { item.Add(1) }
	if r := h.Restore(s); r.BlobsRead != 0 || item.Load() == 0 {
		t.Errorf("%+v", r)
	}
}

// Files of many pieces, links to them, and bounds so narrow that everything waits for everything.
func TestRestore_NarrowBounds(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) {
		s.Chunks = chunk.ParamsFor(16 << 10)
		s.BlobSize = 1 << 20
	}
	dir := t.TempDir()
	jobtest.MakeOdd(t, dir, 16, 100)
	for _, name := range []string{"a", "b", "m", "z"} {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, name), testtree.Bytes(uint64(name[0]), 1<<20), 0o600))
	}
	for i := range 30 {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("s%03d", i)), testtree.Bytes(uint64(i), 100<<10), 0o600))
	}
	jobtest.Must(t, os.Mkdir(filepath.Join(dir, "n"), 0o755))
	jobtest.Must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "n", "link of a")))
	jobtest.Must(t, os.Link(filepath.Join(dir, "m"), filepath.Join(dir, "zz")))
	h.Backup(dir)
	for _, b := range []restore.Bounds{
		{},
		{Items: 1, Pieces: 1, Batches: 2, Parts: 1, PlanPieces: 1 << 20, PlanBytes: 1 << 40},
		{Items: 4, Pieces: 7, Batches: 3, Parts: 2, PlanPieces: 1 << 20, PlanBytes: 1 << 40},
		{Items: 4, Pieces: 1000, Batches: 64, Parts: 1, PlanPieces: 1 << 20, PlanBytes: 1 << 16},
	} {
		out := filepath.Join(t.TempDir(), "out")
		for round, c := range []struct {
			spec   func(*restore.Spec)
			damage bool
			reads  bool // from the store
		}{
			{func(*restore.Spec) {}, false, true},
			{func(*restore.Spec) {}, false, false},
			{func(s *restore.Spec) { s.Overwrite = restore.OverwriteAlways }, false, false},
			{func(s *restore.Spec) { s.Overwrite = restore.OverwriteAlways }, true, true},
			{func(*restore.Spec) {}, true, true},
			{func(s *restore.Spec) { s.InPlace = true }, true, true},
			{func(s *restore.Spec) { s.InPlace, s.Overwrite = true, restore.OverwriteAlways }, false, false},
		} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Minute, errors.New("stuck"))
			if c.damage {
				damageFiles(t, out)
			}
			s := h.RestoreSpec(dir, out)
			s.Bounds = b
			c.spec(s)
			r, err := restore.Run(ctx, h.System, s)
			cancel()
			if err != nil || r.Failed != 0 || (r.BlobsRead > 0) != c.reads || c.damage != (r.BytesReused > 0 && r.BlobsRead > 0) {
				t.Fatalf("%+v, round %d: %+v, %v", b, round, r, err)
			}
			jobtest.SameTree(t, dir, out)
		}
	}
}

// Directories above what is restored have their modes even if it goes no further.
func TestRestore_InterruptedAbove(t *testing.T) {
	h := jobtest.New(t)
	dir, out := filepath.Join(t.TempDir(), "above", "dir"), filepath.Join(t.TempDir(), "out")
	jobtest.Must(t, os.MkdirAll(dir, 0o755))
	jobtest.Must(t, os.Chmod(filepath.Dir(dir), 0o751))
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "f"), []byte("f"), 0o600))
	h.Backup(dir)
	_, _, s := h.Newest()
	s.Target = out
	s.Faults.OnWrite = func() { panic("always") }
	if r := h.Restore(s); r.Failed == 0 {
		t.Errorf("%+v", r)
	}
	_, _, s = h.Newest()
	s.Target = out
	h.Restore(s)
	jobtest.SameTree(t, dir, filepath.Join(out, dir))
	fi, err := os.Stat(filepath.Join(out, filepath.Dir(dir)))
	jobtest.Must(t, err)
	if fi.Mode().Perm() != 0o751 {
		t.Errorf("mode %v", fi.Mode())
	}
}

func TestRestore_PanicsChangeNothing(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	jobtest.MakeOdd(t, dir, 13, 800)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(9, 40<<20), 0o600))
	h.Backup(dir)
	s := h.RestoreSpec(dir, out)
	var d, w atomic.Int64
	s.Faults.OnDownload = func() {
		if d.Add(1)%29 == 3 {
			panic("injected in downloader")
		}
	}
	s.Faults.OnWrite = func() {
		if w.Add(1)%50 == 17 {
			panic("injected in writer")
		}
	}
	r := h.Restore(s)
	if r.Failed != 0 || r.Restarts == 0 {
		t.Errorf("%+v", r)
	}
	jobtest.SameTree(t, dir, out)
}

func TestRestore_WalkerPanicFailsCleanly(t *testing.T) {
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := jobtest.New(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	jobtest.MakeOdd(t, dir, 14, 300)
	h.Backup(dir)
	s := h.RestoreSpec(dir, out)
	var n atomic.Int64
	s.Faults.OnScan = func() {
		if n.Add(1) == 100 {
			panic("injected in walker")
		}
	}
	if _, err := restore.Run(t.Context(), h.System, s); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("error %v", err)
	}
	jobtest.NoTemps(t, out)
	h.Restore(h.RestoreSpec(dir, out))
	jobtest.SameTree(t, dir, out)
	h.CloseIndex()
}

// damageFiles changes some bytes of each large file, without its size, and cuts some.
func damageFiles(t *testing.T, dir string) {
	t.Helper()
	jobtest.Must(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		st, err := d.Info()
		if err != nil || st.Size() < 50<<10 {
			return err
		}
		f, err := os.OpenFile(p, os.O_RDWR, 0)
		jobtest.Must(t, err)
		defer f.Close()
		b := make([]byte, 1)
		_, err = f.ReadAt(b, st.Size()/2)
		jobtest.Must(t, err)
		b[0]++
		_, err = f.WriteAt(b, st.Size()/2)
		jobtest.Must(t, err)
		if strings.HasSuffix(p, "7") {
			jobtest.Must(t, f.Truncate(st.Size()-1))
		}
		return nil
	}))
}

func TestRestore_Cancel(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := jobtest.New(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	jobtest.MakeOdd(t, dir, 15, 500)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(9, 30<<20), 0o600))
	h.Backup(dir)
	for _, at := range []int64{1, 5, 50, 300} {
		s := h.RestoreSpec(dir, out)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		var n atomic.Int64
		s.Faults.OnWrite = func() {
			if n.Add(1) == at {
				cancel(why)
			}
		}
		if r, err := restore.Run(ctx, h.System, s); !errors.Is(err, why) || r == nil {
			t.Errorf("at %d: error %v", at, err)
		}
		cancel(nil)
		jobtest.NoTemps(t, out)
	}
	h.Restore(h.RestoreSpec(dir, out))
	jobtest.SameTree(t, dir, out)
	h.CloseIndex()
}

func TestRestore_Selection(t *testing.T) {
	h := jobtest.New(t)
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
	h.Backup(dir)
	top := strings.TrimPrefix(dir, "/")
	for _, c := range []struct {
		name string
		edit func(s *restore.Spec)
		want string // names below the target
	}{
		{"all", func(s *restore.Spec) { s.From = top }, "a a/b a/b/two a/b/two.txt a/c a/c/three a/one d d/link e s"},
		{"a directory", func(s *restore.Spec) { s.From = top + "/a/b" }, "two two.txt"},
		{"a file", func(s *restore.Spec) { s.From = top + "/a/b/two" }, "two"},
		{"a symlink", func(s *restore.Spec) { s.From = top + "/s" }, "s"},
		{"paths", func(s *restore.Spec) { s.From, s.Paths = top, []string{top + "/e", top + "/a/b", top + "/a/b/two"} }, "a a/b a/b/two a/b/two.txt e"},
		{"one name of a file", func(s *restore.Spec) { s.From, s.Paths = top, []string{top + "/d/link"} }, "d d/link"},
		{"include", func(s *restore.Spec) {
			s.From = top
			s.Include = func(p string, _ page.Type) bool { return strings.HasSuffix(p, ".txt") || strings.HasSuffix(p, "/c") }
		}, "a a/b a/b/two.txt a/c a/c/three"},
		{"exclude", func(s *restore.Spec) {
			s.From = top
			s.Exclude = func(p string, typ page.Type) bool { return p == top+"/a" && typ == page.Dir || p == top+"/e" }
		}, "d d/link s"},
		{"both", func(s *restore.Spec) {
			s.From = top
			s.Include = func(p string, _ page.Type) bool { return p == top+"/a/b" }
			s.Exclude = func(p string, _ page.Type) bool { return strings.HasSuffix(p, "txt") }
		}, "a a/b a/b/two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, s := h.Newest()
			s.Target = filepath.Join(t.TempDir(), "out")
			c.edit(s)
			r, err := restore.Run(t.Context(), h.System, s)
			jobtest.Must(t, err)
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
				jobtest.Must(t, err)
				b, err := os.Lstat(filepath.Join(s.Target, p))
				jobtest.Must(t, err)
				if a.Mode() != b.Mode() || !a.ModTime().Equal(b.ModTime()) {
					t.Errorf("%s: %v %v, not %v %v", p, b.Mode(), b.ModTime(), a.Mode(), a.ModTime())
				}
			}
		})
	}
	for _, paths := range [][]string{{"no/such"}, {top + "/a", top + "/x"}, {"../etc"}, {"a"}} {
		_, _, s := h.Newest()
		s.Target, s.From, s.Paths = filepath.Join(t.TempDir(), "out"), top, paths
		if _, err := restore.Run(t.Context(), h.System, s); err == nil {
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
	jobtest.Must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if p != dir {
			all = append(all, strings.TrimPrefix(p, dir+"/"))
		}
		return err
	}))
	slices.Sort(all)
	return strings.Join(all, " ")
}
