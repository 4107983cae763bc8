package actors

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/messages"
	vfs "vaultik/vault/fs"
)

func TestRestore_OverwriteModes(t *testing.T) {
	old := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	for _, c := range []struct {
		mode Overwrite
		want string // what stands in each file afterwards; s: as in the snapshot, l: as it was locally
	}{
		{"", "same=s attrs=s newer=s older=s size=s gone=s link=s extra=l type=s"},
		{OverwriteIfChanged, "same=s attrs=s newer=s older=s size=s gone=s link=s extra=l type=s"},
		{OverwriteAlways, "same=s attrs=s newer=s older=s size=s gone=s link=s extra=l type=s"},
		{OverwriteIfNewer, "same=s attrs=s newer=l older=s size=l gone=s link=l extra=l type=l"},
		{OverwriteNever, "same=s attrs=l newer=l older=l size=l gone=s link=l extra=l type=l"},
	} {
		t.Run(string(c.mode), func(t *testing.T) {
			h := newTestHost(t)
			dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
			for _, name := range []string{"same", "attrs", "newer", "older", "size", "gone", "type"} {
				p := filepath.Join(dir, name)
				must(t, os.WriteFile(p, []byte("snapshot"), 0o640))
				must(t, os.Chtimes(p, old, old))
			}
			must(t, os.Symlink("snapshot", filepath.Join(dir, "link")))
			h.backup(dir)
			h.restore(h.restoreSpec(dir, out))

			local := func(name, text string, at time.Time) {
				p := filepath.Join(out, name)
				must(t, os.WriteFile(p, []byte(text), 0o640))
				must(t, os.Chtimes(p, at, at))
			}
			must(t, os.Chmod(filepath.Join(out, "attrs"), 0o600))
			local("newer", "locally!", old.Add(time.Hour))
			local("older", "locally!", old.Add(-time.Hour))
			local("size", "local", old)
			local("extra", "local", old)
			must(t, os.Remove(filepath.Join(out, "gone")))
			must(t, os.Remove(filepath.Join(out, "link")))
			must(t, os.Symlink("local", filepath.Join(out, "link")))
			must(t, os.Remove(filepath.Join(out, "type")))
			must(t, os.Symlink("local", filepath.Join(out, "type")))
			before, err := os.Stat(filepath.Join(out, "same"))
			must(t, err)

			s := h.restoreSpec(dir, out)
			s.Overwrite = c.mode
			r := h.restore(s)
			if r.Failed != 0 {
				t.Errorf("%+v", r)
			}
			for f := range strings.FieldsSeq(c.want) {
				name, want, _ := strings.Cut(f, "=")
				p := filepath.Join(out, name)
				fi, err := os.Lstat(p)
				must(t, err)
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
			must(t, err)
			if os.SameFile(before, after) == (c.mode == OverwriteAlways) {
				t.Errorf("what is the same was replaced: %v", c.mode == OverwriteAlways)
			}
			if c.mode == "" {
				must(t, os.Remove(filepath.Join(out, "extra")))
				h.restore(h.restoreSpec(dir, out))
				sameTree(t, dir, out)
			}
		})
	}
	h := newTestHost(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), nil, 0o600))
	h.backup(dir)
	s := h.restoreSpec(dir, t.TempDir())
	s.Overwrite = "sometimes"
	if _, err := h.system.Restore(t.Context(), s); err == nil {
		t.Error("an unknown mode was accepted")
	}
}

