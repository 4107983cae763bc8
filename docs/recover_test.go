// Package docs holds what is told about Vaultik, and the test that one of its parts,
// recover.sh, reads what Vaultik writes.
package docs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vaultik/config"
	"vaultik/internal/agetest"
	"vaultik/internal/oddtree"
	"vaultik/internal/treecmp"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
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
	path            string // PATH of the script; empty: that of the test
	more            string // variable for the script
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
	if m.path != "" {
		cmd.Env = append(cmd.Env, "PATH="+m.path) // the last one counts
	}
	if m.more != "" {
		cmd.Env = append(cmd.Env, m.more)
	}
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
	m.init("--recipient", m.keygen(m.id))
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

// keygen writes a new identity to a new file and answers its recipient.
func (m *machine) keygen(file string, more ...string) string {
	m.t.Helper()
	out, err := exec.Command("age-keygen", append([]string{"-o", file}, more...)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("age-keygen: %v: %s", err, out)
	}
	recipient, err := exec.Command("age-keygen", "-y", file).Output()
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSpace(string(recipient))
}

// programs is a PATH of the programs that the script uses, without those that are named.
// age-old is there as age.
func programs(t *testing.T, without ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range strings.Fields(`age age-old base64 bash cat chmod chown cut dd env grep
		head id jq ln ls mkdir mkfifo mknod mktemp mv realpath rm setfattr sha256sum ssh-keygen
		stat tail tee touch truncate zstd`) {
		if slices.Contains(without, name) {
			continue
		}
		file, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("%v; install what the tests need: make tools", err)
		}
		if name == "age-old" {
			name = "age"
		}
		if err := os.Symlink(file, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The program that is missing or too old, and the key that is not the right one, are told from
// each other, each with what to do. The age of Debian 12 is enough for an X25519 key.
func TestRecover_tools(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("contents"), 0o644); err != nil {
		t.Fatal(err)
	}
	pq, classic := newMachine(t), newMachine(t)
	pq.init()
	classic.id = filepath.Join(classic.home, "identity")
	classic.init("--recipient", classic.keygen(classic.id))
	for _, m := range []*machine{pq, classic} {
		m.run("backup", dir)
	}
	other, otherPQ := filepath.Join(t.TempDir(), "other"), filepath.Join(t.TempDir(), "otherpq")
	pq.keygen(other)
	pq.keygen(otherPQ, "-pq")
	kit, err := os.ReadFile(pq.kit())
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndexByte(bytes.TrimSpace(kit), '\n')
	bare := filepath.Join(t.TempDir(), "bare") // a kit without its identity
	damaged := filepath.Join(t.TempDir(), "damaged")
	for file, text := range map[string][]byte{bare: kit[:at], damaged: kit[:len(kit)-3]} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	need := []string{"a post-quantum key needs age 1.3 or newer", "go install filippo.io/age/cmd/...@"}
	wrong := []string{"none of the identities opens it", "IDENTITY=FILE"}
	for name, c := range map[string]struct {
		of      *machine
		kit, id string // instead of the machine's
		without string // programs that are not in PATH; of age and age-old, one is to stay
		code    int
		says    []string
		never   string // what would send the user the wrong way
	}{
		"right age, post-quantum": {of: pq, without: "age-old"},
		"old age, X25519":         {of: classic, without: "age"},
		"old age, post-quantum": {of: pq, without: "age", code: 69, never: wrong[0],
			says: append(slices.Clip(need), "/age, version v1.1.1, is too old")},
		"no age, post-quantum": {of: pq, without: "age age-old", code: 69, never: "install age",
			says: append(slices.Clip(need), "age is not installed")},
		"no age, X25519": {of: classic, without: "age age-old", code: 69, never: "1.3",
			says: []string{"age is not installed", "apt-get install age"}},
		"wrong key, post-quantum": {of: pq, kit: bare, id: otherPQ, without: "age-old", code: 12,
			says: wrong, never: "1.3"},
		"wrong key, X25519": {of: classic, id: other, without: "age-old", code: 12,
			says: wrong, never: "1.3"},
		"wrong key, X25519, old age": {of: classic, id: other, without: "age", code: 12,
			says: wrong, never: "1.3"},
		"damaged key": {of: pq, kit: damaged, without: "age-old", code: 12,
			says: []string{"malformed", "age could not use the identities"}, never: "1.3"},
		"kit of another store": {of: pq, kit: classic.kit(), id: otherPQ, without: "age-old", code: 13,
			says: []string{"is the kit of another store, or somebody"}, never: "1.3"},
		"no zstd": {of: pq, without: "age zstd", code: 69,
			says: []string{"not installed: zstd\n", "apt-get install zstd\n"}},
		"no jq": {of: pq, without: "age jq", code: 69,
			says: []string{"not installed: jq\n", "apt-get install jq\n"}},
		"no ssh-keygen": {of: pq, without: "age ssh-keygen", code: 69,
			says: []string{"not installed: ssh-keygen\n", "apt-get install openssh-client\n"}},
		"no jq, no zstd": {of: pq, without: "age zstd jq", code: 69,
			says: []string{"not installed: zstd jq\n", "apt-get install zstd jq\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := *c.of
			m.t, m.path = t, programs(t, strings.Fields(c.without)...)
			if c.kit != "" {
				m.home = t.TempDir()
				if err := os.Symlink(c.kit, m.kit()); err != nil {
					t.Fatal(err)
				}
			}
			if c.id != "" {
				m.id = c.id
			}
			out := filepath.Join(t.TempDir(), "out")
			code, said := m.recover(m.store, out)
			if code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			for _, s := range c.says {
				if !strings.Contains(said, s) {
					t.Errorf("does not say %q", s)
				}
			}
			if c.never != "" && strings.Contains(said, c.never) {
				t.Errorf("says %q", c.never)
			}
			if t.Failed() {
				t.Log(said)
			}
			if c.code == 0 {
				m.same(dir, filepath.Join(out, dir))
			} else if _, err := os.Stat(out); err == nil {
				t.Error("something was restored")
			}
		})
	}
}

// An old age and the plugin of a hardware key open the root, whatever its kind, but not
// what is sealed to a post-quantum epoch.
func TestRecover_hardwareKey(t *testing.T) {
	p := agetest.TagPlugin(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("contents"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, recipient, without string
		code                     int
	}{
		{"classic, old age", p.Classic, "age", 0},
		{"post-quantum, old age", p.Hybrid, "age", 69},
		{"post-quantum", p.Hybrid, "age-old", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			m.id = filepath.Join(m.home, "identity")
			if err := os.WriteFile(m.id, []byte(p.Identity+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			m.init("--recipient", c.recipient)
			m.run("backup", dir)
			m.path = programs(t, c.without) + ":" + p.Dir
			out := filepath.Join(t.TempDir(), "out")
			code, said := m.recover(m.store, out)
			if code != c.code {
				t.Fatalf("exit %d, want %d: %s", code, c.code, said)
			}
			if code == 0 {
				m.same(dir, filepath.Join(out, dir))
			} else if !strings.Contains(said, "a post-quantum key needs age 1.3 or newer") {
				t.Errorf("says %s", said)
			}
		})
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
		{"store.json", 0}, {"trust/*", 13}, {"h/*/m/*/*", 13}, {"h/*/r/*", 13}, {"h/*/b/*/*", 3}, {"h/*/k/*/*", 0},
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
				if how == "delete" && c.object == "h/*/m/*/*" {
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

// Only what is signed counts, and of a revoked key what the owner lets stand; nothing that
// somebody else puts into the store keeps the rest from being restored.
func TestRecover_trust(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.init()
	dir := filepath.Join(t.TempDir(), "dir")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(dir, 0o755))
	for _, text := range []string{"one", "two"} {
		must(os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o644))
		m.run("backup", dir)
	}
	raw, err := os.ReadFile(m.kit())
	must(err)
	kit, err := keys.ParseKit(raw)
	must(err)
	manifests, err := filepath.Glob(filepath.Join(m.store, "h/*/m/*/*"))
	must(err)
	set := filepath.Dir(manifests[0])
	var sums []snapshot.Sum
	for _, f := range manifests {
		b, err := os.ReadFile(f)
		must(err)
		sums = append(sums, sha256.Sum256(b))
	}
	set, err = filepath.Rel(m.store, set)
	must(err)
	host := strings.Split(set, "/")[1]
	garbage := func(keys ...string) func(string) {
		return func(store string) {
			for _, key := range keys {
				file := filepath.Join(store, key)
				must(os.MkdirAll(filepath.Dir(file), 0o700))
				must(os.WriteFile(file, []byte("x"), 0o600))
			}
		}
	}
	own, err := config.NewState(filepath.Join(m.home, ".config", "vaultik")).LoadHost()
	must(err)
	var id layout.SetID
	must(id.UnmarshalText([]byte(filepath.Base(set))))
	gcKey := layout.GC(own.ID, 1)
	// says signs gc object 1, under the name of a weak store where there are several.
	says := func(all ...snapshot.GC) func(string) {
		return func(store string) {
			for _, g := range all {
				g.Store, g.Host, g.Seq = own.Store, own.ID, 1
				b, err := snapshot.EncodeGC(&g, own.Signer)
				must(err)
				key := gcKey
				if len(all) > 1 {
					key = layout.Weak(key, sha256.Sum256(b))
				}
				must(os.MkdirAll(filepath.Join(store, filepath.Dir(key)), 0o700))
				must(os.WriteFile(filepath.Join(store, key), b, 0o600))
			}
		}
	}
	dropped := snapshot.GC{Dropped: []snapshot.Dropped{{Set: id, Seq: 2, Sum: sums[1],
		Reason: snapshot.DroppedFork}}}
	trustAfter := func(store string, changes ...func(*snapshot.Trust)) {
		b, err := os.ReadFile(filepath.Join(store, layout.Trust(1)))
		must(err)
		for _, change := range changes {
			trust, err := snapshot.DecodeTrust(b, kit.Owner.Public())
			must(err)
			trust.Seq, trust.Prev = 2, sha256.Sum256(b)
			change(&trust)
			next, err := snapshot.EncodeTrust(trust, kit.Owner)
			must(err)
			key := layout.Trust(2)
			if len(changes) > 1 {
				key = layout.Weak(key, sha256.Sum256(next))
			}
			must(os.WriteFile(filepath.Join(store, key), next, 0o600))
		}
	}
	revoke := func(until ...snapshot.UntilSet) func(string) {
		return func(store string) {
			trustAfter(store, func(trust *snapshot.Trust) {
				h := &trust.Hosts[0]
				h.Revoked = time.Now().AddDate(1, 0, 0) // what the clock says is nothing
				h.Until = &snapshot.Until{Sets: until}
				if b, err := os.ReadFile(filepath.Join(store, gcKey)); err == nil {
					h.Until.GC = []snapshot.UntilGC{{Host: own.ID, Seq: 1, Sum: sha256.Sum256(b)}}
				}
			})
		}
	}
	until := func(seq int) snapshot.UntilSet {
		return snapshot.UntilSet{Set: id, Seq: uint64(seq), Sum: sums[seq-1]}
	}
	for name, c := range map[string]struct {
		change func(store string)
		more   []string
		env    string
		code   int
		want   string // contents
		says   string
	}{
		"garbage": {garbage(set+"/0000000099.json.zst", filepath.Dir(set)+"/0123456789abcdef/0000000003.json.zst",
			"trust/0000000009.json.zst"), nil, "", 0, "two", "left out: trust/0000000009.json.zst"},
		"garbage next": {garbage(set + "/0000000003.json.zst"), nil, "", 13, "",
			"the newest snapshot, damaged, or a stranger's object"},
		"garbage next, and a number": {garbage(set + "/0000000003.json.zst"),
			[]string{host, filepath.Base(set), "2"}, "", 0, "two", "restored"},
		"no trust": {func(store string) { must(os.RemoveAll(filepath.Join(store, "trust"))) },
			nil, "", 13, "", "vaultik store repair-head"},
		"no trust, unverified": {func(store string) {
			must(os.RemoveAll(filepath.Join(store, "trust")))
			must(os.Remove(filepath.Join(store, "store.json")))
		}, nil, "UNVERIFIED=yes", 0, "two", "NOBODY VOUCHES"},
		"garbage next to trust, weak": {garbage("trust/0000000002-0123456789abcdef.json.zst"), nil, "", 13, "",
			"trust/0000000002.json.zst: damaged"},
		"forked trust": {func(store string) {
			trustAfter(store, func(*snapshot.Trust) {}, func(t *snapshot.Trust) { t.Time = time.Now() })
		}, nil, "", 13, "", "signed two trust lists of one number: trust/0000000002-"},
		"dropped": {says(dropped), nil, "", 0, "one", "0000000002.json.zst: prune has dropped it"},
		"dropped by one of two": {says(dropped, snapshot.GC{Time: time.Now()}), nil, "", 0, "one",
			"0000000002.json.zst: prune has dropped it"},
		"dropped, but by nobody": {garbage(gcKey), nil, "", 0, "two", "left out: gc/"},
		"dropped by one who is revoked": {func(store string) { revoke(until(2))(store); says(dropped)(store) },
			nil, "", 0, "two", "left out: gc/"},
		"revoked, and pruned": {func(store string) {
			pruned := snapshot.Pruned{Set: id, From: 3, To: 4, Prev: sums[1], Sum: snapshot.Sum{9}}
			says(snapshot.GC{Pruned: []snapshot.Pruned{pruned}})(store)
			revoke(snapshot.UntilSet{Set: id, Seq: 4, Sum: pruned.Sum})(store)
		}, nil, "", 0, "two", "restored"},
		"a fork": {func(store string) {
			b, err := os.ReadFile(filepath.Join(store, set, "0000000002.json.zst"))
			must(err)
			l, err := snapshot.DecodeManifest(b, own.Signer.Public())
			must(err)
			l.Complete = false
			b, err = snapshot.EncodeManifest(l, own.Signer)
			must(err)
			must(os.WriteFile(filepath.Join(store, layout.Weak(layout.Manifest(own.ID, id, 2), sha256.Sum256(b))), b, 0o600))
		}, nil, "", 0, "two", "there are two snapshots 2: this takes"},
		"revoked, all stands": {revoke(until(2)), nil, "", 0, "two", "restored"},
		"revoked, an older one": {revoke(until(2)), []string{host, filepath.Base(set), "1"}, "", 0, "one",
			"restored"},
		"revoked, a part stands": {revoke(until(1)), nil, "", 0, "one", "signed with a revoked key"},
		"revoked":                {revoke(), nil, "", 13, "", "signed with a revoked key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := filepath.Join(t.TempDir(), "store")
			must(os.CopyFS(store, os.DirFS(m.store)))
			c.change(store)
			mm := *m
			mm.t, mm.more = t, c.env
			out := filepath.Join(t.TempDir(), "out")
			code, said := mm.recover(store, out, c.more...)
			got, _ := os.ReadFile(filepath.Join(out, dir, "file"))
			if code != c.code || string(got) != c.want || !strings.Contains(said, c.says) {
				t.Errorf("exit %d, %q, want %d, %q: %s", code, got, c.code, c.want, said)
			}
		})
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
