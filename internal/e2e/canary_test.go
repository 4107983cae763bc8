package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
)

// aviary makes canaries: 32 random bytes each, of text where names want it.
type aviary struct {
	*rand.Rand
	haystack
	names []string
}

func (a *aviary) bytes(name string) string {
	b := make([]byte, 32)
	for i := range b {
		b[i] = byte(a.Uint32())
	}
	a.add(name, b)
	return string(b)
}

func (a *aviary) text(name string) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 32)
	for i := range b {
		b[i] = letters[a.IntN(len(letters))]
	}
	a.add(name, b)
	return string(b)
}

// odd has bytes that are no UTF-8, and none that a name cannot have.
func (a *aviary) odd(name string) string {
	b := make([]byte, 32)
	for i := range b {
		b[i] = 0x80 + byte(a.IntN(0x80))
	}
	a.add(name, b)
	return string(b)
}

func (a *aviary) add(name string, b []byte) {
	a.names = append(a.names, name)
	a.plant(name, b)
}

// only returns the canaries of these kinds.
func (a *aviary) only(words ...string) []string {
	var out []string
	for _, n := range a.names {
		for _, w := range words {
			if n == w || strings.HasPrefix(n, w+" ") {
				out = append(out, n)
			}
		}
	}
	return out
}

// canaryTree makes a tree with a canary in everything that a tree has.
func canaryTree(t *testing.T, a *aviary, src string, large int) {
	t.Helper()
	must(t, os.MkdirAll(src, 0o755))
	write := func(rel string, content []byte) string {
		p := filepath.Join(src, rel)
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		must(t, os.WriteFile(p, content, 0o644))
		return p
	}
	write("small", []byte("before "+a.bytes("content small")+" after"))
	write("text", []byte(a.text("content text")))
	write("compressible", bytes.Repeat([]byte("the same again: "+a.text("content compressible")+"\n"), 20_000))
	sparse := write("sparse", nil)
	f, err := os.OpenFile(sparse, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte(a.bytes("content sparse")), 5<<20)
	must(t, err)
	must(t, f.Close())
	write(a.text("name file"), []byte("x"))
	write(a.odd("name odd"), []byte("y"))
	write(a.text("name dir")+"/inside", []byte("z"))
	must(t, os.Mkdir(filepath.Join(src, a.text("name empty dir")), 0o700))
	must(t, os.Symlink(a.text("target text"), filepath.Join(src, a.text("name symlink"))))
	must(t, os.Symlink(a.odd("target odd"), filepath.Join(src, "symlink")))
	must(t, unix.Mkfifo(filepath.Join(src, a.text("name fifo")), 0o600))
	must(t, os.Link(filepath.Join(src, "small"), filepath.Join(src, a.text("name hard link"))))
	p := write("attributes", []byte("with attributes"))
	xattr := func(file, name string, value []byte) {
		if err := unix.Setxattr(file, name, value, 0); errors.Is(err, unix.ENOTSUP) {
			t.Logf("this file system has no attributes: without the canaries in them")
		} else {
			must(t, err)
		}
	}
	xattr(p, "user."+a.text("xattr name"), []byte(a.bytes("xattr value")))
	xattr(filepath.Join(src, "text"), "user.long", append(testtree.Bytes(1, 3000), a.bytes("xattr long value")...))
	write("left/"+a.text("excluded name"), []byte(a.bytes("excluded content")))
	write("m-"+a.text("problem name"), []byte(a.bytes("problem content")))
	must(t, os.Chmod(filepath.Join(src, problemOf(src)), 0))
	// Large ones last in the order of paths: while they are read a run can be stopped.
	for i := range large {
		b := testtree.Bytes(uint64(i), 8<<20)
		copy(b[4321:], a.bytes(fmt.Sprint("content large ", i)))
		copy(b[5<<20:], a.bytes(fmt.Sprint("content larger ", i)))
		write(fmt.Sprintf("z%03d", i), b)
	}
}

