package actors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vaultik/backends"
	"vaultik/backends/mem"
	"vaultik/index"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/fs"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// testHost is a host with its own store in memory.
type testHost struct {
	t        testing.TB
	store    backends.Backend
	opened   *snapshot.Store
	index    *index.Index
	host     Host
	recips   keys.Recipients
	identity *keys.Identity
	epoch    keys.EpochKey
	set      layout.SetID
	head     Head
	system   *System
	indexDir string
	now      func() time.Time
	edit     func(*BackupSpec)
}

func newTestHost(t testing.TB) *testHost {
	t.Helper()
	h := &testHost{t: t, store: mem.New(), set: layout.NewSetID(), system: NewSystem(nil), indexDir: filepath.Join(t.TempDir(), "index")}
	t.Cleanup(h.system.Close)
	// As if all files were old: a change within two seconds of its reading is read again.
	h.now = func() time.Time { return time.Now().Add(time.Hour) }
	h.host = Host{ID: layout.NewHostID(), Name: "testhost", Secret: keys.NewHostSecret(), Signer: keys.NewSigner()}
	secret, recipient, err := keys.Generate(true)
	must(t, err)
	h.identity, err = keys.ParseIdentity(secret)
	must(t, err)
	h.recips, err = keys.ParseRecipients([]string{recipient})
	must(t, err)
	owner := keys.NewSigner()
	id := layout.NewStoreID()
	doc, err := snapshot.EncodeStore(snapshot.StoreDoc{Store: id, Owner: owner.Public(), Created: time.Now()}, owner)
	must(t, err)
	trust, err := snapshot.EncodeTrust(snapshot.Trust{Store: id, Seq: 1, Time: time.Now(), Hosts: []snapshot.TrustHost{
		{Host: h.host.ID, Key: h.host.Signer.Public(), Roles: []string{snapshot.RoleWrite, snapshot.RolePrune}},
	}}, owner)
	must(t, err)
	h.put(layout.StoreJSON, doc)
	h.put(layout.Trust(1), trust)
	h.opened, err = snapshot.OpenStore(t.Context(), backends.Objects(h.store), snapshot.Pin{})
	must(t, err)
	h.openIndex()
	return h
}

func (h *testHost) openIndex() {
	h.t.Helper()
	ix, err := index.Open(h.indexDir, index.Options{Key: h.host.Secret.IndexPath()})
	must(h.t, err)
	h.index = ix
	h.t.Cleanup(func() { _ = ix.Close() })
}

