package main

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vaultik/internal/fault"
	"vaultik/internal/testsize"
)

var update = flag.Bool("update", false, "write docs/damage.md")

// damageDoc is held by TestDamageTable.
const damageDoc = "../../docs/damage.md"

// TestDamageTable damages one object of each kind in each way, and holds what verify, restore
// and repair exit with, and what the first two print, against docs/damage.md. go test -run
// DamageTable -update writes it.
func TestDamageTable(t *testing.T) {
	testsize.Long(t)
	y := newDamagedStore(t)
	var doc strings.Builder
	doc.WriteString(damageIntro)
	for _, v := range y.victims() {
		for _, d := range damages {
			out := y.try(v, d)
			fmt.Fprintf(&doc, "| %s | %s | %s |\n", v.name, d.name, strings.Join(out.cells(), " | "))
		}
	}
	out := y.tryAll()
	fmt.Fprintf(&doc, "| one of each of these | delete | %s |\n", strings.Join(out.cells(), " | "))
	doc.WriteString(damageElsewhere)
	gone := y.victims()[6]
	out = y.elsewhere(gone)
	fmt.Fprintf(&doc, "| %s | delete | %s |\n", gone.name, strings.Join(out.cells(), " | "))
	doc.WriteString(damageWords)
	y.write(&doc)

	if *update {
		if err := os.WriteFile(damageDoc, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(damageDoc)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(doc.String(), "\n")
	for i, line := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != line {
			t.Fatalf("docs/damage.md:%d:\n%s\nbut now it is\n%s", i+1, line, strings.Join(got[min(i, len(got)):min(i+1, len(got))], ""))
		}
	}
}

// outcome is what the commands made of one damage.
type outcome struct {
	exits   [5]int // verify, --read-data, both with the key, restore
	repairs []int  // by parity, from a mirror
	notes   []string
}

func (o *outcome) cells() (out []string) {
	for _, e := range slices.Concat(o.exits[:], o.repairs) {
		out = append(out, fmt.Sprint(e))
	}
	return append(out, strings.Join(o.notes, " "))
}

// try damages the store, runs the commands, and makes it whole again.
func (y *damagedStore) try(v victim, d damageKind) *outcome {
	y.Helper()
	own, err := os.ReadFile(y.path(v.key))
	y.check(err)
	swap, err := os.ReadFile(v.swap)
	y.check(err)
	damage := func() {
		if b := d.do(own, swap); b == nil {
			y.check(os.Remove(y.path(v.key)))
		} else {
			y.put(v.key, b)
		}
		if d.name == "swap" && v.exchanged {
			y.check(os.WriteFile(v.swap, own, 0o600))
		}
	}
	whole := func() {
		y.put(v.key, own)
		y.check(os.WriteFile(v.swap, swap, 0o600))
	}
	defer whole()
	damage()
	o := y.commands(v.name+", "+d.name, true)
	o.repairs = append(o.repairs, y.repair())
	whole()
	damage()
	o.repairs = append(o.repairs, y.repair("--from", y.mirror))
	return o
}

// tryAll deletes one object of each kind at once.
func (y *damagedStore) tryAll() *outcome {
	y.Helper()
	all := y.victims()
	own := make([][]byte, len(all))
	damage := func() {
		for i, v := range all {
			b, err := os.ReadFile(y.path(v.key))
			y.check(err)
			own[i] = b
			y.check(os.Remove(y.path(v.key)))
		}
	}
	damage()
	o := y.commands("one of each, delete", true)
	o.repairs = append(o.repairs, y.repair())
	for i, v := range all {
		y.put(v.key, own[i])
	}
	damage()
	o.repairs = append(o.repairs, y.repair("--from", y.mirror))
	return o
}

// repair repairs the store, and returns the exit code. If that says that all is well, the store
// has to be what its mirror is; if it does not, nothing that was there may be gone.
func (y *damagedStore) repair(args ...string) int {
	y.Helper()
	before := y.sums()
	code, stdout, stderr := y.run(false, append([]string{"repair", "--read-data"}, args...)...)
	after := y.sums()
	for key, sum := range y.good {
		switch {
		case code == 0 && after[key] != sum:
			y.Errorf("exit 0, and %s is not what it was:\n%s%s", key, stdout, stderr)
		case before[key] != [32]byte{} && after[key] == [32]byte{}:
			y.Errorf("%s was there and is gone:\n%s%s", key, stdout, stderr)
		case after[key] != before[key] && after[key] != sum:
			y.Errorf("%s was replaced by something wrong:\n%s%s", key, stdout, stderr)
		}
	}
	return code
}

// sums are the SHA-256 of what the store has.
func (y *damagedStore) sums() map[string][32]byte {
	y.Helper()
	out := map[string][32]byte{}
	y.check(filepath.WalkDir(y.store, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, y.store+"/")] = sha256.Sum256(b)
		return err
	}))
	return out
}