// problemOf is the name of the file that cannot be read.
func problemOf(src string) string {
	all, _ := filepath.Glob(filepath.Join(src, "m-*"))
	return filepath.Base(all[0])
}

// TestCanaries: what is backed up stands nowhere in the clear: not in the store,
// the index, the state, temporary files, nor in what is said, but for files that
// had a problem; whether a run ended well, was interrupted or killed.
func TestCanaries(t *testing.T) {
	a := &aviary{Rand: rand.New(rand.NewPCG(testsize.Seed(t), 0x63616e))}
	m := newMachine(t)
	m.mortal = true
	src := filepath.Join(t.TempDir(), a.text("path source"))
	canaryTree(t, a, src, testsize.Pick(10, 60))

	m.exits(0, "init")
	kit := m.config("recovery-kit.txt")
	secrets(t, a, m)
	// Host name and exclude patterns stand in the configuration, because somebody wrote them there.
	conf, err := os.ReadFile(m.config("config.yaml"))
	must(t, err)
	set, excluded := a.text("set name"), a.text("excluded configured")
	conf = append(conf, fmt.Sprintf("\nhostname: %s\nsnapshots:\n  %s:\n    paths: [%q]\n    exclude: [%q]\n", a.text("host name"), set, src, "/**/"+excluded)...)
	must(t, os.WriteFile(m.config("config.yaml"), conf, 0o600))
	args := []string{"backup", "--set", set, "--tag", a.text("tag"), "--exclude", "/**/left/*", "--exclude", a.text("excluded pattern")}

	rest := ".config/vaultik/"
	may := map[string][]string{
		rest + "config.yaml":      a.only("host", "set", "path", "excluded configured"),
		rest + "sets.json":        a.only("set", "path"),
		rest + "host.json":        a.only("host-secret"),
		rest + "recovery-kit.txt": a.only("kit"),
	}
	clean := func(when string) {
		t.Helper()
		a.clean(t, when+", home", m.home, may)
		left, err := os.ReadDir(m.temp)
		must(t, err)
		if len(left) > 0 {
			t.Errorf("%s: left in $TMPDIR: %v", when, left)
		}
	}
	clean("init")

	for _, stop := range []struct {
		name   string
		signal syscall.Signal
	}{{"killed", syscall.SIGKILL}, {"interrupted", syscall.SIGINT}, {"killed again", syscall.SIGKILL}} {
		m.stopped(a, stop.name, stop.signal, may, args)
		clean(stop.name)
	}
	m.exits(3, append([]string{"-v"}, args...)...) // one file cannot be read
	clean("backup")
	m.exits(3, append([]string{"--json"}, args...)...)
	m.exits(3, args...)
	m.exits(0, "snapshots")
	m.exits(0, "verify", "--read-data")
	clean("later")

	// On the host that backs up there is no key; restoring there puts it into no file either.
	m.key = secretOf(t, kit)
	m.exits(0, "verify", "--read-data")
	out := filepath.Join(t.TempDir(), "out")
	m.exits(0, "-v", "restore", "latest:"+src, "--target", out)
	if b, err := os.ReadFile(filepath.Join(out, "text")); err != nil || !strings.Contains(fmt.Sprint(a.find(b)), "content text") {
		t.Errorf("the canaries do not come back, so they were not searched for: %v", err)
	}
	clean("restored")

	// What was said.
	problem := a.only("problem name", "path") // the path of a file has that of its source
	for _, l := range m.logs {
		allowed := problem
		if l.args[0] == "-v" { // which asks for the name of each file, and of patterns that match none
			allowed = a.only("name", "problem name", "path", "excluded configured", "excluded pattern")
		}
		a.judge(t, fmt.Sprintf("stderr of %q", l.args[0]), a.find([]byte(l.stderr)), allowed)
		allowed = problem
		switch l.args[0] {
		case "snapshots":
			allowed = a.only("host", "set", "path", "tag")
		case "--json": // the result: what became of each path
			allowed = a.only("name", "problem name", "path")
		}
		a.judge(t, fmt.Sprintf("stdout of %q", l.args[0]), a.find([]byte(l.stdout)), allowed)
	}
	t.Logf("%d canaries, %d logs", len(a.names), len(m.logs))
}

