package e2e

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testsize"
)

// rubbish plants objects in a store as somebody can who may write there and has no key.
type rubbish struct {
	t     *testing.T
	r     *rand.Rand
	store string
	good  []string // keys of the store's own objects
	keys  []string // what was planted
}

func newRubbish(t *testing.T, store string, seed uint64) *rubbish {
	g := &rubbish{t: t, r: rand.New(rand.NewPCG(seed, 9)), store: store}
	must(t, filepath.WalkDir(store, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		if d.Type().IsRegular() {
			key, err := filepath.Rel(store, path)
			must(t, err)
			g.good = append(g.good, key)
		}
		return nil
	}))
	slices.Sort(g.good)
	return g
}

// hex is n random digits.
func (g *rubbish) hex(n int) string {
	b := make([]byte, n/2)
	for i := range b {
		b[i] = byte(g.r.Uint32())
	}
	return hex.EncodeToString(b)
}

// key is the name of an object that the store does not have: one of the forms of the format with
// numbers and ids of its own or made up, or no form at all.
func (g *rubbish) key() string {
	like := g.good[g.r.IntN(len(g.good))]
	parts := strings.Split(like, "/")
	if parts[0] == "h" && g.r.IntN(4) == 0 {
		parts[1] = g.hex(16) // another host
	}
	last := len(parts) - 1
	name, ext, _ := strings.Cut(parts[last], ".")
	if ext != "" {
		ext = "." + ext
	}
	switch {
	case g.r.IntN(8) == 0:
		name = []string{"README", ".DS_Store", "core", "lost+found", ".probe", "-", "0", "tmp"}[g.r.IntN(8)] + g.hex(4)
	case len(name) == 64:
		name = g.hex(64)
		if parts[last-1] == like[len(like)-64:][:2] {
			parts[last-1] = name[:2]
		}
	case len(name) == 10: // not one of the next two, which are those of the snapshots that follow
		name = fmt.Sprintf("%010d", 6+g.r.Uint64N([]uint64{10, 1_000, 9_999_999_990}[g.r.IntN(3)]))
		if g.r.IntN(4) == 0 {
			name += "-" + g.hex(16)
		}
		if parts[0] == "h" && g.r.IntN(3) == 0 {
			parts[3] = g.hex(16) // another set
		}
	case len(parts) > 3 && parts[2] == "k":
		name = fmt.Sprint(1 + g.r.IntN(9999))
		if g.r.IntN(3) == 0 {
			parts[3] = g.hex(16)
		}
	default:
		name += g.hex(4)
	}
	parts[last] = name + ext
	if g.r.IntN(10) == 0 {
		parts = []string{"gc", like[min(2, len(like)):min(18, len(like))], fmt.Sprintf("%010d.json.zst", 1+g.r.Uint64N(9_999_999_999))}
		if g.r.IntN(2) == 0 {
			parts[1] = strings.Split(g.good[0], "/")[1]
		}
	}
	return strings.Join(parts, "/")
}

// plant writes one object, whose contents are nothing, noise, or those of another object.
func (g *rubbish) plant() {
	key := g.key()
	path := filepath.Join(g.store, key)
	if _, err := os.Lstat(path); err == nil || strings.Contains(key, "//") {
		return
	}
	must(g.t, os.MkdirAll(filepath.Dir(path), 0o755))
	var err error
	other := filepath.Join(g.store, g.good[g.r.IntN(len(g.good))])
	for _, like := range g.good { // most often one of its own kind, which is signed and elsewhere
		if filepath.Ext(like) == filepath.Ext(key) && strings.Count(like, "/") == strings.Count(key, "/") && g.r.IntN(3) == 0 {
			other = filepath.Join(g.store, like)
		}
	}
	b, rerr := os.ReadFile(other)
	must(g.t, rerr)
	switch n := g.r.IntN(12); n {
	case 0:
		err = os.WriteFile(path, nil, 0o644)
	case 1:
		err = os.WriteFile(path, b[:g.r.IntN(len(b))], 0o644)
	case 2:
		b[g.r.IntN(len(b))] ^= 1
		err = os.WriteFile(path, b, 0o644)
	case 3: // says that it is huge
		if err = os.WriteFile(path, b, 0o644); err == nil {
			err = os.Truncate(path, 1<<uint(20+g.r.IntN(16)))
		}
	case 4:
		err = os.Symlink([]string{"/etc/passwd", "nowhere", ".", other, "/dev/zero"}[g.r.IntN(5)], path)
	case 5:
		err = os.Mkdir(path, 0o755)
	case 6:
		err = unix.Mkfifo(path, 0o644)
	case 7: // a bomb
		err = os.WriteFile(path, bytes.Repeat(bombFrame(g.t, 1<<24, 1<<24), 3), 0o644)
	case 8, 9:
		err = os.WriteFile(path, b, 0o644)
	default:
		noise := make([]byte, g.r.IntN(5000))
		for i := range noise {
			noise[i] = byte(g.r.Uint32())
		}
		err = os.WriteFile(path, noise, 0o644)
	}
	must(g.t, err)
	g.keys = append(g.keys, key)
}

