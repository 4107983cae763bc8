package e2e

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vaultik/internal/faultproxy"
	"vaultik/internal/oddtree"
	"vaultik/internal/testcert"
	"vaultik/internal/testserver"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
)

var update = flag.Bool("update", false, "write docs/faults.md as it was seen")

// fault is something that happens between the program and its store. It happens to
// a backup and to a restore; then the store must be whole and give all back.
type fault struct {
	name   string // as in the table
	what   string // what happens, for the table
	backup []faultproxy.Rule
	// restore has the rules of the restore.
	restore []faultproxy.Rule
	// during, if set, does what no rule can, while a command runs.
	during func(t *testing.T, p *faultproxy.Proxy, r *run)
	// instead, if set, is the endpoint of the command, with the authority it trusts.
	instead func(t *testing.T, target string, ca *testcert.CA) string
	exit    int    // of both commands
	says    string // what both say, a regular expression
	quick   bool   // it must end at once: retrying is pointless
}

// blobs is a part of the names of blobs only.
const blobs = "/b/"

// outage is how long the store is away in the middle of a command.
var outage = time.Duration(testsize.Pick(10, 120)) * time.Second

func faults() []fault {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	puts := func(f faultproxy.Fault, times int) []faultproxy.Rule {
		return []faultproxy.Rule{{Method: "PUT", Path: blobs, Nth: 3, Times: times, Do: f}}
	}
	gets := func(f faultproxy.Fault, times int) []faultproxy.Rule {
		// The first ones are of pages, or parts, and may be too short for the fault.
		return []faultproxy.Rule{{Method: "GET", Path: blobs, Nth: 8, Times: times, Do: f}}
	}
	all := func(f faultproxy.Fault, times int) []faultproxy.Rule {
		return []faultproxy.Rule{{Nth: 1, Times: times, Do: f}}
	}
	const resets = 12 // Go itself asks again if a connection that was used before is reset
	const retried = `: .*; retrying`
	return []fault{
		{
			name: "refused", what: "no server listens when the command starts, until it has tried once",
			during: func(t *testing.T, p *faultproxy.Proxy, r *run) {
				r.wait(t, "retrying")
				p.Outage(false)
			},
			says: retried,
		},
		{
			name: "refused for good", what: "no server listens (`retry: {elapsed: 2s}`)",
			during: func(_ *testing.T, _ *faultproxy.Proxy, r *run) { <-r.done }, exit: 1, says: `connection refused`,
		},
		{
			name: "reset before the body", what: "three times, in a restore twelve times, the connection is reset after the request header",
			backup: puts(faultproxy.ResetBefore(), 3), restore: gets(faultproxy.ResetBefore(), resets), says: retried,
		},
		{
			name: "reset after the body", what: "three times, in a restore twelve times, the connection is reset after the body",
			backup: puts(faultproxy.ResetAfter(), 3), restore: gets(faultproxy.ResetAfter(), resets), says: retried,
		},
		{
			name: "black hole", what: "one request is accepted and never answered (`retry: {stall: 10s}`)",
			backup: puts(faultproxy.BlackHole(), 1), restore: gets(faultproxy.BlackHole(), 1), says: retried,
		},
		{
			name: "stall", what: "one blob stops halfway on its way back, and the connection stays open (`retry: {stall: 10s}`)",
			restore: gets(faultproxy.Stall(100_000), 1), says: retried,
		},
		{
			name: "latency", what: "every request takes 100 ms longer",
			backup: all(faultproxy.Latency(ms(100)), 1<<30), restore: all(faultproxy.Latency(ms(100)), 1<<30),
		},
		{
			name: "cut at byte n", what: "three blobs are cut off after 100,000 bytes, on their way out or back",
			backup: puts(faultproxy.CutUp(100_000), 3), restore: gets(faultproxy.CutDown(100_000), 3), says: retried,
		},
		{
			name: "500", what: "five requests are answered with 500",
			backup: puts(faultproxy.Status(500, ""), 5), restore: gets(faultproxy.Status(500, ""), 5), says: retried,
		},
		{
			name: "503 with Retry-After", what: "three requests are answered with 503, Retry-After: 2",
			backup: puts(faultproxy.Status(503, "2"), 3), restore: gets(faultproxy.Status(503, "2"), 3), says: retried,
		},
		{
			name: "reply lost after commit", what: "every object is stored, but its first answer is replaced by a connection reset",
			backup: []faultproxy.Rule{{Method: "PUT", Nth: 1, Each: true, Do: faultproxy.LoseReply()}}, restore: gets(faultproxy.LoseReply(), resets), says: retried,
		},
		{
			name: "wrong bytes", what: "one bit of one blob is flipped on its way out, and of every blob on its way back",
			backup: puts(faultproxy.FlipUp(70_000), 1), says: retried + `|blob [0-9a-f]+ arrived damaged`,
			restore: []faultproxy.Rule{{Method: "GET", Path: blobs, Nth: 1, Each: true, Do: faultproxy.FlipDown(70_000)}},
		},
		{
			name: "bad certificate", what: "the server presents a certificate of an untrusted authority",
			instead: func(t *testing.T, target string, _ *testcert.CA) string {
				return faultproxy.HTTPS(t, target, testcert.NewCA(t).Issue(t, "127.0.0.1")).URL
			},
			exit: 1, says: `certificate signed by unknown authority`, quick: true,
		},
		{
			name: "expired certificate", what: "the server presents an expired certificate",
			instead: func(t *testing.T, target string, ca *testcert.CA) string {
				return faultproxy.HTTPS(t, target, ca.Expired(t, "127.0.0.1")).URL
			},
			exit: 1, says: `certificate has expired`, quick: true,
		},
		{
			name: "DNS failure", what: "the name of the server has no address (`retry: {elapsed: 2s}`)",
			instead: func(*testing.T, string, *testcert.CA) string { return "https://store.invalid" }, exit: 1, says: `store\.invalid`,
		},
		{
			name: "outage", what: fmt.Sprintf("halfway all connections are reset, and no server listens for %v", outage),
			during: func(t *testing.T, p *faultproxy.Proxy, r *run) {
				r.wait(t, "") // until it runs
				waitFor(t, r, func() bool { n, _ := p.Seen(); return n > 12 })
				p.Outage(true)
				<-time.After(outage)
				p.Outage(false)
			},
			says: retried + `(?s:.*)is responding again after`,
		},
	}
}

