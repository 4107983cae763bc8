package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"vaultik/config"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// forger is who holds a host's signing key, its secret and its store: all that it
// writes is well sealed, well signed and well named, whatever it says.
type forger struct {
	*machine
	hosts  *config.Host
	recips keys.Recipients
	hasher *chunk.Hasher
	zstd   *blob.Compressor
	opened *snapshot.Store
	last   *snapshot.Loaded
	root   *snapshot.Root
}

// newForger takes over a machine that has made one backup of src.
func newForger(t *testing.T, src string) *forger {
	t.Helper()
	f := &forger{machine: newMachine(t), zstd: blob.NewCompressor(0)}
	f.exits(0, "init")
	f.key = secretOf(t, f.config("recovery-kit.txt"))
	f.exits(0, "backup", src)
	var err error
	f.hosts, err = config.NewState(f.config("")).LoadHost()
	must(t, err)
	f.hasher = chunk.NewHasher(f.hosts.Secret.ChunkID())
	f.reload()
	f.recips, err = keys.ParseRecipients(f.root.Recipients)
	must(t, err)
	return f
}

// objects reads the store as it lies there.
type objects string

func (o objects) Get(_ context.Context, key string, _, _ int64) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(o), key))
}

func (o objects) Head(_ context.Context, key string, n int64) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(string(o), key))
	return b[:min(n, int64(len(b)))], err
}

func (o objects) List(_ context.Context, prefix string, fn func(string, int64, time.Time) error) error {
	return filepath.WalkDir(string(o), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, _ := filepath.Rel(string(o), p)
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		return fn(key, st.Size(), st.ModTime())
	})
}

// reload looks at the newest snapshot.
func (f *forger) reload() {
	f.t.Helper()
	ctx := f.t.Context()
	var err error
	f.opened, err = snapshot.OpenStore(ctx, objects(f.store()), snapshot.Pin{})
	must(f.t, err)
	all, problems, err := f.opened.Manifests(ctx, snapshot.Filter{})
	must(f.t, err)
	if len(all) == 0 || len(problems) > 0 {
		f.t.Fatalf("%d snapshots, %v", len(all), problems)
	}
	f.last = all[len(all)-1]
	id, err := keys.ParseIdentity(f.key)
	must(f.t, err)
	f.root, err = f.opened.Root(ctx, f.last.Manifest, id.Age())
	must(f.t, err)
}

func (f *forger) put(key string, b []byte) {
	f.t.Helper()
	p := filepath.Join(f.store(), key)
	must(f.t, os.MkdirAll(filepath.Dir(p), 0o700))
	must(f.t, os.WriteFile(p, b, 0o600))
}

// forgery is one blob of a forged snapshot, being filled.
type forgery struct {
	f     *forger
	blob  *blob.Builder
	extra []snapshot.BlobSize // blobs that the manifest names beside it
	edit  func(*snapshot.Manifest)
	roots func(*snapshot.Root)
}

func (f *forger) begin() *forgery { return &forgery{f: f, blob: blob.NewBuilder(nil)} }

// chunk stores bytes in a frame of their own, and returns the reference.
func (y *forgery) chunk(raw string) string {
	return y.part(y.f.zstd.Frame(nil, []byte(raw)), 0, len(raw), y.f.hasher.ID([]byte(raw)))
}

// part stores a compressed frame, and returns a reference into it.
func (y *forgery) part(frame []byte, off, n int, id chunk.ID) string {
	at, size := y.blob.AddFrame(frame, []blob.Row{{ID: id, Span: blob.Span{Off: uint32(off), Len: uint32(n)}}})
	return reference(at, size, off, n, id)
}

func reference(at, size uint32, off, n int, id chunk.ID) string {
	return fmt.Sprintf(`[0,%d,%d,%d,%d,"%s"]`, at, size, off, n, id)
}

// leaf is a page of entries.
func leaf(entries ...string) string { return pageText("leaf", 0, entries...) }

