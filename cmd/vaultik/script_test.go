package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vaultik": main, "mortal": mortal})
}

// TestScripts runs testdata/*.txtar. Beyond testscript's own commands they have:
//
//	exits CODE COMMAND ARG...   run, want this exit code, and check the laws of all output
//	identity FILE VAR           put the secret key of an identity file into a variable
//	field TYPE FIELD VAR        put a field of the first JSON object of a type on stdout into a variable
//	mode FILE OCTAL             want these permissions
//	plant SET ...               see plant
//	flip FILE...                change a byte in the middle of each
//	treecmp A B                 want two trees to be the same in everything
//	oddtree DIR                 make a tree of each kind of entry
//	newer STORE KIT             make store.json one of a newer version
//	condemn STORE DIR SEQ       write a gc object, signed by the host configured in DIR
//	unsign STORE KIT            make the newest trust list one of an older version
//	pruned [TO]                 sign a gc object, and delete manifests, see pruned
//	revoke KIT [SEQ]            revoke the key of this host, see revoke
//
// and "mortal COMMAND ARG..." runs a command for which the modes of files count,
// even if root runs the tests.
//
//	hold FILE, unhold           lock a file, as another process would, and release it
//	await FILE                  wait until a process has written it
//	fuse DIR [FILE]             mount files that cannot be read, see fuse
//	fuselinks DIR               mount files that are not the names of one file that they seem
//	mount [OPTION...] WHAT DIR  mount something until the script ends
//	tmpfs DIR MIB, fill FILE    mount a small file system, and write until it is full
//	odds3 VAR, odds3 -be KIND   start a server of S3 that is not as it should be
//	server KIND VAR             start a server of stores, and put the URL of one into a variable
func TestScripts(t *testing.T) {
	if *update {
		t.Cleanup(func() { writeFailures(t) })
	}
	// Commands inherit what is ignored, as in the background of a shell, not what is caught.
	caught := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if signal.Ignored(sig) {
			signal.Notify(caught, sig)
		}
	}
	testscript.Run(t, testscript.Params{
		Files:               files(t),
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Values[held{}] = &held{}
			e.Values[scriptOdd{}] = &scriptOdd{}
			e.Values[scriptTest{}] = e.T()
			e.Setenv("GOCOVERDIR", os.Getenv("GOCOVERDIR"))
			return os.MkdirAll(filepath.Join(e.WorkDir, "home"), 0o700)
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "identity": identity, "field": field, "mode": mode, "plant": plant,
			"flip": flip, "treecmp": compareTrees, "oddtree": oddTree, "newer": makeNewer,
			"unsign": unsign, "pruned": pruned, "gcsays": gcSays, "forktrust": forkTrust, "revoke": revoke, "roles": roles,
			"condemn": condemn,
			"hold":    hold, "unhold": unhold, "await": await,
			"tmpfs": tmpfs, "fill": fill, "server": server, "fuse": fuse, "mount": mountAt,
			"fuselinks": fuselinks,
			"odds3":     oddS3,
		},
	})
}

// files are the scripts to be run.
func files(t *testing.T) (out []string) {
	for _, name := range scripts {
		out = append(out, filepath.Join("testdata", name+".txtar"))
	}
	if scripts == nil {
		var err error
		if out, err = filepath.Glob(filepath.Join("testdata", "*.txtar")); err != nil || len(out) == 0 {
			t.Fatalf("there are no scripts: %v", err)
		}
	}
	return out
}

var secretShown = regexp.MustCompile(`(?i)AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]`)

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	code := 0
	stores, others := thingsBefore(ts, args)
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ee *exec.ExitError
		if !errors.As(err, &ee) {
			ts.Fatalf("run: %v", err)
		}
		code = ee.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
	if args[1] == "vaultik" || args[1] == "mortal" {
		lawsOfStderr(ts, code, ts.ReadFile("stderr"))
		if code != 0 && len(stores) > 0 {
			harmless(ts, code, args[slices.Index(args, "vaultik"):], stores, others)
		}
		if slices.Contains(args, "--json") {
			lawsOfJSON(ts, code, ts.ReadFile("stdout"))
		}
	}
}

// lawsOfStderr: every line is ours, a failure has exactly one error, no secret is shown.
func lawsOfStderr(ts *testscript.TestScript, code int, stderr string) {
	n := 0
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "vaultik: ") {
			ts.Fatalf("foreign line on stderr: %s", line)
		}
		if strings.HasPrefix(line, "vaultik: error: ") {
			n++
		}
	}
	if want := min(code, 1); n != want {
		ts.Fatalf("%d errors on stderr, want %d", n, want)
	}
	if secretShown.MatchString(stderr) {
		ts.Fatalf("a secret is shown on stderr")
	}
}

// lawsOfJSON: one object a line, each with a type, one summary, last, with the exit code.
func lawsOfJSON(ts *testscript.TestScript, code int, stdout string) {
	last := ""
	for line := range strings.Lines(stdout) {
		var ev struct {
			Type string `json:"type"`
			Exit *int   `json:"exit"`
		}
		if err := json.Unmarshal([]byte(line), &ev); err != nil || ev.Type == "" {
			ts.Fatalf("not an object with a type: %s", line)
		}
		if last == "summary" || (ev.Type == "summary" || ev.Type == "error") && (ev.Exit == nil || *ev.Exit != code) {
			ts.Fatalf("summary is not last, or has another exit code: %s", line)
		}
		last = ev.Type
	}
	if last != "summary" {
		ts.Fatalf("the last object is %q, not the summary", last)
	}
}

func identity(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			ts.Setenv(args[1], strings.TrimSpace(line))
			return
		}
	}
	ts.Fatalf("no identity in %s", args[0])
}

func field(ts *testscript.TestScript, _ bool, args []string) {
	lines := bufio.NewScanner(strings.NewReader(ts.ReadFile("stdout")))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		ev := map[string]any{}
		if json.Unmarshal(lines.Bytes(), &ev) == nil && ev["type"] == args[0] {
			if s, ok := ev[args[1]].(string); ok {
				ts.Setenv(args[2], s)
				return
			}
		}
	}
	ts.Fatalf("no %s with %s", args[0], args[1])
}

func mode(ts *testscript.TestScript, _ bool, args []string) {
	st, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := strconv.FormatInt(int64(st.Mode().Perm()), 8); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}
