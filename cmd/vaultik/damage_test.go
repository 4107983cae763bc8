package main

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vaultik/backends"
	_ "vaultik/backends/file"
	"vaultik/config"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

var update = flag.Bool("update", false, "write docs/damage.md")

// damageDoc is held by TestDamageTable.
const damageDoc = "../../docs/damage.md"

// TestDamageTable damages one object of each kind in each way, and holds what
// verify and restore exit with and print against docs/damage.md. go test -run
// DamageTable -update writes it.
func TestDamageTable(t *testing.T) {
	y := newDamagedStore(t)
	var doc strings.Builder
	doc.WriteString(damageIntro)
	for _, v := range y.victims() {
		for _, d := range damages {
			out := y.try(v, d)
			fmt.Fprintf(&doc, "| %s | %s | %s |\n", v.name, d.name, strings.Join(out.cells(), " | "))
		}
	}
	doc.WriteString(damageElsewhere)
	gone := y.victims()[6]
	out := y.elsewhere(gone)
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

// damagedStore is a store of two snapshots, whose objects get damaged one at a time.
type damagedStore struct {
	*testing.T
	dir, src, store, other string // other: another store, for what there is only one of
	identity               string
	manifests              []*snapshot.Loaded
	pages                  []layout.Object // the blob with the top page, of each
	said                   map[string][]string
	order                  []string
}

// victim is one object and what it is swapped with.
type victim struct {
	name      string
	key       string
	swap      string // file
	exchanged bool   // swap is in the same store, and gets the victim's bytes
}

type damageKind struct {
	name string
	do   func(own, swap []byte) []byte // nil: deleted
}

var damages = []damageKind{
	{"flip", func(own, _ []byte) []byte {
		b := slices.Clone(own)
		b[len(b)/2] ^= 1
		return b
	}},
	{"truncate", func(own, _ []byte) []byte { return own[:len(own)*2/3] }},
	{"delete", func(_, _ []byte) []byte { return nil }},
	{"swap", func(_, swap []byte) []byte { return swap }},
}

// newDamagedStore makes backups by the program itself. A store has blob lists
// only from a thousand blobs on; here the manifests are signed anew with one.
func newDamagedStore(t *testing.T) *damagedStore {
	dir := t.TempDir()
	y := &damagedStore{T: t, dir: dir, src: filepath.Join(dir, "src"), store: filepath.Join(dir, "store"), said: map[string][]string{}}
	for _, v := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "VAULTIK_CONFIG", "VAULTIK_INDEX_PATH", keys.EnvIdentity} {
		t.Setenv(v, "")
	}
	t.Setenv("HOME", filepath.Join(dir, "otherhome"))
	y.file("a", []byte("a\n"))
	y.other = filepath.Join(dir, "other")
	y.must("--store", y.other, "init")
	y.must("backup", y.src)

	t.Setenv("HOME", filepath.Join(dir, "home"))
	y.must("--store", y.store, "init")
	conf := filepath.Join(dir, "home/.config/vaultik/config.yaml")
	text, err := os.ReadFile(conf)
	y.check(err)
	text = regexp.MustCompile(`(?m)^(blob_size|chunk_size):.*\n`).ReplaceAll(text, nil)
	y.check(os.WriteFile(conf, append(text, "\nblob_size: 1MiB\nchunk_size: 64KiB\n"...), 0o600))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))))
	big := make([]byte, 5<<20/2)
	for i := range big {
		big[i] = byte(r.Uint32())
	}
	y.check(os.Remove(filepath.Join(y.src, "a")))
	y.file("big", big)
	y.must("backup", y.src)
	y.file("a", []byte("a\n"))
	y.file("d/b", []byte("b\n"))
	y.must("backup", y.src)
	kit, err := os.ReadFile(filepath.Join(dir, "home/.config/vaultik/recovery-kit.txt"))
	y.check(err)
	k, err := keys.ParseKit(kit)
	y.check(err)
	y.identity = k.Identity
	y.addLists()
	return y
}

func (y *damagedStore) check(err error) {
	y.Helper()
	if err != nil {
		y.Fatal(err)
	}
}

func (y *damagedStore) file(name string, data []byte) {
	y.check(os.MkdirAll(filepath.Dir(filepath.Join(y.src, name)), 0o755))
	y.check(os.WriteFile(filepath.Join(y.src, name), data, 0o644))
}