// elsewhere deletes the victim and looks from a machine that has never seen the store.
func (y *damagedStore) elsewhere(v victim) *outcome {
	own, err := os.ReadFile(y.path(v.key))
	y.check(err)
	y.check(os.Remove(y.path(v.key)))
	defer y.put(v.key, own)
	y.Setenv("HOME", filepath.Join(y.dir, "third"))
	defer y.Setenv("HOME", filepath.Join(y.dir, "home"))
	return y.commands(v.name+", delete, elsewhere", false, "--store", y.store)
}

// commands runs them all.
func (y *damagedStore) commands(title string, compare bool, global ...string) *outcome {
	o := &outcome{}
	words := ""
	for i, args := range [][]string{{"verify"}, {"verify", "--read-data"}, {"verify"}, {"verify", "--read-data"}} {
		code, stdout, stderr := y.run(i >= 2, append(slices.Clone(global), args...)...)
		o.exits[i] = code
		if code != 0 && words == "" || i == 3 {
			words = y.plain(stdout + stderr)
		}
	}
	target := filepath.Join(y.dir, "target")
	y.check(os.RemoveAll(target))
	code, stdout, stderr := y.run(true, append(slices.Clone(global), "-q", "restore", "latest:"+y.src, "--target", target)...)
	o.exits[4] = code
	if compare {
		y.compare(target, stderr, code)
	}
	n := y.note(title, words, y.plain(stdout+stderr))
	o.notes = append(o.notes, n)
	return o
}

