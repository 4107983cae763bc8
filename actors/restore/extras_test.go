package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
	"vaultik/vault/filter"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/read"
	"vaultik/vault/snapshot"
)

const extrasTree = `
file a text=a
dir d mode=555
file d/x text=x
dir e
dir e/deep
file e/deep/f text=f
symlink s a
`

func TestExtras(t *testing.T) {
	h := jobtest.New(t)
	dir, out, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	testtree.Make(t, dir, extrasTree)
	h.Backup(dir)
	if gone, _, _ := h.FindExtras(dir, &restore.ExtrasSpec{Restore: h.RestoreSpec(dir, out)}); gone != "" {
		t.Errorf("an empty target has %s", gone)
	}
	jobtest.Must(t, os.WriteFile(filepath.Join(elsewhere, "victim"), []byte("v"), 0o600))
	h.Restore(h.RestoreSpec(dir, out))
	jobtest.Must(t, os.Chmod(filepath.Join(out, "d"), 0o755))
	jobtest.Must(t, os.MkdirAll(filepath.Join(out, "e", "deep", "more", "below"), 0o700))
	for _, name := range []string{"new", "d/new", "e/deep/more/1"} {
		jobtest.Must(t, os.WriteFile(filepath.Join(out, name), []byte("new"), 0o600))
	}
	jobtest.Must(t, os.Symlink("/etc", filepath.Join(out, "e", "deep", "more", "below", "l")))
	jobtest.Must(t, os.Symlink(elsewhere, filepath.Join(out, "out")))
	jobtest.Must(t, syscall.Mkfifo(filepath.Join(out, "p"), 0o600))
	h.Restore(h.RestoreSpec(dir, out))

	const want = "d/new e/deep/more e/deep/more/1 e/deep/more/below e/deep/more/below/l new out p"
	gone, stay, r := h.FindExtras(dir, &restore.ExtrasSpec{Restore: h.RestoreSpec(dir, out)})
	if gone != want || stay != "" || r.Files != 6 || r.Dirs != 2 || r.Failed != 0 {
		t.Errorf("listed %q, %q, %+v", gone, stay, r)
	}
	if got := names(t, out); !strings.Contains(got, "e/deep/more/below/l") {
		t.Errorf("a list changed something: %s", got)
	}
	gone, stay, r = h.DeleteExtras(dir, &restore.ExtrasSpec{Restore: h.RestoreSpec(dir, out)})
	if gone != want || stay != "" || r.Failed != 0 {
		t.Errorf("deleted %q, %q, %+v", gone, stay, r)
	}
	jobtest.SameTree(t, dir, out) // with the times and modes of directories
	if got := names(t, elsewhere); got != "victim" {
		t.Errorf("elsewhere is now %q", got)
	}
	gone, _, _ = h.DeleteExtras(dir, &restore.ExtrasSpec{Restore: h.RestoreSpec(dir, out)})
	if gone != "" {
		t.Errorf("then also %q", gone)
	}
}

// What came, or changed, after the list was made stays.
func TestExtras_changed(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "file a text=a")
	h.Backup(dir)
	testtree.Make(t, out, "file a text=a\nfile old text=o\nfile d/old text=o\nfile d/sub/old text=o\nfile e/old text=o")
	x := &restore.ExtrasSpec{Restore: h.RestoreSpec(dir, out)}
	_, _, x.Listed = h.FindExtras(dir, x)
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "new"), nil, 0o600))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "d", "sub", "old"), []byte("changed"), 0o600))
	gone, stay, r := h.FindExtras(dir, x)
	if gone != "d/old e e/old old" || stay != "d d/sub d/sub/old new" || r.Failed != 2 || r.Stay != 2 {
		t.Errorf("deleted %q, left %q, %+v", gone, stay, r)
	}
	if b, _ := os.ReadFile(filepath.Join(out, "d", "sub", "old")); string(b) != "changed" {
		t.Errorf("%q", b)
	}
}