func (h *testHost) put(key string, b []byte) {
	h.t.Helper()
	_, err := h.store.Put(context.Background(), key, backends.Bytes(b, nil), backends.PutOptions{})
	must(h.t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *testHost) spec(paths ...string) *BackupSpec {
	roots, err := fs.Roots(paths)
	must(h.t, err)
	s := &BackupSpec{
		Store: h.store, Opened: h.opened, Index: h.index, Host: h.host, Recipients: h.recips, Epoch: h.epoch,
		Set: h.set, SetName: "test", Head: h.head, Paths: roots,
		Chunks: chunk.DefaultParams(), BlobSize: 15 << 20, Memory: 150 << 20, Parallel: 4, Chunkers: 4,
		Tool: "vaultik test", Progress: &messages.Progress{}, Now: h.now,
		Warn:      func(text string) { h.t.Log("warning:", text) },
		SaveEpoch: func(e keys.EpochKey) error { h.epoch = e; return nil },
		SaveHead:  func(n Head) error { h.head = n; return nil },
	}
	if h.edit != nil {
		h.edit(s)
	}
	return s
}

func (h *testHost) backup(paths ...string) *BackupResult {
	h.t.Helper()
	r, err := h.system.Backup(h.t.Context(), context.Background(), h.spec(paths...))
	must(h.t, err)
	return r
}

// readBack reads the newest snapshot of the set with no code of the restorer.
func (h *testHost) readBack() map[string]readEntry {
	h.t.Helper()
	all, problems, err := h.opened.Manifests(h.t.Context(), snapshot.Filter{})
	must(h.t, err)
	if len(problems) > 0 {
		h.t.Fatalf("problems: %v", problems)
	}
	var newest *snapshot.Loaded
	for _, m := range all {
		if m.Set == h.set && (newest == nil || m.Seq > newest.Seq) {
			newest = m
		}
	}
	return h.readSnapshot(newest)
}

// readSnapshot reads all of a snapshot, and checks that its manifest names exactly
// the blobs that it uses.
func (h *testHost) readSnapshot(newest *snapshot.Loaded) map[string]readEntry {
	h.t.Helper()
	ctx := h.t.Context()
	ids, problems, err := h.opened.Identities(ctx, newest.Manifest, h.identity)
	must(h.t, err)
	if len(problems) > 0 {
		h.t.Fatalf("problems: %v", problems)
	}
	root, err := h.opened.Root(ctx, newest.Manifest, ids)
	must(h.t, err)
	needed, err := h.opened.Blobs(ctx, newest.Manifest)
	must(h.t, err)
	listed := map[blob.Name]bool{}
	for _, b := range needed {
		listed[b.Name] = true
	}
	used := map[blob.Name]bool{}
	d, hasher := blob.NewDecompressor(), chunk.NewHasher(root.Secret.ChunkID())
	plain := map[blob.Name]*blob.Reader{}
	var lastFrame struct { // neighbours share it
		blob blob.Name
		off  uint32
		raw  []byte
	}
	fetch := func(ctx context.Context, ref page.Ref) ([]byte, error) {
		used[ref.Blob.Name] = true
		if !listed[ref.Blob.Name] {
			h.t.Errorf("blob %s is used, but not in the manifest", ref.Blob.Name)
		}
		r := plain[ref.Blob.Name]
		if r == nil {
			whole, err := backends.Objects(h.store).Get(ctx, layout.Blob(h.host.ID, ref.Blob.Name), 0, -1)
			if err != nil {
				return nil, err
			}
			if sha256.Sum256(whole) != ref.Blob.Name {
				return nil, fmt.Errorf("blob %s has another hash", ref.Blob.Name)
			}
			if r, err = blob.OpenBytes(*ref.Blob, bytes.Clone(whole), ids); err != nil {
				return nil, err
			}
			plain[ref.Blob.Name] = r
		}
		if l := &lastFrame; l.raw == nil || l.blob != ref.Blob.Name || l.off != ref.Span.FrameOff {
			raw, err := r.Frame(ctx, d, nil, ref.Span.FrameOff, ref.Span.FrameLen, -1)
			if err != nil {
				return nil, err
			}
			l.blob, l.off, l.raw = ref.Blob.Name, ref.Span.FrameOff, raw
		}
		b := lastFrame.raw[ref.Span.Off : ref.Span.Off+ref.Span.Len]
		if hasher.ID(b) != ref.ID {
			return nil, fmt.Errorf("chunk %s has another id", ref.ID)
		}
		return b, nil
	}
	tree := &page.Tree{Fetch: fetch, Top: root.Top.Ref()}
	out := map[string]readEntry{}
	must(h.t, tree.WalkPages(ctx, func(page.Ref, *page.Page) error { return nil }))
	must(h.t, tree.Walk(ctx, "", func(e *page.Entry) error {
		re := readEntry{Entry: *e}
		sum := sha256.New()
		if e.Type == page.File {
			err := tree.Refs(ctx, e, func(r page.Ref) error {
				if r.Hole > 0 {
					re.holes += r.Hole
					_, err := sum.Write(make([]byte, r.Hole))
					return err
				}
				b, err := fetch(ctx, r)
				_, _ = sum.Write(b)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", e.Path, err)
			}
			re.sum = hex.EncodeToString(sum.Sum(nil))
		}
		out[e.Path] = re
		return nil
	}))
	for n := range listed {
		if !used[n] {
			h.t.Errorf("blob %s is in the manifest, but nothing uses it", n)
		}
	}
	return out
}

type readEntry struct {
	page.Entry
	sum   string
	holes int64
}

// checkTree compares a snapshot with the directory that it was made of.
func (h *testHost) checkTree(dir string) {
	h.t.Helper()
	got := h.readBack()
	n := 0
	must(h.t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		must(h.t, err)
		rel := strings.TrimPrefix(p, "/")
		e, ok := got[rel]
		if !ok {
			h.t.Errorf("%q is not in the snapshot", rel)
			return nil
		}
		n++
		fi, err := d.Info()
		must(h.t, err)
		if mt := page.TimeOf(fi.ModTime()); mt != e.Mtime {
			h.t.Errorf("%q: mtime %v, want %v", rel, e.Mtime, mt)
		}
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			must(h.t, err)
			if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != e.sum {
				h.t.Errorf("%q: other content", rel)
			}
		}
		return nil
	}))
	for p := range got {
		if p == "." || strings.HasPrefix(strings.TrimPrefix(dir, "/"), p) {
			continue
		}
		n--
		if _, err := os.Lstat("/" + p); err != nil {
			h.t.Errorf("%q is in the snapshot: %v", p, err)
		}
	}
}

func TestBackup_RoundTrip(t *testing.T) {
	defer goleak.VerifyNone(t, leakOptions...)
	h := newTestHost(t)
	dir := t.TempDir()
	makeTree(t, testtree.Random(1, testtree.RandomOptions{Nodes: 600}), dir)
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(7, 40<<20), 0o600))
	r := h.backup(dir)
	if r.Errors != 0 || !r.Complete {
		t.Errorf("%+v", r)
	}
	h.checkTree(dir)

	again := h.backup(dir)
	if again.ObjectsStored > 4 || again.BytesRead != 0 {
		t.Errorf("an unchanged tree read %d bytes and stored %d objects", again.BytesRead, again.ObjectsStored)
	}
	h.checkTree(dir)

	for range 3 {
		r := h.backup(dir)
		if r.ObjectsStored > 4 || r.BytesRead != 0 {
			t.Errorf("an unchanged tree read %d bytes and stored %d objects", r.BytesRead, r.ObjectsStored)
		}
	}
	// Root and manifest, and one blob of pages if a directory above, such as /tmp, has changed.
	if r := h.backup(dir); r.ObjectsStored > 3 {
		t.Errorf("the tree should have settled, but %d objects were stored", r.ObjectsStored)
	}
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(8, 5<<20), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "new"), []byte("new"), 0o600))
	if r := h.backup(dir); r.Counts.New != 1 || r.Counts.Changed != 1 || r.BytesRead != 5<<20+3 {
		t.Errorf("%+v", r)
	}
	h.checkTree(dir)
	h.closeIndex()
}