// TestFaultTable runs a backup and a restore of the built program through a proxy that
// breaks what passes to MinIO, and looks at the store afterwards.
func TestFaultTable(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	must(t, os.Mkdir(src, 0o755))
	_, err := oddtree.Make(filepath.Join(src, "odd"), oddtree.Options{Seed: 7, Small: true})
	must(t, err)
	for i := range 12 {
		must(t, os.WriteFile(filepath.Join(src, fmt.Sprintf("large-%02d", i)), testtree.Bytes(uint64(i), 1<<20), 0o600))
	}
	server := testserver.MinIO(t)
	list := faults()
	seen := make([]observed, len(list))
	t.Run("all", func(t *testing.T) {
		for i, f := range list {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				seen[i] = observe(t, f, server, src)
			})
		}
	})
	if *update && !t.Failed() {
		must(t, os.WriteFile("../../docs/faults.md", []byte(faultsPage(list, seen)), 0o644))
	}
	page, err := os.ReadFile("../../docs/faults.md")
	must(t, err)
	for _, f := range list {
		if !strings.Contains(string(page), "\n## "+f.name+"\n") {
			t.Errorf("docs/faults.md does not tell of %q; run: go test ./internal/e2e -run FaultTable -update", f.name)
		}
	}
}

// observed is what a user saw of a fault.
type observed struct{ backup, restore sight }

type sight struct {
	exit  int
	lines []string // stderr
	took  time.Duration
}

