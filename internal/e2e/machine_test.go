package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/treecmp"
)

// vaultik is the path of the program, built by TestMain.
var vaultik string

// mortalEnv makes the test binary run its arguments without the privileges of
// root, so that files can be unreadable whoever runs the tests.
const mortalEnv = "E2E_MORTAL"

func TestMain(m *testing.M) {
	if os.Getenv(mortalEnv) != "" {
		mortal()
	}
	dir, err := os.MkdirTemp("", "vaultik-e2e-")
	if err == nil {
		vaultik = filepath.Join(dir, "vaultik")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", vaultik, "vaultik/cmd/vaultik").CombinedOutput(); err != nil {
			err = fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func mortal() {
	runtime.LockOSThread() // the bounding set is a thread's, and passes on by exec
	err := os.Unsetenv(mortalEnv)
	for c := 0; os.Geteuid() == 0 && c <= unix.CAP_LAST_CAP && err == nil; c++ {
		if err = unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); errors.Is(err, unix.EINVAL) {
			err = nil // an older kernel has fewer
		}
	}
	if err == nil {
		err = unix.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "mortal:", err)
	os.Exit(99)
}

// machine is a user's account somewhere: a home, a directory for temporary files,
// and an environment of which the tests know every variable.
type machine struct {
	t          *testing.T
	root       string // holds all of it
	home, temp string
	key        string // VAULTIK_AGE_SECRET_KEY, "" for none
	mortal     bool   // modes of files count, even for root
	env        []string
	logs       []logged
	peak       int64 // bytes resident, of what was bounded
}

// logged is what one command said.
type logged struct {
	args           []string
	stdout, stderr string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir()}
	m.home, m.temp = filepath.Join(m.root, "home"), filepath.Join(m.root, "tmp")
	must(t, os.Mkdir(m.home, 0o700))
	must(t, os.Mkdir(m.temp, 0o700))
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *machine) config(name string) string { return filepath.Join(m.home, ".config/vaultik", name) }
func (m *machine) store() string             { return filepath.Join(m.home, ".local/share/vaultik/store") }

// command is one run of the program on this machine.
func (m *machine) command(args ...string) *exec.Cmd {
	if i := slices.Index(args, "backup"); i >= 0 {
		args = slices.Insert(slices.Clone(args), i+1, "--init") // no terminal
	}
	cmd := exec.Command(vaultik, args...)
	cmd.Dir = m.root
	cmd.Env = []string{"HOME=" + m.home, "TMPDIR=" + m.temp, "PATH=" + os.Getenv("PATH")}
	cmd.Env = append(cmd.Env, m.env...)
	if m.key != "" {
		cmd.Env = append(cmd.Env, "VAULTIK_AGE_SECRET_KEY="+m.key)
	}
	if m.mortal {
		self, err := os.Executable()
		must(m.t, err)
		cmd.Path, cmd.Args = self, append([]string{self, vaultik}, args...)
		cmd.Env = append(cmd.Env, mortalEnv+"=1")
	}
	return cmd
}

// exits runs the program and wants an exit code.
func (m *machine) exits(code int, args ...string) logged {
	m.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := m.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		m.t.Fatal(err)
	}
	l := logged{args, stdout.String(), stderr.String()}
	if got := cmd.ProcessState.ExitCode(); got != code {
		m.t.Fatalf("vaultik %q exited with %d, want %d\n%s%s", args, got, code, l.stdout, l.stderr)
	}
	m.logs = append(m.logs, l)
	return l
}

// secretOf is the secret key in an identity file.
func secretOf(t *testing.T, file string) string { return lineOf(t, file, "AGE-SECRET-KEY-") }

// lineOf is the line of a file that begins with prefix, which is part of a key but not of a label.
func lineOf(t *testing.T, file, prefix string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, prefix) {
			if strings.HasPrefix(prefix, "#") {
				line = strings.TrimPrefix(line, prefix)
			}
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("%s has no line %q", file, prefix)
	return ""
}

// sameTree wants two trees to be the same in everything.
func sameTree(t *testing.T, a, b string) {
	t.Helper()
	r, err := treecmp.Compare(t.Context(), a, b, treecmp.Options{})
	must(t, err)
	for i, d := range r.Differences {
		if i == 20 {
			break
		}
		t.Error(d)
	}
	if len(r.Differences) > 0 {
		t.Fatalf("%s and %s: %d differences in %d entries", a, b, len(r.Differences), r.Entries)
	}
	t.Logf("identical: %d entries, %d bytes", r.Entries, r.Bytes)
}
