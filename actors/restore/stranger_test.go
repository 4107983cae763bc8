package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
	vfs "vaultik/vault/fs"
)

const (
	stranger = 54321 // a user who is neither the caller nor the owner of anything restored
	lawful   = 54322 // one that the snapshot names
)

// trap is what a stranger has put in the place of a file, and a descriptor that he keeps.
type trap struct {
	path string
	held *os.File
	was  syscall.Stat_t
}

// setTrap makes the entry at path the stranger's, who holds it open.
func setTrap(t *testing.T, path string, edit func(path string)) *trap {
	t.Helper()
	edit(path)
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ELOOP) {
		f, err = os.Open(path)
	}
	jobtest.Must(t, err)
	t.Cleanup(func() { f.Close() })
	tr := &trap{path: path, held: f}
	jobtest.Must(t, syscall.Fstat(int(f.Fd()), &tr.was))
	return tr
}

// sprung reports what the stranger has got: nothing, if his inode is as it was.
func (tr *trap) sprung(t *testing.T) {
	t.Helper()
	var now, there syscall.Stat_t
	jobtest.Must(t, syscall.Fstat(int(tr.held.Fd()), &now))
	jobtest.Must(t, syscall.Lstat(tr.path, &there))
	if now.Ino == there.Ino {
		t.Errorf("%s: the stranger's inode is still in place, uid %d, mode %o", tr.path, there.Uid,
			there.Mode)
	}
	if now.Uid != tr.was.Uid || now.Gid != tr.was.Gid || now.Mode != tr.was.Mode ||
		now.Size != tr.was.Size || now.Mtim != tr.was.Mtim {
		t.Errorf("%s: what the stranger holds was changed: uid %d to %d, mode %o to %o, size %d to %d",
			tr.path, tr.was.Uid, now.Uid, tr.was.Mode, now.Mode, tr.was.Size, now.Size)
	}
}

// A restore as root gives nothing that a stranger has made, or may write to, to the owner
// that the snapshot names: not the same size and time, nor equal contents, make it the
// snapshot's. Whatever the stranger holds open stays his, and is not what stands there.
func TestRestore_StrangersInode(t *testing.T) {
	asRoot(t)
	tree := `
dir d
file d/tool mode=4755 text="the real tool\n"
file d/owned mode=600 uid=54322 gid=54322 text="somebody's own\n"
file d/plain mode=644 text="plain\n"
file d/empty mode=644 text=""
file d/large mode=644 size=600000 data=0:600000:3
file d/two mode=644 text="two names\n"
hardlink d/names d/two
fifo d/fifo mode=600
symlink d/link target
`
	steal := func(path string) { jobtest.Must(t, os.Lchown(path, stranger, stranger)) }
	spoil := func(path string) { // the same size and mtime, and other contents
		st, err := os.Stat(path)
		jobtest.Must(t, err)
		b, err := os.ReadFile(path)
		jobtest.Must(t, err)
		jobtest.Must(t, os.WriteFile(path, []byte(strings.Repeat("x", len(b))), 0))
		jobtest.Must(t, os.Chtimes(path, st.ModTime(), st.ModTime()))
	}
	cases := map[string]struct {
		file string
		edit func(path string)
	}{
		"setuid":           {"tool", func(p string) { spoil(p); steal(p) }},
		"same contents":    {"plain", steal},
		"another's":        {"owned", steal},
		"empty":            {"empty", steal},
		"large":            {"large", func(p string) { spoil(p); steal(p) }},
		"a fifo":           {"fifo", steal},
		"its own setuid":   {"tool", func(p string) { spoil(p); jobtest.Must(t, os.Chmod(p, 0o755)) }},
		"the owner's":      {"tool", func(p string) { spoil(p); jobtest.Must(t, os.Lchown(p, lawful, 0)) }},
		"anybody's":        {"plain", func(p string) { spoil(p); jobtest.Must(t, os.Chmod(p, 0o666)) }},
		"by ACL":           {"plain", func(p string) { spoil(p); grant(t, p) }},
		"of a group":       {"two", func(p string) { spoil(p); steal(p) }},
		"a name elsewhere": {"two", func(p string) { jobtest.Must(t, os.Chmod(p, 0o600)) }},
		"another time": {"plain", func(p string) {
			steal(p)
			jobtest.Must(t, os.Chtimes(p, vfs.Stat{}.Mtime.Time(), vfs.Stat{}.Mtime.Time()))
		}},
	}
	for _, mode := range []restore.Overwrite{"if-changed", "if-newer", "always", "in place"} {
		for name, c := range cases {
			skip := mode == restore.OverwriteIfNewer && name == "another time" || // it is newer
				mode == "in place" && !strings.Contains("setuid same contents another's empty large"+
					" a fifo of a group another time", name) // the right owner's, who has asked for it
			if skip {
				continue
			}
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				h := jobtest.New(t)
				dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
				testtree.Make(t, dir, tree)
				h.Backup(dir)
				h.Restore(h.RestoreSpec(dir, out))
				tr := setTrap(t, filepath.Join(out, "d", c.file), c.edit)
				s := h.RestoreSpec(dir, out)
				if s.Overwrite = mode; mode == "in place" {
					s.Overwrite, s.InPlace = "", true
				}
				if r := h.Restore(s); r.Failed != 0 || len(r.Meta) != 0 {
					t.Errorf("%+v", r)
				}
				tr.sprung(t)
				jobtest.SameTree(t, dir, out)

				// The stranger goes on writing.
				_, _ = tr.held.WriteAt([]byte("evil"), 0)
				_ = tr.held.Chmod(0o666)
				jobtest.SameTree(t, dir, out)
			})
		}
	}
}