// Names of one file are all deleted, although each that goes changes the ctime of the others,
// and so does the restore when it replaces one. A file of several names that was written to stays.
func TestExtras_hardLinks(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "file a text=a")
	h.Backup(dir)
	testtree.Make(t, out, "file a text=old\nhardlink also-a a\nfile x text=x\nhardlink d/y x\n"+
		"hardlink z x\nfile w text=w\nhardlink w2 w")
	x := &restore.ExtrasSpec{Restore: h.RestoreSpec(dir, out)}
	_, _, x.Listed = h.FindExtras(dir, x)
	h.Restore(h.RestoreSpec(dir, out))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "w2"), []byte("v"), 0o600))
	gone, stay, r := h.FindExtras(dir, x)
	if gone != "also-a d d/y x z" || stay != "w w2" || r.Failed != 2 {
		t.Errorf("deleted %q, left %q, %+v", gone, stay, r)
	}
	if b, _ := os.ReadFile(filepath.Join(out, "w")); string(b) != "v" {
		t.Errorf("%q", b)
	}
}

// What the restore, the snapshot's rules or the program itself leave out stays,
// and so do the directories in which it is.
func TestExtras_stay(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "file a text=a\nfile d/x text=x\nfile other/y text=y")
	h.Backup(dir)
	testtree.Make(t, out, `
file a text=a
file d/x text=x
file gone text=g
file g1/gone text=g
file g1/keep.me text=k
file g2/deep/keep.me text=k
file cache/CACHEDIR.TAG text="Signature: 8a477f597d28d172789f06886806bc55"
file cache/big text=b
file cache/deep/big text=b
file tagged/.nobackup text=x
file tagged/data text=x
file tagged/deep/data text=x
file o/ignored.o text=x
file o/ignored.c text=x
file o/.vaultikignore text=*.o
file large size=2000
file own/store/blob text=b
file own/gone text=b
file CASE text=x
file .vaultik-tmp-ABCDEFGHIJKLMNOPQRSTUVWXYZ text=x
file .vaultik-restoring-ABCDEFGHIJKLMNOPQRSTUVWXYZ text=x
file other/z text=not-selected
`)
	jobtest.Must(t, os.Remove(filepath.Join(out, "other", "z")))
	compile := func(fold bool, pattern string) *filter.List {
		l, err := filter.Compile(filter.From("test", pattern), filter.Options{IgnoreCase: fold})
		jobtest.Must(t, err)
		return l
	}
	rules := func() *filter.Rules {
		r := &filter.Rules{Before: []*filter.List{compile(false, "*.me"), compile(true, "case")}, Ignore: true,
			Tags: []filter.Tag{filter.CacheTag("test"), {Name: ".nobackup", Source: "test"}}, Larger: filter.Limit{Bytes: 1000, Source: "test"}}
		r.Keep(dir)
		return r
	}
	resolved, err := filepath.EvalSymlinks(out)
	jobtest.Must(t, err)
	for _, del := range []bool{false, true} {
		x := &restore.ExtrasSpec{Restore: h.RestoreSpec(dir, out), Rules: rules(),
			Protect: func(abs string, _ *vfs.Stat) bool { return abs == filepath.Join(resolved, "own", "store") }}
		find := h.FindExtras
		if del {
			find = h.DeleteExtras
		}
		gone, stay, r := find(dir, x)
		if gone != "g1/gone gone o/.vaultikignore o/ignored.c own/gone" || stay != "cache g1 g2 g2/deep o own tagged" || r.Failed != 0 {
			t.Errorf("delete %v: %q stay: %q, %+v", del, gone, stay, r)
		}
	}
	want := ".vaultik-restoring-ABCDEFGHIJKLMNOPQRSTUVWXYZ .vaultik-tmp-ABCDEFGHIJKLMNOPQRSTUVWXYZ CASE a cache cache/CACHEDIR.TAG cache/big cache/deep cache/deep/big d d/x g1 g1/keep.me " +
		"g2 g2/deep g2/deep/keep.me large o o/ignored.o other own own/store own/store/blob tagged tagged/.nobackup tagged/data tagged/deep tagged/deep/data"
	if got := names(t, out); got != want {
		t.Errorf("left:\n%s\nwant:\n%s", got, want)
	}

	// Nothing outside of what was selected, and nothing that is excluded.
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "d", "new"), nil, 0o600))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "other", "new"), nil, 0o600))
	for _, c := range []struct {
		edit func(*restore.Spec)
		want string
	}{
		{func(s *restore.Spec) { s.Paths = []string{s.From + "/d"} }, "d/new"},
		{func(s *restore.Spec) { s.Paths = []string{s.From + "/d/x"} }, ""},
		{func(s *restore.Spec) {
			s.Include = func(p string, _ page.Type) bool { return strings.HasSuffix(p, "/other") }
		}, "other/new"},
		{func(s *restore.Spec) {
			s.Include = func(p string, _ page.Type) bool { return strings.HasSuffix(p, "x") }
		}, ""},
		{func(s *restore.Spec) {
			s.Paths = []string{s.From + "/d", s.From + "/other"}
			s.Exclude = func(p string, _ page.Type) bool { return strings.HasSuffix(p, "/d") }
		}, "other/new"},
		{func(s *restore.Spec) {
			s.Paths = []string{s.From + "/d", s.From + "/other"}
			s.Exclude = func(p string, _ page.Type) bool { return strings.HasSuffix(p, "/new") }
		}, ""},
	} {
		s := h.RestoreSpec(dir, out)
		c.edit(s)
		if gone, _, _ := h.FindExtras(dir, &restore.ExtrasSpec{Restore: s}); gone != c.want {
			t.Errorf("%v: %q, not %q", s.Paths, gone, c.want)
		}
	}
}

