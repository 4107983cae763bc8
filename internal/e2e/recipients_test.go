package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vaultik/internal/agetest"
	"vaultik/internal/oddtree"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
)

// holder is one who can read: by a recipient, with an identity.
type holder struct{ name, recipient, identity string }

// keygen makes a key pair with the program itself.
func keygen(t *testing.T, name string, args ...string) holder {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	newMachine(t).exits(0, append([]string{"keygen", "-o", file}, args...)...)
	return holder{name, lineOf(t, file, "# public key: "), secretOf(t, file)}
}

// TestRecipients: each kind of recipient, alone and with others: every identity
// alone, on a machine that has nothing but the store, brings all back; any other
// has exit 12.
func TestRecipients(t *testing.T) {
	p := agetest.TagPlugin(t)
	spy := spyOnPlugin(t, p.Dir)
	classic, classic2 := keygen(t, "X25519", "--classic"), keygen(t, "another X25519", "--classic")
	pq, pq2 := keygen(t, "hybrid"), keygen(t, "another hybrid")
	tag, tagpq := holder{"age1tag", p.Classic, p.Identity}, holder{"age1tagpq", p.Hybrid, p.Identity}
	all := []holder{classic, classic2, pq, pq2, tag}

	src := t.TempDir()
	odd := filepath.Join(src, "odd")
	_, err := oddtree.Make(odd, oddtree.Options{Seed: 5, Small: true})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(src, "large"), testtree.Bytes(5, int64(testsize.Pick(3, 100))<<20), 0o600))

	for _, holders := range [][]holder{
		{classic}, {pq}, {tag}, {tagpq},
		{classic, classic2, tag}, {pq, pq2, tagpq},
	} {
		var names []string
		args := []string{"init"}
		for _, h := range holders {
			names = append(names, h.name)
			args = append(args, "--recipient", h.recipient)
		}
		t.Run(strings.Join(names, " and "), func(t *testing.T) {
			host := newMachine(t)
			host.exits(0, args...)
			host.exits(0, "backup", src)
			for _, h := range holders {
				other := newMachine(t)
				other.key = h.identity
				out := filepath.Join(other.root, "out")
				other.exits(0, "--store", host.store(), "restore", "latest:"+src, "--target", out)
				sameTree(t, src, out)
				if l := other.exits(0, "--store", host.store(), "verify", "--read-data"); !strings.Contains(l.stdout, "chunks") {
					t.Errorf("%s: verify did not decrypt: %s", h.name, l.stdout)
				}
			}
			for _, h := range all {
				if slices.ContainsFunc(holders, func(o holder) bool { return o.identity == h.identity }) {
					continue
				}
				other := newMachine(t)
				other.key = h.identity
				for _, what := range [][]string{{"ls", "latest"}, {"restore", "latest", "--target", other.root + "/out"}, {"verify"}} {
					l := other.exits(12, append([]string{"--store", host.store()}, what...)...)
					if !strings.Contains(l.stderr, "no identity opens") && !strings.Contains(l.stderr, "opens none") {
						t.Errorf("%s, %q: %s", h.name, what, l.stderr)
					}
				}
				if _, err := os.Lstat(filepath.Join(other.root, "out")); err == nil {
					t.Errorf("%s: a target was made", h.name)
				}
			}
		})
	}
	// The plugin was a child of the program: it must have seen no identity but by
	// the protocol, also when another one was there beside its own.
	host := newMachine(t)
	host.exits(0, "init", "--recipient", tag.recipient)
	host.exits(0, "backup", src)
	host.key = classic.identity + "\n" + p.Identity
	host.exits(0, "ls", "latest")
	spy.saw(t, []string{classic.identity, pq.identity, p.Identity, "VAULTIK_AGE_SECRET_KEY"})
}

// pluginSpy stands before the plugin and writes down how it was started.
type pluginSpy struct{ file string }

func spyOnPlugin(t *testing.T, dir string) pluginSpy {
	t.Helper()
	s := pluginSpy{filepath.Join(t.TempDir(), "seen")}
	plugin := filepath.Join(dir, "age-plugin-tagtest")
	must(t, os.Rename(plugin, plugin+"-real"))
	script := fmt.Sprintf("#!/bin/sh\ntr '\\0' '\\n' </proc/$$/cmdline >>'%s'\ntr '\\0' '\\n' </proc/$$/environ >>'%s'\nexec '%s-real' \"$@\"\n", s.file, s.file, plugin)
	must(t, os.WriteFile(plugin, []byte(script), 0o755))
	out, err := exec.Command(plugin, "--help").CombinedOutput()
	t.Logf("the plugin under watch: %v, %d bytes", err, len(out))
	must(t, os.Remove(s.file))
	return s
}

func (s pluginSpy) saw(t *testing.T, secrets []string) {
	t.Helper()
	b, err := os.ReadFile(s.file)
	must(t, err)
	if !strings.Contains(string(b), "--age-plugin=identity-v1") || !strings.Contains(string(b), "HOME=") {
		t.Fatalf("the spy saw nothing of use: %q", b)
	}
	for _, secret := range secrets {
		if strings.Contains(string(b), secret) {
			t.Errorf("a child had %.16s... in its arguments or environment", secret)
		}
	}
}

// TestAnotherMachine: with nothing but the store, which was copied, and the kit.
func TestAnotherMachine(t *testing.T) {
	host := newMachine(t)
	src := filepath.Join(host.home, "Documents")
	_, err := oddtree.Make(src, oddtree.Options{Seed: 6, Small: true})
	must(t, err)
	first := host.exits(0, "backup", src) // sets itself up
	owner, _, _ := strings.Cut(first.stdout[strings.Index(first.stdout, "owner: ")+len("owner: "):], "\n")
	must(t, os.WriteFile(filepath.Join(src, "new"), []byte("since then"), 0o600))
	host.exits(0, "backup", src)

	away := newMachine(t)
	kit, store := filepath.Join(away.root, "kit"), filepath.Join(away.root, "store")
	must(t, os.Rename(host.config("recovery-kit.txt"), kit))
	must(t, os.CopyFS(store, os.DirFS(host.store())))
	kept := filepath.Join(away.root, "kept")
	must(t, os.Rename(src, kept))
	must(t, os.RemoveAll(host.root)) // it burns

	away.key = secretOf(t, kit)
	l := away.exits(0, "--store", store, "--owner", owner, "snapshots")
	if n := strings.Count(l.stdout, src); n != 2 {
		t.Errorf("%d snapshots of %s:\n%s", n, src, l.stdout)
	}
	if l := away.exits(0, "--store", store, "ls", "latest:"+src); !strings.Contains(l.stdout, "/new") {
		t.Errorf("ls:\n%s", l.stdout)
	}
	away.exits(0, "--store", store, "restore", "latest:"+src, "--target", "direct")
	sameTree(t, kept, filepath.Join(away.root, "direct"))
	away.exits(0, "--store", store, "restore", "latest", "--target", "full")
	sameTree(t, kept, filepath.Join(away.root, "full", src))
	away.exits(0, "--store", store, "verify", "--read-data")
	away.key = ""
	away.exits(0, "--store", store, "verify", "--read-data")
	away.exits(12, "--store", store, "ls", "latest")
}