// Links that somebody has planted in the target lead nowhere.
func TestRestore_NeverThroughSymlinks(t *testing.T) {
	for _, mode := range []Overwrite{OverwriteIfChanged, OverwriteAlways, OverwriteIfNewer, OverwriteNever} {
		h := newTestHost(t)
		dir, out, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
		testtree.Make(t, dir, `
dir a
file a/f text=f
dir b
dir b/c
file b/c/f text=f
file g text=g
`)
		h.backup(dir)
		must(t, os.WriteFile(filepath.Join(elsewhere, "victim"), []byte("victim"), 0o600))
		must(t, os.Mkdir(filepath.Join(elsewhere, "c"), 0o700))
		must(t, os.Symlink(elsewhere, filepath.Join(out, "a")))
		must(t, os.Symlink(elsewhere, filepath.Join(out, "b")))
		must(t, os.Symlink(filepath.Join(elsewhere, "victim"), filepath.Join(out, "g")))
		s := h.restoreSpec(dir, out)
		s.Overwrite = mode
		r := h.restore(s)
		if got := names(t, elsewhere); got != "c victim" {
			t.Errorf("%s: elsewhere is now: %s", mode, got)
		}
		if b, _ := os.ReadFile(filepath.Join(elsewhere, "victim")); string(b) != "victim" {
			t.Errorf("%s: victim is now %q", mode, b)
		}
		if mode == OverwriteNever || mode == OverwriteIfNewer {
			if r.Failed == 0 {
				t.Errorf("%s: %+v", mode, r)
			}
			continue
		}
		if r.Failed != 0 {
			t.Errorf("%s: %+v", mode, r)
		}
		sameTree(t, dir, out)
	}
}

func TestRestore_InTheWay(t *testing.T) {
	h := newTestHost(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, `
file empty text=e
file full text=f
dir d
file d/x text=x
file z text=z
`)
	h.backup(dir)
	must(t, os.Mkdir(filepath.Join(out, "empty"), 0o700))
	must(t, os.Mkdir(filepath.Join(out, "full"), 0o700))
	must(t, os.WriteFile(filepath.Join(out, "full", "precious"), []byte("p"), 0o600))
	must(t, os.WriteFile(filepath.Join(out, "d"), []byte("a file"), 0o600))
	var items []string
	s := h.restoreSpec(dir, out)
	s.OnItem = func(path string, st messages.Status, reason string) {
		if st == messages.StatusFailed {
			items = append(items, filepath.Base(path)+": "+reason)
		}
	}
	r := h.restore(s)
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
	h := newTestHost(t)
	h.edit = func(s *BackupSpec) { s.BlobSize = 1 << 20 }
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	for i := range 20 {
		must(t, os.MkdirAll(filepath.Join(dir, string(rune('a'+i))), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, string(rune('a'+i)), "f"), testtree.Bytes(uint64(i), 1<<20), 0o644))
	}
	h.backup(dir)
	first := h.restore(h.restoreSpec(dir, out))
	for _, gone := range []string{"c", "d"} {
		must(t, os.RemoveAll(filepath.Join(out, gone)))
	}
	temp := filepath.Join(out, "e", ".vaultik-tmp-ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	must(t, os.WriteFile(temp, []byte("half"), 0o600))
	r := h.restore(h.restoreSpec(dir, out))
	if r.Leftovers != 1 || r.Restored != 2 || r.Unchanged != 18 || r.BytesRead > first.BytesRead/3 {
		t.Errorf("%+v", r)
	}
	sameTree(t, dir, out)
}

func TestRestore_HardLinks(t *testing.T) {
	h := newTestHost(t)
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
	h.backup(dir)
	r := h.restore(h.restoreSpec(dir, out))
	if r.Failed != 0 || r.BytesWritten != 5_000_000 {
		t.Errorf("%+v", r)
	}
	sameTree(t, dir, out)

	// One of them was cut off from the others, another is gone.
	must(t, os.Remove(filepath.Join(out, "three")))
	must(t, os.Chmod(filepath.Join(out, "b"), 0o755))
	must(t, os.Rename(filepath.Join(out, "b", "two"), filepath.Join(out, "b", "old")))
	must(t, os.WriteFile(filepath.Join(out, "b", "two"), []byte("other"), 0o600))
	must(t, os.Remove(filepath.Join(out, "b", "old")))
	r = h.restore(h.restoreSpec(dir, out))
	if r.Failed != 0 || r.BlobsRead != 0 {
		t.Errorf("%+v", r)
	}
	sameTree(t, dir, out)

	// The first cannot be made: another becomes the one that has the content.
	out = filepath.Join(t.TempDir(), "out")
	must(t, os.MkdirAll(filepath.Join(out, "a", "one", "in the way"), 0o755))
	r = h.restore(h.restoreSpec(dir, out))
	if r.Failed != 1 || filepath.Base(r.Problems[0].Path) != "one" {
		t.Errorf("%+v", r)
	}
	must(t, os.RemoveAll(filepath.Join(out, "a", "one")))
	h.restore(h.restoreSpec(dir, out))
	sameTree(t, dir, out)
}

