package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"vaultik/internal/fault"
)

// A command that fails harms nothing: whatever scripts run with "exits", each
// object of each store below the script's directory is the same before and after
// a failure, and so is the configuration; and after wrong usage, a store, a key or a
// lock that is not to be had, so are the index and the target of a restore.

// failures is what docs/errors.md is made of.
var failures struct {
	sync.Mutex
	rows map[string][]string // by script
}

// things are the files that a failing command must leave alone, by path.
type things map[string]string

func thingsBefore(ts *testscript.TestScript, args []string) (stores, others things) {
	stores, others = things{}, things{}
	work := ts.Getenv("WORK")
	target := ""
	for i, a := range args {
		if a == "--target" && i+1 < len(args) {
			target = ts.MkAbs(args[i+1])
		}
	}
	index := filepath.Join(ts.Getenv("HOME"), ".local/state/vaultik/index")
	_ = filepath.WalkDir(work, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what the test may not read, or what a script took away
		}
		if d.IsDir() && d.Name() == hangs {
			return fs.SkipDir
		}
		if d.Name() == "store.json" && d.Type().IsRegular() {
			addThings(stores, filepath.Dir(path))
		}
		return nil
	})
	addThings(stores, filepath.Join(ts.Getenv("HOME"), ".config/vaultik/config.yaml"))
	addThings(others, index)
	if target != "" {
		addThings(others, target)
	}
	return stores, others
}

// hangs is the name of directories that do not answer.
const hangs = "hangs"

func addThings(t things, top string) {
	_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == hangs {
			return fs.SkipDir
		}
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".vtmp-") || d.Name() == "lock" {
			return nil //nolint:nilerr // as above
		}
		if st, err := d.Info(); err == nil && st.Size() > 64<<20 { // a long sparse file
			t[path] = fmt.Sprint(st.Size(), st.ModTime())
		} else if b, err := os.ReadFile(path); err == nil {
			t[path] = fmt.Sprintf("%x", sha256.Sum256(b))
		}
		return nil
	})
}

func (t things) unharmed(ts *testscript.TestScript, what string) {
	now := things{}
	for path := range t {
		addThings(now, path)
	}
	for path, sum := range t {
		if now[path] != sum {
			ts.Fatalf("the command failed and changed the %s: %s", what, path)
		}
	}
}

// harmless checks a failed command and notes it for the table.
func harmless(ts *testscript.TestScript, code int, args []string, stores, others things) {
	stores.unharmed(ts, "store")
	proof := fmt.Sprintf("%d of store and configuration", len(stores))
	if code == int(fault.NoStore) || code == int(fault.NoIdentity) || code == int(fault.Usage) {
		others.unharmed(ts, "index or target")
		proof += fmt.Sprintf(", %d of index and target", len(others))
	}
	stderr := ts.ReadFile("stderr")
	if i := strings.Index(stderr, "vaultik: error: "); i >= 0 {
		stderr = stderr[i:] // the hints before belong to warnings
	}
	pick := func(kind string) (out []string) {
		for line := range strings.Lines(stderr) {
			if text, ok := strings.CutPrefix(line, "vaultik: "+kind+": "); ok {
				out = append(out, cell(ts, strings.TrimSpace(text)))
			}
		}
		return out
	}
	row := fmt.Sprintf("| `%s` | %d | %s | %s | %s |", cell(ts, strings.Join(args, " ")), code,
		strings.Join(pick("error"), " "), strings.Join(append(pick("hint"), pick("choose")...), ", or "), proof)
	failures.Lock()
	defer failures.Unlock()
	if failures.rows == nil {
		failures.rows = map[string][]string{}
	}
	if rows := failures.rows[ts.Name()]; !slices.Contains(rows, row) {
		failures.rows[ts.Name()] = append(rows, row)
	}
}

var (
	anyHex  = regexp.MustCompile(`\b[0-9a-f]{8,}\b`)
	secrets = regexp.MustCompile(`(?i)AGE-(SECRET-KEY|PLUGIN)-[0-9A-Z-]+|age1[0-9a-z]{20,}`)
)

// What differs from run to run beside ids and keys.
var (
	fingerprint = regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`)
	blobFolder  = regexp.MustCompile(`/b/[0-9a-f]{2}\b`)
	process     = regexp.MustCompile(`(process|ps -fp) \d+`)
	moment      = regexp.MustCompile(`\b20\d\d-\d\d-\d\d \d\d:\d\d(:\d\d)?`)
	temporary   = regexp.MustCompile(`\.vtmp-ID-[A-Z0-9]{26}`)
)

// cell makes text fit for a table, without what differs from run to run.
func cell(ts *testscript.TestScript, s string) string {
	s = strings.ReplaceAll(s, ts.Getenv("WORK"), "$WORK")
	s = secrets.ReplaceAllString(s, "KEY")
	s = anyHex.ReplaceAllString(s, "ID")
	s = fingerprint.ReplaceAllString(s, "SHA256:FINGERPRINT")
	s = blobFolder.ReplaceAllString(s, "/b/XX")
	s = process.ReplaceAllString(s, "$1 PID")
	s = moment.ReplaceAllString(s, "TIME")
	if host, err := os.Hostname(); err == nil {
		s = strings.ReplaceAll(s, " of "+host+",", " of HOST,")
	}
	s = temporary.ReplaceAllString(s, ".vtmp-ID-RANDOM")
	return strings.NewReplacer("|", `\|`, "\n", " ", "`", "'").Replace(s)
}

// writeFailures makes docs/errors.md of what the scripts ran.
func writeFailures(t *testing.T) {
	t.Helper()
	failures.Lock()
	defer failures.Unlock()
	var b strings.Builder
	b.WriteString(`# Errors and what is reported

Each command that fails in the script tests, in order, and once where it fails in the same way:
what was run, its exit code, the one error, the hint (none if it could not add to the error) or
the choices, and how many files were compared before and after: a failing command leaves every
object of every store, and the configuration, unchanged; after exit 10, 12 and 64 also the index
and the target of a restore.

A test generates this page: ` + "`go test ./cmd/vaultik -run Scripts -update`" + `. The scripts, with the
preceding commands, are in [cmd/vaultik/testdata](../cmd/vaultik/testdata).
`)
	names := make([]string, 0, len(failures.rows))
	for n := range failures.rows {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(&b, "\n## %s\n\n| command | exit | error | hint | unharmed, files |\n| --- | ---: | --- | --- | --- |\n%s\n", n, strings.Join(failures.rows[n], "\n"))
	}
	if err := os.WriteFile("../../docs/errors.md", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
