package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"vaultik/internal/faultproxy"
	"vaultik/internal/testcert"
	"vaultik/internal/testserver"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
)

// A store of S3 behind a proxy that breaks what passes: what the user sees, that the
// command goes on by itself, and that the store is whole afterwards.

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

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings string
		backup   func(path string) []faultproxy.Rule // path: of this host's objects
		restore  func(path string) []faultproxy.Rule
		says     string // of the backup, on stderr; "": nothing
	}{
		{"reset before the body", "",
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Method: "PUT", Path: p + blobDir, Nth: 2, Times: 3, Do: faultproxy.ResetBefore()}}
			},
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Method: "GET", Path: p + blobDir, Nth: 2, Times: 3, Do: faultproxy.ResetBefore()}}
			}, `fails: put "h/.*": .*(reset|EOF).*; trying again, for up to 15 min`},
		{"reset after the body", "",
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Method: "PUT", Path: p, Nth: 3, Times: 2, Do: faultproxy.ResetAfter()}}
			}, nil, `fails: put "h/.*": .*(reset|EOF).*; trying again`},
		{"the answer is lost", "",
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Method: "PUT", Path: p + blobDir, Nth: 2, Do: faultproxy.LoseReply()}, {Method: "PUT", Path: p + "m/", Nth: 1, Do: faultproxy.LoseReply()}}
			}, nil, `fails: put "h/.*": .*(reset|EOF).*; trying again`},
		{"cut in the middle", "",
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Method: "PUT", Path: p + blobDir, Nth: 1, Times: 2, Do: faultproxy.CutUp(100_000)}}
			},
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Method: "GET", Path: p + blobDir, Nth: 1, Times: 4, Do: faultproxy.CutDown(100_000)}}
			}, `fails: put "h/.*; trying again`},
		{"500", "",
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Path: p, Nth: 4, Times: 3, Do: faultproxy.Status(500, "")}}
			},
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Path: p, Nth: 4, Times: 3, Do: faultproxy.Status(500, "")}}
			}, `fails: .*500.*; trying again`},
		{"503 with Retry-After", "",
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Method: "PUT", Path: p, Nth: 3, Do: faultproxy.Status(503, "2")}}
			}, nil, `fails: put .*503.*; trying again`},
		{"wrong bytes", "",
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Method: "PUT", Path: p + blobDir, Nth: 1, Do: faultproxy.FlipUp(50_000)}}
			}, nil, `fails: put "h/.*; trying again`},
		{"silence", "retry: {stall: 10s}\n",
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Method: "PUT", Path: p + blobDir, Nth: 2, Do: faultproxy.BlackHole()}}
			},
			func(p string) []faultproxy.Rule {
				return []faultproxy.Rule{{Method: "GET", Path: p + blobDir, Nth: 2, Do: faultproxy.Stall(70_000)}}
			}, `fails: put "h/.*": nothing moved for 10s; trying again`},
		{"latency", "",
			func(string) []faultproxy.Rule {
				return []faultproxy.Rule{{Do: faultproxy.Latency(50 * time.Millisecond)}}
			},
			func(string) []faultproxy.Rule {
				return []faultproxy.Rule{{Do: faultproxy.Latency(50 * time.Millisecond)}}
			}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newS3Machine(t, c.settings)
			m.proxy.Script(c.backup(m.objects)...)
			began := time.Now()
			l := m.backup(0)
			if _, faults := m.proxy.Seen(); faults == 0 {
				t.Error("no fault has happened")
			}
			t.Logf("backup, %.1f s:\n%s%s", time.Since(began).Seconds(), l.stdout, l.stderr)
			fails := regexp.MustCompile(c.says)
			if c.says != "" && !fails.MatchString(l.stderr) || c.says == "" && strings.Contains(l.stderr, "fails") {
				t.Errorf("want %q in\n%s", c.says, l.stderr)
			}
			if c.says != "" && strings.Count(l.stderr, "trying again") > 1 {
				t.Errorf("said more than once:\n%s", l.stderr)
			}
			m.proxy.Script()
			if c.restore != nil {
				m.proxy.Script(c.restore(m.objects)...)
			}
			l = m.whole()
			if _, faults := m.proxy.Seen(); c.restore != nil && faults == 0 {
				t.Error("no fault has happened to the restore")
			}
			t.Logf("restore:\n%s%s", l.stdout, l.stderr)
			m.backup(0) // and the next one finds all in order
		})
	}
}

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