// run runs the program; key says whether it gets the secret key.
func (y *damagedStore) run(key bool, args ...string) (int, string, string) {
	if key {
		y.Setenv(keys.EnvIdentity, y.identity)
	}
	var stdout, stderr bytes.Buffer
	code := run(args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func (y *damagedStore) must(args ...string) {
	y.Helper()
	if code, _, stderr := y.run(false, args...); code != 0 {
		y.Fatalf("%v: exit %d\n%s", args, code, stderr)
	}
}

// addLists signs the manifests anew, with all but their last blob in a blob list.
func (y *damagedStore) addLists() {
	state := config.NewState(filepath.Join(y.dir, "home/.config/vaultik"))
	host, err := state.LoadHost()
	y.check(err)
	b, err := backends.Open(y.Context(), "file://"+y.store, backends.Options{})
	y.check(err)
	defer b.Close()
	st, err := snapshot.OpenStore(y.Context(), backends.Objects(b), snapshot.Pin{})
	y.check(err)
	loaded, problems, err := st.Manifests(y.Context(), snapshot.Filter{})
	y.check(err)
	if len(problems) > 0 || len(loaded) != 2 {
		y.Fatalf("%d manifests, %v", len(loaded), problems)
	}
	id, err := keys.ParseIdentity(y.identity)
	y.check(err)
	var prev snapshot.Sum
	for i, l := range loaded {
		m := *l.Manifest
		n := len(m.Blobs) - 1
		list, err := snapshot.EncodeBlobList(m.Blobs[:n])
		y.check(err)
		name := sha256.Sum256(list)
		y.put(layout.BlobList(m.Host, name), list)
		m.Lists = []snapshot.ListRef{{Name: name, Size: int64(len(list)), Count: int64(n)}}
		m.Blobs, m.Prev = m.Blobs[n:], prev
		raw, err := snapshot.EncodeManifest(&m, host.Signer)
		y.check(err)
		prev = sha256.Sum256(raw)
		y.put(l.Key, raw)
		ids, _, err := st.Identities(y.Context(), &m, id)
		y.check(err)
		root, err := st.Root(y.Context(), &m, ids)
		y.check(err)
		y.pages = append(y.pages, layout.Object{Kind: layout.KindBlob, Host: m.Host, Sum: root.Top.Blob.Name})
		y.manifests = append(y.manifests, &snapshot.Loaded{Manifest: &m, Key: loaded[i].Key, Sum: prev})
		seen, err := os.ReadFile(state.SeenFile())
		y.check(err)
		y.check(os.WriteFile(state.SeenFile(), bytes.ReplaceAll(seen, []byte(l.ID()), []byte(prev.String())), 0o600))
	}
}

func (y *damagedStore) put(key string, b []byte) {
	file := y.path(key)
	y.check(os.MkdirAll(filepath.Dir(file), 0o700))
	y.check(os.WriteFile(file, b, 0o600))
}

func (y *damagedStore) path(key string) string { return filepath.Join(y.store, key) }

// victims are one object of each kind, as the newest snapshot needs it.
func (y *damagedStore) victims() []victim {
	old, m := y.manifests[0], y.manifests[1]
	data := func(n int) string { // a blob with nothing but data
		first := layout.Object{Kind: layout.KindBlob, Host: m.Host}
		list, err := os.ReadFile(y.path(layout.BlobList(m.Host, old.Lists[0].Name)))
		y.check(err)
		blobs, err := snapshot.DecodeBlobList(list)
		y.check(err)
		first.Sum = blobs[n].Name
		return first.Key()
	}
	root := func(l *snapshot.Loaded) string { return layout.Root(m.Host, l.Manifest.Root.Name) }
	list := func(l *snapshot.Loaded) string { return layout.BlobList(m.Host, l.Lists[0].Name) }
	return []victim{
		{"`b`, data", data(0), y.path(data(1)), true},
		{"`b`, pages", y.pages[1].Key(), y.path(y.pages[0].Key()), true},
		{"`k`", layout.EpochKey(m.Host, m.Keys[0].Epoch, 0), y.inOther("h/*/k/*/*"), false},
		{"`r`", root(m), y.path(root(old)), true},
		{"`l`", list(m), y.path(list(old)), true},
		{"`m`, an older one", old.Key, y.path(m.Key), true},
		{"`m`, the newest", m.Key, y.path(old.Key), true},
		{"`store.json`", layout.StoreJSON, y.inOther(layout.StoreJSON), false},
		{"`trust`", layout.Trust(1), y.inOther(layout.Trust(1)), false},
	}
}

func (y *damagedStore) inOther(pattern string) string {
	found, err := filepath.Glob(filepath.Join(y.other, pattern))
	y.check(err)
	if len(found) != 1 {
		y.Fatalf("%d of %s", len(found), pattern)
	}
	return found[0]
}

// outcome is what the commands made of one damage.
type outcome struct {
	exits [5]int // verify, --read-data, both with the key, restore
	notes []string
}

func (o *outcome) cells() (out []string) {
	for _, e := range o.exits {
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
	if b := d.do(own, swap); b == nil {
		y.check(os.Remove(y.path(v.key)))
	} else {
		y.put(v.key, b)
	}
	if d.name == "swap" && v.exchanged {
		y.check(os.WriteFile(v.swap, own, 0o600))
	}
	defer func() {
		y.put(v.key, own)
		y.check(os.WriteFile(v.swap, swap, 0o600))
	}()
	return y.commands(v.name+", "+d.name, true)
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
	counted  = regexp.MustCompile(`\b\d+ (object|page|chunk)s?\b`)
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
	if code != 0 && code != int(exitPartial) && !strings.Contains(stderr, "was restored") {
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
store where there are several, else of another store). Then ` + "`verify`" + ` and ` + "`restore latest`" + ` run on
the machine that made the backups. These are their exit codes: 0 nothing found, or
everything restored; 3 single files could not be restored; 13 damage.

A test makes this page: ` + "`go test ./cmd/vaultik -run DamageTable -update`" + `.

| object | damage | verify | verify --read-data | verify, key | verify --read-data, key | restore latest | they print |
| --- | --- | --- | --- | --- | --- | --- | --- |
`

const damageElsewhere = `
On a machine that has never seen the store nothing tells that there was a newer snapshot:

| object | damage | verify | verify --read-data | verify, key | verify --read-data, key | restore latest | they print |
| --- | --- | --- | --- | --- | --- | --- | --- |
`

const damageWords = `
## What they print

Of verify the first that finds it, or with the key and --read-data. HEX, ID, TIME, SIZE
and N stand for what differs each time.
`