// Directories above what was saved are not known in full: nothing in them is superfluous.
func TestExtras_implied(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "file a text=a")
	h.Backup(dir)
	_, _, s := h.Newest()
	s.Target = out
	h.Restore(s)
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "beside"), nil, 0o600))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, filepath.Dir(dir), "beside"), nil, 0o600))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, dir, "inside"), nil, 0o600))
	if gone, _, r := h.FindExtras(dir, &restore.ExtrasSpec{Restore: s}); gone != "inside" || r.Files != 1 {
		t.Errorf("%q %+v", gone, r)
	}
	// A link on the way leads nowhere.
	elsewhere := t.TempDir()
	jobtest.Must(t, os.MkdirAll(filepath.Join(elsewhere, dir), 0o700))
	jobtest.Must(t, os.WriteFile(filepath.Join(elsewhere, dir, "victim"), nil, 0o600))
	planted := t.TempDir()
	first := strings.Split(dir, "/")[1]
	jobtest.Must(t, os.Symlink(filepath.Join(elsewhere, first), filepath.Join(planted, first)))
	s.Target = planted
	if gone, _, _ := h.DeleteExtras(dir, &restore.ExtrasSpec{Restore: s}); gone != "" {
		t.Errorf("through a link: %q", gone)
	}
	if _, err := os.Lstat(filepath.Join(elsewhere, dir, "victim")); err != nil {
		t.Error(err)
	}
}

// Where other file systems are mounted, be it a part of the same, nothing goes.
func TestExtras_mounts(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "file a text=a\ndir both")
	h.Backup(dir)
	testtree.Make(t, out, "file a text=a\ndir both\ndir m\ndir x/bind\nfile x/gone text=x\nfile gone text=x")
	elsewhere := t.TempDir()
	testtree.Make(t, elsewhere, "file victim text=v")
	for at, from := range map[string]string{"both": "", "m": "", "x/bind": elsewhere} {
		var err error
		if from == "" {
			err = syscall.Mount("tmpfs", filepath.Join(out, at), "tmpfs", 0, "size=1m")
		} else {
			err = syscall.Mount(from, filepath.Join(out, at), "", syscall.MS_BIND, "")
		}
		if err != nil {
			t.Logf("mounting needs privileges: %v", err)
			return
		}
		t.Cleanup(func() { jobtest.Must(t, syscall.Unmount(filepath.Join(out, at), 0)) })
	}
	testtree.Make(t, filepath.Join(out, "both"), "file inside text=i")
	testtree.Make(t, filepath.Join(out, "m"), "file inside text=i")
	gone, stay, r := h.DeleteExtras(dir, &restore.ExtrasSpec{Restore: h.RestoreSpec(dir, out)})
	if gone != "gone x/gone" || stay != "m x x/bind" || r.Failed != 0 {
		t.Errorf("%q stay: %q %+v", gone, stay, r)
	}
	for _, p := range []string{"both/inside", "m/inside", "x/bind/victim"} {
		if _, err := os.Lstat(filepath.Join(out, p)); err != nil {
			t.Error(err)
		}
	}
}