// The store goes away in the middle and comes back: a backup and a restore go on.
func TestFaults_Outage(t *testing.T) {
	t.Parallel()
	length := time.Duration(testsize.Pick(4, 120)) * time.Second
	m := newS3Machine(t, "")
	key := m.key
	for _, c := range []struct {
		method string
		args   []string
	}{{"PUT", []string{"backup", m.tree}}, {"GET", []string{"restore", "latest:" + m.tree, "--target", filepath.Join(m.root, "out")}}} {
		if m.key = ""; c.method == "GET" {
			m.key = key
		}
		m.proxy.Script(faultproxy.Rule{Method: c.method, Path: m.objects + blobDir, Nth: 2, Times: 1000, Do: faultproxy.ResetBefore()})
		run := m.start(c.args...)
		run.await("trying again")
		m.proxy.Outage(true)
		m.proxy.Script()
		time.Sleep(length) // that long it is away
		m.proxy.Outage(false)
		began := time.Now()
		code, stderr := run.wait()
		t.Logf("%s: back for %.1f s when it ended\n%s", c.args[0], time.Since(began).Seconds(), stderr)
		if code != 0 || !strings.Contains(stderr, " answers again, after ") {
			t.Errorf("%v: exit %d", c.args, code)
		}
	}
	sameTree(t, m.tree, filepath.Join(m.root, "out"))
	m.whole()
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
	run.await("trying again")
	must(t, run.cmd.Process.Signal(syscall.SIGINT))
	began := time.Now()
	code, stderr := run.wait()
	t.Log(stderr)
	if took := time.Since(began); code != 130 || took > 5*time.Second {
		t.Errorf("exit %d after %v", code, took)
	}
	for _, want := range []string{"are stored, not all that was read; the next run goes on from there", "error: interrupted: put \"h/"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q has not been said", want)
		}
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
	if strings.Contains(l.stderr, "trying again") {
		t.Errorf("refused, and tried again:\n%s", l.stderr)
	}
	m.proxy.Script()
	ca := testcert.NewCA(t)
	for name, cert := range map[string]testcert.Certificate{"unknown authority": ca.Issue(t, "127.0.0.1"), "expired": ca.Expired(t, "127.0.0.1"), "another host": ca.Issue(t, "elsewhere")} {
		front := faultproxy.HTTPS(t, m.server.Endpoint, cert)
		l := m.exits(64, "--store", m.url(front.URL), "snapshots")
		t.Logf("%s:\n%s", name, l.stderr)
		if strings.Contains(l.stderr, "trying again") || !strings.Contains(l.stderr, "certificate") {
			t.Errorf("%s:\n%s", name, l.stderr)
		}
	}
	for name, endpoint := range map[string]string{"nobody listens": "http://127.0.0.1:1", "no such host": "http://store.invalid"} {
		began := time.Now()
		l := m.exits(1, "--store", m.url(endpoint), "snapshots")
		t.Logf("%s, %.1f s:\n%s", name, time.Since(began).Seconds(), l.stderr)
		for _, want := range []string{"trying again, for up to 1 s", "given up after ", "hint: see whether the store can be reached"} {
			if !strings.Contains(l.stderr, want) {
				t.Errorf("%s: %q has not been said:\n%s", name, want, l.stderr)
			}
		}
	}
	m.whole()
}
