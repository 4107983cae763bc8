package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vaultik/internal/testsize"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
	"vaultik/messages"
	vfs "vaultik/vault/fs"
)

func TestRestore_OverwriteModes(t *testing.T) {
	old := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	for _, c := range []struct {
		mode restore.Overwrite
		want string // what stands in each file afterwards; s: as in the snapshot, l: as it was locally
	}{
		{"", "same=s attrs=s newer=s older=s size=s gone=s link=s extra=l type=s"},
		{restore.OverwriteIfChanged, "same=s attrs=s newer=s older=s size=s gone=s link=s extra=l type=s"},
		{restore.OverwriteAlways, "same=s attrs=s newer=s older=s size=s gone=s link=s extra=l type=s"},
		{restore.OverwriteIfNewer, "same=s attrs=s newer=l older=s size=l gone=s link=l extra=l type=l"},
		{restore.OverwriteNever, "same=s attrs=l newer=l older=l size=l gone=s link=l extra=l type=l"},
	} {
		t.Run(string(c.mode), func(t *testing.T) {
			h := jobtest.New(t)
			dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
			for _, name := range []string{"same", "attrs", "newer", "older", "size", "gone", "type"} {
				p := filepath.Join(dir, name)
				jobtest.Must(t, os.WriteFile(p, []byte("snapshot"), 0o640))
				jobtest.Must(t, os.Chtimes(p, old, old))
			}
			jobtest.Must(t, os.Symlink("snapshot", filepath.Join(dir, "link")))
			h.Backup(dir)
			h.Restore(h.RestoreSpec(dir, out))

			local := func(name, text string, at time.Time) {
				p := filepath.Join(out, name)
				jobtest.Must(t, os.WriteFile(p, []byte(text), 0o640))
				jobtest.Must(t, os.Chtimes(p, at, at))
			}
			jobtest.Must(t, os.Chmod(filepath.Join(out, "attrs"), 0o600))
			local("newer", "locally!", old.Add(time.Hour))
			local("older", "locally!", old.Add(-time.Hour))
			local("size", "local", old)
			local("extra", "local", old)
			jobtest.Must(t, os.Remove(filepath.Join(out, "gone")))
			jobtest.Must(t, os.Remove(filepath.Join(out, "link")))
			jobtest.Must(t, os.Symlink("local", filepath.Join(out, "link")))
			jobtest.Must(t, os.Remove(filepath.Join(out, "type")))
			jobtest.Must(t, os.Symlink("local", filepath.Join(out, "type")))
			before, err := os.Stat(filepath.Join(out, "same"))
			jobtest.Must(t, err)

			s := h.RestoreSpec(dir, out)
			s.Overwrite = c.mode
			r := h.Restore(s)
			if r.Failed != 0 {
				t.Errorf("%+v", r)
			}
			for f := range strings.FieldsSeq(c.want) {
				name, want, _ := strings.Cut(f, "=")
				p := filepath.Join(out, name)
				fi, err := os.Lstat(p)
				jobtest.Must(t, err)
				got := "s"
				if fi.Mode()&os.ModeSymlink != 0 {
					if to, _ := os.Readlink(p); to == "local" {
						got = "l"
					}
				} else if b, _ := os.ReadFile(p); strings.HasPrefix(string(b), "local") || fi.Mode().Perm() != 0o640 {
					got = "l"
				}
				if got != want {
					t.Errorf("%s is %s, not %s", name, got, want)
				}
			}
			after, err := os.Stat(filepath.Join(out, "same"))
			jobtest.Must(t, err)
			if os.SameFile(before, after) == (c.mode == restore.OverwriteAlways) {
				t.Errorf("what is the same was replaced: %v", c.mode == restore.OverwriteAlways)
			}
			if c.mode == "" {
				jobtest.Must(t, os.Remove(filepath.Join(out, "extra")))
				h.Restore(h.RestoreSpec(dir, out))
				jobtest.SameTree(t, dir, out)
			}
		})
	}
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), nil, 0o600))
	h.Backup(dir)
	s := h.RestoreSpec(dir, t.TempDir())
	s.Overwrite = "sometimes"
	if _, err := restore.Run(t.Context(), h.System, s); err == nil {
		t.Error("an unknown mode was accepted")
	}
}

