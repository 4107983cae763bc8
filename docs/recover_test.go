// Package docs holds what is told about Vaultik, and the test that one of its parts,
// recover.sh, reads what Vaultik writes.
package docs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vaultik/internal/oddtree"
	"vaultik/internal/treecmp"
)

// build makes the program once for all tests here.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "vaultik-docs-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "vaultik")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "vaultik/cmd/vaultik").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build vaultik: %w: %s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(bin)) // in the system's temporary directory
	}
	os.Exit(code)
}

// machine is a home directory with a store of its own.
type machine struct {
	t               *testing.T
	home, store, id string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	home := t.TempDir()
	return &machine{t: t, home: home, store: filepath.Join(home, "store")}
}

func (m *machine) env() []string {
	return []string{"HOME=" + m.home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + m.t.TempDir()}
}

func (m *machine) run(args ...string) string {
	m.t.Helper()
	bin, err := build()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = m.env()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("vaultik %s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	return string(out)
}

func (m *machine) kit() string { return filepath.Join(m.home, "kit") }

func (m *machine) init(args ...string) {
	m.t.Helper()
	m.run(append([]string{"init", "--store", "file://" + m.store, "--recovery-kit", m.kit()}, args...)...)
}

// recover runs the script and answers its exit code and what it said.
func (m *machine) recover(store, out string, more ...string) (code int, said string) {
	m.t.Helper()
	cmd := exec.Command("./recover.sh", append([]string{store, m.kit(), out}, more...)...)
	cmd.Env = m.env()
	if m.id != "" {
		cmd.Env = append(cmd.Env, "IDENTITY="+m.id)
	}
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// same fails if the trees differ; inode flags need a tool that the script does without.
func (m *machine) same(want, got string) {
	m.t.Helper()
	r, err := treecmp.Compare(m.t.Context(), want, got, treecmp.Options{Ignore: []treecmp.Kind{treecmp.Flags}})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, d := range r.Differences {
		m.t.Error(d)
	}
}

func makeOdd(t *testing.T) string {
	t.Helper()
	top := filepath.Join(t.TempDir(), "odd")
	leftOut, err := oddtree.Make(top, oddtree.Options{Small: true, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range leftOut {
		t.Log("left out:", what)
	}
	return top
}

// A tree of odd entries comes back complete, and so does an older snapshot of it.
func TestRecover_oddTree(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.init()
	odd := makeOdd(t)
	m.run("backup", odd)
	before := filepath.Join(t.TempDir(), "copy")
	if _, err := oddtree.Make(before, oddtree.Options{Small: true, Seed: 7}); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(odd, "sizes")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(odd, "new"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.run("backup", odd)

	out := filepath.Join(t.TempDir(), "out")
	if code, said := m.recover(m.store, out); code != 0 {
		t.Fatalf("exit %d: %s", code, said)
	}
	m.same(odd, filepath.Join(out, odd))

	old := filepath.Join(t.TempDir(), "old")
	host, set := m.ids()
	if code, said := m.recover(m.store, old, host, set, "1"); code != 0 {
		t.Fatalf("exit %d: %s", code, said)
	}
	m.same(before, filepath.Join(old, odd))

	if code, said := m.recover(m.store, out); code != 64 {
		t.Errorf("into a full directory: exit %d: %s", code, said)
	}
	if code, said := m.recover(m.store, filepath.Join(t.TempDir(), "none"), host, set, "7"); code != 1 {
		t.Errorf("a snapshot that is not there: exit %d: %s", code, said)
	}
}

// ids are the only host and set in the store.
func (m *machine) ids() (host, set string) {
	m.t.Helper()
	sets, err := filepath.Glob(filepath.Join(m.store, "h", "*", "m", "*"))
	if err != nil || len(sets) != 1 {
		m.t.Fatalf("sets: %q, %v", sets, err)
	}
	return filepath.Base(filepath.Dir(filepath.Dir(sets[0]))), filepath.Base(sets[0])
}

// An identity that was made elsewhere is not in the kit; several sets must be told apart.
func TestRecover_ownRecipient(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.id = filepath.Join(m.home, "identity")
	out, err := exec.Command("age-keygen", "-o", m.id).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	recipient, err := exec.Command("age-keygen", "-y", m.id).Output()
	if err != nil {
		t.Fatal(err)
	}
	m.init("--recipient", strings.TrimSpace(string(recipient)))
	var dirs []string
	for _, name := range []string{"one", "two"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "sub", "file"), []byte(name), 0o640); err != nil {
			t.Fatal(err)
		}
		m.run("backup", "--set", name, dir)
		dirs = append(dirs, dir)
	}
	target := filepath.Join(t.TempDir(), "out")
	code, said := m.recover(m.store, target)
	if code != 64 {
		t.Fatalf("two sets: exit %d: %s", code, said)
	}
	for i, name := range []string{"one", "two"} {
		var host, set string
		for line := range strings.Lines(said) {
			if strings.Contains(line, `"`+name+`"`) {
				f := strings.Fields(line)
				host, set = f[0], f[1]
			}
		}
		target := filepath.Join(t.TempDir(), "out")
		if code, said := m.recover(m.store, target, host, set); code != 0 {
			t.Fatalf("set %s: exit %d: %s", name, code, said)
		}
		m.same(dirs[i], filepath.Join(target, dirs[i]))
	}
}

// Whatever is damaged or exchanged is noticed before anything of it is used.
func TestRecover_damage(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.init()
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), bytes.Repeat([]byte("contents "), 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	m.run("backup", dir)
	for _, c := range []struct {
		object string // pattern below the store
		code   int
	}{
		{"store.json", 13}, {"trust/*", 13}, {"h/*/m/*/*", 13}, {"h/*/r/*", 13}, {"h/*/b/*/*", 3}, {"h/*/k/*/*", 0},
	} {
		for _, how := range []string{"flip", "cut", "delete"} {
			t.Run(how+" "+c.object, func(t *testing.T) {
				t.Parallel()
				store := filepath.Join(t.TempDir(), "store")
				if err := os.CopyFS(store, os.DirFS(m.store)); err != nil {
					t.Fatal(err)
				}
				damage(t, filepath.Join(store, c.object), how)
				want := c.code
				switch {
				case how == "delete" && c.object == "store.json":
					want = 10
				case how == "delete" && c.object == "h/*/m/*/*":
					want = 1 // there never was a snapshot, as far as the script can see
				}
				mm := *m
				mm.t = t
				out := filepath.Join(t.TempDir(), "out")
				code, said := mm.recover(store, out)
				if code != want {
					t.Errorf("exit %d, want %d: %s", code, want, said)
				}
				if code == 0 {
					mm.same(dir, filepath.Join(out, dir))
				} else if _, err := os.Stat(filepath.Join(out, dir, "file")); err == nil {
					t.Error("the file was restored")
				}
			})
		}
	}
}

func damage(t *testing.T, pattern, how string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
		switch how {
		case "flip":
			data[len(data)/2] ^= 1
		case "cut":
			data = data[:len(data)/2]
		case "delete":
			continue
		}
		if err := os.WriteFile(f, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