// TestGarbage: a thousand objects from somebody without a key, in a good store. Each command
// works, or names one of them; in either case it says little, and what it restores is right.
func TestGarbage(t *testing.T) {
	testsize.Long(t)
	for seed := range testsize.Seeds(t, 2) {
		m := newMachine(t)
		src := filepath.Join(m.home, "Documents")
		must(t, os.Mkdir(src, 0o755))
		for i := range 3 {
			must(t, os.WriteFile(filepath.Join(src, fmt.Sprint(i)), bytes.Repeat([]byte{byte(i), 7}, 1000*(i+1)), 0o600))
			if i == 0 {
				m.exits(0, "init")
			}
			m.exits(0, "backup", src)
		}
		reader := newMachine(t) // has seen nothing, and keeps nothing of the host
		owner := lineOf(t, m.config("recovery-kit.txt"), "# owner: ")
		secret := secretOf(t, m.config("recovery-kit.txt"))
		g := newRubbish(t, m.store(), seed)
		for range 1_000 {
			g.plant()
		}
		try := func(m *machine, key string, args ...string) int {
			t.Helper()
			m.key = key
			r := m.bounded(args...)
			text := r.stdout + r.stderr
			named := slices.ContainsFunc(g.keys, func(k string) bool { return strings.Contains(text, k) })
			if r.code != 0 {
				t.Errorf("vaultik %q exits with %d:\n%s", args, r.code, clip(text))
			}
			if !named {
				t.Errorf("vaultik %q names no object to remove:\n%s", args, clip(text))
			}
			if n := strings.Count(text, "\n"); n > 60 {
				t.Errorf("vaultik %q prints %d lines:\n%s", args, n, clip(text))
			}
			t.Logf("vaultik %q: exit %d, %d lines", args, r.code, strings.Count(text, "\n"))
			return r.code
		}
		restored := func(m *machine, args ...string) {
			t.Helper()
			out := filepath.Join(m.root, fmt.Sprintf("out%d", g.r.Uint32()))
			if try(m, secret, append(args, "restore", "latest:"+src, "--target", out)...) == 0 {
				sameTree(t, src, out)
			}
		}
		for _, key := range []string{"", secret} {
			try(m, key, "snapshots")
			try(m, key, "verify")
			try(m, key, "verify", "--read-data")
			try(m, key, "store", "info")
		}
		try(m, secret, "ls", "latest")
		restored(m)
		store, fingerprint := "--store="+m.store(), "--owner="+owner
		for _, key := range []string{"", secret} {
			try(reader, key, store, fingerprint, "snapshots")
			try(reader, key, store, fingerprint, "verify")
		}
		try(reader, secret, store, fingerprint, "ls", "latest")
		restored(reader, store, fingerprint)
		try(m, "", "backup", "-n", src)
		must(t, os.WriteFile(filepath.Join(src, "new"), []byte("in spite of it all"), 0o600))
		if try(m, "", "backup", src) != 0 {
			t.Error("no backup any more")
		}
		restored(m)
		try(m, "", "store", "copy", "--to", filepath.Join(m.root, "mirror"))
	}
}
