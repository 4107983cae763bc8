package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/internal/treecmp"
)

// stranger is an unprivileged user who was in the target before root restored into it.
type stranger struct {
	t       *testing.T
	src     string
	victim  string // a directory of root outside of the target
	held    map[string]*os.File
	elseway string // where his other names of files are
}

// The tree that root saves: what a stranger would like to own.
func privileged(t *testing.T, src string) {
	t.Helper()
	when := time.Unix(1_600_000_000, 0)
	put := func(name, contents string, mode uint32) {
		path := filepath.Join(src, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(contents), 0o600))
		must(t, unix.Chmod(path, mode))
		must(t, os.Chtimes(path, when, when))
	}
	put("bin/su", "the good su", 0o4755)
	put("bin/wall", "the good wall", 0o2755)
	put("bin/ping", "the good ping", 0o755)
	must(t, unix.Setxattr(filepath.Join(src, "bin/ping"), "security.capability", []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	must(t, os.Chtimes(filepath.Join(src, "bin/ping"), when, when))
	put("etc/shadow", "root:$6$good", 0o600)
	put("etc/cron.d/job", "* * * * * root good", 0o644)
	put("etc/deep/er/conf", "good = true", 0o644)
	put("etc/one", "one file of two names", 0o4755)
	must(t, os.Link(filepath.Join(src, "etc/one"), filepath.Join(src, "etc/two")))
	put("var/big", strings.Repeat("good disk ", 7<<20), 0o600) // gets a part
	put("var/hers", "of another user", 0o600)
	must(t, os.Chown(filepath.Join(src, "var/hers"), 1234, 1234))
	must(t, os.Symlink("su", filepath.Join(src, "bin/link")))
	for _, d := range []string{"bin", "etc/cron.d", "etc/deep/er", "etc/deep", "etc", "var", "."} {
		must(t, os.Chtimes(filepath.Join(src, d), when, when))
	}
}

// occupy fills a target with the stranger's versions of everything: same names, sizes and times, his
// contents, his ownership, a descriptor of each in his hand, another name of each elsewhere.
func (s *stranger) occupy(target string) {
	s.t.Helper()
	must(s.t, filepath.WalkDir(s.src, func(path string, d fs.DirEntry, err error) error {
		must(s.t, err)
		rel, err := filepath.Rel(s.src, path)
		must(s.t, err)
		at := filepath.Join(target, rel)
		info, err := d.Info()
		must(s.t, err)
		switch {
		case d.IsDir():
			must(s.t, os.MkdirAll(at, 0o777))
			must(s.t, os.Chmod(at, 0o777))
		case d.Type().IsRegular():
			must(s.t, os.WriteFile(at, bytes.Repeat([]byte("E"), int(info.Size())), 0o666))
			f, err := os.OpenFile(at, os.O_RDWR, 0)
			must(s.t, err)
			s.t.Cleanup(func() { _ = f.Close() })
			s.held[rel] = f
			other := filepath.Join(s.elseway, strings.ReplaceAll(rel, "/", "-"))
			_ = os.Remove(other) // of an earlier target
			must(s.t, os.Link(at, other))
			// What an ACL of his lets him write, whoever the owner is.
			must(s.t, unix.Setxattr(at, "user.evil", []byte("x"), 0))
			must(s.t, os.Chmod(at, 0o666))
		default:
			must(s.t, os.Symlink(s.victim, at))
		}
		must(s.t, os.Lchown(at, nobody, nobody))
		if d.Type().IsRegular() {
			must(s.t, os.Chtimes(at, info.ModTime(), info.ModTime()))
		}
		return nil
	}))
}

// scribble writes through all descriptors that the stranger has held, and by his other names.
func (s *stranger) scribble() {
	for _, f := range s.held {
		_, _ = f.WriteAt([]byte("EVIL"), 0)
	}
	_ = filepath.WalkDir(s.elseway, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			_ = os.WriteFile(path, []byte("EVIL by another name"), 0o666)
		}
		return nil
	})
}

// harmless wants the restored tree to be the saved one, and nobody's to be nothing in it, even
// after the stranger has used what he holds.
func (s *stranger) harmless(target string) {
	s.t.Helper()
	s.scribble()
	sameTree(s.t, s.src, target)
	must(s.t, filepath.WalkDir(target, func(path string, _ fs.DirEntry, err error) error {
		must(s.t, err)
		var st unix.Stat_t
		must(s.t, unix.Lstat(path, &st))
		if st.Uid == nobody || st.Gid == nobody {
			s.t.Errorf("still the stranger's: %s", path)
		}
		return nil
	}))
	s.unharmed()
}