func TestRestore_Sparse(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	testtree.Make(t, dir, `
file all-hole size=300000000
file ends size=20000000 data=0:100000:1 data=15000000:5000000:2
file middle size=40000000 data=10000000:3000000:3
file tail-hole size=9000000 data=0:1000000:4
`)
	h.backup(dir)
	r := h.restore(h.restoreSpec(dir, out))
	if r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	sameTree(t, dir, out)
	var st syscall.Stat_t
	must(t, syscall.Stat(filepath.Join(out, "all-hole"), &st))
	if st.Blocks != 0 {
		t.Errorf("a hole takes %d blocks", st.Blocks)
	}
}

// A target that is full ends the job, with what is left to do.
func TestRestore_TargetFull(t *testing.T) {
	h := newTestHost(t)
	dir, out := t.TempDir(), t.TempDir()
	for i := range 12 {
		must(t, os.WriteFile(filepath.Join(dir, string(rune('a'+i))), testtree.Bytes(uint64(i), 1<<20), 0o644))
	}
	h.backup(dir)
	if err := syscall.Mount("tmpfs", out, "tmpfs", 0, "size=5m"); err != nil {
		t.Logf("a small file system can only be mounted with privileges: %v", err)
		return
	}
	defer func() { must(t, syscall.Unmount(out, 0)) }()
	s := h.restoreSpec(dir, out)
	s.NoSpaceCheck = true
	r, err := h.system.Restore(t.Context(), s)
	var full *TargetFullError
	if !errors.As(err, &full) || !errors.Is(err, syscall.ENOSPC) || r == nil {
		t.Fatalf("%v %+v", err, r)
	}
	there, err := os.ReadDir(out)
	must(t, err)
	if n := int64(len(there)); n == 0 || full.FilesDone != n || full.FilesLeft != 12-n || full.BytesLeft != (12-n)<<20 || r.Restored != n {
		t.Errorf("%d files are there: %+v %+v", n, full, r)
	}
	noTemps(t, out)

	must(t, syscall.Mount("", out, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	s = h.restoreSpec(filepath.Dir(dir), out)
	s.NoSpaceCheck = true
	if _, err := h.system.Restore(t.Context(), s); !errors.As(err, &full) || !errors.Is(err, syscall.EROFS) {
		t.Errorf("read-only: %v", err)
	}
}

// What is only on the way to what was saved replaces nothing: a link that was made
// since then stays, and nothing is restored through it.
func TestRestore_linkOnTheWay(t *testing.T) {
	h := newTestHost(t)
	dir, out, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "file d/a text=a")
	h.backup(filepath.Join(dir, "d"))
	_, _, s := h.newest()
	s.Target = out
	above := filepath.Join(out, filepath.Dir(dir))
	must(t, os.MkdirAll(above, 0o700))
	link := filepath.Join(above, filepath.Base(dir))
	must(t, os.Symlink(elsewhere, link))
	for _, dry := range []bool{true, false} {
		s.DryRun = dry
		r := h.restore(s)
		if r.Restored != 0 || r.Replaced != 0 || len(r.Problems) == 0 || !errors.Is(r.Problems[0].Err, vfs.ErrInTheWay) {
			t.Errorf("dry %v: %+v", dry, r)
		}
		if to, err := os.Readlink(link); err != nil || to != elsewhere || names(t, elsewhere) != "" {
			t.Errorf("dry %v: the link leads to %q, %v, and there is %q", dry, to, err, names(t, elsewhere))
		}
	}
}