func (h *testHost) closeIndex() { must(h.t, h.index.Close()) }

var leakOptions = []goleak.Option{
	goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	goleak.IgnoreAnyFunction("github.com/dgraph-io/ristretto/v2/z.(*Buffer).Release"),
}

// TestBackup_ManyLeavesInOneBlob: a blob of data that is larger than a blob of pages
// should be, and is referred to as self by all leaves, stays open for all of them.
func TestBackup_ManyLeavesInOneBlob(t *testing.T) {
	testsize.Long(t)
	for _, files := range []int{700, 3000} {
		h := newTestHost(t)
		h.edit = func(s *BackupSpec) { s.Parallel = 1 } // else blobs are smaller
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(7, 5<<20), 0o600))
		for i := range files {
			must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), fmt.Append(nil, i), 0o600))
		}
		if r := h.backup(dir); r.BlobsStored != 1 {
			t.Errorf("%d blobs", r.BlobsStored)
		}
		h.checkTree(dir)
	}
}

func TestBackup_SmallIsOneBlob(t *testing.T) {
	h := newTestHost(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("hello"), 0o600))
	if r := h.backup(dir); r.BlobsStored != 1 {
		t.Errorf("%d blobs", r.BlobsStored)
	}
	h.checkTree(dir)
}

func TestBackup_WorkerPanicsChangeNothing(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	dir := t.TempDir()
	makeTree(t, testtree.Random(2, testtree.RandomOptions{Nodes: 800}), dir)
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(9, 60<<20), 0o600))
	var n, u, z atomic.Int64
	h.edit = func(s *BackupSpec) {
		s.faults.onChunk = func(path string) {
			if n.Add(1)%40 == 0 {
				panic("injected in chunker at " + path)
			}
		}
		s.faults.onUpload = func(bool) {
			if u.Add(1)%5 == 0 {
				panic("injected in uploader")
			}
		}
		s.faults.onSeal = func() {
			if z.Add(1)%7 == 0 {
				panic("injected in sealer")
			}
		}
	}
	r := h.backup(dir)
	if r.Errors != 0 || r.Restarts == 0 {
		t.Errorf("%+v", r)
	}
	h.checkTree(dir)
}

func TestBackup_PoisonFileFailsAlone(t *testing.T) {
	h := newTestHost(t)
	dir := t.TempDir()
	makeTree(t, testtree.Random(3, testtree.RandomOptions{Nodes: 300, Plain: true}), dir)
	must(t, os.WriteFile(filepath.Join(dir, "poison"), []byte("x"), 0o600))
	h.edit = func(s *BackupSpec) {
		s.faults.onChunk = func(path string) {
			if strings.HasSuffix(path, "/poison") {
				panic("poison")
			}
		}
	}
	r := h.backup(dir)
	if r.Errors != 1 || r.Complete {
		t.Errorf("%+v", r)
	}
	must(t, os.Remove(filepath.Join(dir, "poison")))
	if got := h.readBack(); got[strings.TrimPrefix(dir, "/")+"/poison"].Path != "" {
		t.Error("the poison file is in the snapshot")
	}
}

func TestBackup_StagePanicFailsTheJob(t *testing.T) {
	testsize.Long(t)
	for name, inject := range map[string]func(*faults){
		"packer":    func(f *faults) { f.onPack = func() { panic("injected") } },
		"committer": func(f *faults) { f.onCommit = func() { panic("injected") } },
		"store":     func(f *faults) { f.onStore = func() { panic("injected") } },
		"scanner":   func(f *faults) { f.onScan = func() { panic("injected") } },
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestHost(t)
			dir := t.TempDir()
			makeTree(t, testtree.Random(4, testtree.RandomOptions{Nodes: 200, Plain: true}), dir)
			h.edit = func(s *BackupSpec) { inject(&s.faults) }
			_, err := h.system.Backup(t.Context(), context.Background(), h.spec(dir))
			if err == nil || !strings.Contains(err.Error(), "internal error in") {
				t.Fatalf("error %v", err)
			}
			h.edit = nil
			h.backup(dir)
			h.checkTree(dir)
		})
	}
}

func makeTree(t testing.TB, tree testtree.Tree, dir string) {
	t.Helper()
	_, err := tree.Create(dir)
	must(t, err)
}