var (
	longHex  = regexp.MustCompile(`[0-9a-f]{16,}`)
	shortHex = regexp.MustCompile(`\b[0-9a-f]{8}\b`)
	times    = regexp.MustCompile(`20\d\d-\d\d-\d\d \d\d:\d\d:\d\d`)
	amounts  = regexp.MustCompile(`\b[0-9][0-9.]* (B|KiB|MiB)\b`)
	counted  = regexp.MustCompile(`\b\d+ (object|page|chunk|blob)s?\b`)
	numbers  = regexp.MustCompile(`\b(at|not|after|from|in|has|its|outside the object:|damaged:) [0-9][0-9.]*`)
	hexDir   = regexp.MustCompile(`/b/[0-9a-f]{2}/`)
	prints   = regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`)
	unpacked = regexp.MustCompile(`decompress: [^;\n]*`)
)

// plain leaves out what is another each time.
func (y *damagedStore) plain(text string) string {
	host, _ := os.Hostname()
	for from, to := range map[string]string{y.src: "/src", y.store: "STORE", filepath.Join(y.dir, "target"): "DIR", " of " + host + ",": " of HOST,", " of " + host + ":": " of HOST:"} {
		text = strings.ReplaceAll(text, from, to)
	}
	text = longHex.ReplaceAllString(text, "HEX")
	text = shortHex.ReplaceAllString(text, "ID")
	text = times.ReplaceAllString(text, "TIME")
	text = amounts.ReplaceAllString(text, "SIZE")
	text = counted.ReplaceAllString(text, "N ${1}s")
	text = numbers.ReplaceAllString(text, "$1 N")
	text = hexDir.ReplaceAllString(text, "/b/HEX/")
	text = prints.ReplaceAllString(text, "SHA256:HEX")
	text = unpacked.ReplaceAllString(text, "decompress: ...")
	return sorted(text)
}

// sorted puts problems, which come in the order of random names, into one that
// is always the same.
func sorted(text string) string {
	var blocks, rest []string
	for line := range strings.Lines(text) {
		switch kind, _, ok := strings.Cut(line, ": "); {
		case strings.HasPrefix(line, "  ") && len(blocks) > 0:
			blocks[len(blocks)-1] += line
		case ok && slices.Contains([]string{"damaged", "missing", "size", "reference", "forked"}, kind):
			blocks = append(blocks, line)
		default:
			rest = append(rest, line)
		}
	}
	slices.Sort(blocks)
	return strings.Join(append(blocks, rest...), "")
}

// compare checks that whatever restore did not complain about is there.
func (y *damagedStore) compare(target, stderr string, code int) {
	y.Helper()
	if code != 0 && code != int(fault.Partial) && !strings.Contains(stderr, "was restored") {
		if _, err := os.Lstat(target); err == nil {
			y.Errorf("exit %d, and yet something was restored", code)
		}
		return
	}
	y.check(filepath.WalkDir(y.src, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(stderr, path) || strings.Contains(stderr, "lost: all entries") {
			return err
		}
		want, err := os.ReadFile(path)
		y.check(err)
		got, err := os.ReadFile(filepath.Join(target, strings.TrimPrefix(path, y.src)))
		if err != nil || !bytes.Equal(got, want) {
			y.Errorf("%s was not restored, and restore does not say so: %v\n%s", path, err, stderr)
		}
		return nil
	}))
}

// note keeps words once, and gives their number.
func (y *damagedStore) note(title, verify, restore string) string {
	text := "verify:\n" + indent(verify) + "restore:\n" + indent(restore)
	if _, ok := y.said[text]; !ok {
		y.order = append(y.order, text)
	}
	y.said[text] = append(y.said[text], title)
	return fmt.Sprintf("[%d](#%d)", slices.Index(y.order, text)+1, slices.Index(y.order, text)+1)
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}

func (y *damagedStore) write(doc *strings.Builder) {
	for i, text := range y.order {
		fmt.Fprintf(doc, "\n### %d\n\n%s\n\n```\n%s```\n", i+1, strings.Join(y.said[text], "; "), text)
	}
}

const damageIntro = `# What damage does

One object of each kind is damaged in a store of two snapshots: a bit in its middle is
flipped, a third is cut off, it is deleted, or swapped with another of its kind (of this
store if it has several, otherwise of another store). Then ` + "`verify`" + ` and ` + "`restore latest`" + ` run on
the machine that made the backups. These are their exit codes: 0 nothing found, or
everything restored; 3 some files could not be restored; 13 damage.

Then ` + "`repair --read-data`" + ` runs, by parity of 10 % alone and, on the same damage, with a mirror:
0 everything is again what it was; 13 what is left is told, and nothing else has changed. What
neither has, the next backup of the host stores anew from its files, for the snapshots to come.

A test generates this page: ` + "`go test ./cmd/vaultik -run DamageTable -update`" + `.

| object | damage | verify | verify --read-data | verify, key | verify --read-data, key | restore latest | repair, parity | repair, mirror | they print |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`

const damageElsewhere = `
A machine that has never seen the store cannot know that there was a newer snapshot:

| object | damage | verify | verify --read-data | verify, key | verify --read-data, key | restore latest | they print |
| --- | --- | --- | --- | --- | --- | --- | --- |
`

const damageWords = `
## What they print

Of verify the first column that finds it, or the one with the key and --read-data. HEX, ID,
TIME, SIZE and N stand for what differs each time.
`