// A file that is the snapshot's owner's, or the caller's, is kept.
func TestRestore_KeepsItsOwn(t *testing.T) {
	asRoot(t)
	h := jobtest.New(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	testtree.Make(t, dir, `
file tool mode=4755 text="tool\n"
file owned mode=664 uid=54322 gid=54322 text="own\n"
file mine mode=640 uid=54322 text="mine\n"
file two mode=4711 text="two\n"
hardlink names two
`)
	h.Backup(dir)
	h.Restore(h.RestoreSpec(dir, out))
	jobtest.Must(t, os.Lchown(filepath.Join(out, "mine"), 0, 0))
	before := map[string]uint64{}
	for _, name := range []string{"tool", "owned", "mine", "two", "names"} {
		before[name] = inode(t, filepath.Join(out, name))
	}
	if r := h.Restore(h.RestoreSpec(dir, out)); r.Unchanged != 5 {
		t.Errorf("%+v", r)
	}
	for name, ino := range before {
		if inode(t, filepath.Join(out, name)) != ino {
			t.Errorf("%s was made anew", name)
		}
	}
	jobtest.SameTree(t, dir, out)
}

// A stranger's directory is taken over before anything is made in it: he, who holds it open,
// cannot replace what root is restoring. Only Fault can look at that moment.
func TestRestore_StrangersDirectory(t *testing.T) {
	asRoot(t)
	for name, edit := range map[string]func(path string) error{
		"his":       func(p string) error { return os.Lchown(p, stranger, stranger) },
		"anybody's": func(p string) error { return os.Chmod(p, 0o777) },
		"by ACL":    func(p string) error { grant(t, p); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			h := jobtest.New(t)
			dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
			testtree.Make(t, dir, `
dir d mode=755
dir d/e mode=755
file d/e/f text="f\n"
`)
			h.Backup(dir)
			h.Restore(h.RestoreSpec(dir, out))
			at := filepath.Join(out, "d")
			jobtest.Must(t, os.Remove(filepath.Join(at, "e", "f")))
			jobtest.Must(t, edit(filepath.Join(at, "e")))
			jobtest.Must(t, edit(at))
			s := h.RestoreSpec(dir, out)
			looked := 0
			s.Faults.OnWrite = func() {
				for _, p := range []string{at, filepath.Join(at, "e")} {
					var st syscall.Stat_t
					jobtest.Must(t, syscall.Lstat(p, &st))
					if st.Uid != 0 || st.Mode&0o022 != 0 {
						t.Errorf("%s is of user %d, mode %o, while root works in it", p, st.Uid, st.Mode)
					}
					looked++
				}
			}
			if r := h.Restore(s); r.Failed != 0 || len(r.Meta) != 0 {
				t.Errorf("%+v", r)
			}
			if looked == 0 {
				t.Error("nobody has looked")
			}
			jobtest.SameTree(t, dir, out)
		})
	}
}

// A directory that keeps its attributes is not taken from its owner: it is said that he can
// replace what is restored in it.
func TestRestore_SaysWhoseDirectory(t *testing.T) {
	asRoot(t)
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "dir d\nfile d/f text=f")
	h.Backup(dir)
	jobtest.Must(t, os.Mkdir(filepath.Join(out, "d"), 0o755))
	jobtest.Must(t, os.Lchown(filepath.Join(out, "d"), stranger, stranger))
	s := h.RestoreSpec(dir, out)
	s.Overwrite = restore.OverwriteNever
	var said []string
	s.Warn = func(text string) { said = append(said, text) }
	h.Restore(s)
	if len(said) != 1 || !strings.Contains(said[0], "belongs to user 54321, who can put other") {
		t.Errorf("%q", said)
	}
}

// grant lets the stranger write by an ACL.
func grant(t *testing.T, path string) {
	t.Helper()
	acl := []byte{
		2, 0, 0, 0,
		1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff,
		2, 0, 6, 0, stranger & 0xff, stranger >> 8, 0, 0,
		4, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,
		16, 0, 6, 0, 0xff, 0xff, 0xff, 0xff,
		32, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,
	}
	if err := unix.Setxattr(path, "system.posix_acl_access", acl, 0); err != nil {
		t.Skipf("no ACLs on the file system of the test's directory: %v", err)
	}
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of others")
	}
}