// Where a backup has left out another file system, the snapshot says so: restored to
// a single one, what is there is not superfluous.
func TestBackup_leftOutMounts(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	testtree.Make(t, dir, "file a text=a\ndir m\nfile sub/b text=b")
	if err := syscall.Mount("tmpfs", filepath.Join(dir, "m"), "tmpfs", 0, "size=1m"); err != nil {
		t.Logf("mounting needs privileges: %v", err)
		return
	}
	t.Cleanup(func() { jobtest.Must(t, syscall.Unmount(filepath.Join(dir, "m"), 0)) })
	for range 2 { // the second time everything is carried over
		h.Edit = func(s *backup.Spec) { s.OneFS = true }
		h.Backup(dir)
		_, root, _ := h.Newest()
		if f := root.Filters; f == nil || !slices.Equal(f.LeftOut, snapshot.Texts([]string{filepath.Join(dir, "m")})) {
			t.Errorf("excluded: %+v", f)
		}
	}
	h.Edit = nil
	h.Backup(dir)
	if _, root, _ := h.Newest(); root.Filters != nil {
		t.Errorf("nothing was excluded: %+v", root.Filters)
	}
}

// So it is with what the kernel makes up, without being asked for.
func TestBackup_leftOutKernel(t *testing.T) {
	h := jobtest.New(t)
	rules := &filter.Rules{}
	list, err := filter.Compile(filter.From("test", "/*", "!/proc"), filter.Options{})
	jobtest.Must(t, err)
	rules.After = []*filter.List{list}
	h.Edit = func(s *backup.Spec) { s.Choose = func() vfs.Chooser { return rules.Walk(nil) } }
	for range 2 { // the second time everything is carried over
		r := h.Backup("/")
		if !slices.Equal(r.Kernel, []backup.KernelMount{{Path: "/proc", Type: "proc"}}) || r.Counts.Files != 0 || !r.Complete {
			t.Errorf("%+v", r)
		}
		_, root, _ := h.Newest()
		if f := root.Filters; f == nil || !slices.Equal(f.LeftOut, snapshot.Texts([]string{"/proc"})) || f.OneFileSystem {
			t.Errorf("excluded: %+v", f)
		}
	}
	r := h.Backup("/", "/proc/sys/kernel/random")
	if !slices.Equal(r.Kernel, []backup.KernelMount{{Path: "/proc", Type: "proc"}}) || r.Counts.Files == 0 || !r.Complete || r.Counts.Bytes == 0 {
		t.Errorf("%+v", r)
	}
}

// Of a snapshot that cannot be read in full nothing is certain: an error, and nothing goes.
func TestExtras_damagedPages(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "file a text=a")
	h.Backup(dir)
	testtree.Make(t, out, "file gone text=g")
	s := h.RestoreSpec(dir, out)
	s.Faults.OnPage = func([]byte) []byte { return []byte("damaged") }
	_, err := restore.Extras(t.Context(), h.System, &restore.ExtrasSpec{Restore: s, Listed: &restore.ExtrasResult{}})
	if !errors.Is(err, page.ErrDamaged) || names(t, out) != "gone" {
		t.Errorf("%v, left %q", err, names(t, out))
	}
}

// A snapshot that holds nothing is no reason to delete everything.
func TestExtras_emptySnapshot(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "file a text=a")
	h.Backup(dir)
	testtree.Make(t, out, "file a text=a")
	s := h.RestoreSpec(dir, out)
	root := *s.Root
	root.Top, s.Root = nil, &root
	if _, err := restore.Extras(t.Context(), h.System, &restore.ExtrasSpec{Restore: s}); !errors.Is(err, read.ErrEmptySnapshot) {
		t.Error(err)
	}
}

// What the target's file system takes for an entry of the snapshot is no extra.
func TestExtras_otherSpelling(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "file readme text=a\nfile Dir/a text=a\nfile same text=s")
	h.Backup(dir)
	testtree.Make(t, out, "file README text=a\nfile dir/a text=a\nfile same text=s\nfile GONE text=g")
	for _, folding := range []bool{true, false} {
		s := h.RestoreSpec(dir, out)
		s.Faults.Folds = func(string) bool { return folding }
		want := "GONE"
		if !folding {
			want = "GONE README dir dir/a"
		}
		if gone, stay, r := h.FindExtras(dir, &restore.ExtrasSpec{Restore: s}); gone != want || stay != "" || r.Failed != 0 {
			t.Errorf("folding %v: %q, not %q; %q stay, %+v", folding, gone, want, stay, r)
		}
	}
}
