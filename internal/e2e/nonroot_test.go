package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"vaultik/internal/oddtree"
	"vaultik/internal/treecmp"
)

// nobody is a user that no system has.
const nobody = 54321

// A user restores a tree of root: all that a user may make is there, and one summary
// says what could not be set; nothing gets a mode that it must not have under another
// owner. The same command, given by root, completes it without fetching any contents.
func TestNonRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can become somebody else")
		return
	}
	m := newMachine(t)
	src := filepath.Join(m.root, "src")
	_, err := oddtree.Make(src, oddtree.Options{Seed: 9, Small: true})
	must(t, err)
	m.exits(0, "init")
	m.exits(0, "backup", src)
	m.key = secretOf(t, m.config("recovery-kit.txt"))
	store := m.store()

	u := newMachine(t)
	u.key = m.key
	openTo(t, filepath.Dir(vaultik), m.root, u.root)
	must(t, filepath.WalkDir(filepath.Join(m.home, ".local/share"), func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		return os.Chmod(path, 0o755)
	}))
	for _, dir := range []string{m.home, filepath.Join(m.home, ".local")} {
		must(t, os.Chmod(dir, 0o755))
	}
	for _, dir := range []string{u.root, u.home, u.temp} {
		must(t, os.Chown(dir, nobody, nobody))
	}
	out := filepath.Join(u.root, "out")
	cmd := u.command("--store", store, "restore", "latest:"+src, "--target", out)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("%v\n%s", err, &stderr)
	}

	said, devices := stderr.String(), 0
	r, err := treecmp.Compare(t.Context(), src, out, treecmp.Options{})
	must(t, err)
	for _, d := range r.Differences {
		name, _, _ := strings.Cut(d.A, "=")
		switch {
		case d.Kind == treecmp.Owner:
		case d.Kind == treecmp.Mode && d.A[1:] == d.B[1:] && d.B[0] == '0': // setuid and setgid
		case d.Kind == treecmp.Missing && (d.A == "char" || d.A == "block"):
			devices++
		case d.Kind == treecmp.Xattr && (strings.HasPrefix(name, "trusted.") || strings.HasPrefix(name, "security.")):
			if !strings.Contains(said, "xattr "+name+" of ") {
				t.Errorf("not said: %v", d)
			}
		default:
			t.Error(d)
		}
	}
	lines := map[string]int{
		"vaultik: warning: some attributes could not be set: owner of ": 1,
		"mode of 3 entries": 1,
		"setuid or setgid left out, since the owner could not be set":       1,
		"vaultik: hint: rerun the same command as root to set them\n":       1,
		"vaultik: hint: rerun the same command as root to restore the rest": min(devices, 1),
		"vaultik: warning: \"": devices,
	}
	for what, n := range lines {
		if strings.Count(said, what) != n {
			t.Errorf("%q is said %d times, not %d", what, strings.Count(said, what), n)
		}
	}
	if t.Failed() {
		t.Log(said)
	}
	// To root these are the files of a stranger, so all are made anew, from what is there.
	done := m.exits(0, "restore", "latest:"+src, "--target", out).stdout
	if m := regexp.MustCompile(`, (.+) written, (.+) reused`).FindStringSubmatch(done); m == nil || m[1] != m[2] {
		t.Error(done)
	}
	sameTree(t, src, out)
}

// openTo lets everybody pass through directories of the test, up to that of the tests.
func openTo(t *testing.T, dirs ...string) {
	t.Helper()
	top := filepath.Clean(os.TempDir())
	for _, dir := range dirs {
		for ; dir != top && strings.HasPrefix(dir, top+"/"); dir = filepath.Dir(dir) {
			must(t, exec.Command("chmod", "a+x", dir).Run())
		}
	}
}
