package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vaultik/internal/faultproxy"
	"vaultik/internal/testcert"
	"vaultik/internal/testserver"
	"vaultik/internal/testtree"
)

// A store of S3 behind a proxy that breaks what passes; beside the table of faults.

// s3Machine is a machine whose store is behind a proxy.
type s3Machine struct {
	*machine
	server *testserver.S3
	proxy  *faultproxy.Proxy
	tree   string

	objects string // beginning of the paths of this host's objects, as requests have them
}

func newS3Machine(t *testing.T, settings string) *s3Machine {
	t.Helper()
	server := testserver.VersityGW(t)
	m := &s3Machine{machine: newMachine(t), server: server, proxy: faultproxy.HTTP(t, server.Endpoint)}
	m.env = []string{"AWS_ACCESS_KEY_ID=" + server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + server.SecretKey}
	m.exits(0, "--store", m.url(m.proxy.URL), "init")
	// Small blobs, so that there are many requests.
	f, err := os.OpenFile(m.config("config.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = io.WriteString(f, "\nblob_size: 1MiB\n"+settings)
	must(t, err)
	must(t, f.Close())
	m.key = secretOf(t, m.config("recovery-kit.txt"))
	must(t, os.Remove(m.config("recovery-kit.txt")))
	var host struct {
		ID string `json:"host"`
	}
	b, err := os.ReadFile(m.config("host.json"))
	must(t, err)
	must(t, json.Unmarshal(b, &host))
	m.objects = "/" + server.Bucket + "/p/h/" + host.ID + "/"
	m.tree = filepath.Join(m.root, "tree")
	must(t, os.Mkdir(m.tree, 0o700))
	for i := range 6 {
		must(t, os.WriteFile(filepath.Join(m.tree, fmt.Sprint("file", i)), testtree.Bytes(uint64(i), 1<<20), 0o600))
	}
	return m
}

// url is that of the store, reached at an endpoint.
func (m *s3Machine) url(endpoint string) string {
	return "s3://" + m.server.Bucket + "/p?lookup=path&region=" + m.server.Region + "&endpoint=" + url.QueryEscape(endpoint)
}

// backup runs vaultik backup, which takes no key.
func (m *s3Machine) backup(code int, flags ...string) logged {
	m.t.Helper()
	key := m.key
	defer func() { m.key = key }()
	m.key = ""
	return m.exits(code, append(append([]string{}, flags...), "backup", m.tree)...)
}

// whole checks the store without the proxy, and restores through it.
func (m *s3Machine) whole() logged {
	m.t.Helper()
	m.exits(0, "--store", m.url(m.server.Endpoint), "verify", "--read-data")
	out, err := os.MkdirTemp(m.root, "out")
	must(m.t, err)
	l := m.exits(0, "restore", "latest:"+m.tree, "--target", out)
	sameTree(m.t, m.tree, out)
	return l
}

const blobDir = "b/"

// started is a command under way.
type started struct {
	m      *s3Machine
	cmd    *exec.Cmd
	lines  chan string // of stderr
	stderr strings.Builder
}

func (m *s3Machine) start(args ...string) *started {
	m.t.Helper()
	s := &started{m: m, cmd: m.command(args...), lines: make(chan string, 1000)}
	r, err := s.cmd.StderrPipe()
	must(m.t, err)
	must(m.t, s.cmd.Start())
	go func() {
		defer close(s.lines)
		for sc := bufio.NewScanner(r); sc.Scan(); {
			s.lines <- sc.Text()
		}
	}()
	return s
}

// await waits for a line on stderr.
func (s *started) await(text string) {
	s.m.t.Helper()
	for line := range s.lines {
		s.stderr.WriteString(line + "\n")
		if strings.Contains(line, text) {
			return
		}
	}
	s.m.t.Fatalf("%q has not been said:\n%s", text, s.stderr.String())
}

// wait waits for the end and returns the exit code and all of stderr.
func (s *started) wait() (int, string) {
	for line := range s.lines {
		s.stderr.WriteString(line + "\n")
	}
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode(), s.stderr.String()
}

// Interrupted while the store is away, a backup ends soon and says what it has; the
// next one goes on.
func TestFaults_InterruptedInOutage(t *testing.T) {
	t.Parallel()
	m := newS3Machine(t, "")
	key := m.key
	m.key = ""
	m.proxy.Script(faultproxy.Rule{Method: "PUT", Path: m.objects + blobDir, Nth: 3, Times: 1000, Do: faultproxy.Status(503, "")})
	run := m.start("backup", m.tree)
	run.await("retrying")
	must(t, run.cmd.Process.Signal(syscall.SIGINT))
	began := time.Now()
	code, stderr := run.wait()
	t.Log(stderr)
	if took := time.Since(began); code != 130 || took > 5*time.Second {
		t.Errorf("exit %d after %v", code, took)
	}
	for _, want := range []string{"stored, less than what was read; the next run resumes from there", "error: interrupted: put \"h/"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q has not been said", want)
		}
	}
	m.proxy.Script()
	m.backup(0)
	m.key = key
	m.whole()
}

// An object that fails by itself costs the files that need it and no others; nothing
// else waits for it.
func TestFaults_OneObject(t *testing.T) {
	t.Parallel()
	m := newS3Machine(t, "retry: {elapsed: 3s}\n")
	m.backup(0)
	blobs, err := filepath.Glob(filepath.Join(m.server.Dir, filepath.FromSlash(m.objects), "b/*/*"))
	must(t, err)
	largest, size := "", int64(0)
	for _, b := range blobs {
		info, err := os.Stat(b)
		must(t, err)
		if info.Size() > size {
			largest, size = filepath.Base(b), info.Size()
		}
	}
	m.proxy.Script(faultproxy.Rule{Path: largest, Do: faultproxy.Status(500, "")})
	out := filepath.Join(m.root, "part")
	l := m.exits(3, "restore", "latest:"+m.tree, "--target", out)
	whole := 0
	for i := range 6 {
		name := fmt.Sprint("file", i)
		b, err := os.ReadFile(filepath.Join(out, name))
		switch named := strings.Contains(l.stderr, name); {
		case err == nil && !named && bytes.Equal(b, testtree.Bytes(uint64(i), 1<<20)):
			whole++
		case err == nil || !named:
			t.Errorf("%s: named %v, %v", name, named, err)
		}
	}
	if whole == 0 || whole == 6 {
		t.Errorf("%d of 6 files restored, named otherwise:\n%s", whole, l.stderr)
	}
	m.proxy.Script()
	m.whole()
}

// Interrupted while what was read goes out slowly, a backup says what it does, and a
// second interruption ends it at once.
func TestFaults_InterruptedSlowly(t *testing.T) {
	t.Parallel()
	m := newS3Machine(t, "")
	key := m.key
	m.key = ""
	m.proxy.Script(faultproxy.Rule{Method: "PUT", Path: m.objects + blobDir, Do: faultproxy.Latency(time.Millisecond)})
	run := m.start("--bwlimit", "64K", "backup", m.tree) // a blob takes 16 s
	for _, begun := m.proxy.Seen(); begun == 0; _, begun = m.proxy.Seen() {
		time.Sleep(10 * time.Millisecond)
	}
	must(t, run.cmd.Process.Signal(syscall.SIGINT))
	run.await("stopping: storing what was read; press Ctrl-C again to stop at once")
	must(t, run.cmd.Process.Signal(syscall.SIGINT))
	if code, stderr := run.wait(); code != 130 {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	m.proxy.Script()
	m.backup(0)
	m.key = key
	m.whole()
}

// What trying again cannot cure is said at once; a store that has never answered is
// given up after a minute, which is too long for this test.
func TestFaults_Permanent(t *testing.T) {
	t.Parallel()
	m := newS3Machine(t, "retry: {elapsed: 1s}\n")
	m.backup(0)
	m.proxy.Script(faultproxy.Rule{Do: faultproxy.Status(403, "")})
	l := m.backup(1)
	if strings.Contains(l.stderr, "retrying") {
		t.Errorf("refused, and tried again:\n%s", l.stderr)
	}
	m.proxy.Script()
	ca := testcert.NewCA(t)
	for name, cert := range map[string]testcert.Certificate{"unknown authority": ca.Issue(t, "127.0.0.1"), "expired": ca.Expired(t, "127.0.0.1"), "another host": ca.Issue(t, "elsewhere")} {
		front := faultproxy.HTTPS(t, m.server.Endpoint, cert)
		l := m.exits(1, "--store", m.url(front.URL), "snapshots")
		t.Logf("%s:\n%s", name, l.stderr)
		if strings.Contains(l.stderr, "retrying") || !strings.Contains(l.stderr, "certificate") {
			t.Errorf("%s:\n%s", name, l.stderr)
		}
	}
	for name, endpoint := range map[string]string{"nobody listens": "http://127.0.0.1:1", "no such host": "http://store.invalid"} {
		began := time.Now()
		l := m.exits(1, "--store", m.url(endpoint), "snapshots")
		t.Logf("%s, %.1f s:\n%s", name, time.Since(began).Seconds(), l.stderr)
		for _, want := range []string{"retrying for up to 1 s", "gave up after ", "hint: check that the store is reachable"} {
			if !strings.Contains(l.stderr, want) {
				t.Errorf("%s: %q has not been said:\n%s", name, want, l.stderr)
			}
		}
	}
	m.whole()
}