// Links that somebody has planted in the target lead nowhere.
func TestRestore_NeverThroughSymlinks(t *testing.T) {
	for _, mode := range []restore.Overwrite{restore.OverwriteIfChanged, restore.OverwriteAlways, restore.OverwriteIfNewer, restore.OverwriteNever} {
		h := jobtest.New(t)
		dir, out, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
		testtree.Make(t, dir, `
dir a
file a/f text=f
dir b
dir b/c
file b/c/f text=f
file g text=g
`)
		h.Backup(dir)
		jobtest.Must(t, os.WriteFile(filepath.Join(elsewhere, "victim"), []byte("victim"), 0o600))
		jobtest.Must(t, os.Mkdir(filepath.Join(elsewhere, "c"), 0o700))
		jobtest.Must(t, os.Symlink(elsewhere, filepath.Join(out, "a")))
		jobtest.Must(t, os.Symlink(elsewhere, filepath.Join(out, "b")))
		jobtest.Must(t, os.Symlink(filepath.Join(elsewhere, "victim"), filepath.Join(out, "g")))
		s := h.RestoreSpec(dir, out)
		s.Overwrite = mode
		r := h.Restore(s)
		if got := names(t, elsewhere); got != "c victim" {
			t.Errorf("%s: elsewhere is now: %s", mode, got)
		}
		if b, _ := os.ReadFile(filepath.Join(elsewhere, "victim")); string(b) != "victim" {
			t.Errorf("%s: victim is now %q", mode, b)
		}
		if mode == restore.OverwriteNever || mode == restore.OverwriteIfNewer {
			if r.Failed == 0 {
				t.Errorf("%s: %+v", mode, r)
			}
			continue
		}
		if r.Failed != 0 {
			t.Errorf("%s: %+v", mode, r)
		}
		jobtest.SameTree(t, dir, out)
	}
}

func TestRestore_InTheWay(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, `
file empty text=e
file full text=f
dir d
file d/x text=x
file z text=z
`)
	h.Backup(dir)
	jobtest.Must(t, os.Mkdir(filepath.Join(out, "empty"), 0o700))
	jobtest.Must(t, os.Mkdir(filepath.Join(out, "full"), 0o700))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "full", "precious"), []byte("p"), 0o600))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "d"), []byte("a file"), 0o600))
	var items []string
	s := h.RestoreSpec(dir, out)
	s.OnItem = func(path string, st messages.Status, reason string) {
		if st == messages.StatusFailed {
			items = append(items, filepath.Base(path)+": "+reason)
		}
	}
	r := h.Restore(s)
	if r.Failed != 1 || len(items) != 1 || !strings.Contains(items[0], "not empty") || filepath.Base(r.Problems[0].Path) != "full" {
		t.Errorf("%+v %v", r, items)
	}
	if b, _ := os.ReadFile(filepath.Join(out, "full", "precious")); string(b) != "p" {
		t.Error("a directory with contents was damaged")
	}
	if got := names(t, out); got != "d d/x empty full full/precious z" {
		t.Error(got)
	}
}

// After an interruption only what is missing is fetched, and leftovers go.
func TestRestore_GoesOn(t *testing.T) {
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize = 1 << 20 }
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	for i := range 20 {
		jobtest.Must(t, os.MkdirAll(filepath.Join(dir, string(rune('a'+i))), 0o755))
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, string(rune('a'+i)), "f"), testtree.Bytes(uint64(i), 1<<20), 0o644))
	}
	h.Backup(dir)
	first := h.Restore(h.RestoreSpec(dir, out))
	for _, gone := range []string{"c", "d"} {
		jobtest.Must(t, os.RemoveAll(filepath.Join(out, gone)))
	}
	temp := filepath.Join(out, "e", ".vaultik-tmp-ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	jobtest.Must(t, os.WriteFile(temp, []byte("half"), 0o600))
	r := h.Restore(h.RestoreSpec(dir, out))
	if r.Leftovers != 1 || r.Restored != 2 || r.Unchanged != 18 || r.BytesRead > first.BytesRead/3 {
		t.Errorf("%+v", r)
	}
	jobtest.SameTree(t, dir, out)
}