func pageText(kind string, level int, lines ...string) string {
	return fmt.Sprintf(`{"kind":%q,"v":1,"required":[],"level":%d,"blobs":["self"]}`, kind, level) + "\n" + strings.Join(lines, "\n") + "\n"
}

// item is a line of a branch.
func item(last, ref string, n int) string {
	return fmt.Sprintf(`{"last":%q,"r":%s,"n":%d}`, last, ref, n)
}

// entry is a line of a leaf; more are fields after those that all have.
func entry(path, kind string, more ...string) string {
	p := fmt.Sprintf(`"p":"%s"`, path)
	if strings.HasPrefix(path, `"`) { // the field as it is
		p = path
	}
	return fmt.Sprintf(`{%s,"type":%q,"mode":420,"uid":0,"gid":0,"mtime":"1700000000.000000000"%s}`, p, kind, strings.Join(append([]string{""}, more...), ","))
}

func dirEntry(path string) string { return strings.Replace(entry(path, "dir"), "420", "493", 1) }

// file is an entry with one chunk.
func (y *forgery) file(path, content string) string {
	return entry(path, "file", fmt.Sprintf(`"size":%d`, len(content)), `"c":[`+y.chunk(content)+`]`)
}

// commit writes the snapshot whose top page is ref.
func (y *forgery) commit(ref string) {
	f := y.f
	f.t.Helper()
	s, err := y.blob.Seal(f.recips, *f.hosts.Epoch)
	must(f.t, err)
	f.put(layout.Blob(f.hosts.ID, s.Name), s.Bytes)

	var nums [5]uint32
	var id chunk.ID
	var hexID string
	_, err = fmt.Sscanf(strings.NewReplacer("[", " ", "]", " ", ",", " ", `"`, " ").Replace(ref), "%d %d %d %d %d %s", &nums[0], &nums[1], &nums[2], &nums[3], &nums[4], &hexID)
	must(f.t, err)
	id, err = chunk.ParseID(hexID)
	must(f.t, err)

	root := *f.root
	root.Seq = f.last.Seq + 1
	root.Top = &snapshot.Top{Blob: s.Info, Span: blob.Span{FrameOff: nums[1], FrameLen: nums[2], Off: nums[3], Len: nums[4]}, ID: id}
	if y.roots != nil {
		y.roots(&root)
	}
	sealed, name, err := snapshot.SealRoot(&root, f.recips, *f.hosts.Epoch)
	must(f.t, err)
	f.put(layout.Root(f.hosts.ID, name), sealed)

	m := *f.last.Manifest
	m.Seq, m.Prev, m.Time = f.last.Seq+1, f.last.Sum, f.last.Time.Add(time.Second)
	m.Root = snapshot.RootRef{Name: name, Size: int64(len(sealed))}
	m.Lists, m.Blobs = nil, append([]snapshot.BlobSize{{Name: s.Name, Size: s.Size}}, y.extra...)
	m.Count, m.Bytes = int64(len(m.Blobs)), snapshot.TotalSize(m.Blobs)
	if y.edit != nil {
		y.edit(&m)
	}
	b, err := snapshot.EncodeManifest(&m, f.hosts.Signer)
	must(f.t, err)
	f.put(layout.Manifest(f.hosts.ID, m.Set, m.Seq), b)
}

// bombFrame is a zstd frame of n zeros that declares to hold size of them.
func bombFrame(t *testing.T, n int, size int64) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithSingleSegment(false), zstd.WithWindowSize(1<<20))
	must(t, err)
	b := enc.EncodeAll(make([]byte, n), nil)
	var h zstd.Header
	must(t, h.Decode(b))
	body := b[h.HeaderSize:]
	// Magic, a descriptor that says: 8 bytes of content size, no checksum unless there was one;
	// a window of 1 MiB.
	descriptor := byte(3 << 6)
	if h.HasCheckSum {
		descriptor |= 4
	}
	out := []byte{0x28, 0xb5, 0x2f, 0xfd, descriptor, 10 << 3}
	for i := range 8 {
		out = append(out, byte(size>>(8*i)))
	}
	return append(out, bytes.Clone(body)...)
}
