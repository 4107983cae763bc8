package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

var testTime = time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)

// memory is a store in a map.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	gets    map[string]int
	fail    map[string]error
}

func (m *memory) Get(ctx context.Context, key string, off, n int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.gets[key]++
	if err := m.fail[key]; err != nil {
		return nil, err
	}
	b, ok := m.objects[key]
	if !ok {
		return nil, fmt.Errorf("get %s: %w", key, fs.ErrNotExist)
	}
	if n < 0 {
		n = int64(len(b)) - off
	}
	return bytes.Clone(b[off : off+n]), nil
}

func (m *memory) Head(ctx context.Context, key string, n int64) ([]byte, error) {
	b, err := m.Get(ctx, key, 0, -1)
	return b[:min(int64(len(b)), n)], err
}

func (m *memory) List(ctx context.Context, prefix string, fn func(string, int64, time.Time) error) error {
	m.mu.Lock()
	all := maps.Clone(m.objects)
	err := m.fail[prefix]
	m.mu.Unlock()
	if err != nil {
		return err
	}
	for key, b := range all { // in no order
		if strings.HasPrefix(key, prefix) {
			if err := fn(key, int64(len(b)), time.Time{}); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// world is a store with one owner, one host and a set, and a pruner.
type world struct {
	t          *testing.T
	m          *memory
	owner      *keys.Signer
	signer     *keys.Signer
	pruner     *keys.Signer
	store      layout.StoreID
	host       layout.HostID
	set        layout.SetID
	trust      Trust
	secret     string
	identity   *keys.Identity
	recipients keys.Recipients
	epoch      keys.EpochKey
	heads      map[layout.SetID]*Loaded
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, m: &memory{objects: map[string][]byte{}, gets: map[string]int{}, fail: map[string]error{}},
		owner: keys.NewSigner(), signer: keys.NewSigner(), pruner: keys.NewSigner(),
		store: layout.NewStoreID(), host: layout.NewHostID(), set: layout.NewSetID(),
		heads: map[layout.SetID]*Loaded{},
	}
	secret, recipient, err := keys.Generate(true)
	w.must(err)
	w.secret = secret
	w.identity, err = keys.ParseIdentity(secret)
	w.must(err)
	w.recipients, err = keys.ParseRecipients([]string{recipient})
	w.must(err)
	b, err := EncodeStore(StoreDoc{Store: w.store, Owner: w.owner.Public(), Created: testTime}, w.owner)
	w.must(err)
	w.m.objects[layout.StoreJSON] = b
	w.trust = Trust{Store: w.store, Seq: 1, Time: testTime, Hosts: []TrustHost{
		{Host: w.host, Key: w.signer.Public(), Roles: []string{RoleWrite}},
		{Host: layout.NewHostID(), Key: w.pruner.Public(), Roles: []string{RolePrune, "later"}},
	}}
	w.putTrust()
	var sealed []byte
	w.epoch, sealed, err = keys.NewEpoch(w.recipients, testTime)
	w.must(err)
	w.m.objects[layout.EpochKey(w.host, w.epoch.ID, 0)] = sealed
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) putTrust() {
	w.t.Helper()
	b, err := EncodeTrust(w.trust, w.owner)
	w.must(err)
	w.m.objects[layout.Trust(w.trust.Seq)] = b
}

func (w *world) open() *Store {
	w.t.Helper()
	s, err := OpenStore(w.t.Context(), w.m, Pin{})
	w.must(err)
	return s
}

func (w *world) root(seq uint64) *Root {
	return &Root{
		Store: w.store, Owner: w.owner.Public().Fingerprint(), Host: w.host, Hostname: "box", Set: w.set, SetName: "docs",
		Seq: seq, Paths: []Text{"/home/\xff\xfe", "/etc"}, Tool: "vaultik test", Started: testTime, Finished: testTime,
		Counts: Counts{Files: 3, Bytes: 7}, Errors: []RootError{{"/x\n", "unreadable"}}, Complete: true,
		Tags:   []Tag{{TagID{1}, "weekly"}},
		Secret: keys.NewHostSecret(), Chunker: chunk.DefaultParams(), Frames: FrameParams{blob.SmallChunk, blob.FrameTarget},
		Recipients: w.recipients.Strings(),
		Top: &Top{Blob: blob.Info{Name: blob.Name{1}, Hdr: [32]byte{2}, Size: 3, Epoch: w.epoch.ID},
			Span: blob.Span{FrameOff: 4, FrameLen: 5, Off: 6, Len: 7}, ID: chunk.ID{8}},
	}
}

func testBlobs(n, salt int) []BlobSize {
	out := make([]BlobSize, n)
	for i := range out {
		out[i] = BlobSize{sha256.Sum256(fmt.Append(nil, salt, i)), int64(i + 1)}
	}
	return out
}

// needs stores blob lists and returns what a manifest with these blobs says.
func (w *world) needs(blobs []BlobSize) Needs {
	w.t.Helper()
	lists, tail := CutBlobLists(blobs)
	n := Needs{Blobs: tail, Count: int64(len(blobs)), Bytes: TotalSize(blobs)}
	for _, l := range lists {
		b, err := EncodeBlobList(l, 0)
		w.must(err)
		name := sumOf(b)
		w.m.objects[layout.BlobList(w.host, name)] = b
		n.Lists = append(n.Lists, ListRef{name, int64(len(b)), int64(len(l))})
	}
	var sum Sum
	w.must(sum.UnmarshalText([]byte(w.epoch.Sum)))
	n.Keys = []KeyRef{{w.epoch.ID, 0, w.epoch.Size, sum}}
	return n
}

// manifest returns the next manifest of a set, with its root stored.
func (w *world) manifest(set layout.SetID, blobs []BlobSize) *Manifest {
	w.t.Helper()
	m := &Manifest{Store: w.store, Host: w.host, Set: set, Seq: 1, Time: testTime, Complete: true, Needs: w.needs(blobs)}
	if h := w.heads[set]; h != nil {
		m.Seq, m.Prev = h.Seq+1, h.Sum
	}
	r := w.root(m.Seq)
	r.Set = set
	b, name, err := SealRoot(r, w.recipients, w.epoch)
	w.must(err)
	w.m.objects[layout.Root(w.host, name)] = b
	m.Root = RootRef{name, int64(len(b))}
	return m
}

// commit stores a manifest and makes it the head of its set.
func (w *world) commit(m *Manifest) *Loaded {
	w.t.Helper()
	b, err := EncodeManifest(m, w.signer)
	w.must(err)
	l := &Loaded{Manifest: m, Sum: sumOf(b), Key: layout.Manifest(m.Host, m.Set, m.Seq), Size: int64(len(b))}
	w.m.objects[l.Key] = b
	w.heads[m.Set] = l
	return l
}

func (w *world) snapshot(set layout.SetID) *Loaded {
	w.t.Helper()
	return w.commit(w.manifest(set, testBlobs(3, 0)))
}

func (w *world) gc(g GC) *GC {
	w.t.Helper()
	g.Store, g.Host, g.Time = w.store, w.host, testTime
	b, err := EncodeGC(&g, w.pruner)
	w.must(err)
	w.m.objects[layout.GC(w.host, g.Seq)] = b
	return &g
}

func (w *world) ids() []age.Identity { return w.identity.Age() }

// forge signs any line as the given type of object, compressed.
func forge(t *testing.T, signer *keys.Signer, namespace, line string) []byte {
	t.Helper()
	return compress(forgePlain(t, signer, namespace, line))
}

func forgePlain(t *testing.T, signer *keys.Signer, namespace, line string) []byte {
	t.Helper()
	if !strings.HasSuffix(line, "\n") {
		line += "\n"
	}
	sig, err := signer.Sign(namespace, []byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(line), sig...)
}

// lineOf returns the JSON of a signed object, without its newline.
func lineOf(t *testing.T, b []byte) string {
	t.Helper()
	if plain, err := decompress(b, MaxManifest); err == nil {
		b = plain
	}
	line, _, err := splitSigned(b)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(line), "\n")
}
