package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/internal/testsize"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// damagedStore is a store of two snapshots, whose objects get damaged one at a time.
type damagedStore struct {
	*testing.T
	dir, src, store, other string // other: another store, for what there is only one of
	identity               string
	manifests              []*snapshot.Loaded
	pages                  []layout.Object     // the blob with the top page, of each
	data                   []snapshot.BlobSize // of the older one, blobs too large for pages
	lists                  []string            // keys of condemned lists
	mirror                 string
	good                   map[string][32]byte // SHA-256 of what the mirror has, and the store
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
	for _, v := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "VAULTIK_CONFIG", "VAULTIK_INDEX_PATH", keys.EnvIdentity} {
		t.Setenv(v, "")
	}
	t.Setenv("HOME", filepath.Join(dir, "otherhome"))
	for _, home := range []string{"otherhome", "home", "third"} {
		if err := os.Mkdir(filepath.Join(dir, home), 0o700); err != nil {
			t.Fatal(err)
		}
	}
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
	r := rand.New(rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, testsize.Seed(t)))))
	big := make([]byte, 4<<20)
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
	y.mirror = filepath.Join(dir, "mirror")
	y.check(os.CopyFS(y.mirror, os.DirFS(y.store)))
	y.good = y.sums()
	y.must("repair", "--parity", "10%")
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
	seen := y.addGC(host)
	var prev snapshot.Sum
	for i, l := range loaded {
		m := *l.Manifest
		blobs, err := st.Blobs(y.Context(), &m)
		y.check(err)
		n := len(blobs) - 1
		list, err := snapshot.EncodeBlobList(blobs[:n], 0)
		y.check(err)
		name := sha256.Sum256(list)
		y.put(layout.BlobList(m.Host, name), list)
		m.Lists = []snapshot.ListRef{{Name: name, Size: int64(len(list)), Count: int64(n)}}
		m.Blobs, m.Prev, m.GC = blobs[n:], prev, &seen[i]
		raw, err := snapshot.EncodeManifest(&m, host.Signer)
		y.check(err)
		prev = sha256.Sum256(raw)
		y.put(l.Key, raw)
		ids, _, err := st.Identities(y.Context(), &m, id)
		y.check(err)
		root, err := st.Root(y.Context(), &m, ids)
		y.check(err)
		y.pages = append(y.pages, layout.Object{Kind: layout.KindBlob, Host: m.Host, Sum: root.Top.Blob.Name})
		if i == 0 {
			y.data = slices.DeleteFunc(slices.Clone(blobs), func(b snapshot.BlobSize) bool {
				return b.Size < 1<<19 || b.Name == root.Top.Blob.Name
			})
		}
		y.manifests = append(y.manifests, &snapshot.Loaded{Manifest: &m, Key: loaded[i].Key, Sum: prev})
		known, err := os.ReadFile(state.SeenFile())
		y.check(err)
		y.check(os.WriteFile(state.SeenFile(), bytes.ReplaceAll(known, []byte(l.ID()), []byte(prev.String())), 0o600))
	}
}

// addGC signs two gc objects, each with a condemned list.
func (y *damagedStore) addGC(host *config.Host) (seen []snapshot.GCSeen) {
	g := &snapshot.GC{Store: host.Store, Host: host.ID}
	for seq := uint64(1); seq <= 2; seq++ {
		list, err := snapshot.EncodeCondemned([]string{
			layout.Object{Kind: layout.KindBlob, Sum: [32]byte{byte(seq)}}.Name()})
		y.check(err)
		name := sha256.Sum256(list)
		y.lists = append(y.lists, layout.CondemnedList(host.ID, name))
		y.put(y.lists[seq-1], list)
		g.Seq = seq
		g.Condemned = append(g.Condemned, snapshot.Condemned{First: seq,
			Lists: []snapshot.ListRef{{Name: name, Size: int64(len(list)), Count: 1}}})
		b, err := snapshot.EncodeGC(g, host.Signer)
		y.check(err)
		g.Prev = sha256.Sum256(b)
		y.put(layout.GC(host.ID, seq), b)
		seen = append(seen, snapshot.GCSeen{Seq: seq, SHA256: g.Prev})
	}
	return seen
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
	data := func(n int) string {
		return layout.Object{Kind: layout.KindBlob, Host: m.Host, Sum: y.data[n].Name}.Key()
	}
	// Sizes are random, and verify finds two blobs of one size swapped only if it reads them.
	unlike := slices.IndexFunc(y.data, func(b snapshot.BlobSize) bool { return b.Size != y.data[0].Size })
	if unlike < 0 {
		y.Fatalf("all %d blobs of data have one size", len(y.data))
	}
	root := func(l *snapshot.Loaded) string { return layout.Root(m.Host, l.Manifest.Root.Name) }
	list := func(l *snapshot.Loaded) string { return layout.BlobList(m.Host, l.Lists[0].Name) }
	return []victim{
		{"`b`, data", data(0), y.path(data(unlike)), true},
		{"`b`, pages", y.pages[1].Key(), y.path(y.pages[0].Key()), true},
		{"`k`", layout.EpochKey(m.Host, m.Keys[0].Epoch, 0), y.inOther("h/*/k/*/*"), false},
		{"`r`", root(m), y.path(root(old)), true},
		{"`l`", list(m), y.path(list(old)), true},
		{"`m`, an older one", old.Key, y.path(m.Key), true},
		{"`m`, the newest", m.Key, y.path(old.Key), true},
		{"`store.json`", layout.StoreJSON, y.inOther(layout.StoreJSON), false},
		{"`trust`", layout.Trust(1), y.inOther(layout.Trust(1)), false},
		{"`gc`", layout.GC(m.Host, 2), y.path(layout.GC(m.Host, 1)), true},
		{"`gc`, a condemned list", y.lists[1], y.path(y.lists[0]), true},
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