// secrets adds what must not leave the kit and host.json.
func secrets(t *testing.T, a *aviary, m *machine) {
	t.Helper()
	kit := m.config("recovery-kit.txt")
	secret := secretOf(t, kit)
	a.add("kit identity", []byte(secret[len("AGE-SECRET-KEY-PQ-1"):]))
	a.add("kit identity, decoded", bech32(t, secret))
	owner := lineOf(t, kit, "# owner-key: ")
	raw, err := base64.StdEncoding.DecodeString(owner)
	must(t, err)
	a.add("kit owner key", raw)
	b, err := os.ReadFile(m.config("host.json"))
	must(t, err)
	var host struct {
		Secret  []byte `json:"secret"`
		Signing []byte `json:"signing_key"`
	}
	must(t, json.Unmarshal(b, &host))
	a.add("host-secret", host.Secret)
	a.add("host-secret signing key", host.Signing)
}

// bech32 gives the bytes of an age identity, without checking its sum.
func bech32(t *testing.T, s string) []byte {
	t.Helper()
	const letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	_, data, _ := strings.Cut(strings.ToLower(s), "-key-")
	data = data[strings.LastIndex(data, "1")+1:]
	var out []byte
	acc, bits := 0, 0
	for _, c := range data[:len(data)-6] {
		i := strings.IndexRune(letters, c)
		if i < 0 {
			t.Fatal("the identity is not in bech32")
		}
		acc, bits = acc<<5|i, bits+5
		if bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
			acc &= 1<<bits - 1
		}
	}
	if len(out) != 32 {
		t.Fatalf("the identity has %d bytes: %s...", len(out), hex.EncodeToString(out[:2]))
	}
	return out
}

// stopped begins a backup and ends it in the middle: when the first of the large
// files is done the process is halted, everything it has on disk and open is
// searched, and then it gets the signal.
func (m *machine) stopped(a *aviary, name string, signal syscall.Signal, may map[string][]string, args []string) {
	t := m.t
	t.Helper()
	cmd := m.command(append([]string{"--json"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var said strings.Builder
	halted := false
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if !halted && strings.Contains(lines.Text(), `/z`) && strings.Contains(lines.Text(), `"item"`) {
			halted = true
			must(t, cmd.Process.Signal(syscall.SIGSTOP))
			a.clean(t, name+", in the middle", m.home, may)
			a.openFiles(t, name+", open files", cmd.Process.Pid)
			must(t, cmd.Process.Signal(signal))
			must(t, cmd.Process.Signal(syscall.SIGCONT))
		}
	}
	err = cmd.Wait()
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case !halted:
		t.Errorf("%s: it said nothing of a large file: %v\n%s", name, err, stderr.String())
	case signal == syscall.SIGKILL && ws.Signal() != signal, signal != syscall.SIGKILL && ws.ExitStatus() != 130:
		t.Errorf("%s: it was not stopped in the middle: %v\n%s", name, err, stderr.String())
	}
	m.logs = append(m.logs, logged{append([]string{"--json"}, args...), said.String(), stderr.String()})
}

// openFiles searches files without a name that a process has open.
func (a *aviary) openFiles(t *testing.T, when string, pid int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	all, err := os.ReadDir(dir)
	if os.IsPermission(err) {
		t.Logf("%s: only root may look", when)
		return
	}
	must(t, err)
	n := 0
	for _, fd := range all {
		p := filepath.Join(dir, fd.Name())
		target, err := os.Readlink(p)
		if err != nil || !strings.HasSuffix(target, " (deleted)") && !strings.Contains(target, "/#") {
			continue
		}
		n++
		found, _ := a.search(t, p, target)
		a.judge(t, when, found, nil)
	}
	t.Logf("%s: %d descriptors, %d without a name", when, len(all), n)
}