// unharmed wants what is outside of the target to be as it was.
func (s *stranger) unharmed() {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.victim, "passwd"))
	must(s.t, err)
	entries, err := os.ReadDir(s.victim)
	must(s.t, err)
	var st unix.Stat_t
	must(s.t, unix.Stat(s.victim, &st))
	if string(b) != "of root" || len(entries) != 1 || st.Mode&0o7777 != 0o711 || st.Uid != 0 {
		s.t.Errorf("the victim was changed: %q, %d entries, mode %o", b, len(entries), st.Mode)
	}
}

func newStranger(t *testing.T, m *machine) *stranger {
	s := &stranger{t: t, src: filepath.Join(m.root, "src"), victim: filepath.Join(m.root, "victim"), elseway: filepath.Join(m.root, "elsewhere"), held: map[string]*os.File{}}
	must(t, os.MkdirAll(s.victim, 0o755))
	must(t, os.WriteFile(filepath.Join(s.victim, "passwd"), []byte("of root"), 0o644))
	must(t, os.Chmod(s.victim, 0o711))
	must(t, os.MkdirAll(s.elseway, 0o777))
	must(t, os.Chmod(s.elseway, 0o777))
	privileged(t, s.src)
	return s
}

// TestStranger: root restores into a tree that a stranger has prepared. Nothing of his is blessed:
// no inode that he holds, no directory in which he may rename, no link that he has laid.
func TestStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has what a stranger wants")
	}
	for name, flags := range map[string][]string{
		"if-changed": nil, "always": {"--overwrite=always"}, "in place": {"--in-place"},
		"always, in place": {"--overwrite=always", "--in-place"}, "delete": {"--delete", "--yes"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			openTo(t, m.root)
			s := newStranger(t, m)
			m.exits(0, "init")
			m.exits(0, "backup", s.src)
			m.key = secretOf(t, m.config("recovery-kit.txt"))
			target := filepath.Join(m.root, "target")
			must(t, os.Mkdir(target, 0o755))
			s.occupy(target)
			m.exits(0, append([]string{"restore", "latest:" + s.src, "--target", target}, flags...)...)
			s.harmless(target)
		})
	}
}

// TestStranger_races: the same while he swaps directories and files for links, all the time.
func TestStranger_races(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has what a stranger wants")
	}
	m := newMachine(t)
	openTo(t, m.root)
	s := newStranger(t, m)
	m.exits(0, "init")
	m.exits(0, "backup", s.src)
	m.key = secretOf(t, m.config("recovery-kit.txt"))
	for round := range 8 {
		target := filepath.Join(m.root, "target"+string(rune('a'+round)))
		must(t, os.Mkdir(target, 0o777))
		s.occupy(target)
		race := exec.Command("sh", "-c", `cd "$0"; while :; do
			for d in bin etc etc/deep etc/cron.d var; do mv "$d" "$d.was" && ln -s "$1" "$d" && rm "$d" && mv "$d.was" "$d"; done
			for f in bin/su etc/shadow var/big; do rm -f "$f"; ln -s "$1/passwd" "$f"; rm -f "$f"; done
			for f in etc/.vaultik* var/.vaultik* bin/.vaultik*; do ln -f "$f" "$2/$(basename $f)"; done
		done 2>/dev/null`, target, s.victim, s.elseway)
		race.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Setpgid: true}
		must(t, race.Start())
		cmd := m.command("restore", "latest:"+s.src, "--target", target)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		err := cmd.Run()
		must(t, syscall.Kill(-race.Process.Pid, syscall.SIGKILL))
		_ = race.Wait()
		var ee *exec.ExitError
		if err != nil && (!errors.As(err, &ee) || ee.ExitCode() != 3) {
			t.Fatalf("%v\n%s", err, &stderr)
		}
		s.scribble()
		s.unharmed()
		r, err := treecmp.Compare(t.Context(), s.src, target, treecmp.Options{})
		must(t, err)
		if ee == nil {
			for _, d := range r.Differences {
				if d.Kind != treecmp.Missing || d.A != "nothing" { // what he adds in the last moment is there
					t.Error(d)
				}
			}
		}
		must(t, filepath.WalkDir(target, func(path string, d fs.DirEntry, err error) error {
			must(t, err)
			var st unix.Stat_t
			must(t, unix.Lstat(path, &st))
			if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o6000 != 0 {
				rel, _ := filepath.Rel(target, path)
				b, err := os.ReadFile(path)
				must(t, err)
				if want, err := os.ReadFile(filepath.Join(s.src, rel)); err != nil || !bytes.Equal(b, want) {
					t.Errorf("%s is setuid and %.40q, %v", path, b, err)
				}
			}
			return nil
		}))
		m.exits(0, "restore", "latest:"+s.src, "--target", target, "--delete", "--yes")
		s.harmless(target)
	}
}