func TestRestore_HardLinks(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	testtree.Make(t, dir, `
dir a
dir b mode=555
file a/one size=5000000 data=0:5000000:7
hardlink b/two a/one
hardlink three a/one
symlink s target
hardlink b/s s
fifo p
hardlink a/p p
file empty text=""
hardlink b/empty empty
`)
	h.Backup(dir)
	r := h.Restore(h.RestoreSpec(dir, out))
	if r.Failed != 0 || r.BytesWritten != 5_000_000 {
		t.Errorf("%+v", r)
	}
	jobtest.SameTree(t, dir, out)

	// One of them was cut off from the others, another is gone.
	jobtest.Must(t, os.Remove(filepath.Join(out, "three")))
	jobtest.Must(t, os.Chmod(filepath.Join(out, "b"), 0o755))
	jobtest.Must(t, os.Rename(filepath.Join(out, "b", "two"), filepath.Join(out, "b", "old")))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "b", "two"), []byte("other"), 0o600))
	jobtest.Must(t, os.Remove(filepath.Join(out, "b", "old")))
	r = h.Restore(h.RestoreSpec(dir, out))
	if r.Failed != 0 || r.BlobsRead != 0 {
		t.Errorf("%+v", r)
	}
	jobtest.SameTree(t, dir, out)

	// The first cannot be made: another becomes the one that has the content.
	out = filepath.Join(t.TempDir(), "out")
	jobtest.Must(t, os.MkdirAll(filepath.Join(out, "a", "one", "in the way"), 0o755))
	r = h.Restore(h.RestoreSpec(dir, out))
	if r.Failed != 1 || filepath.Base(r.Problems[0].Path) != "one" {
		t.Errorf("%+v", r)
	}
	jobtest.Must(t, os.RemoveAll(filepath.Join(out, "a", "one")))
	h.Restore(h.RestoreSpec(dir, out))
	jobtest.SameTree(t, dir, out)
}

func TestRestore_Sparse(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	testtree.Make(t, dir, `
file all-hole size=300000000
file ends size=20000000 data=0:100000:1 data=15000000:5000000:2
file middle size=40000000 data=10000000:3000000:3
file tail-hole size=9000000 data=0:1000000:4
`)
	h.Backup(dir)
	r := h.Restore(h.RestoreSpec(dir, out))
	if r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	jobtest.SameTree(t, dir, out)
	var st syscall.Stat_t
	jobtest.Must(t, syscall.Stat(filepath.Join(out, "all-hole"), &st))
	if st.Blocks != 0 {
		t.Errorf("a hole takes %d blocks", st.Blocks)
	}
}

// A target that is full ends the job, with what is left to do.
func TestRestore_TargetFull(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	for i := range 12 {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, string(rune('a'+i))), testtree.Bytes(uint64(i), 1<<20), 0o644))
	}
	h.Backup(dir)
	if err := syscall.Mount("tmpfs", out, "tmpfs", 0, "size=5m"); err != nil {
		t.Logf("a small file system can only be mounted with privileges: %v", err)
		return
	}
	defer func() { jobtest.Must(t, syscall.Unmount(out, 0)) }()
	s := h.RestoreSpec(dir, out)
	s.NoSpaceCheck = true
	r, err := restore.Run(t.Context(), h.System, s)
	var full *restore.TargetFullError
	if !errors.As(err, &full) || !errors.Is(err, syscall.ENOSPC) || r == nil {
		t.Fatalf("%v %+v", err, r)
	}
	there, err := os.ReadDir(out)
	jobtest.Must(t, err)
	if n := int64(len(there)); n == 0 || full.FilesDone != n || full.FilesLeft != 12-n || full.BytesLeft != (12-n)<<20 || r.Restored != n {
		t.Errorf("%d files are there: %+v %+v", n, full, r)
	}
	jobtest.NoTemps(t, out)

	jobtest.Must(t, syscall.Mount("", out, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	s = h.RestoreSpec(filepath.Dir(dir), out)
	s.NoSpaceCheck = true
	if _, err := restore.Run(t.Context(), h.System, s); !errors.As(err, &full) || !errors.Is(err, syscall.EROFS) {
		t.Errorf("read-only: %v", err)
	}
}

// What is only on the way to what was saved replaces nothing: a link that was made
// since then stays, and nothing is restored through it.
func TestRestore_linkOnTheWay(t *testing.T) {
	h := jobtest.New(t)
	dir, out, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "file d/a text=a")
	h.Backup(filepath.Join(dir, "d"))
	_, _, s := h.Newest()
	s.Target = out
	above := filepath.Join(out, filepath.Dir(dir))
	jobtest.Must(t, os.MkdirAll(above, 0o700))
	link := filepath.Join(above, filepath.Base(dir))
	jobtest.Must(t, os.Symlink(elsewhere, link))
	for _, dry := range []bool{true, false} {
		s.DryRun = dry
		r := h.Restore(s)
		if r.Restored != 0 || r.Replaced != 0 || len(r.Problems) == 0 || !errors.Is(r.Problems[0].Err, vfs.ErrInTheWay) {
			t.Errorf("dry %v: %+v", dry, r)
		}
		if to, err := os.Readlink(link); err != nil || to != elsewhere || names(t, elsewhere) != "" {
			t.Errorf("dry %v: the link leads to %q, %v, and there is %q", dry, to, err, names(t, elsewhere))
		}
	}
}