// observe lets one fault happen to a machine and a store of its own.
func observe(t *testing.T, f fault, server *testserver.S3, src string) (o observed) {
	t.Helper()
	own := server.Other()
	p := faultproxy.HTTP(t, server.Endpoint)
	m := newMachine(t)
	m.env = []string{"AWS_ACCESS_KEY_ID=" + own.AccessKey, "AWS_SECRET_ACCESS_KEY=" + own.SecretKey}
	ca := testcert.NewCA(t)
	caFile := filepath.Join(m.root, "ca.pem")
	must(t, os.WriteFile(caFile, ca.PEM, 0o600))
	at := func(endpoint string) string { return "s3://" + own.Bucket + "/p?endpoint=" + endpoint }

	m.exits(0, "init", "--store", at(p.URL))
	kit := filepath.Join(m.root, "kit") // where the program says it belongs: elsewhere
	must(t, os.Rename(m.config("recovery-kit.txt"), kit))
	elapsed := "5m"
	if f.exit != 0 {
		elapsed = "2s"
	}
	conf, err := os.ReadFile(m.config("config.yaml"))
	must(t, err)
	conf = append(conf, "\nblob_size: 1MiB\nretry: {elapsed: "+elapsed+", stall: 10s}\ns3: {ca_file: "+caFile+"}\n"...)
	must(t, os.WriteFile(m.config("config.yaml"), conf, 0o600))
	location := at(p.URL)
	if f.instead != nil {
		location = at(f.instead(t, server.Endpoint, ca))
	}

	o.backup = m.under(t, f, p, f.backup, "backup", "--store", location, src)
	if f.exit != 0 {
		m.exits(0, "backup", "--store", at(p.URL), src)
	}
	m.exits(0, "verify", "--store", at(p.URL), "--read-data")

	m.key = secretOf(t, kit)
	out := filepath.Join(m.root, "out")
	o.restore = m.under(t, f, p, f.restore, "restore", "--store", location, "latest:"+src, "--target", out)
	if f.exit != 0 {
		m.exits(0, "restore", "--store", at(p.URL), "latest:"+src, "--target", out)
	}
	sameTree(t, src, out)
	m.exits(0, "verify", "--store", at(p.URL), "--read-data")
	m.key = ""
	m.exits(0, "backup", "--store", at(p.URL), src) // and the next one finds all in order
	return o
}

// under runs a command while the fault happens.
func (m *machine) under(t *testing.T, f fault, p *faultproxy.Proxy, rules []faultproxy.Rule, args ...string) sight {
	t.Helper()
	if p.Script(rules...); f.during != nil && strings.HasPrefix(f.name, "refused") {
		p.Outage(true)
	}
	r := m.start(args...)
	if f.during != nil {
		f.during(t, p, r)
	}
	<-r.done
	_, hits := p.Seen()
	p.Outage(false)
	p.Script()
	s := sight{r.cmd.ProcessState.ExitCode(), r.lines(), r.took}
	text := strings.Join(s.lines, "\n")
	if s.exit != f.exit {
		t.Fatalf("vaultik %s exited with %d, want %d\n%s", args[0], s.exit, f.exit, text)
	}
	if happens := len(rules) > 0 || f.during != nil || f.instead != nil; happens && !regexp.MustCompile(f.says).MatchString(text) {
		t.Errorf("vaultik %s does not say %q:\n%s", args[0], f.says, text)
	}
	if n := strings.Count(text, "retrying"); n > 1 {
		t.Errorf("vaultik %s tells of one trouble %d times:\n%s", args[0], n, text)
	}
	if len(rules) > 0 && hits == 0 {
		t.Errorf("vaultik %s: nothing happened to any request", args[0])
	}
	if f.quick && s.took > 5*time.Second {
		t.Errorf("vaultik %s has taken %v to say that it is in vain", args[0], s.took)
	}
	return s
}

// run is a command that runs.
type run struct {
	cmd  *exec.Cmd
	done chan struct{}
	took time.Duration // after done

	mu     sync.Mutex
	stderr bytes.Buffer
}

func (m *machine) start(args ...string) *run {
	m.t.Helper()
	r := &run{cmd: m.command(args...), done: make(chan struct{})}
	r.cmd.Stderr = r
	began := time.Now()
	must(m.t, r.cmd.Start())
	go func() {
		var ee *exec.ExitError
		if err := r.cmd.Wait(); err != nil && !errors.As(err, &ee) {
			m.t.Error(err)
		}
		r.took = time.Since(began)
		close(r.done)
	}()
	return r
}

// Write takes what the command says.
func (r *run) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.Write(b)
}

func (r *run) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.String()
}

func (r *run) lines() []string {
	return slices.DeleteFunc(strings.Split(r.text(), "\n"), func(s string) bool { return strings.TrimSpace(s) == "" })
}

// wait returns when the command has said words.
func (r *run) wait(t *testing.T, words string) {
	t.Helper()
	waitFor(t, r, func() bool { return strings.Contains(r.text(), words) })
}

// waitFor returns when what is asked for has come true.
func waitFor(t *testing.T, r *run, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-r.done:
			t.Fatalf("the command has ended before:\n%s", r.text())
		}
	}
}
